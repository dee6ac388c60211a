//! Published series from the shared data folder, which lies beside the checkout.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use flate2::read::GzDecoder;

/// The shared folder: `PTSM_SHARED`, or `shared` beside the workspace or above that.
fn shared() -> Option<PathBuf> {
    let workspace = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let places = [workspace.join("../shared"), workspace.join("../../shared")];
    let named = std::env::var_os("PTSM_SHARED").map(PathBuf::from);
    named.into_iter().chain(places).find(|place| place.join("data").is_dir())
}

/// All series of a table under `data/`, whose last column is the value and whose first, if there
/// are three, the name of the series. `None`, and a word about it, if the file is not there.
pub(crate) fn read(name: &str) -> Option<Vec<Vec<f64>>> {
    let Some(bytes) =
        shared().and_then(|shared| std::fs::read(shared.join("data").join(name)).ok())
    else {
        println!("skipped: no data/{name} in the shared folder");
        return None;
    };
    let mut text = Vec::new();
    if name.ends_with(".gz") {
        GzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
    } else {
        text = bytes;
    }
    let mut series: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in csv::Reader::from_reader(&text[..]).records() {
        let row = row.unwrap();
        let id = if row.len() > 2 { row[0].to_owned() } else { String::new() };
        series.entry(id).or_default().push(row[row.len() - 1].parse().unwrap());
    }
    Some(series.into_values().collect())
}
