//! Training in a few lines: `Forecaster::fit`, `Classifier::fit`, `Regressor::fit`, their options.

use std::path::PathBuf;

use crate::data::{
    Column, LabelOptions, LabelledSet, NO_COLUMN, Repair, Roles, Series, SeriesSet, Split, Table,
};
use crate::ensemble::Members;
use crate::job::{
    CASE_BUDGET, CaseChoiceJob, CaseData, CaseSearch, ChoiceJob, Job, JobData, Metric, Save,
    SeriesData, Silent, Trained, automatic_recipe,
};
use crate::labeller::Labeller;
use crate::preprocessor::Preprocessor;
use crate::spec::ModelSpec;
use crate::train::{Recipe, Training};
use crate::{Classifier, Cpu, Error, Forecast, Forecaster, Model, Regressor, Result, Task};

/// Options of a fit; all have defaults, so `FitOptions::default()` is enough.
///
/// ```
/// use ptsm::FitOptions;
///
/// let options = FitOptions::steps(24).context(168).epochs(3).seed(1);
/// assert_eq!(options.model.prediction_length, Some(24));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct FitOptions {
    /// Chosen fields of the model; for a forecaster, [`automatic_recipe`] derives the others from
    /// the data.
    pub model: ModelSpec,
    /// Training settings; `None` = derived from the data.
    pub training: Option<Training>,
    /// Passes over the training samples, in place of `training.epochs`.
    pub epochs: Option<u32>,
    /// Seed of weights, order and dropout, in place of `training.seed`.
    pub seed: Option<u64>,
    /// Borders of training, validation and test of series; 7:1:2 if not given.
    pub split: Option<Split>,
    /// Share of labelled cases held out to pick the best epoch; 0.2 if not given, 0 = none.
    pub hold_out: Option<f64>,
    /// Model directory to write; it must not hold a model.
    pub save_to: Option<PathBuf>,
}

/// Default number of passes over labelled cases, which are few and short.
const CASE_EPOCHS: u32 = 40;

/// Default batch size for labelled cases.
const CASE_BATCH: usize = 16;

impl FitOptions {
    /// Options to forecast `prediction_length` steps.
    pub fn steps(prediction_length: usize) -> Self {
        let model =
            ModelSpec { prediction_length: Some(prediction_length), ..ModelSpec::default() };
        Self { model, ..Self::default() }
    }

    /// Sets the number of past steps that the model sees.
    #[must_use]
    pub fn context(mut self, context_length: usize) -> Self {
        self.model.context_length = Some(context_length);
        self
    }

    /// Sets the number of passes over the training samples.
    #[must_use]
    pub fn epochs(mut self, epochs: u32) -> Self {
        self.epochs = Some(epochs);
        self
    }

    /// Sets the seed of weights, order and dropout.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Saves the model directory to `dir`.
    #[must_use]
    pub fn save_to(mut self, dir: impl Into<PathBuf>) -> Self {
        self.save_to = Some(dir.into());
        self
    }

    /// Whether nothing is said but the seed and where the model goes, so that the settings for labelled cases are searched.
    fn leaves_the_choice(&self) -> bool {
        let Self { seed, save_to, .. } = self.clone();
        *self == Self { seed, save_to, ..Self::default() }
    }

    /// Whether nothing is said of a network but its lengths and its seed, so that the forecaster is chosen by its errors on
    /// the validation part.
    fn leaves_the_forecaster(&self) -> bool {
        let ModelSpec { prediction_length, context_length, .. } = self.model;
        let model = ModelSpec { prediction_length, context_length, ..ModelSpec::default() };
        let Self { seed, split, save_to, .. } = self.clone();
        *self == Self { model, seed, split, save_to, ..Self::default() }
    }

    fn training(&self, suggested: Training) -> Training {
        let mut training = self.training.clone().unwrap_or(suggested);
        training.epochs = self.epochs.unwrap_or(training.epochs);
        training.seed = self.seed.unwrap_or(training.seed);
        training
    }

    fn job<'a>(
        &self,
        data: &'a JobData,
        task: Task,
        model: ModelSpec,
        training: Training,
    ) -> Job<'a> {
        let save = self.save_to.as_ref().map(Save::new);
        Job { data, task, model, training, start: None, few_shot: None, save }
    }
}

/// A source of series: a [`Table`], a [`SeriesSet`], or one [`Series`] of numbers.
pub trait SeriesSource {
    /// The series; with the preprocessor of a trained model, read as the model needs them.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a column is missing or damaged, naming it.
    fn series(&self, preprocessor: Option<&Preprocessor>) -> Result<SeriesSet>;
}

impl SeriesSource for Table {
    fn series(&self, preprocessor: Option<&Preprocessor>) -> Result<SeriesSet> {
        match preprocessor {
            Some(preprocessor) => preprocessor.read(self, &Repair::default()),
            None => SeriesSet::from_table(self, &Roles::default(), &Repair::default()),
        }
    }
}

