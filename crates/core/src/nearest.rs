//! What a name that is not known was probably meant to be.

/// The known name that `name` was probably meant to be: at most a third of its letters differ.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().map(|other| (distance(name, other), other));
    let (distance, other) = near.min_by_key(|(distance, _)| *distance)?;
    let longer = name.chars().count().max(other.chars().count());
    (3 * distance <= longer).then_some(other)
}

/// ` (did you mean NAME?)` for the [`nearest`] name, or nothing.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or(String::new(), |near| format!(" (did you mean {near}?)"))
}

/// Letters that must be inserted, removed or replaced, and neighbours that must be swapped (optimal
/// string alignment), whatever their case.
fn distance(a: &str, b: &str) -> usize {
    let letters = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    let (a, b) = (letters(a), letters(b));
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["common_channel", "mix_channel", "hybrid"];
        assert_eq!(nearest("mix_chanel", known), Some("mix_channel"));
        assert_eq!(nearest("Hybrid", known), Some("hybrid"));
        assert_eq!(nearest("attention", known), None);
        assert_eq!(nearest("x", []), None);
        assert_eq!(did_you_mean("hybird", known), " (did you mean hybrid?)");
        assert_eq!(did_you_mean("attention", known), "");
        for (a, b, wanted) in
            [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3), ("gird", "grid", 1)]
        {
            assert_eq!(distance(a, b), wanted, "{a} {b}");
        }
    }
}
