//! Selection of settings for labelled cases: cross-validation on the training cases alone, then one
//! evaluation on the test cases.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::data::CaseData;
use super::event::Silent;
use super::plan::Job;
use super::run::Trained;
use super::spread::spread;
use crate::data::LabelledSet;
use crate::labeller::{LabelScores, Labeller};
use crate::spec::{ModelSpec, nearest, with_nearest};
use crate::train::{Member, Recipe, Training};
use crate::{Cpu, Error, ErrorKind, Result, Task};

/// The search: a recipe, lists of values for some of its fields, and fields that change
/// together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseSearch {
    /// Classification or regression.
    pub task: Task,
    /// Fields that all models have in common.
    #[serde(default)]
    pub model: ModelSpec,
    /// Training settings that all models have in common.
    #[serde(default)]
    pub training: Training,
    /// A list of values for each field that is searched; fields of the model and the training.
    #[serde(default)]
    pub grid: Map<String, Value>,
    /// Fields that change together.
    #[serde(default)]
    pub settings: Vec<Map<String, Value>>,
}

/// The score of one setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SearchCell {
    /// The fields that differ from the recipe.
    pub setting: Map<String, Value>,
    /// Accuracy, or RMSE in data units, over all held-out cases.
    pub score: f64,
    /// Cross entropy of a classifier, which breaks ties.
    pub loss: f64,
}

/// Mean and spread over seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SeedScores {
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The score of each seed.
    pub scores: Vec<f64>,
    /// Mean of the scores.
    pub mean: f64,
    /// Sample standard deviation; 0 for one seed.
    pub deviation: f64,
}

impl CaseSearch {
    /// Reads a search from the text of a TOML file, and checks every setting of it.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the place.
    pub fn from_toml(text: &str) -> Result<Self> {
        let search: Self = toml::from_str(text).map_err(|e| {
            let cause = with_nearest(&e.to_string());
            Error::new(ErrorKind::InvalidConfig, "is not a valid search").because(cause)
        })?;
        if !matches!(search.task, Task::Classification | Task::Regression) {
            return Err(Error::config("task", "wanted classification or regression"));
        }
        search.training.validate()?;
        for setting in search.all_settings()? {
            search.recipe(&setting)?;
        }
        Ok(search)
    }

    /// Every combination of the grid with every listed setting.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if the grid has no list for a field.
    pub fn all_settings(&self) -> Result<Vec<Map<String, Value>>> {
        let mut all = match self.settings.is_empty() {
            true => vec![Map::new()],
            false => self.settings.clone(),
        };
        for (name, values) in &self.grid {
            let Value::Array(values) = values else {
                return Err(Error::config(format!("[grid] {name}"), "wanted a list of values"));
            };
            let with = |setting: &Map<String, Value>, value: &Value| {
                let mut setting = setting.clone();
                setting.insert(name.clone(), value.clone());
                setting
            };
            all = all
                .iter()
                .flat_map(|setting| values.iter().map(|value| with(setting, value)))
                .collect();
        }
        Ok(all)
    }

    /// The recipe with one setting: fields of the training go there, all others to the model.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field, for a field that neither has.
    pub fn recipe(&self, setting: &Map<String, Value>) -> Result<Recipe> {
        let known = serde_json::to_value(Training::default())
            .map_err(|e| Error::internal("the settings cannot be listed").because(e))?;
        let training: Vec<&str> = known
            .as_object()
            .into_iter()
            .flat_map(|known| known.keys().map(String::as_str))
            .collect();
        let mut member = Member::default();
        for (name, value) in setting {
            let of = if training.contains(&name.as_str()) {
                &mut member.training
            } else if ModelSpec::FIELDS.contains(&name.as_str()) {
                &mut member.model
            } else {
                let all = ModelSpec::FIELDS.iter().copied().chain(training.iter().copied());
                let near = nearest(name, all.clone());
                let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
                let all = all.collect::<Vec<_>>().join(", ");
                let text = format!("is not a field of model or training (known: {all}{hint})");
                return Err(Error::config(format!("setting {name}"), text));
            };
            of.insert(name.clone(), value.clone());
        }
        let (model, training) = (self.model.clone(), self.training.clone());
        Recipe { model, training, ..Recipe::default() }.with(&member)
    }

    /// Trains one recipe on all cases of `train`, holding none out.
    fn train(&self, recipe: Recipe, train: LabelledSet) -> Result<Trained> {
        let data = CaseData { name: String::new(), train, validation: None };
        let job = Job {
            data: &data.into(),
            task: self.task,
            model: recipe.model,
            training: recipe.training,
            start: None,
            few_shot: None,
            save: None,
        };
        job.run(&mut Silent)
    }

