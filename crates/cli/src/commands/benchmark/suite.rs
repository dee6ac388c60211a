//! A suite file: which recipes are trained on which data, the rows of the table, and published
//! results of others.

use std::collections::{BTreeMap, BTreeSet};

use ptsm::data::Split;
use ptsm::train::{Member, Recipe, Training};
use ptsm::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A suite file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Suite {
    /// Title of the report.
    pub(crate) title: String,
    /// What it is for, in a paragraph.
    #[serde(default)]
    pub(crate) about: String,
    /// Names of data sets, or files.
    pub(crate) data: Vec<String>,
    /// The split, such as `last:18`; that of each data set, or 7:1:2, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) split: Option<Split>,
    /// Steps of the season, where the data do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) season: Option<usize>,
    /// Prediction lengths.
    pub(crate) horizons: Vec<usize>,
    /// Seeds; the table has mean and spread over them.
    pub(crate) seeds: Vec<u64>,
    /// Fields of `config.json` of every recipe.
    #[serde(default)]
    pub(crate) model: Map<String, Value>,
    /// Fields of the training of every recipe.
    #[serde(default)]
    pub(crate) training: Map<String, Value>,
    /// What can be trained.
    pub(crate) recipes: Vec<SuiteRecipe>,
    /// Rows of the table.
    pub(crate) rows: Vec<SuiteRow>,
    /// Rows that others published.
    #[serde(default)]
    pub(crate) published: Vec<Published>,
}

/// One recipe by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuiteRecipe {
    pub(crate) name: String,
    /// What it is, in a few words.
    #[serde(default)]
    pub(crate) about: String,
    /// Fields of `config.json`.
    #[serde(default)]
    pub(crate) model: Map<String, Value>,
    /// Fields of the training.
    #[serde(default)]
    pub(crate) training: Map<String, Value>,
    /// Changes for some data sets or horizons; a later one wins.
    #[serde(default)]
    pub(crate) overrides: Vec<Override>,
}

/// Changes of a recipe for some data sets or horizons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Override {
    /// Data sets; none = all.
    #[serde(default)]
    pub(crate) data: Vec<String>,
    /// Horizons; none = all.
    #[serde(default)]
    pub(crate) horizons: Vec<usize>,
    #[serde(default)]
    pub(crate) model: Map<String, Value>,
    #[serde(default)]
    pub(crate) training: Map<String, Value>,
}

/// A row of the table: of its candidates the one with the least validation error, for each data set
/// and horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuiteRow {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) about: String,
    pub(crate) candidates: Vec<Candidate>,
}

/// One recipe, or the mean of several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Candidate {
    /// Names of recipes whose forecasts are averaged.
    pub(crate) recipes: Vec<String>,
    /// Data sets that it is tried on; none = all.
    #[serde(default)]
    pub(crate) data: Vec<String>,
}

impl Candidate {
    /// What the report calls it.
    pub(crate) fn name(&self) -> String {
        self.recipes.join(" + ")
    }
}

/// Published results of others: for each data set one number for each horizon, or their average.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Published {
    pub(crate) name: String,
    /// Where the numbers were published.
    pub(crate) source: String,
    #[serde(default)]
    pub(crate) mse: BTreeMap<String, Vec<f64>>,
    #[serde(default)]
    pub(crate) mae: BTreeMap<String, Vec<f64>>,
}

impl Suite {
    /// Reads a suite and checks every name and recipe in it.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` with the place in it.
    pub(crate) fn from_toml(text: &str) -> Result<Self> {
        let suite: Suite = toml::from_str(text)
            .map_err(|e| Error::new(ErrorKind::InvalidConfig, "is no suite").because(e))?;
        suite.check()?;
        Ok(suite)
    }

