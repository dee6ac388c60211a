//! The network and the forms of series as a model that is ready to run.

use std::sync::Arc;

use rayon::prelude::*;

use super::ZeroShot;
use super::combine::{Wanted, combine, normal_quantile};
use super::past::{Past, Place, Span};
use super::view::{View, median_index};
use crate::data::{Batch, BatchShape};
use crate::{Config, Error, Result};
use ptsm_core::{Backend, Loaded, OutputKind, OutputSpec, Prediction, Session};

/// Windows of the network at once.
const AT_ONCE: usize = 256;

/// What sessions share.
struct Shared {
    levels: Vec<f64>,
    /// [`normal_quantile`]s of the levels.
    deviations: Vec<f64>,
    span: Span,
    /// Steps that the network sees.
    context_length: usize,
    /// Steps that the network forecasts at once.
    horizon: usize,
    output: Arc<OutputSpec>,
}

/// The network on its backend, with the rule of forms.
pub(crate) struct LoadedZeroShot {
    network: Arc<dyn Loaded>,
    shared: Arc<Shared>,
}

impl LoadedZeroShot {
    /// Puts the network onto a backend; `output` says how many steps and channels are forecast, and
    /// whether as points or as the network's quantiles.
    pub(crate) fn load(
        zero_shot: &ZeroShot,
        output: &Arc<OutputSpec>,
        backend: &dyn Backend,
    ) -> Result<Arc<dyn Loaded>> {
        let Config { context_length, prediction_length, .. } = *zero_shot.network().config();
        let shared = Shared {
            levels: zero_shot.levels().to_vec(),
            deviations: zero_shot.levels().iter().map(|&level| normal_quantile(level)).collect(),
            span: zero_shot.span(output.prediction_length()),
            context_length,
            horizon: prediction_length,
            output: Arc::clone(output),
        };
        let network = backend.load(zero_shot.network())?;
        Ok(Arc::new(Self { network, shared: Arc::new(shared) }))
    }
}

impl Loaded for LoadedZeroShot {
    fn bytes(&self) -> u64 {
        self.network.bytes()
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let shared = Arc::clone(&self.shared);
        let network = self.network.session()?;
        Ok(Box::new(ZeroShotSession { network, shared, output: Prediction::default() }))
    }
}

struct ZeroShotSession {
    network: Box<dyn Session>,
    shared: Arc<Shared>,
    /// Output of the network for the windows that ran last.
    output: Prediction,
}

/// A channel of a window, and its forms.
struct Series {
    past: Past,
    views: Vec<View>,
}

impl Session for ZeroShotSession {
    fn forward(&mut self, batch: &Batch, out: &mut Prediction) -> Result<()> {
        let (got, wanted) = (batch.num_channels(), self.shared.output.num_input_channels());
        if got != wanted {
            let text = format!("the batch has {got} channels, wanted {wanted}");
            return Err(Error::input(text));
        }
        let mut series = self.shared.series(batch);
        self.forecast(&mut series)?;
        out.reset(&self.shared.output);
        self.shared.write(&series, out);
        if let OutputKind::Quantiles(_) = self.shared.output.kind() {
            // The quantiles are in the units of the batch.
            out.loc = vec![0.0; batch.size() * got];
            out.scale = vec![1.0; batch.size() * got];
        }
        Ok(())
    }
}

impl ZeroShotSession {
    /// Lets the network forecast every form of every series, a horizon at a time.
    fn forecast(&mut self, series: &mut [Option<Series>]) -> Result<()> {
        let Self { network, shared, output } = self;
        let each = shared.horizon * shared.levels.len();
        loop {
            let waiting = series.iter_mut().flatten().flat_map(|Series { past, views }| {
                let steps = past.unseen + shared.output.prediction_length();
                let wanted = past.adjusted.holding(steps) * shared.levels.len();
                views.iter_mut().filter(move |view| view.quantiles.len() < wanted)
            });
            let mut waiting: Vec<&mut View> = waiting.collect();
            if waiting.is_empty() {
                return Ok(());
            }
            for views in waiting.chunks_mut(AT_ONCE) {
                network.forward(&shared.windows(views)?, output)?;
                for (view, numbers) in views.iter_mut().zip(output.numbers.chunks_exact(each)) {
                    view.follow(numbers, &shared.levels);
                }
            }
        }
    }
}

impl Shared {
    /// Every channel that is forecast of every window; `None` where nothing was seen.
    fn series(&self, batch: &Batch) -> Vec<Option<Series>> {
        let channels = self.output.channels();
        let one = |number: usize| {
            let window = number / channels.len();
            let place = Place { window, channel: channels[number % channels.len()] };
            let past = Past::of(batch, place, self.span)?;
            let views = View::all(&past, self.context_length);
            Some(Series { past, views })
        };
        (0..batch.size() * channels.len()).into_par_iter().map(one).collect()
    }

    /// The ends of paths as windows; what is missing in front holds the first value, and is masked.
    fn windows(&self, views: &[&mut View]) -> Result<Batch> {
        let length = self.context_length;
        let mut past = Vec::with_capacity(views.len() * length);
        let mut seen = Vec::with_capacity(views.len() * length);
        for view in views {
            let path = &view.path[view.path.len().saturating_sub(length)..];
            let missing = length - path.len();
            past.resize(past.len() + missing, path.first().copied().unwrap_or_default());
            seen.resize(seen.len() + missing, 0.0);
            past.extend_from_slice(path);
            seen.resize(past.len(), 1.0);
        }
        let shape = BatchShape { size: views.len(), context_length: length, num_channels: 1 };
        Batch::new(shape, past)?.with_observed_mask(seen)
    }

    /// The combined forecasts, as the numbers of a prediction.
    fn write(&self, series: &[Option<Series>], out: &mut Prediction) {
        let (steps, count) = (self.output.prediction_length(), self.levels.len());
        let (levels, deviations, season) = (&self.levels, &self.deviations, self.span.season);
        let wanted = Wanted { steps, levels, deviations, season };
        let numbers = |series: &Option<Series>| match series {
            Some(Series { past, views }) => combine(past, views, wanted),
            None => vec![0.0; steps * count],
        };
        let all: Vec<Vec<f64>> = series.par_iter().map(numbers).collect();
        let quantiles = matches!(self.output.kind(), OutputKind::Quantiles(_));
        let median = median_index(&self.levels);
        for window in all.chunks(self.output.channels().len()) {
            for step in 0..steps {
                for numbers in window {
                    let levels = &numbers[step * count..][..count];
                    let kept = if quantiles { levels } else { &levels[median..=median] };
                    out.numbers.extend(kept.iter().map(|&number| number as f32));
                }
            }
        }
    }
}
