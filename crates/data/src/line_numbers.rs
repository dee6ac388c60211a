//! The line of a text file that each row of its table begins on.

/// The lines of rows, from 1. Rows mostly take one line each: only those that come after something
/// else take memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct LineNumbers {
    rows: usize,
    /// Rows that do not begin on the line after the row above, and their lines.
    jumps: Vec<(usize, u64)>,
}

impl LineNumbers {
    /// Adds a row.
    pub(super) fn push(&mut self, line: u64) {
        if self.next() != Some(line) {
            self.jumps.push((self.rows, line));
        }
        self.rows += 1;
    }

    /// The line after the last row.
    fn next(&self) -> Option<u64> {
        let &(row, line) = self.jumps.last()?;
        Some(line + (self.rows - row) as u64)
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// The line of a row.
    pub(super) fn line(&self, row: usize) -> u64 {
        let after = self.jumps.partition_point(|jump| jump.0 <= row);
        let (first, line) = self.jumps[after - 1];
        line + (row - first) as u64
    }

    /// Puts the rows of `more` below these.
    pub(super) fn append(&mut self, more: &LineNumbers) {
        let next = self.next();
        let jumps = more.jumps.iter().map(|&(row, line)| (self.rows + row, line));
        let joins = more.jumps.first().is_some_and(|first| Some(first.1) == next);
        self.jumps.extend(jumps.skip(usize::from(joins)));
        self.rows += more.rows;
    }
}

impl FromIterator<u64> for LineNumbers {
    fn from_iter<I: IntoIterator<Item = u64>>(lines: I) -> Self {
        let mut this = Self::default();
        lines.into_iter().for_each(|line| this.push(line));
        this
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_keeps_its_line() {
        let lines = [2, 3, 4, 9, 10, 10, 11, 20];
        let whole: LineNumbers = lines.into_iter().collect();
        for cut in 0..=lines.len() {
            let mut pieces: LineNumbers = lines[..cut].iter().copied().collect();
            pieces.append(&lines[cut..].iter().copied().collect());
            assert_eq!(pieces, whole, "cut at {cut}");
        }
        let read: Vec<u64> = (0..whole.len()).map(|row| whole.line(row)).collect();
        assert_eq!(read, lines);
    }
}
