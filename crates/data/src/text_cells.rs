//! The cells of a column of texts, each text kept once: a table of many series names each of them in
//! every row, and has the same times in each of them.

use std::fmt;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// The cells of a column of texts, any of which may be missing. A text takes its memory once, each of
/// its cells four bytes.
#[derive(Clone, Default)]
pub struct TextCells {
    /// The number of each cell's text; [`MISSING`] where there is none.
    numbers: Vec<u32>,
    words: Words,
    /// Whether the last text that was likely was the one after that above it.
    advances: bool,
}

const MISSING: u32 = u32::MAX;

/// Different texts, numbered in the order in which they came.
#[derive(Clone, Default)]
struct Words {
    text: String,
    /// Where each ends in `text`.
    ends: Vec<usize>,
    known: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Words {
    fn get(&self, number: u32) -> &str {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[number]]
    }

    fn number(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        if let Some(&number) = self.known.find(hash, |&number| self.get(number) == text) {
            return number;
        }
        let number = u32::try_from(self.ends.len()).unwrap_or(MISSING);
        assert!(number != MISSING, "a column holds 2^32 different texts");
        self.text.push_str(text);
        self.ends.push(self.text.len());
        let Self { text, ends, known, hasher } = self;
        let hash_of = |&number: &u32| {
            let number = number as usize;
            let start = number.checked_sub(1).map_or(0, |before| ends[before]);
            hasher.hash_one(&text[start..ends[number]])
        };
        known.insert_unique(hash, number, hash_of);
        number
    }
}

impl TextCells {
    /// No cells, with room for `rows` of them.
    pub(super) fn with_room(rows: usize) -> Self {
        Self { numbers: Vec::with_capacity(rows), ..Self::default() }
    }

    /// Room for `rows` more.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.numbers.reserve(rows);
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is no cell.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The text of a row; `None` = missing.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn get(&self, row: usize) -> Option<&str> {
        self.text_of(self.numbers[row])
    }

    fn text_of(&self, number: u32) -> Option<&str> {
        (number != MISSING).then(|| self.words.get(number))
    }

    /// Every cell, in the order of the rows.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&str>> + Clone {
        self.numbers.iter().map(|&number| self.text_of(number))
    }

    /// Adds a cell below the others.
    pub fn push(&mut self, text: Option<&str>) {
        let Some(text) = text else {
            self.numbers.push(MISSING);
            return;
        };
        let number = self.likely(text).unwrap_or_else(|| self.words.number(text));
        self.numbers.push(number);
    }

    /// The number of a text that comes again, as those of series do: the same as above, or the one
    /// that came after it before.
    fn likely(&mut self, text: &str) -> Option<u32> {
        let last = self.numbers.last().copied().filter(|&last| last != MISSING)?;
        let next = last + 1;
        let is = |number: u32| {
            (number as usize) < self.words.ends.len() && self.words.get(number) == text
        };
        let likely = if self.advances { [next, last] } else { [last, next] };
        let found = likely.into_iter().find(|&number| is(number))?;
        self.advances = found == next;
        Some(found)
    }

    /// What a text is numbered, from now on if it is new: [`TextCells::push_number`] takes it.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        self.words.number(text)
    }

    /// Adds a cell with the text of a number that [`TextCells::number`] gave; `None` is missing.
    pub(super) fn push_number(&mut self, number: Option<u32>) {
        self.numbers.push(number.unwrap_or(MISSING));
    }

    /// Adds `count` cells with the same text.
    pub(super) fn push_times(&mut self, text: Option<&str>, count: usize) {
        let number = text.map_or(MISSING, |text| self.words.number(text));
        self.numbers.resize(self.numbers.len() + count, number);
    }

    /// Puts `more` cells below these.
    pub(super) fn append(&mut self, more: &TextCells) {
        let own: Vec<u32> = more.words().map(|text| self.words.number(text)).collect();
        let own = |&number: &u32| own.get(number as usize).copied().unwrap_or(MISSING);
        self.numbers.extend(more.numbers.iter().map(own));
    }

    /// Each text once, in the order in which they come first.
    pub(super) fn words(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        (0..self.words.ends.len()).map(|number| self.words.get(number as u32))
    }

    /// Of each row, the number of its text among [`TextCells::words`]; `None` if a cell is missing.
    pub(super) fn numbers(&self) -> Option<&[u32]> {
        (!self.numbers.contains(&MISSING)).then_some(self.numbers.as_slice())
    }

    /// The first row with the text of that number.
    pub(super) fn first_row_of(&self, word: usize) -> Option<usize> {
        self.numbers.iter().position(|&number| number as usize == word)
    }

    /// The first row without a text.
    pub(super) fn first_missing(&self) -> Option<usize> {
        self.numbers.iter().position(|&number| number == MISSING)
    }

    /// The same cells, where those whose text `keep` refuses are missing.
    pub(super) fn kept(self, keep: impl Fn(&str) -> bool) -> Self {
        if self.words().all(&keep) {
            return self;
        }
        self.iter().map(|cell| cell.filter(|cell| keep(cell))).collect()
    }
}

impl<S: AsRef<str>> FromIterator<Option<S>> for TextCells {
    fn from_iter<I: IntoIterator<Item = Option<S>>>(cells: I) -> Self {
        let cells = cells.into_iter();
        let mut this = Self::with_room(cells.size_hint().0);
        cells.for_each(|cell| this.push(cell.as_ref().map(AsRef::as_ref)));
        this
    }
}

impl PartialEq for TextCells {
    // Texts are numbered as they come, so that equal cells have equal numbers.
    fn eq(&self, other: &Self) -> bool {
        self.numbers == other.numbers
            && self.words.ends == other.words.ends
            && self.words.text == other.words.text
    }
}

impl fmt::Debug for TextCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELLS: [Option<&str>; 7] =
        [Some("a"), Some("b"), None, Some("a"), Some("b"), Some(""), Some("a")];

    #[test]
    fn a_text_is_kept_once_and_read_in_every_row() {
        let cells: TextCells = CELLS.into_iter().collect();
        assert_eq!(cells.iter().collect::<Vec<_>>(), CELLS);
        assert_eq!(cells.words().collect::<Vec<_>>(), ["a", "b", ""]);
        assert_eq!((cells.get(2), cells.get(5)), (None, Some("")));
        assert_eq!((cells.first_missing(), cells.numbers()), (Some(2), None));
        assert_eq!(cells.first_row_of(2), Some(5));
        let seen = cells.kept(|text| !text.is_empty());
        assert_eq!(seen.iter().filter(Option::is_none).count(), 2);
        assert_eq!(seen.words().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn columns_in_pieces_are_the_same_column() {
        let whole: TextCells = CELLS.into_iter().collect();
        for cut in 0..=CELLS.len() {
            let mut pieces: TextCells = CELLS[..cut].iter().copied().collect();
            pieces.append(&CELLS[cut..].iter().copied().collect());
            assert_eq!(pieces, whole, "cut at {cut}");
        }
        let mut repeated = TextCells::default();
        repeated.push_times(Some("x"), 2);
        repeated.push_times(None, 1);
        assert_eq!(repeated, [Some("x"), Some("x"), None].into_iter().collect());
        assert_ne!(repeated, whole);
    }
}
