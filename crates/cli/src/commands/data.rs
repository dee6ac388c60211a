//! `ptsm data`: lists and fetches the named data sets.

use std::path::PathBuf;

use ptsm::Result;
use ptsm::data::{CATALOG, Dataset};
use ptsm::spec::data_dir;
use serde_json::{Value, json};

use crate::global::Global;
use crate::output::answer;

/// Options of `data`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the data sets with licence, source and check sum
    List,
    /// Find or download one, verify it, and print its path
    Fetch {
        /// Name, as `ptsm data list` prints it
        name: String,
        /// Folder to look in and to download to; $PTSM_DATA_DIR is looked into first
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// Lists or fetches.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    match &args.action {
        Action::List => list(global),
        Action::Fetch { name, dir } => {
            let set = Dataset::named(name)?;
            let path = set.fetch(&dir.clone().unwrap_or_else(data_dir))?;
            let path = path.display().to_string();
            let value = json!({"name": set.name, "path": path, "sha256": set.sha256});
            answer(global, &value, &format!("{path}\n"))
        }
    }
}

fn list(global: &Global) -> Result<()> {
    let describe = |set: &Dataset| -> Value {
        json!({
            "name": set.name, "about": set.about, "rows": set.size.0, "channels": set.size.1,
            "licence": set.licence, "source": set.source, "url": set.url, "sha256": set.sha256,
            "split": set.split.to_string(), "seasonal_period": set.seasonal_period,
        })
    };
    let value = json!({"datasets": CATALOG.iter().map(describe).collect::<Vec<_>>()});
    let mut text = String::new();
    for set in &CATALOG {
        let got = match (set.is_embedded(), set.url) {
            (true, _) => "inside the binary",
            (false, Some(_)) => "downloaded on request",
            (false, None) => "to be downloaded by hand",
        };
        let (rows, channels) = set.size;
        text += &format!(
            "{:12} {rows} x {channels}  {}\n{:12} licence: {}; {got}\n{:12} source: {}\n{:12} sha256: {}\n",
            set.name, set.about, "", set.licence, "", set.source, "", set.sha256
        );
    }
    answer(global, &value, &text)
}
