//! Selection of settings for labelled cases: cross-validation on the training cases alone, then one
//! evaluation on the test cases.

use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::data::{CaseData, JobData};
use super::event::{Silent, stopped};
use super::fold_scores::{FoldScore, FoldScores};
use super::plan::Job;
use super::run::Trained;
use super::spread::spread;
use crate::data::LabelledSet;
use crate::labeller::{LabelScores, Labeller};
use crate::spec::{ModelSpec, nearest, with_nearest};
use crate::train::{Member, NUMERICS, Recipe, Training};
use crate::{Cpu, Error, ErrorKind, Model, Result, Task};

/// The search: a recipe, lists of values for some of its fields, and fields that change
/// together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseSearch {
    /// Classification or regression.
    // Whether a file says it is checked where it is read, which knows what was asked for beside it.
    #[serde(default = "classification")]
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

fn classification() -> Task {
    Task::Classification
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

/// What a running search tells, and where it keeps what is finished.
pub struct SearchWatch<'a> {
    /// Called with how many trainings are done; `Break` stops the search.
    pub tick: &'a mut (dyn FnMut(usize) -> ControlFlow<()> + Send),
    /// Scores that are not computed again, and to which new ones are added.
    pub kept: Option<&'a mut FoldScores>,
}

/// What is shared among trainings, also if one of them panicked.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Cuts of labelled cases for cross-validation.
#[derive(Debug, Clone, PartialEq)]
pub struct Cuts {
    folds: Vec<Fold>,
    networks: u64,
}

/// Cases that are held out of one training.
#[derive(Debug, Clone, PartialEq)]
struct Fold {
    held_out: Vec<usize>,
    /// Number of the cross-validation that it is a part of, which is added to the seed of its trainings.
    repeat: u64,
}

impl Cuts {
    /// The cases of `set` dealt into `folds` parts, `repeats` times in other ways.
    ///
    /// # Errors
    ///
    /// As [`LabelledSet::folds`].
    pub fn draw(set: &LabelledSet, folds: usize, repeats: u64) -> Result<Self> {
        let mut all = Vec::new();
        for repeat in 0..repeats {
            let fold = |held_out| Fold { held_out, repeat };
            all.extend(set.folds(folds, repeat)?.into_iter().map(fold));
        }
        Ok(Self { folds: all, networks: 1 })
    }

    /// Cuts whose folds are labelled by the mean of so many networks, which differ in their seeds.
    #[must_use]
    pub fn averaging(self, networks: u64) -> Self {
        Self { networks: networks.max(1), ..self }
    }

    /// The first `folds` of them, at least one: the other cases are only learnt from.
    #[must_use]
    pub fn limited_to(mut self, folds: usize) -> Self {
        self.folds.truncate(folds.max(1));
        self
    }

    /// Trainings of one setting.
    pub fn fits(&self) -> usize {
        self.folds.len() * self.networks as usize
    }

    /// The held-out cases of every fold.
    pub fn held_out(&self) -> impl Iterator<Item = &[usize]> {
        self.folds.iter().map(|fold| fold.held_out.as_slice())
    }
}

impl CaseSearch {
    /// Reads a search from the text of a TOML file, and checks every setting of it.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the place.
    pub fn from_toml(text: &str) -> Result<Self> {
        Self::from_toml_for(text, None)
    }