    /// Keeps some of the horizons, in the order of the file.
    pub(crate) fn keep_horizons(&mut self, kept: &[usize]) {
        let keep: Vec<bool> = self.horizons.iter().map(|steps| kept.contains(steps)).collect();
        for row in &mut self.published {
            for map in [&mut row.mse, &mut row.mae] {
                // An average over other horizons than ours cannot be compared.
                map.retain(|_, numbers| numbers.len() == keep.len() || !keep.contains(&false));
                for numbers in map.values_mut().filter(|numbers| numbers.len() == keep.len()) {
                    let mut keep = keep.iter();
                    numbers.retain(|_| *keep.next().unwrap_or(&true));
                }
            }
        }
        self.horizons.retain(|steps| kept.contains(steps));
    }

    fn check(&self) -> Result<()> {
        let lists = [
            ("data", self.data.is_empty()),
            ("horizons", self.horizons.is_empty()),
            ("seeds", self.seeds.is_empty()),
            ("rows", self.rows.is_empty()),
        ];
        for (field, empty) in lists {
            if empty {
                return Err(Error::config(field, "is empty, wanted at least one"));
            }
        }
        let mut names = BTreeSet::new();
        for recipe in &self.recipes {
            let place = format!("recipes \"{}\"", recipe.name);
            if !names.insert(recipe.name.as_str()) {
                return Err(Error::config(place, "is there twice"));
            }
            for other in &recipe.overrides {
                self.check_data(&other.data).map_err(|e| e.at(place.clone()))?;
                if let Some(steps) = other.horizons.iter().find(|h| !self.horizons.contains(h)) {
                    return Err(Error::config(
                        place,
                        format!("{steps} is no horizon of the suite"),
                    ));
                }
            }
            let overrides = recipe.overrides.iter().map(|other| &other.training);
            let mut parts = overrides.chain([&recipe.training]);
            if parts.any(|training| training.contains_key("transform")) {
                let text = "must be the same for all: errors in other units do not compare";
                return Err(Error::config(format!("{place}, transform"), text));
            }
            for (data, &horizon) in
                self.data.iter().flat_map(|data| self.horizons.iter().map(move |h| (data, h)))
            {
                self.resolve(&recipe.name, data, horizon).map_err(|e| e.at(place.clone()))?;
            }
        }
        self.rows.iter().try_for_each(|row| self.check_row(row, &names))?;
        self.published.iter().try_for_each(|row| self.check_published(row))
    }

    fn check_row(&self, row: &SuiteRow, names: &BTreeSet<&str>) -> Result<()> {
        let place = format!("rows \"{}\"", row.name);
        for data in &self.data {
            if row.candidates_on(data).next().is_none() {
                return Err(Error::config(place, format!("has no candidate for {data}")));
            }
        }
        for candidate in &row.candidates {
            self.check_data(&candidate.data).map_err(|e| e.at(place.clone()))?;
            if candidate.recipes.is_empty() {
                return Err(Error::config(place, "has a candidate without recipes"));
            }
        }
        let used = row.candidates.iter().flat_map(|candidate| &candidate.recipes);
        for name in used {
            if !names.contains(name.as_str()) {
                return Err(Error::config(place, format!("\"{name}\" is no recipe of the suite")));
            }
        }
        Ok(())
    }

    fn check_data(&self, names: &[String]) -> Result<()> {
        match names.iter().find(|name| !self.data.contains(name)) {
            Some(name) => Err(Error::config("data", format!("\"{name}\" is not in the suite"))),
            None => Ok(()),
        }
    }

    fn check_published(&self, row: &Published) -> Result<()> {
        let names: Vec<String> = row.mse.keys().chain(row.mae.keys()).cloned().collect();
        self.check_data(&names).map_err(|e| e.at(format!("published \"{}\"", row.name)))?;
        for (data, numbers) in row.mse.iter().chain(&row.mae) {
            if numbers.len() != 1 && numbers.len() != self.horizons.len() {
                let text = format!(
                    "{data} has {} numbers, wanted one for each of the {} horizons, or their average",
                    numbers.len(),
                    self.horizons.len()
                );
                return Err(Error::config(format!("published \"{}\"", row.name), text));
            }
        }
        Ok(())
    }

