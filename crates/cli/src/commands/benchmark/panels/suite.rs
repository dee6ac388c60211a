//! A suite of panels: what the default forecaster is trained on, and published results of others.

use std::collections::{BTreeMap, BTreeSet};

use ptsm::job::Metric;
use ptsm::spec::DataSpec;
use ptsm::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// A suite of panels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PanelSuite {
    /// Title of the report.
    #[serde(default = "default_title")]
    pub(super) title: String,
    /// What it is for, in a paragraph.
    #[serde(default)]
    pub(super) about: String,
    /// Seeds; the table has means over them.
    #[serde(default = "default_seeds")]
    pub(super) seeds: Vec<u64>,
    /// What is forecast.
    pub(super) panels: Vec<Panel>,
    /// Rows that others published.
    #[serde(default)]
    pub(super) published: Vec<PublishedRow>,
}

/// Series that one forecaster is trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Panel {
    /// Heading of its column.
    pub(super) name: String,
    /// Panels of one group have a column of their mean, weighted by points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<String>,
    /// By what the forecaster is chosen and scored; `mae` is shown as MASE.
    #[serde(default)]
    pub(super) metric: Metric,
    /// Steps to forecast; what is usual for the frequency, or the split has, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) horizon: Option<usize>,
    /// The file and how it is read and split.
    pub(super) source: DataSpec,
}

/// Results of others, by panel or group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PublishedRow {
    pub(super) name: String,
    /// Where they were published.
    pub(super) source: String,
    pub(super) errors: BTreeMap<String, f64>,
}

fn default_title() -> String {
    "Forecasts compared".to_owned()
}

fn default_seeds() -> Vec<u64> {
    vec![0]
}

impl PanelSuite {
    /// A panel for each file and each of these horizons, or the usual one where there is none.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for a file that comes twice.
    pub(super) fn of_files(files: &[String], horizons: &[usize], metric: Metric) -> Result<Self> {
        let panel = |file: &String, horizon: Option<usize>| Panel {
            name: horizon.map_or(file.clone(), |steps| format!("{file} {steps}")),
            group: None,
            metric,
            horizon,
            source: DataSpec::of(file),
        };
        let mut panels: Vec<Panel> = Vec::new();
        for file in files {
            match horizons {
                [] => panels.push(panel(file, None)),
                _ => panels.extend(horizons.iter().map(|&steps| panel(file, Some(steps)))),
            }
        }
        let (title, seeds) = (default_title(), default_seeds());
        let suite = Self { title, about: String::new(), seeds, panels, published: Vec::new() };
        suite.check()?;
        Ok(suite)
    }

    /// Reads a suite and checks its names.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` with the place in it.
    pub(super) fn from_toml(text: &str) -> Result<Self> {
        let suite: Self = toml::from_str(text).map_err(|e| {
            Error::new(ErrorKind::InvalidConfig, "is no suite of panels").because(e)
        })?;
        suite.check()?;
        Ok(suite)
    }

    fn check(&self) -> Result<()> {
        for (field, empty) in [("seeds", self.seeds.is_empty()), ("panels", self.panels.is_empty())]
        {
            if empty {
                return Err(Error::config(field, "is empty, wanted at least one"));
            }
        }
        let mut names = BTreeSet::new();
        for panel in &self.panels {
            if !names.insert(panel.name.as_str()) {
                return Err(Error::config(format!("panels \"{}\"", panel.name), "is there twice"));
            }
            if panel.source.data.is_none() {
                let place = format!("panels \"{}\", source", panel.name);
                return Err(Error::config(place, "names no data"));
            }
        }
        for group in self.groups() {
            if names.contains(group) {
                return Err(Error::config(format!("group \"{group}\""), "is the name of a panel"));
            }
            let mut metrics = self.members(group).map(|panel| panel.metric);
            let first = metrics.next();
            if metrics.any(|metric| Some(metric) != first) {
                let text = "has panels with another metric: errors in other units have no mean";
                return Err(Error::config(format!("group \"{group}\""), text));
            }
        }
        let columns: Vec<&str> = self.columns();
        for row in &self.published {
            if let Some(name) = row.errors.keys().find(|name| !columns.contains(&name.as_str())) {
                let text = format!("\"{name}\" is no panel and no group of the suite");
                return Err(Error::config(format!("published \"{}\"", row.name), text));
            }
        }
        Ok(())
    }

