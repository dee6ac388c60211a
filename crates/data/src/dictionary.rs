//! Columns that store a dictionary of texts and of each row the number of its text.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray};
use arrow::datatypes::Int32Type;

use super::text_cells::TextCells;

/// What the texts of a dictionary are numbered in a column. Batches of one row group share their
/// dictionary, so that each of its texts is looked up once.
#[derive(Default)]
pub(super) struct DictionaryNumbers {
    dictionary: Option<ArrayRef>,
    /// Of each text of the dictionary; `None` until it comes.
    numbers: Vec<Option<u32>>,
}

impl DictionaryNumbers {
    /// Appends the rows of a dictionary of texts. A text that no row has is not taken.
    pub(super) fn append(&mut self, array: &DictionaryArray<Int32Type>, cells: &mut TextCells) {
        let dictionary = array.values();
        if !self.dictionary.as_ref().is_some_and(|known| Arc::ptr_eq(known, dictionary)) {
            self.dictionary = Some(Arc::clone(dictionary));
            self.numbers = vec![None; dictionary.len()];
        }
        let texts = dictionary.as_string::<i32>();
        let mut number = |key: usize, cells: &mut TextCells| {
            let known = self.numbers[key];
            known.or_else(|| {
                self.numbers[key] = texts.is_valid(key).then(|| cells.number(texts.value(key)));
                self.numbers[key]
            })
        };
        cells.reserve(array.len());
        match array.keys().null_count() {
            0 => array.keys().values().iter().for_each(|&key| {
                let number = number(key as usize, cells);
                cells.push_number(number);
            }),
            _ => array.keys().iter().for_each(|key| {
                let number = key.and_then(|key| number(key as usize, cells));
                cells.push_number(number);
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, StringArray};

    #[test]
    fn rows_of_a_dictionary_are_their_texts() {
        let texts = |texts: Vec<Option<&str>>| Arc::new(StringArray::from(texts)) as ArrayRef;
        let first = texts(vec![Some("unused"), Some("b"), Some("a"), None]);
        let second = texts(vec![Some("a"), Some("c")]);
        let (mut cells, mut numbers) = (TextCells::default(), DictionaryNumbers::default());
        for (keys, dictionary) in [
            (vec![Some(2), Some(1), None], &first),
            (vec![Some(3), Some(1), Some(2)], &first),
            (vec![Some(1), Some(0)], &second),
        ] {
            let array = DictionaryArray::new(Int32Array::from(keys), Arc::clone(dictionary));
            numbers.append(&array, &mut cells);
        }
        let wanted = ["a", "b", "", "", "b", "a", "c", "a"];
        let wanted = wanted.iter().map(|&cell| (!cell.is_empty()).then_some(cell));
        assert_eq!(cells, wanted.collect());
    }
}