    /// Score and loss on the cases `other` of a recipe that is trained on `train`.
    fn score(&self, recipe: Recipe, train: LabelledSet, other: &LabelledSet) -> Result<(f64, f64)> {
        let trained = self.train(recipe, train)?;
        let mut labeller = Labeller::new(&trained.model, trained.preprocessor, &Cpu::default())?;
        Ok(match labeller.score(other)?.1 {
            LabelScores::Classes(scores) => (scores.accuracy, scores.cross_entropy),
            LabelScores::Values(scores) => (scores.rmse, scores.rmse),
        })
    }

    /// Scores one setting by repeated cross-validation. `cuts` has the folds of every repetition,
    /// whose number is added to the seed; `tick` is called with the number of each training when it
    /// begins.
    ///
    /// # Errors
    ///
    /// As [`Job::run`].
    pub fn cross_validate(
        &self,
        set: &LabelledSet,
        cuts: &[Vec<Vec<usize>>],
        setting: Map<String, Value>,
        tick: &mut dyn FnMut(usize),
    ) -> Result<SearchCell> {
        let (mut score, mut loss) = (0.0, 0.0);
        let squared = self.task == Task::Regression;
        let fits =
            cuts.iter().zip(0..).flat_map(|(folds, seed)| folds.iter().map(move |f| (f, seed)));
        for (number, (fold, seed)) in fits.enumerate() {
            tick(number);
            let rest: Vec<usize> = (0..set.len()).filter(|i| !fold.contains(i)).collect();
            let mut recipe = self.recipe(&setting)?;
            recipe.training.seed += seed;
            let (found, entropy) = self.score(recipe, set.subset(&rest), &set.subset(fold))?;
            let share = fold.len() as f64 / (set.len() * cuts.len()) as f64;
            score += share * if squared { found * found } else { found };
            loss += share * entropy;
        }
        Ok(SearchCell { setting, score: if squared { score.sqrt() } else { score }, loss })
    }

    /// Puts the best setting first: by score, then by loss.
    pub fn sort(&self, cells: &mut [SearchCell]) {
        let rising = self.task == Task::Regression;
        cells.sort_by(|a, b| {
            let by_score = match rising {
                true => a.score.total_cmp(&b.score),
                false => b.score.total_cmp(&a.score),
            };
            by_score.then(a.loss.total_cmp(&b.loss))
        });
    }

    /// Scores one setting on the test cases, once for every seed.
    ///
    /// # Errors
    ///
    /// As [`Job::run`].
    pub fn test(
        &self,
        train: &LabelledSet,
        test: &LabelledSet,
        setting: &Map<String, Value>,
        seeds: &[u64],
    ) -> Result<SeedScores> {
        let mut scores = Vec::new();
        for &seed in seeds {
            let mut recipe = self.recipe(setting)?;
            recipe.training.seed = seed;
            scores.push(self.score(recipe, train.clone(), test)?.0);
        }
        let (mean, deviation) = spread(&scores);
        Ok(SeedScores { seeds: seeds.to_vec(), scores, mean, deviation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_every_combination() {
        let text = "task = \"classification\"\n[grid]\nd_model = [8, 16]\nscaling = [\"std\", \"none\"]\n\
                    [[settings]]\npatch_length = 4\n[[settings]]\npatch_length = 8\n";
        let search = CaseSearch::from_toml(text).unwrap();
        let all = search.all_settings().unwrap();
        assert_eq!(all.len(), 8);
        let texts: std::collections::BTreeSet<String> =
            all.iter().map(|setting| serde_json::to_string(setting).unwrap()).collect();
        assert_eq!(texts.len(), 8);
        assert!(texts.contains("{\"patch_length\":8,\"d_model\":16,\"scaling\":\"none\"}"));
    }

    #[test]
    fn fields_go_to_model_or_training_and_mistakes_are_named() {
        let text = "task = \"regression\"\n[grid]\nd_model = [8]\ntransform = [\"log1p\"]\n";
        let search = CaseSearch::from_toml(text).unwrap();
        let recipe = search.recipe(&search.all_settings().unwrap()[0]).unwrap();
        assert_eq!(recipe.model.d_model, Some(8));
        assert_eq!(recipe.training.transform, crate::data::Transform::Log1p);
        for (old, new, says) in [
            ("d_model", "d_modl", "did you mean d_model?"),
            ("transform", "tranform", "did you mean transform?"),
            ("log1p", "log2p", "training transform"),
            ("[8]", "8", "[grid] d_model: wanted a list"),
            ("regression", "forecasting", "wanted classification or regression"),
            ("[grid]", "[gird]", "did you mean `grid`?"),
        ] {
            let error = CaseSearch::from_toml(&text.replace(old, new)).unwrap_err().to_string();
            assert!(error.contains(says), "{new}: {error}");
        }
    }
}
