use super::*;
use crate::{PreparedCases, Standardiser};
use ptsm_core::train::Samples;

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn read(path: &Path, options: &LabelOptions) -> Result<LabelledSet> {
    LabelledSet::read(path, &ReadOptions::default(), options)
}

#[test]
fn folders_lists_and_long_tables_hold_the_same_cases() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (class, file, rows) in
        [("up", "a", "1,2\n3,4\n"), ("down", "b", "5,\n"), ("up", "c", "7,8\n")]
    {
        write(folder, &format!("classes/{class}/{file}.csv"), &format!("x,y\n{rows}"));
        write(folder, &format!("listed/{file}.csv"), &format!("x,y\n{rows}"));
    }
    write(folder, "listed/labels.csv", "file,label\nb.csv,down\na.csv,up\nc.csv,up\n");
    let long = "case,x,y,label\nb,5,,down\na,1,2,up\na,3,4,up\nc,7,8,up\n";
    write(folder, "long.csv", long);
    let wanted = Labels::Classes { names: vec!["down".into(), "up".into()], of: vec![0, 1, 1] };
    for name in ["classes", "listed", "long.csv"] {
        let set = read(&folder.join(name), &LabelOptions::default()).unwrap();
        assert_eq!(set.labels, wanted, "{name}");
        assert_eq!(set.channels, ["x", "y"], "{name}");
        let rows: Vec<usize> = set.cases.iter().map(Series::num_rows).collect();
        assert_eq!(rows, [1, 2, 1], "{name}");
        assert_eq!(set.cases[0].get(0, 1), None, "{name}");
        assert_eq!(set.cases[1].get(1, 0), Some(3.0), "{name}");
    }
}

#[test]
fn labels_with_gaps_and_contradictions_are_refused_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "gaps.csv", "case,x,label\na,1,up\nb,2,\nc,3,\n");
    let text = read(&folder.join("gaps.csv"), &LabelOptions::default()).unwrap_err().to_string();
    assert!(text.contains("2 labels are missing") && text.contains("line 3"), "{text}");
    write(folder, "both.csv", "case,x,label\na,1,up\na,2,down\n");
    let text = read(&folder.join("both.csv"), &LabelOptions::default()).unwrap_err().to_string();
    assert!(text.contains("label differs") && text.contains("line 3"), "{text}");
    write(folder, "none.csv", "case,x\na,1\n");
    let text = read(&folder.join("none.csv"), &LabelOptions::default()).unwrap_err().to_string();
    assert!(text.contains("`label`"), "{text}");
    write(folder, "text.csv", "case,x,label\na,1,up\n");
    let options = LabelOptions { values: Some(true), ..LabelOptions::default() };
    let text = read(&folder.join("text.csv"), &options).unwrap_err().to_string();
    assert!(text.contains("\"up\" is no finite number"), "{text}");
}

fn set(lengths: &[usize]) -> LabelledSet {
    let case = |(i, &length): (usize, &usize)| {
        let values = (0..length).map(|t| (10 * i + t) as f64).collect();
        Series::new(i.to_string(), 1, values).unwrap()
    };
    let cases: Vec<Series> = lengths.iter().enumerate().map(case).collect();
    let of = (0..lengths.len()).map(|i| i % 2).collect();
    let labels = Labels::Classes { names: vec!["a".into(), "b".into()], of };
    LabelledSet::new(vec!["x".into()], cases, labels).unwrap()
}

#[test]
fn long_cases_keep_their_end_and_short_ones_are_masked_in_front() {
    let prepared =
        PreparedCases::new(&set(&[2, 3, 5]), 3, &Standardiser::identity(1), None).unwrap();
    let batch = prepared.batch(&[2, 0]);
    assert_eq!(batch.past_values(), [22.0, 23.0, 24.0, 0.0, 0.0, 1.0]);
    assert_eq!(batch.observed_mask().unwrap(), [1.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
    assert_eq!(batch.target_values().unwrap(), [0.0, 0.0]);
    let whole = PreparedCases::new(&set(&[3, 4]), 3, &Standardiser::identity(1), None).unwrap();
    assert_eq!(whole.batch(&[0]).observed_mask(), None);
}

#[test]
fn folds_hold_every_case_once_and_every_class_evenly() {
    let set = set(&[1; 20]);
    let folds = set.folds(5, 3).unwrap();
    let mut all: Vec<usize> = folds.concat();
    all.sort_unstable();
    assert_eq!(all, (0..20).collect::<Vec<_>>());
    for fold in &folds {
        assert_eq!(fold.iter().filter(|&&i| i % 2 == 0).count(), 2);
    }
    assert_eq!(folds, set.folds(5, 3).unwrap());
    assert_ne!(folds, set.folds(5, 4).unwrap());
    assert!(set.folds(21, 0).is_err());
}

#[test]
fn an_unknown_class_is_named_beside_the_known_ones() {
    let known = ["b".to_owned(), "c".to_owned()];
    let text = set(&[1, 1]).with_classes(&known).unwrap_err().to_string();
    assert!(text.contains("\"a\"") && text.contains("b, c"), "{text}");
    let known = ["b".to_owned(), "a".to_owned()];
    let labels = set(&[1, 1]).with_classes(&known).unwrap().labels;
    assert_eq!(labels, Labels::Classes { names: known.to_vec(), of: vec![1, 0] });
}

#[test]
fn archive_files_are_what_they_claim() {
    let shared = std::env::var_os("PTSM_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    if !shared.is_dir() {
        eprintln!("skipped: the archive files are not here");
        return;
    }
    for (name, cases, channels, length) in [
        ("ucr_uea/BasicMotions_TRAIN.ts", 40, 6, 100),
        ("ucr_uea/BasicMotions_TEST.ts", 40, 6, 100),
        ("ucr_uea/Epilepsy_TRAIN.ts", 137, 3, 206),
        ("ucr_uea/Epilepsy_TEST.ts", 138, 3, 206),
        ("ucr_uea/ItalyPowerDemand_TRAIN.ts", 67, 1, 24),
        ("ucr_uea/ItalyPowerDemand_TEST.ts", 1029, 1, 24),
        ("tser/Covid3Month_TRAIN.ts", 140, 1, 84),
        ("tser/Covid3Month_TEST.ts", 61, 1, 84),
    ] {
        let set = read(&shared.join("data").join(name), &LabelOptions::default()).unwrap();
        assert_eq!(
            (set.len(), set.channels.len(), set.longest()),
            (cases, channels, length),
            "{name}"
        );
    }
}

#[test]
fn the_order_of_day_and_month_can_be_said() {
    let rows = |case: &str| format!("{case},01/02/2020,1,a\n{case},01/03/2020,2,a\n");
    let text = format!("case_id,date,x,label\n{}{}", rows("1"), rows("2"));
    let table = Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap();
    let roles = Roles { id: Some("case_id".into()), ..Roles::default() };
    let options = LabelOptions { roles, ..LabelOptions::default() };
    let text = LabelledSet::from_table(&table, &options).unwrap_err().to_string();
    assert!(text.contains("`dates = day-first`"), "{text}");
    let options = LabelOptions { dates: Some(DateOrder::DayMonthYear), ..options };
    assert_eq!(LabelledSet::from_table(&table, &options).unwrap().len(), 2);
}