impl SeriesSource for SeriesSet {
    fn series(&self, _: Option<&Preprocessor>) -> Result<SeriesSet> {
        Ok(self.clone())
    }
}

impl SeriesSource for Series {
    fn series(&self, _: Option<&Preprocessor>) -> Result<SeriesSet> {
        let cells = |channel: usize| {
            let value = |row: usize| self.get(row, channel).unwrap_or(f64::NAN);
            (0..self.num_rows()).map(value).collect()
        };
        let columns =
            (0..self.num_channels).map(|c| Column::numbers(format!("channel {c}"), cells(c)));
        let none = Some(NO_COLUMN.to_owned());
        let roles = Roles { timestamp: none.clone(), id: none, ..Roles::default() };
        SeriesSet::from_table(&Table::new(columns.collect())?, &roles, &Repair::default())
    }
}

/// A source of labelled cases: a [`LabelledSet`], or a long [`Table`].
pub trait CaseSource {
    /// The cases with their labels, read as numbers if `values` is true and as classes if not.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a column is missing or damaged, naming it.
    fn cases(&self, values: bool) -> Result<LabelledSet>;
}

impl CaseSource for LabelledSet {
    fn cases(&self, _: bool) -> Result<LabelledSet> {
        Ok(self.clone())
    }
}

impl CaseSource for Table {
    fn cases(&self, values: bool) -> Result<LabelledSet> {
        let options = LabelOptions { values: Some(values), ..LabelOptions::default() };
        LabelledSet::from_table(self, &options)
    }
}

impl Forecaster {
    /// Trains a forecaster on all series of `data`. Without any option but lengths, split, seed and a directory, it is the
    /// default forecaster of `ptsm train`: networks, ridge regressions, classical methods and the network inside the library
    /// forecast the validation part, and those that do it best are kept ([`ChoiceJob`]). With one, a single network is
    /// trained as it is told; what is not said is derived from the length of the series, their channels and their season.
    ///
    /// ```
    /// use ptsm::data::Dataset;
    /// use ptsm::{FitOptions, Forecaster};
    ///
    /// # fn main() -> ptsm::Result<()> {
    /// let table = Dataset::embedded_table()?;
    /// let options = FitOptions::steps(12).context(48).epochs(1);
    /// let mut forecaster = Forecaster::fit(&table, &options)?;
    /// let forecasts = forecaster.forecast(&table)?;
    /// assert_eq!(forecasts[0].prediction_length(), 12);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// From numbers in memory, `[T, C]` row by row:
    ///
    /// ```
    /// use ptsm::data::Series;
    /// use ptsm::{FitOptions, Forecaster};
    ///
    /// # fn main() -> ptsm::Result<()> {
    /// let waves = (0..400).map(|t| (t as f64 * 0.3).sin()).collect();
    /// let series = Series::new("", 1, waves)?;
    /// let mut forecaster = Forecaster::fit(&series, &FitOptions::steps(6).epochs(1))?;
    /// assert_eq!(forecaster.forecast(&series)?[0].values.len(), 6);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Job::run`]; `InvalidInput` if the series are too short, stating the numbers.
    pub fn fit(data: &impl SeriesSource, options: &FitOptions) -> Result<Self> {
        if options.hold_out.is_some() {
            return Err(Error::config("hold_out", "is for labelled cases (use split)"));
        }
        let mut series = SeriesData::new("data", data.series(None)?);
        series.split = options.split.unwrap_or(series.split);
        let (recipe, _) = automatic_recipe(&series, &options.model);
        let model = recipe.model.with(&options.model);
        let training = options.training(recipe.training.clone());
        let data = series.into();
        if options.leaves_the_forecaster() {
            return choose_forecaster(&data, Recipe { model, training, ..recipe }, options);
        }
        let trained = options.job(&data, Task::Forecasting, model, training).run(&mut Silent)?;
        let Trained { model, preprocessor, .. } = trained;
        Self::assemble(&Members::single(model), preprocessor, None, &Cpu::default())
    }

    /// Forecasts past the end of every series of `data`, which are read like the training data.
    ///
    /// # Errors
    ///
    /// As [`Forecaster::predict`].
    pub fn forecast(&mut self, data: &impl SeriesSource) -> Result<Vec<Forecast>> {
        let set = data.series(Some(self.preprocessor()))?;
        self.predict(&set, 0)
    }
}

/// The forecasters that do best on the validation part.
fn choose_forecaster(
    data: &JobData,
    mut recipe: Recipe,
    options: &FitOptions,
) -> Result<Forecaster> {
    recipe.model.settle();
    let folder = tempfile::tempdir();
    let folder = folder.map_err(|e| Error::io(&std::env::temp_dir(), "cannot be written", e))?;
    let dir = options.save_to.clone().unwrap_or_else(|| folder.path().join("model"));
    ChoiceJob { data, recipe, metric: Metric::default(), save: Save::new(&dir), budget: None }
        .run(&mut Silent)?;
    Forecaster::from_dir(&dir, &Cpu::default())
}

