//! The times of the rows of one series.

use std::fmt;

/// The times of rows, one each. Rows that are equally far apart, as nearly all are, take no memory for
/// theirs.
#[derive(Clone, PartialEq, Eq)]
pub struct Times(Form);

#[derive(Clone, PartialEq, Eq)]
enum Form {
    Even {
        first: i64,
        step: i64,
        count: usize,
    },
    /// Not all of one distance.
    Listed(Vec<i64>),
}

impl Times {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Even { count, .. } => *count,
            Form::Listed(times) => times.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The time of a row; `None` if there is no such row.
    pub fn get(&self, row: usize) -> Option<i64> {
        match &self.0 {
            Form::Even { first, step, count } => (row < *count).then(|| first + step * row as i64),
            Form::Listed(times) => times.get(row).copied(),
        }
    }

    /// The time of the first row.
    pub fn first(&self) -> Option<i64> {
        self.get(0)
    }

    /// The time of the last row.
    pub fn last(&self) -> Option<i64> {
        self.get(self.len().checked_sub(1)?)
    }

    /// The times, in the order of the rows.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = i64> + Clone {
        (0..self.len()).map(|row| self.get(row).unwrap_or_default())
    }

    /// The times as they are.
    pub fn to_vec(&self) -> Vec<i64> {
        self.iter().collect()
    }
}

impl From<Vec<i64>> for Times {
    fn from(mut times: Vec<i64>) -> Self {
        let (first, count) = (times.first().copied().unwrap_or_default(), times.len());
        let step = match times.as_slice() {
            [first, second, ..] => second.checked_sub(*first),
            _ => Some(0),
        };
        let even =
            |step: &i64| times.windows(2).all(|pair| pair[1].checked_sub(pair[0]) == Some(*step));
        match step.filter(even) {
            Some(step) => Self(Form::Even { first, step, count }),
            None => {
                times.shrink_to_fit();
                Self(Form::Listed(times))
            }
        }
    }
}

impl FromIterator<i64> for Times {
    fn from_iter<I: IntoIterator<Item = i64>>(times: I) -> Self {
        times.into_iter().collect::<Vec<_>>().into()
    }
}

impl fmt::Debug for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_what_they_were_made_of() {
        for times in [
            vec![],
            vec![7],
            vec![7, 9],
            vec![3, 6, 9, 12],
            vec![3, 6, 9, 13],
            vec![5, 5, 5],
            vec![9, 6, 3],
            vec![i64::MIN, i64::MAX, 0],
        ] {
            let found = Times::from(times.clone());
            assert_eq!(found.to_vec(), times);
            assert_eq!(
                (found.first(), found.last()),
                (times.first().copied(), times.last().copied())
            );
            assert_eq!((found.len(), found.is_empty()), (times.len(), times.is_empty()));
            assert_eq!(found.get(times.len()), None);
            assert_eq!(format!("{found:?}"), format!("{times:?}"));
        }
    }
}
