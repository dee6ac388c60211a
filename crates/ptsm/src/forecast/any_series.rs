//! Forecasters by a network that was trained on other series.

use std::sync::Arc;

use super::{ForecastModel, Forecaster};
use crate::data::SeriesSet;
use crate::ensemble::{MemberModel, Members};
use crate::preprocessor::Preprocessor;
use crate::zero_shot::{MOST_ZERO_SHOT_STEPS, ZeroShot};
use crate::{Error, Model, Result};
use ptsm_core::{Backend, Loaded};

/// What [`Forecaster::zero_shot`] forecasts.
#[derive(Debug, Clone, PartialEq)]
pub struct ZeroShotOptions {
    /// Steps, from 1 to [`MOST_ZERO_SHOT_STEPS`].
    pub steps: usize,
    /// Levels of the intervals, in (0, 1), such as 0.8; `None` = those of the network.
    pub levels: Option<Vec<f64>>,
}

impl Forecaster {
    /// A forecaster of the channels of `set` by a network that was trained on other series. Every channel is
    /// forecast from its own past, in the units of the data.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` for another number of steps, or a level beyond the network's; as [`Backend::load`].
    pub fn zero_shot(
        zero_shot: ZeroShot,
        set: &SeriesSet,
        options: &ZeroShotOptions,
        backend: &dyn Backend,
    ) -> Result<Self> {
        Self::new(Arc::new(model_of(zero_shot, set, options, backend)?))
    }
}

/// A network for any series on its backend: packed once for all models that are made of it.
#[derive(Clone)]
pub struct LoadedNetwork {
    network: Arc<Model>,
    loaded: Arc<dyn Loaded>,
}

impl LoadedNetwork {
    /// Puts a network onto a backend.
    ///
    /// # Errors
    ///
    /// As [`ZeroShot::new`] and [`Backend::load`].
    pub fn new(network: Model, backend: &dyn Backend) -> Result<Self> {
        let network = Arc::new(network);
        // Refuses a network that forecasts no other series.
        ZeroShot::new(Arc::clone(&network), 1)?;
        Ok(Self { loaded: backend.load(&network)?, network })
    }

    /// The network.
    pub fn network(&self) -> &Model {
        &self.network
    }

    /// As [`Loaded::bytes`].
    pub fn bytes(&self) -> u64 {
        self.loaded.bytes()
    }

    /// A model of the channels of `set`, for a [`Forecaster`] in each thread; `season` in steps, 1 = none. It gives the
    /// bits of [`Forecaster::zero_shot`].
    ///
    /// # Errors
    ///
    /// As [`Forecaster::zero_shot`].
    pub fn model(
        &self,
        season: usize,
        set: &SeriesSet,
        options: &ZeroShotOptions,
    ) -> Result<ForecastModel> {
        let zero_shot = ZeroShot::new(Arc::clone(&self.network), season)?;
        model_of(zero_shot, set, options, &Ready(self))
    }
}

/// A backend that has one network loaded, and loads no other.
struct Ready<'a>(&'a LoadedNetwork);

impl Backend for Ready<'_> {
    fn name(&self) -> &str {
        "loaded"
    }

    fn load(&self, model: &Model) -> Result<Arc<dyn Loaded>> {
        match std::ptr::eq(model, self.0.network.as_ref()) {
            true => Ok(Arc::clone(&self.0.loaded)),
            false => Err(Error::internal("another network than the one that is loaded")),
        }
    }
}

