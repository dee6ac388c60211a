//! Zero-shot forecasts: by a network that was trained on other series. Each series is brought into forms that
//! the network knows, is forecast in each of them, and the forecasts are combined with two that need no
//! network.
//!
//! The network is one of a [`PretrainJob`](crate::pretrain::PretrainJob): one channel, quantiles. What
//! it cannot know of a series is the length of its season, which is told, and whether its values
//! multiply or add; so a series is seasonally adjusted where it has a season, or one of seven days beside that of a
//! day, and forecast as it is then and, where all values are above zero, as logarithms. The point forecast is the median of the network's mean forecast,
//! Theta's and the seasonal naive one.
//!
//! | file | holds |
//! |---|---|
//! | `past.rs` | the past of one channel of a window, without gaps |
//! | `blocks.rs` | coarser steps for long seasons, and the way back |
//! | `view.rs` | a form of a series, and the way back |
//! | `combine.rs` | one forecast out of those of all forms |
//! | `session.rs` | the network and its forms as a model that is ready to run |
//! | `builtin.rs` | the network inside the library |

mod blocks;
mod builtin;
mod combine;
mod past;
mod session;
mod view;

use std::sync::Arc;

use crate::{Config, Error, Model, Result};
use ptsm_core::OutputKind;

pub use builtin::{
    BUILTIN, BUILTIN_VERSION, builtin_model, builtin_sha256, is_builtin, zero_shot_network,
};
use past::Span;
pub(crate) use session::LoadedZeroShot;

/// Steps that a zero-shot forecaster forecasts, at most.
pub const MOST_ZERO_SHOT_STEPS: usize = MOST_STEPS;

/// Version of the rule of forms and their combination. A change of its numbers makes a new one.
pub const ZERO_SHOT_RULE: u32 = 3;

/// Seasons, and weeks, of the past that are looked at, where they are longer than the network's context.
const PAST_SEASONS: usize = 10;

/// No more steps than these, unless they are fewer than [`FEWEST_SEASONS`].
const PAST_STEPS: usize = 2048;

/// Fewest steps of a season that may be a day; seven of them may have a season of their own, a week.
const LEAST_DAY: usize = 24;
const DAYS: usize = 7;

/// Steps of a season beyond which blocks of steps are forecast, and how many of these there are at least.
const MOST_FINE: usize = 60;
const FEWEST_BLOCKS: usize = 12;

/// Seasons that are looked at in any case, up to [`MOST_STEPS`] steps.
const FEWEST_SEASONS: usize = 3;

/// Past steps that are looked at, at most, and steps that are forecast.
const MOST_STEPS: usize = 10_000;

/// A network that was trained on other series, and the season of those that it forecasts.
#[derive(Debug, Clone)]
pub struct ZeroShot {
    network: Arc<Model>,
    levels: Vec<f64>,
    season: usize,
}

impl ZeroShot {
    /// A network of one channel with quantiles, its own or a shared one, and the steps of a season; 1 = none.
    ///
    /// # Errors
    ///
    /// `InvalidConfig`, naming the field, for another network.
    pub fn new(network: impl Into<Arc<Model>>, season: usize) -> Result<Self> {
        let network: Arc<Model> = network.into();
        let config = network.config();
        if config.num_input_channels != 1 {
            let text = format!("{} must be 1", config.num_input_channels);
            return Err(Error::config("num_input_channels", text));
        }
        let OutputKind::Quantiles(levels) = OutputKind::of(config)? else {
            return Err(Error::config("loss", "must be quantile"));
        };
        let levels = levels.to_vec();
        if !levels.contains(&0.5) {
            return Err(Error::config("quantiles", "must hold the median, 0.5"));
        }
        Ok(Self { network, levels, season: season.max(1) })
    }

    /// The network.
    pub fn network(&self) -> &Model {
        &self.network
    }

    /// Levels of the network's quantiles, ascending.
    pub fn levels(&self) -> &[f64] {
        &self.levels
    }

    /// Steps of a season; 1 = none.
    pub fn season(&self) -> usize {
        self.season
    }

    /// Rows from which a forecast is as it is meant to be: two seasons, and 8 rows at least.
    pub(crate) fn wanted_rows(&self) -> usize {
        self.season.saturating_mul(2).max(8)
    }

    /// Past steps that are forecast from; those before them only show a week.
    pub(crate) fn recent_rows(&self) -> usize {
        self.span(1).recent
    }

    /// The configuration of forecasts of `steps` steps of `channels` channels.
    pub(crate) fn config(&self, channels: usize, steps: usize) -> Config {
        Config {
            context_length: self.context_length(),
            prediction_length: steps,
            num_input_channels: channels,
            ..self.network.config().clone()
        }
    }

    /// Past steps, L, that are looked at: those that are forecast from; or, where a season may be a day, ten weeks, if
    /// these are longer, but no more than 2,048 steps or three weeks.
    pub fn context_length(&self) -> usize {
        let Span { week, recent, .. } = self.span(1);
        week.map_or(recent, |week| recent.max(several(week)))
    }

    /// The past and its seasons, for a forecast of `steps` steps. Forecast from are the steps of the network's context,
    /// or several seasons if they are longer. Of long seasons the means of blocks are forecast, 24 a season, or as many
    /// as make twelve of the steps.
    fn span(&self, steps: usize) -> Span {
        let season = self.season;
        let recent = self.network.config().context_length.max(several(season));
        let week = (season >= LEAST_DAY).then(|| season.saturating_mul(DAYS));
        let block = match season > MOST_FINE {
            true => (season / LEAST_DAY).min(steps / FEWEST_BLOCKS).max(1),
            false => 1,
        };
        Span { season, week, recent, block }
    }
}

/// Ten seasons, but no more than 2,048 steps or three seasons.
fn several(season: usize) -> usize {
    let some = PAST_STEPS.max(season.saturating_mul(FEWEST_SEASONS));
    season.saturating_mul(PAST_SEASONS).min(some).min(MOST_STEPS)
}
