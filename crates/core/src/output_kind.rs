//! What the numbers of a prediction are, decided once for a configuration.

use std::sync::Arc;

use crate::Result;
use crate::config::{Config, Task};
use crate::distribution::Distribution;
use crate::tensor_file::NamedTensor;

/// What the output of a model's head is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum OutputKind {
    /// One value for each point of the forecast, `[B, H, C']`, in the units of `past_values`.
    Points,
    /// The K parameters of a distribution for each point of the forecast, `[B, K, H, C']`, in the
    /// scaled space of the window.
    Distribution(Distribution),
    /// The quantiles of each point of the forecast at these levels, ascending, `[B, H, C', Q]`, in
    /// the units of `past_values`.
    Quantiles(Arc<[f64]>),
    /// Scaled patches of pretraining, `[B, C, N, p]`.
    Patches,
    /// Scores of classes before the softmax, `[B, num_targets]`.
    Logits,
    /// Values of a regression, `[B, num_targets]`, or with a distribution its K parameters,
    /// `[B, K, num_targets]`.
    Values(Option<Distribution>),
}

/// Probabilities of the central intervals of a distribution.
const DISTRIBUTION_LEVELS: [f64; 2] = [0.8, 0.95];

/// Distance below which two levels are the same but for rounding.
const SAME_LEVEL: f64 = 1e-9;

fn is_in(levels: &[f64], wanted: f64) -> bool {
    levels.iter().any(|level| (level - wanted).abs() < SAME_LEVEL)
}

impl OutputKind {
    /// What the output of a model with this configuration is.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if `architectures` names no task that is known.
    pub fn of(config: &Config) -> Result<Self> {
        Ok(match config.task()? {
            Task::Forecasting => match (config.distribution(), &config.extension().quantiles) {
                (Some(distribution), _) => Self::Distribution(distribution),
                (None, Some(levels)) => Self::Quantiles(levels.as_slice().into()),
                (None, None) => Self::Points,
            },
            Task::Pretraining => Self::Patches,
            Task::Classification => Self::Logits,
            Task::Regression => Self::Values(config.distribution()),
        })
    }

