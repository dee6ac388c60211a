//! Jobs on labelled cases: classification and regression.

use super::data::CaseData;
use super::plan::Job;
use super::samples::{Laid, LaidSamples};
use crate::data::{
    Grid, LabelledSet, Labels, PreparedCases, Roles, Series, Split, Standardiser, Transform,
};
use crate::preprocessor::Preprocessor;
use crate::spec::{DataShape, DistributionChoice, LossChoice, Targets};
use crate::{Config, Error, Model, Result};
use ptsm_data::LabelCoding;

impl Job<'_> {
    pub(super) fn case_config(&self, data: &CaseData) -> Result<Config> {
        let targets = match &data.train.labels {
            Labels::Classes { names, .. } => Targets::Classes(names),
            Labels::Values { names, .. } => Targets::Values(names.len()),
            Labels::Unknown(_) => return Err(unlabelled()),
        };
        let shape = DataShape {
            task: self.task,
            channels: data.train.channels.len(),
            longest: Some(data.train.longest()),
            targets: Some(targets),
        };
        self.specification().with_channels(&data.train.channels)?.config(&shape)
    }

    /// Prepares the cases for the model, and makes it with its initial weights.
    pub(super) fn lay_out_cases(&self, data: &CaseData, config: Config) -> Result<Laid> {
        let standardiser = match self.kept_standardiser(data) {
            Some(kept) => kept.clone(),
            None => data.train.standardiser(self.training.transform)?,
        };
        let (labels, targets) = self.coding(data)?;
        let length = config.context_length;
        let mut model = Model::new(config, self.training.init, self.training.seed)?;
        if let Some(start) = &self.start {
            start.give(&mut model)?;
        }
        let lay =
            |set: &LabelledSet| PreparedCases::new(set, length, &standardiser, targets.as_ref());
        let validation = match (&data.validation, &labels) {
            (Some(set), LabelCoding::Classes { names }) => {
                Some(lay(&set.clone().with_classes(names)?)?)
            }
            (set, _) => set.as_ref().map(lay).transpose()?,
        };
        let samples = LaidSamples::Cases { train: lay(&data.train)?, validation };
        let preprocessor = data.preprocessor(standardiser, labels);
        Ok(Laid { model, preprocessor, samples, notes: Vec::new() })
    }

    /// The standardiser of the model that training starts from, if it has as many channels as the
    /// cases.
    pub(super) fn kept_standardiser(&self, data: &CaseData) -> Option<&Standardiser> {
        let kept = self.start.as_ref()?.standardiser.as_ref()?;
        (kept.num_channels() == data.train.channels.len()).then_some(kept)
    }

    /// How outputs become labels. Values are standardised, unless the model limits their range or
    /// forecasts counts.
    fn coding(&self, data: &CaseData) -> Result<(LabelCoding, Option<Standardiser>)> {
        match &data.train.labels {
            Labels::Classes { names, .. } => {
                Ok((LabelCoding::Classes { names: names.clone() }, None))
            }
            Labels::Values { names, of } => {
                let spec = self.specification();
                let counts = spec.loss == Some(LossChoice::Nll)
                    && spec.distribution_output == Some(DistributionChoice::NegativeBinomial);
                let standardiser = match counts || spec.output_range.is_some() {
                    true => Standardiser::identity(names.len()),
                    false => {
                        let series = Series::new("", names.len(), of.clone())?;
                        let rows = 0..series.num_rows();
                        Standardiser::fit(names, &[(&series, rows)], Transform::None)?
                    }
                };
                let targets = Some(standardiser.clone());
                Ok((LabelCoding::Values { names: names.clone(), standardiser }, targets))
            }
            Labels::Unknown(_) => Err(unlabelled()),
        }
    }
}

impl CaseData {
    /// What a model directory records of cases that are standardised and labelled so.
    pub(crate) fn preprocessor(
        &self,
        standardiser: Standardiser,
        labels: LabelCoding,
    ) -> Preprocessor {
        Preprocessor {
            dataset: self.name.clone(),
            channels: self.train.channels.clone(),
            roles: Roles::default(),
            frequency: None,
            times: Default::default(),
            missing: Vec::new(),
            grid: Grid::Rows,
            seasonal_period: 1,
            split: Split::default(),
            standardiser,
            labels: Some(labels),
            covariates: None,
        }
    }
}

fn unlabelled() -> Error {
    Error::input("the cases have no labels to learn")
}