impl Classifier {
    /// Trains a classifier on labelled cases. Without any option but the seed and a directory, the settings are searched by
    /// cross-validation, and the probabilities of a few networks averaged ([`CaseChoiceJob`]); with one, a single network
    /// is trained as it is told.
    ///
    /// ```
    /// use ptsm::data::{LabelledSet, Labels, Series};
    /// use ptsm::{Classifier, FitOptions};
    ///
    /// # fn main() -> ptsm::Result<()> {
    /// let wave = |i: usize| {
    ///     let speed = if i % 2 == 0 { 0.2 } else { 1.1 };
    ///     Series::new(i.to_string(), 1, (0..32).map(|t| (t as f64 * speed).sin()).collect())
    /// };
    /// let waves: Vec<Series> = (0..40).map(wave).collect::<ptsm::Result<_>>()?;
    /// let labels = (0..40).map(|i| if i % 2 == 0 { "slow" } else { "fast" }.to_owned());
    /// let set = LabelledSet::new(vec!["x".into()], waves, Labels::classes(labels.collect()))?;
    /// let mut classifier = Classifier::fit(&set, &FitOptions::default().epochs(20))?;
    /// let answers = classifier.classify(&set)?;
    /// assert_eq!((answers.len(), answers[0].probabilities.len()), (40, 2));
    /// assert!(classifier.score(&set)?.accuracy > 0.5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Job::run`]; `InvalidInput` if the labels are values.
    pub fn fit(data: &impl CaseSource, options: &FitOptions) -> Result<Self> {
        Self::new(fit_cases(data.cases(false)?, Task::Classification, options)?)
    }
}

impl Regressor {
    /// Trains a regression on cases labelled with one or more values; as [`Classifier::fit`].
    ///
    /// ```
    /// use ptsm::data::{LabelledSet, Labels, Series};
    /// use ptsm::{FitOptions, Regressor};
    ///
    /// # fn main() -> ptsm::Result<()> {
    /// let wave = |i: usize| {
    ///     let height = 1.0 + i as f64;
    ///     Series::new(i.to_string(), 1, (0..32).map(|t| height * (t as f64).sin()).collect())
    /// };
    /// let waves: Vec<Series> = (0..20).map(wave).collect::<ptsm::Result<_>>()?;
    /// let heights = (0..20).map(|i| 1.0 + i as f64).collect();
    /// let labels = Labels::Values { names: vec!["height".into()], of: heights };
    /// let set = LabelledSet::new(vec!["x".into()], waves, labels)?;
    /// let mut regressor = Regressor::fit(&set, &FitOptions::default().epochs(2))?;
    /// assert_eq!(regressor.predict(&set)?.len(), 20);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Job::run`]; `InvalidInput` if the labels are classes.
    pub fn fit(data: &impl CaseSource, options: &FitOptions) -> Result<Self> {
        Self::new(fit_cases(data.cases(true)?, Task::Regression, options)?)
    }
}

fn fit_cases(set: LabelledSet, task: Task, options: &FitOptions) -> Result<Labeller> {
    if options.split.is_some() {
        return Err(Error::config("split", "is for series (use hold_out)"));
    }
    if options.leaves_the_choice() {
        return choose_for_cases(set, task, options);
    }
    let suggested = Training { epochs: CASE_EPOCHS, batch_size: CASE_BATCH, ..Training::default() };
    let training = options.training(suggested);
    let length = options.model.context_length.unwrap_or(set.longest());
    // The longest patches of which there are at least eight.
    let patch = [8, 4, 2, 1].into_iter().find(|patch| patch * 8 <= length).unwrap_or(1);
    let lower =
        ModelSpec { patch_length: Some(patch), patch_stride: Some(patch), ..ModelSpec::default() };
    let model = lower.with(&options.model);
    let hold_out = options.hold_out.unwrap_or(CaseData::HOLD_OUT);
    let data = CaseData::new("data", set, hold_out, training.seed)?.into();
    let Trained { model, preprocessor, .. } =
        options.job(&data, task, model, training).run(&mut Silent)?;
    Labeller::new(&model, preprocessor, &Cpu::default())
}

/// The settings are searched, and the labels of a few networks averaged.
fn choose_for_cases(set: LabelledSet, task: Task, options: &FitOptions) -> Result<Labeller> {
    let mut search = CaseSearch::built_in(task, &set);
    search.training.seed = options.seed.unwrap_or(search.training.seed);
    let data = CaseData { name: "data".into(), train: set, validation: None }.into();
    let save = options.save_to.as_ref().map(Save::new);
    let job = CaseChoiceJob { data: &data, search, budget: CASE_BUDGET, save };
    let networks = job.run(&mut Silent)?.networks;
    let preprocessor = networks[0].preprocessor.clone();
    let models: Vec<Model> = networks.into_iter().map(|network| network.model).collect();
    Labeller::average(&models, preprocessor, &Cpu::default())
}
