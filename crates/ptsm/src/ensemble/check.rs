//! Whether forecasts of members can be averaged.

use serde::{Deserialize, Serialize};

use crate::{Config, Error, Result};
use ptsm_core::OutputKind;

/// Past steps beyond which no ensemble looks.
const LONGEST: usize = 1 << 24;

/// The windows of an ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleWindow {
    /// Past steps, L: as many as the member that sees most.
    pub context_length: usize,
    /// Future steps, H.
    pub prediction_length: usize,
    /// Channels, C, all of which are forecast unless a network says otherwise.
    pub num_input_channels: usize,
}

/// Checks that forecasts of these networks, and of classical methods if there are `classical` ones, can
/// be averaged; returns the configuration of the whole.
pub(super) fn check_members(
    networks: &[&Config],
    classical: bool,
    window: Option<EnsembleWindow>,
) -> Result<Config> {
    if window.is_some_and(|window| !(1..=LONGEST).contains(&window.context_length)) {
        let text = format!("context_length must be from 1 to {LONGEST}");
        return Err(Error::config("window", text));
    }
    let Some(&first) = networks.first() else {
        let Some(EnsembleWindow { context_length, prediction_length, num_input_channels }) =
            window.filter(|_| classical)
        else {
            return Err(Error::config("members", "there is none, wanted at least one"));
        };
        let lengths =
            Config { context_length, prediction_length, num_input_channels, ..Config::default() };
        return Ok(lengths);
    };
    for (i, config) in networks.iter().enumerate() {
        check_member(i, config, first)?;
    }
    if classical && OutputKind::of(first)? != OutputKind::Points {
        let text = "classical methods forecast points, the networks do not";
        return Err(Error::config("members", text));
    }
    let longest = networks.iter().map(|config| config.context_length).max().unwrap_or_default();
    let mut whole = first.clone();
    whole.context_length = window.map_or(longest, |window| window.context_length);
    let fits = window.is_none_or(|window| {
        window.context_length >= longest
            && window.prediction_length == first.prediction_length
            && window.num_input_channels == first.num_input_channels
    });
    match fits {
        true => Ok(whole),
        false => Err(Error::config("window", "does not hold the windows of the members")),
    }
}

fn check_member(number: usize, config: &Config, first: &Config) -> Result<()> {
    let fields = [
        ("prediction_length", config.prediction_length, first.prediction_length),
        ("num_input_channels", config.num_input_channels, first.num_input_channels),
    ];
    for (field, got, wanted) in fields {
        if got != wanted {
            let text = format!("member {number} has {got}, the first one {wanted}");
            return Err(Error::config(field, text));
        }
    }
    if config.prediction_channel_indices != first.prediction_channel_indices
        || config.extension().quantiles != first.extension().quantiles
    {
        let text = format!("member {number} forecasts other channels or quantiles than the first");
        return Err(Error::config("members", text));
    }
    if !matches!(OutputKind::of(config)?, OutputKind::Points | OutputKind::Quantiles(_)) {
        let text = format!(
            "member {number} forecasts neither points nor quantiles: its output has no useful mean"
        );
        return Err(Error::config("members", text));
    }
    Ok(())
}