    /// The whole recipe of that name for a data set and horizon, but for the seed.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if there is no such recipe or it makes no sense.
    pub(crate) fn resolve(&self, name: &str, data: &str, horizon: usize) -> Result<Recipe> {
        let found = self.recipes.iter().find(|recipe| recipe.name == name);
        let recipe = found.ok_or_else(|| Error::config("recipes", format!("no \"{name}\"")))?;
        let member = |model: &Map<String, Value>, training: &Map<String, Value>| Member {
            model: model.clone(),
            training: training.clone(),
        };
        let mut layers =
            vec![member(&self.model, &self.training), member(&recipe.model, &recipe.training)];
        let overrides = recipe.overrides.iter().filter(|other| other.applies(data, horizon));
        layers.extend(overrides.map(|other| member(&other.model, &other.training)));
        let mut resolved = Recipe::default();
        for layer in &layers {
            resolved = resolved.with(layer)?;
        }
        // A recipe must not set what the suite decides.
        let decided = [
            ("seed", "seeds", resolved.training.seed != Training::default().seed),
            ("prediction_length", "horizons", resolved.model.prediction_length.is_some()),
        ];
        if let Some((field, of, _)) = decided.iter().find(|(.., given)| *given) {
            return Err(Error::config(*field, format!("is decided by the suite's {of}")));
        }
        resolved.model.prediction_length = Some(horizon);
        Ok(resolved)
    }

    /// Every recipe that some row tries on a data set, once each, in the order of the file.
    pub(crate) fn recipes_on(&self, data: &str) -> Vec<&str> {
        let candidates = self.rows.iter().flat_map(|row| row.candidates_on(data));
        let used: BTreeSet<&str> =
            candidates.flat_map(|candidate| &candidate.recipes).map(String::as_str).collect();
        self.recipes
            .iter()
            .map(|recipe| recipe.name.as_str())
            .filter(|n| used.contains(n))
            .collect()
    }
}

impl Override {
    fn applies(&self, data: &str, horizon: usize) -> bool {
        (self.data.is_empty() || self.data.iter().any(|name| name == data))
            && (self.horizons.is_empty() || self.horizons.contains(&horizon))
    }
}