    /// Groups in the order of their first panel.
    pub(super) fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = Vec::new();
        for group in self.panels.iter().filter_map(|panel| panel.group.as_deref()) {
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }

    /// The panels of a group.
    pub(super) fn members<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Panel> {
        self.panels.iter().filter(move |panel| panel.group.as_deref() == Some(group))
    }

    /// Names of the columns: each group after its last panel.
    pub(super) fn columns(&self) -> Vec<&str> {
        let mut columns = Vec::new();
        for (number, panel) in self.panels.iter().enumerate() {
            columns.push(panel.name.as_str());
            let Some(group) = panel.group.as_deref() else { continue };
            let later = self.panels[number + 1..].iter();
            if later.clone().all(|other| other.group.as_deref() != Some(group)) {
                columns.push(group);
            }
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TEXT: &str = r#"
        title = "t"
        seeds = [0]
        [[panels]]
        name = "a"
        group = "all"
        metric = "smape"
        source = { data = "a.csv", split = "last:6", season = 4 }
        [[panels]]
        name = "b"
        group = "all"
        metric = "smape"
        source = { data = "b.csv" }
        [[panels]]
        name = "c"
        source = { data = "c.csv" }
        [[published]]
        name = "theirs"
        source = "a paper"
        errors = { a = 1.5, all = 2.0 }
    "#;

    #[test]
    fn a_group_follows_its_last_panel() {
        let suite = PanelSuite::from_toml(TEXT).unwrap();
        assert_eq!(suite.columns(), ["a", "b", "all", "c"]);
        assert_eq!(suite.members("all").count(), 2);
    }

    #[test]
    fn three_lines_or_the_name_of_a_file_are_a_suite() {
        let three = "[[panels]]\nname = \"load.csv\"\nsource = { data = \"load.csv\" }\n";
        let of_text = PanelSuite::from_toml(three).unwrap();
        let files = ["load.csv".to_owned()];
        assert_eq!(of_text, PanelSuite::of_files(&files, &[], Metric::Mae).unwrap());
        let two = PanelSuite::of_files(&files, &[24, 48], Metric::Smape).unwrap();
        assert_eq!(two.columns(), ["load.csv 24", "load.csv 48"]);
        let twice = ["load.csv".to_owned(), "load.csv".to_owned()];
        assert!(PanelSuite::of_files(&twice, &[], Metric::Mae).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let refused = |from: &str, to: &str| {
            let text = TEXT.replacen(from, to, 1);
            assert_ne!(text, TEXT);
            PanelSuite::from_toml(&text).unwrap_err().to_string()
        };
        assert!(refused("name = \"b\"", "name = \"a\"").contains("is there twice"));
        assert!(refused("metric = \"smape\"", "metric = \"mape\"").contains("another metric"));
        assert!(refused("all = 2.0", "every = 2.0").contains("no panel and no group"));
        assert!(refused("name = \"c\"", "name = \"all\"").contains("name of a panel"));
        assert!(refused("data = \"c.csv\"", "").contains("names no data"));
        assert!(refused("seeds = [0]", "seeds = []").contains("is empty"));
        assert!(refused("season = 4", "saison = 4").contains("no suite of panels"));
    }

    #[test]
    fn our_own_suite_of_panels_is_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/suites/short.toml");
        let suite = PanelSuite::from_toml(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!((suite.panels.len(), suite.groups().len()), (7, 2));
    }
}
