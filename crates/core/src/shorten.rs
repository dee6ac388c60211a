//! Texts of errors at a length that can be read: a cell of a megabyte is shown by its beginning.

/// Characters that are shown of something quoted.
const QUOTED: usize = 80;

/// Characters that are shown of one word, such as a path.
const WORD: usize = 400;

/// Texts up to this length are shown as they are.
const SHORT: usize = 120;

/// The text, of which every part between double quotes, and every word, is cut where it is too long.
pub(crate) fn shortened(text: String) -> String {
    if text.len() <= SHORT {
        return text;
    }
    let parts = text.split('"').enumerate().map(|(number, part)| match number % 2 {
        1 => cut(part, QUOTED),
        _ => words(part),
    });
    let parts: Vec<String> = parts.collect();
    parts.join("\"")
}

fn words(text: &str) -> String {
    let pieces = text.split_inclusive(char::is_whitespace).map(|piece| {
        let word = piece.trim_end();
        cut(word, WORD) + &piece[word.len()..]
    });
    pieces.collect()
}

fn cut(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_cells_are_cut_and_other_texts_stay() {
        let usual =
            "train.csv: line 812, column \"load\": \"n/a\" is not a number (use --missing n/a)";
        assert_eq!(shortened(usual.to_owned()), usual);
        let long = "ä".repeat(1_000_000);
        let text = shortened(format!("a.csv: line 2: \"{long}\" is not a number"));
        assert_eq!(text, format!("a.csv: line 2: \"{}...\" is not a number", "ä".repeat(80)));
        let text = shortened(format!("a.csv: {long} is not a number"));
        assert_eq!(text, format!("a.csv: {}... is not a number", "ä".repeat(400)));
        let plain = "many words in a row ".repeat(100);
        assert_eq!(shortened(plain.clone()), plain);
    }
}