impl SuiteRow {
    /// The candidates that are tried on a data set.
    pub(crate) fn candidates_on<'a>(&'a self, data: &str) -> impl Iterator<Item = &'a Candidate> {
        let applies = |candidate: &Candidate| {
            candidate.data.is_empty() || candidate.data.iter().any(|name| name == data)
        };
        let kept: Vec<&Candidate> =
            self.candidates.iter().filter(|candidate| applies(candidate)).collect();
        kept.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use ptsm::Task;
    use ptsm::job::{Usage, check_model_used, check_used};
    use ptsm::spec::DataShape;

    const TEXT: &str = r#"
        title = "t"
        data = ["A", "B"]
        horizons = [4, 8]
        seeds = [0]
        [model]
        d_model = 8
        [training]
        epochs = 2
        [[recipes]]
        name = "plain"
        model = { patch_length = 4 }
        [[recipes.overrides]]
        data = ["B"]
        horizons = [8]
        training = { epochs = 5 }
        [[recipes]]
        name = "wide"
        model = { d_model = 16 }
        [[rows]]
        name = "one"
        candidates = [{ recipes = ["plain"] }, { recipes = ["plain", "wide"], data = ["A"] }]
        [[published]]
        name = "theirs"
        source = "a paper"
        mse = { A = [0.1, 0.2], B = [0.3] }
    "#;

    #[test]
    fn recipes_take_what_they_do_not_say_from_the_suite() {
        let suite = Suite::from_toml(TEXT).unwrap();
        let read = |name: &str, data: &str, horizon: usize| {
            let recipe = suite.resolve(name, data, horizon).unwrap();
            let model = &recipe.model;
            (model.d_model, model.patch_length, model.prediction_length, recipe.training.epochs)
        };
        assert_eq!(read("plain", "A", 8), (Some(8), Some(4), Some(8), 2));
        assert_eq!(read("plain", "B", 4).3, 2);
        assert_eq!(read("plain", "B", 8).3, 5);
        assert_eq!(read("wide", "B", 8), (Some(16), None, Some(8), 2));
        assert_eq!(suite.recipes_on("A"), ["plain", "wide"]);
        assert_eq!(suite.recipes_on("B"), ["plain"]);
        assert_eq!(suite.rows[0].candidates_on("A").last().unwrap().name(), "plain + wide");
    }

    #[test]
    fn our_own_suites_use_all_that_they_say() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bench/suites");
        let mut checked = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            if text.contains("[[panels]]") {
                continue;
            }
            let suite = Suite::from_toml(&text).unwrap();
            for (data, &horizon) in
                suite.data.iter().flat_map(|data| suite.horizons.iter().map(move |h| (data, h)))
            {
                for name in suite.recipes_on(data) {
                    let recipe = suite.resolve(name, data, horizon).unwrap();
                    let shape = DataShape::windows(Task::Forecasting, 7);
                    let config = recipe.model.config(&shape).unwrap();
                    let usage = Usage {
                        models: &[&config],
                        joint: false,
                        windows: true,
                        validation: true,
                        saved: true,
                        drawn: true,
                        standardised: true,
                    };
                    check_used(&recipe.training, &usage).unwrap();
                    check_model_used(&recipe.model, &config).unwrap();
                    checked += 1;
                }
            }
        }
        assert!(checked > 50, "{checked}");
    }

    #[test]
    fn leaving_horizons_out_leaves_their_published_numbers_out() {
        let mut suite = Suite::from_toml(TEXT).unwrap();
        suite.keep_horizons(&[8]);
        assert_eq!(suite.horizons, [8]);
        assert_eq!(suite.published[0].mse["A"], [0.2]);
        assert!(!suite.published[0].mse.contains_key("B"), "an average over both");
    }

    #[test]
    fn mistakes_are_named_by_their_place() {
        let table = [
            ("seeds = [0]", "seeds = []", "seeds: is empty"),
            ("epochs = 5", "epoch = 5", "plain"),
            ("\"plain\", \"wide\"]", "\"plain\", \"wise\"]", "\"wise\" is no recipe"),
            ("name = \"wide\"", "name = \"plain\"", "is there twice"),
            ("A = [0.1, 0.2]", "A = [0.1, 0.2, 0.3]", "A has 3 numbers"),
            ("title", "titel", "no suite"),
            ("d_model = 16", "d_modl = 16", "did you mean `d_model`?"),
            ("d_model = 16", "mode = \"mix_chanel\"", "did you mean `mix_channel`?"),
            ("d_model = 16", "prediction_length = 16", "decided by the suite's horizons"),
            ("epochs = 5", "seed = 5", "decided by the suite's seeds"),
            ("data = [\"B\"]", "data = [\"C\"]", "\"C\" is not in the suite"),
            ("horizons = [8]", "horizons = [9]", "9 is no horizon"),
            ("B = [0.3]", "D = [0.3]", "\"D\" is not in the suite"),
            ("[\"plain\", \"wide\"]", "[]", "a candidate without recipes"),
            (
                "epochs = 5",
                "epochs = 5 }\n[[recipes]]\nname = \"log\"\ntraining = { transform = \"log1p\"",
                "transform",
            ),
            ("epochs = 5", "epochs = 5, transform = \"log1p\"", "recipes \"plain\", transform"),
            (
                "{ recipes = [\"plain\"] }",
                "{ recipes = [\"plain\"], data = [\"A\"] }",
                "no candidate for B",
            ),
        ];
        for (old, new, wanted) in table {
            let error = Suite::from_toml(&TEXT.replace(old, new)).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(wanted), "{new}: {text}");
        }
    }
}
