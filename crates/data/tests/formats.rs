//! A random table that is written in every format is read back as the same table and gives the same
//! series.

// A failed `unwrap` in a test is a failed test.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use ptsm_data::{Column, Grid, ReadOptions, Repair, Roles, SeriesSet, Table, Values, write_table};

/// Names of series that are easily taken for something else.
const IDS: [&str; 14] = [
    "7",
    "007",
    "1",
    "1.0",
    "NA",
    "null",
    "None",
    "True",
    "9007199254740993",
    "9007199254740992",
    "Crémone",
    "Crèmone",
    "a,\"b\"",
    "x;y",
];

/// Endings of the formats.
const ENDINGS: [&str; 6] = ["csv", "json", "jsonl", "parquet", "arrow", "feather"];

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => any::<f64>().prop_filter("finite", |x| x.is_finite()),
        2 => (-1000i32..1000).prop_map(f64::from),
        1 => Just(f64::NAN),
    ]
}

prop_compose! {
    /// Rows of one to three series, hourly, with one or two channels.
    fn table()(ids in proptest::sample::subsequence(IDS.to_vec(), 1..4), rows in 2usize..6)(
        cells in proptest::collection::vec(number(), ids.len() * rows),
        flags in proptest::collection::vec(any::<bool>(), ids.len() * rows),
        id_name in prop_oneof![Just("unique_id"), Just("site"), Just("Krémser Straße")],
        ids in Just(ids),
        rows in Just(rows),
    ) -> (String, Table) {
        let id = ids.iter().flat_map(|id| vec![(*id).to_owned(); rows]).collect();
        let time = (0..ids.len() * rows).map(|i| format!("2024-03-05 {:02}:00:00", i % rows));
        let flags = flags.iter().map(|&flag| f64::from(u8::from(flag))).collect();
        let columns = vec![
            Column::text(id_name, id),
            Column::text("time", time.collect()),
            Column::numbers("load", cells),
            Column::numbers("open", flags),
        ];
        (id_name.to_owned(), Table::new(columns).unwrap())
    }
}

fn series(table: &Table, id: &str) -> SeriesSet {
    let roles = Roles {
        id: Some(id.to_owned()),
        timestamp: Some("time".into()),
        targets: Some(vec!["load".into(), "open".into()]),
        ..Roles::default()
    };
    let repair = Repair { grid: Grid::Rows, ..Repair::default() };
    SeriesSet::from_table(table, &roles, &repair).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_format_holds_the_same_table((id, table) in table()) {
        let folder = tempfile::tempdir().unwrap();
        let options = ReadOptions { id_columns: vec![id.clone()], ..ReadOptions::default() };
        let wanted = series(&table, &id);
        for ending in ENDINGS {
            let path = folder.path().join(format!("table.{ending}"));
            write_table(&path, &table).unwrap();
            let back = Table::read(&path, &options).unwrap();
            for (own, read) in table.columns().iter().zip(back.columns()) {
                prop_assert_eq!(&own.name, &read.name, "{}", ending);
                for row in 0..table.num_rows() {
                    let (own, read) = (own.values.text(row), read.values.text(row));
                    prop_assert_eq!(own, read, "{} row {}", ending, row);
                }
            }
            let found = series(&back, &id);
            prop_assert_eq!(found.fingerprint(), wanted.fingerprint(), "{}", ending);
            prop_assert_eq!(&found.roles, &wanted.roles, "{}", ending);
        }
    }

    #[test]
    fn several_files_are_the_same_table((id, table) in table(), ending in 0..ENDINGS.len()) {
        let folder = tempfile::tempdir().unwrap();
        let options = ReadOptions { id_columns: vec![id.clone()], ..ReadOptions::default() };
        let half = table.num_rows() / 2;
        for (name, rows) in [("part-2", 0..half), ("part-10", half..table.num_rows())] {
            let cut = |column: &Column| Column {
                name: column.name.clone(),
                values: match &column.values {
                    Values::Numbers(cells) => Values::Numbers(cells[rows.clone()].to_vec()),
                    Values::Text(cells) => {
                        Values::Text(rows.clone().map(|row| cells.get(row)).collect())
                    }
                    _ => unreachable!("the table has no times"),
                },
            };
            let part = Table::new(table.columns().iter().map(cut).collect()).unwrap();
            let path = folder.path().join(format!("{name}.{}", ENDINGS[ending]));
            write_table(&path, &part).unwrap();
        }
        let back = Table::read(folder.path(), &options).unwrap();
        prop_assert_eq!(series(&back, &id).fingerprint(), series(&table, &id).fingerprint());
    }
}