    /// Probabilities of the central intervals that such a head can say by itself, ascending: 80 and
    /// 95 % of a distribution; of quantiles, those between two trained levels that lie equally far
    /// from the median; none of points. Wider intervals need a calibration.
    pub fn interval_levels(&self) -> Vec<f64> {
        match self {
            Self::Distribution(_) => DISTRIBUTION_LEVELS.to_vec(),
            Self::Quantiles(levels) => {
                let lower = levels.iter().rev().filter(|&&level| level < 0.5 - SAME_LEVEL);
                let paired = lower.filter(|&&level| is_in(levels, 1.0 - level));
                // Without the rounding of the difference: 0.2, not 0.19999999999999996.
                paired.map(|level| ((1.0 - 2.0 * level) * 1e9).round() / 1e9).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The trained levels that are neither the median nor the end of a central interval.
    pub fn single_levels(&self) -> Vec<f64> {
        match self {
            Self::Quantiles(levels) => {
                let single = |level: &&f64| {
                    (**level - 0.5).abs() > SAME_LEVEL && !is_in(levels, 1.0 - **level)
                };
                levels.iter().filter(single).copied().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether the head says the quantile at `level`, between its outermost ones where they are
    /// trained.
    pub fn reaches(&self, level: f64) -> bool {
        match self {
            Self::Distribution(_) => true,
            Self::Quantiles(levels) => {
                let first = levels.first().is_some_and(|first| *first <= level + SAME_LEVEL);
                first && levels.last().is_some_and(|last| *last >= level - SAME_LEVEL)
            }
            _ => false,
        }
    }

    /// Whether this is a forecast: points, a distribution or quantiles.
    pub fn is_forecast(&self) -> bool {
        matches!(self, Self::Points | Self::Distribution(_) | Self::Quantiles(_))
    }

    /// Whether a forecast has its own measure of uncertainty.
    pub fn is_probabilistic(&self) -> bool {
        matches!(self, Self::Distribution(_) | Self::Quantiles(_))
    }

    /// The distribution whose parameters these are, of a forecast or a regression.
    pub fn distribution(&self) -> Option<Distribution> {
        match self {
            Self::Distribution(distribution) | Self::Values(Some(distribution)) => {
                Some(*distribution)
            }
            _ => None,
        }
    }
}

/// What the output of a model's head is, with the lengths that are needed to read it.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputSpec {
    kind: OutputKind,
    prediction_length: usize,
    channels: Vec<usize>,
    num_input_channels: usize,
    num_targets: usize,
    /// N and p.
    patches: (usize, usize),
    segment_length: Option<usize>,
}

impl OutputSpec {
    /// That of a model with this configuration.
    ///
    /// # Errors
    ///
    /// As [`OutputKind::of`].
    pub fn new(config: &Config) -> Result<Self> {
        Ok(Self {
            kind: OutputKind::of(config)?,
            prediction_length: config.prediction_length,
            channels: config.prediction_channels(),
            num_input_channels: config.num_input_channels,
            num_targets: config.num_targets,
            patches: (config.num_patches(), config.patch_length),
            segment_length: config.extension().hierarchy.as_ref().map(|h| h.segment_length),
        })
    }

    /// What the numbers are.
    pub fn kind(&self) -> &OutputKind {
        &self.kind
    }

    /// Steps of the forecast, H.
    pub fn prediction_length(&self) -> usize {
        self.prediction_length
    }

    /// The channels that are forecast, C', ascending.
    pub fn channels(&self) -> &[usize] {
        &self.channels
    }

    /// All channels of a window, C.
    pub fn num_input_channels(&self) -> usize {
        self.num_input_channels
    }

    /// Classes or values, for classification and regression.
    pub fn num_targets(&self) -> usize {
        self.num_targets
    }

    /// Points of the forecast of one window, H x C'.
    pub(crate) fn points_per_window(&self) -> usize {
        self.prediction_length * self.channels.len()
    }

    /// Shape of the numbers of `batch` windows; with a distribution, of each parameter alone.
    pub fn shape(&self, batch: usize) -> Vec<usize> {
        let (patches, patch_length) = self.patches;
        let mut shape = match &self.kind {
            OutputKind::Patches => vec![batch, self.num_input_channels, patches, patch_length],
            OutputKind::Logits | OutputKind::Values(_) => vec![batch, self.num_targets],
            _ => vec![batch, self.prediction_length, self.channels.len()],
        };
        if let OutputKind::Quantiles(levels) = &self.kind {
            shape.push(levels.len());
        }
        shape
    }

    /// Shape of the sums of segments, `[B, S, C']`; `None` without the hierarchical head.
    pub fn aggregates_shape(&self, batch: usize) -> Option<Vec<usize>> {
        let segments = self.prediction_length / self.segment_length?;
        Some(vec![batch, segments, self.channels.len()])
    }

    /// The numbers of `batch` windows as the tensor `name`, or with a distribution as one tensor
    /// for each parameter, `name.PARAMETER`.
    pub fn named<T: Copy>(&self, name: &str, batch: usize, numbers: &[T]) -> Vec<NamedTensor<T>> {
        let shape = self.shape(batch);
        let Some(distribution) = self.kind.distribution() else {
            return vec![NamedTensor { name: name.to_owned(), shape, values: numbers.to_vec() }];
        };
        let each: usize = shape[1..].iter().product();
        let names = distribution.parameter_names();
        let parameter = |(k, parameter): (usize, &&str)| {
            let rows = numbers.chunks_exact(each).skip(k).step_by(names.len());
            let values = rows.flatten().copied().collect();
            NamedTensor { name: format!("{name}.{parameter}"), shape: shape.clone(), values }
        };
        names.iter().enumerate().map(parameter).collect()
    }
}

/// Points of no step and no channel: what is known of a prediction before a model has filled it.
impl Default for OutputSpec {
    fn default() -> Self {
        Self {
            kind: OutputKind::Points,
            prediction_length: 0,
            channels: Vec::new(),
            num_input_channels: 0,
            num_targets: 0,
            patches: (0, 0),
            segment_length: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Extension;

    fn kind(change: impl Fn(&mut Config)) -> OutputKind {
        let mut config = Config::default();
        change(&mut config);
        OutputKind::of(&config).unwrap()
    }

    #[test]
    fn intervals_and_quantiles_are_those_that_were_trained() {
        let kind = |levels: &[f64]| OutputKind::Quantiles(levels.into());
        let tenths: Vec<f64> = (1..10).map(|i| f64::from(i) / 10.0).collect();
        let near = |got: Vec<f64>, want: &[f64]| {
            assert_eq!(got.len(), want.len(), "{got:?}");
            assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-9), "{got:?}");
        };
        near(kind(&tenths).interval_levels(), &[0.2, 0.4, 0.6, 0.8]);
        near(kind(&[0.25, 0.5, 0.75]).interval_levels(), &[0.5]);
        near(kind(&[0.5]).interval_levels(), &[]);
        near(kind(&[0.1, 0.5, 0.95]).interval_levels(), &[]);
        near(kind(&[0.1, 0.5, 0.95]).single_levels(), &[0.1, 0.95]);
        near(kind(&tenths).single_levels(), &[]);
        assert!(kind(&tenths).reaches(0.9) && !kind(&[0.25, 0.75]).reaches(0.9));
        near(OutputKind::Points.interval_levels(), &[]);
    }

    #[test]
    fn the_kind_follows_task_loss_and_quantiles() {
        let task = |task: Task| Some(vec![task.architecture().to_owned()]);
        let levels = || Extension { quantiles: Some(vec![0.1, 0.9]), ..Extension::default() };
        assert_eq!(kind(|_| ()), OutputKind::Points);
        assert_eq!(kind(|c| c.architectures = task(Task::Pretraining)), OutputKind::Patches);
        assert_eq!(kind(|c| c.architectures = task(Task::Classification)), OutputKind::Logits);
        assert_eq!(kind(|c| c.ptsm = Some(levels())), OutputKind::Quantiles([0.1, 0.9].into()));
        let nll = |c: &mut Config| {
            (c.loss, c.distribution_output) = ("nll".into(), "normal".into());
        };
        assert_eq!(kind(nll), OutputKind::Distribution(Distribution::Normal));
        let regression = kind(|c| {
            nll(c);
            c.architectures = task(Task::Regression);
        });
        assert_eq!(regression, OutputKind::Values(Some(Distribution::Normal)));
    }

    #[test]
    fn parameters_of_a_distribution_are_tensors_of_their_own() {
        let config = Config {
            prediction_length: 2,
            loss: "nll".into(),
            distribution_output: "normal".into(),
            ..Config::default()
        };
        let spec = OutputSpec::new(&config).unwrap();
        let found = spec.named("out", 2, &[1, 2, 3, 4, 5, 6, 7, 8]);
        let names: Vec<&str> = found.iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names, ["out.loc", "out.scale"]);
        assert_eq!(found[1].shape, [2, 2, 1]);
        assert_eq!(found[1].values, [3, 4, 7, 8]);
    }
}
