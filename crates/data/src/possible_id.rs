//! The column that names the series of a long table, where nobody said which: for the way out of an
//! error, so it is looked for only then.

use std::collections::HashSet;

use super::id_name::id_name;
use super::roles::{Resolved, number_series};
use super::table::{Column, Table, Values};
use super::table_rows::TableRows;

/// The column by which the times of every series rise, if the rows are not of one series: one with
/// the name of an id, or of texts, or else of whole numbers. `None` where the series are known.
pub(super) fn possible_id<'a>(table: &'a Table, roles: &Resolved<'_>) -> Option<&'a str> {
    if roles.id.is_some() {
        return None;
    }
    let time = roles.timestamp.as_ref()?;
    let instants = time.instants.of(&TableRows::Run(0..table.num_rows()));
    let times: HashSet<i64> = instants.iter().copied().collect();
    let most = 2 * instants.len() / times.len().max(1);
    let is_text = |column: &Column| matches!(column.values, Values::Text(_));
    let columns = table.columns().iter().filter(|column| column.name != time.name);
    let mut candidates: Vec<&Column> =
        columns.filter(|column| is_text(column) || holds_numbers_of_series(column, most)).collect();
    candidates.sort_by_key(|column| (id_name(&column.name).is_none(), !is_text(column)));
    let found = candidates.into_iter().find(|column| explains(table, column, &instants));
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
    fn a_column_with_the_name_of_an_id_comes_first() {
        let text = long(&["1", "2"], true);
        for (name, wanted) in [("id", "id"), ("item", "item"), ("load2", "zone")] {
            let row = |line: &str| format!("{line},{}\n", line.split(',').nth(2).unwrap());
            let text: String = text.lines().map(row).collect();
            let header = format!("date,count,{name},load,zone\n");
            let named =
                text.split_once('\n').unwrap().1.replace("1\n", "a\n").replace("2\n", "b\n");
            let text = refusal(&(header + &named));
            assert!(text.contains(&format!("(use `id = {wanted}` if")), "{name}: {text}");
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
