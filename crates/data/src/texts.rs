//! Texts of one column, each kept once: a table of many series names each of them in every row.

use std::collections::HashSet;
use std::sync::Arc;

/// Largest number of texts that are shared; beyond it sharing saves little memory.
const MOST: usize = 1 << 16;

/// The different texts of a column so far.
#[derive(Debug, Default)]
pub(super) struct Texts {
    last: Option<Arc<str>>,
    known: HashSet<Arc<str>>,
}

impl Texts {
    /// The text, in memory that it shares with earlier cells that hold the same.
    pub(super) fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(last) = self.last.as_ref().filter(|last| ***last == *text) {
            return Arc::clone(last);
        }
        let found = match self.known.get(text) {
            Some(known) => Arc::clone(known),
            None => {
                let new: Arc<str> = text.into();
                if self.known.len() < MOST {
                    self.known.insert(Arc::clone(&new));
                }
                new
            }
        };
        self.last = Some(Arc::clone(&found));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_their_memory() {
        let mut texts = Texts::default();
        let cells = ["a", "a", "b", "a", "b"].map(|text| texts.shared(text));
        assert_eq!(cells.each_ref().map(|cell| &**cell), ["a", "a", "b", "a", "b"]);
        assert!(Arc::ptr_eq(&cells[0], &cells[1]) && Arc::ptr_eq(&cells[0], &cells[3]));
        assert!(Arc::ptr_eq(&cells[2], &cells[4]) && !Arc::ptr_eq(&cells[0], &cells[2]));
    }
}