fn model_of(
    zero_shot: ZeroShot,
    set: &SeriesSet,
    options: &ZeroShotOptions,
    backend: &dyn Backend,
) -> Result<ForecastModel> {
    let ZeroShotOptions { steps, ref levels } = *options;
    if !(1..=MOST_ZERO_SHOT_STEPS).contains(&steps) {
        let text = format!("{steps} must be from 1 to {MOST_ZERO_SHOT_STEPS}");
        return Err(Error::config("prediction_length", text));
    }
    let preprocessor = Preprocessor {
        roles: set.roles.clone(),
        frequency: set.frequency,
        times: set.times.clone(),
        seasonal_period: zero_shot.season(),
        ..Preprocessor::of_any_series("any series", &set.channels)
    };
    let config = zero_shot.config(set.channels.len(), steps);
    let members = Members::alone(MemberModel::ZeroShot(Arc::new(zero_shot)), config);
    let mut model = ForecastModel::assemble(&members, preprocessor, None, backend)?;
    if let Some(levels) = levels {
        model.interface.set_levels(levels)?;
    }
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;
    use crate::data::{ReadOptions, Repair, Roles, Table};
    use crate::zero_shot::builtin_model;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Series of different length and size, some with gaps.
    fn set() -> SeriesSet {
        let mut text = "id,t,y\n".to_owned();
        for number in 0..40 {
            let size = 10f64.powi(number % 5);
            for t in 0..6 + 5 * number {
                let value = size * (3.0 + f64::from(t).mul_add(0.5, f64::from(number)).sin());
                let gap = number % 3 == 0 && t % 7 > 4;
                let value = if gap { String::new() } else { value.to_string() };
                text += &format!("s{number},{t},{value}\n");
            }
        }
        let table = Table::from_csv(text.as_bytes(), "t.csv", &ReadOptions::default()).unwrap();
        let roles = Roles { id: Some("id".into()), ..Roles::default() };
        SeriesSet::from_table(&table, &roles, &Repair::default()).unwrap()
    }

    fn forecaster(set: &SeriesSet, steps: usize) -> Forecaster {
        let zero_shot = ZeroShot::new(builtin_model().unwrap(), 12).unwrap();
        let options = ZeroShotOptions { steps, levels: None };
        Forecaster::zero_shot(zero_shot, set, &options, &Cpu::default()).unwrap()
    }

    #[test]
    fn many_series_at_once_have_the_bits_of_each_alone() {
        let set = set();
        let mut forecaster = forecaster(&set, 60);
        let all = forecaster.predict(&set, 0).unwrap();
        for (series, forecast) in set.series.iter().zip(&all) {
            let alone = SeriesSet { series: vec![series.clone()], ..set.clone() };
            assert_eq!(forecaster.predict(&alone, 0).unwrap()[0], *forecast);
            assert_eq!(forecast.values.len(), 60);
        }
    }

    #[test]
    fn models_of_a_loaded_network_share_it_and_give_the_same_bits() {
        /// Counts what is loaded.
        struct Counting(Cpu, AtomicUsize);
        impl Backend for Counting {
            fn name(&self) -> &str {
                self.0.name()
            }
            fn load(&self, model: &Model) -> Result<Arc<dyn Loaded>> {
                self.1.fetch_add(1, Ordering::Relaxed);
                self.0.load(model)
            }
        }
        let backend = Counting(Cpu::default(), AtomicUsize::new(0));
        let network = LoadedNetwork::new(builtin_model().unwrap(), &backend).unwrap();
        let set = set();
        for (season, steps) in [(12, 60), (12, 5), (1, 7)] {
            let options = ZeroShotOptions { steps, levels: Some(vec![0.8]) };
            let model = Arc::new(network.model(season, &set, &options).unwrap());
            let shared = Forecaster::new(model).unwrap().predict(&set, 0).unwrap();
            let zero_shot = ZeroShot::new(builtin_model().unwrap(), season).unwrap();
            let own = Forecaster::zero_shot(zero_shot, &set, &options, &Cpu::default());
            assert_eq!(shared, own.unwrap().predict(&set, 0).unwrap());
        }
        assert_eq!(backend.1.into_inner(), 1);
        assert!(Ready(&network).load(&builtin_model().unwrap()).is_err());
    }

    #[test]
    fn forecasts_scale_with_their_series() {
        let set = set();
        let mut scaled = set.clone();
        let times = 3e7;
        let values = scaled.series.iter_mut().flat_map(|series| &mut series.values);
        values.for_each(|value| *value *= times);
        let mut forecaster = forecaster(&set, 12);
        let (plain, scaled) =
            (forecaster.predict(&set, 0).unwrap(), forecaster.predict(&scaled, 0).unwrap());
        for (plain, scaled) in plain.iter().zip(&scaled) {
            for (x, y) in plain.values.iter().zip(&scaled.values) {
                assert!((y / times / x - 1.0).abs() < 1e-4, "{}: {x} {y}", plain.id);
            }
        }
    }
}
