//! The column that names the series of a long table, where nobody said which: for the way out of an
//! error, so it is looked for only then.

use std::collections::HashSet;

use super::roles::{Resolved, number_series};
use super::table::{Column, Table, Values};

/// The column by which the times of every series rise, if the rows are not of one series: of texts,
/// or else of whole numbers. `None` where the series are known.
pub(super) fn possible_id<'a>(table: &'a Table, roles: &Resolved) -> Option<&'a str> {
    if roles.id.is_some() {
        return None;
    }
    let time = roles.timestamp.as_ref()?;
    let free = || table.columns().iter().filter(|column| column.name != time.name);
    let texts = free().filter(|column| matches!(column.values, Values::Text(_)));
    let times: HashSet<i64> = time.instants.iter().copied().collect();
    let most = 2 * time.instants.len() / times.len().max(1);
    let numbers = free().filter(|column| holds_numbers_of_series(column, most));
    let mut candidates = texts.chain(numbers);
    let found = candidates.find(|column| explains(table, column, &time.instants));
    found.map(|column| column.name.as_str())
}

/// Whether a column holds whole numbers, at most so many different ones. Numbers are more often
/// values than names; as names they come with nearly every time, as values with few.
fn holds_numbers_of_series(column: &Column, most: usize) -> bool {
    let Values::Numbers(cells) = &column.values else { return false };
    let mut different = HashSet::new();
    cells.iter().all(|cell| {
        different.insert(cell.to_bits());
        cell.fract() == 0.0 && different.len() <= most
    })
}

/// Whether the cells of a column make several series of the rows, in each of which times rise.
fn explains(table: &Table, column: &Column, instants: &[i64]) -> bool {
    let Ok(found) = number_series(table, column) else { return false };
    let mut last: Vec<Option<i64>> = vec![None; found.series.len()];
    let is_several = (2..instants.len()).contains(&found.series.len());
    is_several
        && found.of_row.iter().zip(instants).all(|(&series, &time)| {
            let before = last[series as usize].replace(time);
            before.is_none_or(|before| before < time)
        })
}

#[cfg(test)]
mod tests {
    use crate::{ReadOptions, Repair, Roles, SeriesSet, Table};

    fn refusal(text: &str) -> String {
        let table = Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap();
        let set = SeriesSet::from_table(&table, &Roles::default(), &Repair::default());
        set.unwrap_err().to_string()
    }

    /// Rows of `days` for each id, day by day or id by id.
    fn long(ids: &[&str], by_day: bool) -> String {
        let mut rows: Vec<(usize, usize)> =
            (0..20).flat_map(|day| (0..ids.len()).map(move |id| (day, id))).collect();
        rows.sort_by_key(|&(day, id)| if by_day { (day, id) } else { (id, day) });
        let row = |(day, id): (usize, usize)| {
            let (count, load) = (day * 7 % 5 + id, day * 13 % 11);
            format!("2024-01-{:02},{count},{},{load}.5\n", day + 1, ids[id])
        };
        format!("date,count,place,load\n{}", rows.into_iter().map(row).collect::<String>())
    }

    #[test]
    fn the_column_by_which_times_rise_is_proposed_first() {
        for ids in [&["1", "2", "3"][..], &["a", "b"], &["1.0", "2.0"]] {
            for by_day in [true, false] {
                let text = refusal(&long(ids, by_day));
                assert!(text.contains("(use `id = place` if that column names"), "{text}");
                let other = if by_day { "or `duplicates`" } else { "or `sort`" };
                assert!(text.contains(other), "{text}");
            }
        }
    }

    #[test]
    fn a_column_that_explains_nothing_is_not_proposed() {
        let mut rows = String::from("date,count,state,load\n");
        for day in 0..20 {
            rows += &format!("2024-01-{:02},{},on,1.5\n", day + 1, day * 7 % 5);
        }
        // One day twice, with another count: not a series of its own.
        let double = format!("{rows}2024-01-20,40,on,2.5\n");
        assert!(refusal(&double).contains("(use `duplicates` first"), "{}", refusal(&double));
        let back = format!("{rows}2024-01-05,40,on,2.5\n");
        assert!(refusal(&back).contains("(use `sort` to order"), "{}", refusal(&back));
    }
}