    /// As [`CaseSearch::from_toml`], for a `task` that the text need not say.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the place; or if the text says another task, or neither says one.
    pub fn from_toml_for(text: &str, task: Option<Task>) -> Result<Self> {
        let bad = |message: &str| {
            let cause = with_nearest(message);
            Error::new(ErrorKind::InvalidConfig, "is not a valid search").because(cause)
        };
        let fields: toml::Table = toml::from_str(text).map_err(|e| bad(&e.to_string()))?;
        let mut search: Self = toml::from_str(text).map_err(|e| bad(&e.to_string()))?;
        match (fields.contains_key("task"), task) {
            (true, Some(task)) if task != search.task => {
                let text = "is another one here than the one that was asked for (leave one of the two out)";
                return Err(Error::config("task", text));
            }
            (true, _) => {}
            (false, Some(task)) => search.task = task,
            (false, None) => {
                let text =
                    "is missing (in the first line: task = \"classification\", or \"regression\")";
                return Err(Error::config("task", text));
            }
        }
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

    /// The training of one recipe.
    pub(super) fn job<'a>(&self, data: &'a JobData, recipe: Recipe) -> Job<'a> {
        Job {
            data,
            task: self.task,
            model: recipe.model,
            training: recipe.training,
            start: None,
            few_shot: None,
            save: None,
        }
    }

    /// Trains so many networks with one setting on all cases of `data`, which differ in their seeds; at least one.
    pub(super) fn train_average(
        &self,
        data: &JobData,
        setting: &Map<String, Value>,
        networks: u64,
    ) -> Result<Vec<Trained>> {
        let recipe = self.recipe(setting)?;
        let train = |network| {
            let mut recipe = recipe.clone();
            recipe.training.seed += network;
            self.job(data, recipe).run(&mut Silent)
        };
        (0..networks.max(1)).into_par_iter().map(train).collect()
    }

    /// Trains one recipe on all cases of `train`, holding none out.
    fn train(&self, recipe: Recipe, train: LabelledSet) -> Result<Trained> {
        let data = CaseData { name: String::new(), train, validation: None }.into();
        self.job(&data, recipe).run(&mut Silent)
    }

    /// Score and loss on the cases `other` of the mean of networks that are trained on `train`, one by each recipe.
    fn score(
        &self,
        recipes: &[Recipe],
        train: &LabelledSet,
        other: &LabelledSet,
    ) -> Result<FoldScore> {
        let networks = recipes.iter().map(|recipe| self.train(recipe.clone(), train.clone()));
        let mut networks: Vec<Trained> = networks.collect::<Result<_>>()?;
        let Some(preprocessor) = networks.first_mut().map(|one| one.preprocessor.clone()) else {
            return Err(Error::internal("no network was trained"));
        };
        let models: Vec<Model> = networks.into_iter().map(|network| network.model).collect();
        let mut labeller = Labeller::average(&models, preprocessor, &Cpu::default())?;
        Ok(match labeller.score(other)?.1 {
            LabelScores::Classes(scores) => {
                FoldScore { score: scores.accuracy, loss: scores.cross_entropy }
            }
            LabelScores::Values(scores) => FoldScore { score: scores.rmse, loss: scores.rmse },
        })
    }

    /// Everything that the scores of [`CaseSearch::compare`] depend on, for the [`FoldScores`] that keep them.
    ///
    /// # Errors
    ///
    /// `BackendUnavailable` if the instruction set that was asked for is not there.
    pub fn described(&self, set: &LabelledSet, cuts: &Cuts) -> Result<String> {
        let held_out: Vec<&[usize]> = cuts.held_out().collect();
        let what = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "numerics": NUMERICS,
            "instruction_set": ptsm_core::instruction_set()?.name(),
            "data": set.fingerprint(),
            "held_out": held_out,
            "networks": cuts.networks,
            "search": self,
        });
        Ok(what.to_string())
    }

    /// Scores settings by repeated cross-validation, several trainings at a time.
    ///
    /// The scores depend on the search, the cases, the cuts and the instruction set alone, not on the number of threads,
    /// nor on whether the search was stopped and resumed.
    ///
    /// # Errors
    ///
    /// As [`Job::run`]; `Interrupted` if the progress is answered by `Break`; `Io` if scores cannot be kept.
    pub fn compare(
        &self,
        set: &LabelledSet,
        cuts: &Cuts,
        settings: &[Map<String, Value>],
        watch: SearchWatch<'_>,
    ) -> Result<Vec<SearchCell>> {
        let folds = 0..cuts.folds.len();
        let fits: Vec<(&Map<String, Value>, usize)> = settings
            .iter()
            .flat_map(|setting| folds.clone().map(move |fold| (setting, fold)))
            .collect();
        let watching = Mutex::new((0, watch));
        let one = |&(setting, fold): &(&Map<String, Value>, usize)| {
            let kept = lock(&watching).1.kept.as_ref().and_then(|kept| kept.get(setting, fold));
            let score = match kept {
                Some(score) => score,
                None => self.score_fold(set, &cuts.folds[fold], setting, cuts.networks)?,
            };
            let (done, watch) = &mut *lock(&watching);
            if let (None, Some(keeper)) = (kept, &mut watch.kept) {
                keeper.push(setting, fold, score)?;
            }
            *done += 1;
            match (watch.tick)(*done).is_break() {
                true => Err(stopped()),
                false => Ok(score),
            }
        };
        let scores: Vec<FoldScore> = fits.par_iter().map(one).collect::<Result<_>>()?;
        let cells = settings.iter().zip(scores.chunks(cuts.folds.len().max(1)));
        Ok(cells.map(|(setting, scores)| self.cell(setting, cuts, scores)).collect())
    }

    /// Score and loss of one setting on one held-out fold.
    fn score_fold(
        &self,
        set: &LabelledSet,
        fold: &Fold,
        setting: &Map<String, Value>,
        networks: u64,
    ) -> Result<FoldScore> {
        let rest: Vec<usize> = (0..set.len()).filter(|i| !fold.held_out.contains(i)).collect();
        let recipe = self.recipe(setting)?;
        let recipes: Vec<Recipe> = (0..networks)
            .map(|network| {
                let mut recipe = recipe.clone();
                recipe.training.seed += fold.repeat * networks + network;
                recipe
            })
            .collect();
        self.score(&recipes, &set.subset(&rest), &set.subset(&fold.held_out))
    }

    /// The scores of all folds as one.
    fn cell(&self, setting: &Map<String, Value>, cuts: &Cuts, scores: &[FoldScore]) -> SearchCell {
        let (mut score, mut loss) = (0.0, 0.0);
        let squared = self.task == Task::Regression;
        let cases: usize = cuts.folds.iter().map(|fold| fold.held_out.len()).sum();
        for (fold, found) in cuts.folds.iter().zip(scores) {
            let share = fold.held_out.len() as f64 / cases as f64;
            score += share * if squared { found.score * found.score } else { found.score };
            loss += share * found.loss;
        }
        let score = if squared { score.sqrt() } else { score };
        SearchCell { setting: setting.clone(), score, loss }
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
            scores.push(self.score(&[recipe], train, test)?.score);
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
