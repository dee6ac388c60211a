//! Which rows of a table belong together.

use std::ops::Range;

/// Numbers of rows of a table, in any order. Those of a series mostly lie together and take no memory.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TableRows {
    Run(Range<usize>),
    List(Vec<u32>),
}

impl TableRows {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Run(rows) => rows.len(),
            Self::List(rows) => rows.len(),
        }
    }

    pub(super) fn at(&self, index: usize) -> usize {
        match self {
            Self::Run(rows) => rows.start + index,
            Self::List(rows) => rows[index] as usize,
        }
    }

    /// Adds a row; `room` is the number of rows that come in the end.
    pub(super) fn push(&mut self, row: usize, room: usize) {
        match self {
            Self::Run(rows) if rows.start == rows.end => *rows = row..row + 1,
            Self::Run(rows) if rows.end == row => rows.end += 1,
            Self::Run(rows) => {
                let mut list = Vec::with_capacity(room);
                list.extend(rows.clone().chain([row]).map(|row| row as u32));
                *self = Self::List(list);
            }
            Self::List(rows) => rows.push(row as u32),
        }
    }

    /// The cells of a column in these rows.
    pub(super) fn of<T: Copy>(&self, cells: &[T]) -> Vec<T> {
        match self {
            Self::Run(rows) => cells[rows.clone()].to_vec(),
            Self::List(rows) => rows.iter().map(|&row| cells[row as usize]).collect(),
        }
    }

    /// The rows at these places.
    pub(super) fn choose(&self, places: impl Iterator<Item = usize>) -> Self {
        Self::List(places.map(|place| self.at(place) as u32).collect())
    }
}
