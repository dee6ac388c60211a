//! Lines of text that are longer than the terminal is wide are broken between words, not inside them.

use std::io::IsTerminal;

/// The columns of the terminal that `stream` writes to; `None` for a file or a pipe, whose lines stay as they are.
pub(crate) fn columns_of(stream: &impl IsTerminal) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let (width, _) = terminal_size::terminal_size()?;
    Some(usize::from(width.0)).filter(|&columns| columns >= LEAST)
}

/// Narrower terminals break lines as they like.
const LEAST: usize = 30;

/// The text with its long lines broken between words. Continuation lines are indented by two columns more than the first.
/// Tables stay as they are, and so do commands, which could not be pasted if they were broken.
pub(crate) fn wrapped(text: &str, columns: usize) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| wrapped_line(line, columns)).collect();
    lines.join("\n")
}

fn wrapped_line(line: &str, columns: usize) -> String {
    let inner = line.trim_start();
    let indent = line.len() - inner.len();
    // Columns of a table are two spaces apart; colours have no width.
    let is_text = !inner.contains("  ") && !inner.contains('\u{1b}');
    if width(line) <= columns || !is_text {
        return line.to_owned();
    }
    let further = " ".repeat(indent + 2);
    let (mut done, mut current) = (String::new(), " ".repeat(indent));
    let mut is_empty = true;
    for piece in pieces(inner) {
        if !is_empty && width(&current) + 1 + width(piece) > columns {
            done += &current;
            done.push('\n');
            current.clone_from(&further);
            is_empty = true;
        }
        if !is_empty {
            current.push(' ');
        }
        current += piece;
        is_empty = false;
    }
    done + &current
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// The words of a line; a command with its options, to the bracket or mark that ends it, is one of them.
fn pieces(line: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let command = rest.starts_with("ptsm ") || rest.starts_with("(ptsm ");
        let end = match command {
            true => rest.find([')', ';', '#']).map_or(rest.len(), |place| {
                rest[place..].find(' ').map_or(rest.len(), |space| place + space)
            }),
            false => rest.find(' ').unwrap_or(rest.len()),
        };
        pieces.push(rest[..end].trim_end());
        rest = rest[end..].trim_start();
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words() {
        assert_eq!(wrapped("few channels of few words\nx", 14), "few channels\n  of few words\nx");
        assert_eq!(wrapped("  few channels of", 14), "  few channels\n    of");
        assert_eq!(
            wrapped("a wordthatislongerthanthewidth b", 10),
            "a\n  wordthatislongerthanthewidth\n  b"
        );
        assert_eq!(wrapped("short\n", 10), "short\n");
    }

    #[test]
    fn tables_and_commands_are_not_broken() {
        let table = "model   0.1234   0.2345   0.3456";
        assert_eq!(wrapped(table, 12), table);
        let text = "none there (ptsm train --data a.csv --out m) and more";
        assert_eq!(
            wrapped(text, 20),
            "none there\n  (ptsm train --data a.csv --out m)\n  and more"
        );
        let last = "next: ptsm train --data a.csv --out m";
        assert_eq!(wrapped(last, 20), "next:\n  ptsm train --data a.csv --out m");
    }
}
