//! The options that choose the families of simulated series and the effects on them.

use ptsm::core::did_you_mean;
use ptsm::simulate::{Effect, Family, Mix, MixError};
use ptsm::{Error, Result};

/// Families and effects.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Simulation (names: ptsm simulate --list)")]
pub(crate) struct MixArgs {
    /// These families of series alone, with these weights or their own
    #[arg(long, value_delimiter = ',', value_name = "NAME[=WEIGHT],...")]
    family: Vec<String>,
    /// Chances of effects, 0 to 1
    #[arg(long, value_delimiter = ',', value_name = "NAME=CHANCE,...")]
    effect: Vec<String>,
    /// Leave out families and effects
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    without: Vec<String>,
}

impl MixArgs {
    /// The mix of the flags.
    pub(crate) fn mix(&self) -> Result<Mix> {
        let at = |flag: &'static str| move |e: MixError| Error::config(flag, e.to_string());
        let mut mix = Mix::default();
        if !self.family.is_empty() {
            let families = self.family.iter().map(|text| family(text));
            let families = families.collect::<Result<Vec<_>>>()?;
            mix = mix.only(&families).map_err(at("--family"))?;
        }
        for text in &self.effect {
            let (name, chance) = split(text, "--effect")?;
            let near = did_you_mean(name, Effect::ALL.iter().map(|effect| effect.name()));
            let effect = Effect::from_name(name)
                .map_err(|e| Error::config("--effect", format!("{e}{near}")))?;
            let Some(chance) = chance else {
                let text = format!("\"{text}\" has no chance (wanted {name}=CHANCE)");
                return Err(Error::config("--effect", text));
            };
            mix = mix.with_chance(effect, chance).map_err(at("--effect"))?;
        }
        for name in &self.without {
            mix = mix.without(name).map_err(at("--without"))?;
        }
        Ok(mix)
    }
}

fn family(text: &str) -> Result<(Family, Option<f64>)> {
    let (name, weight) = split(text, "--family")?;
    let known = Family::ALL.iter().map(|family| family.name());
    let near = did_you_mean(name, known);
    let family =
        Family::from_name(name).map_err(|e| Error::config("--family", format!("{e}{near}")))?;
    Ok((family, weight))
}

/// `NAME` or `NAME=NUMBER`.
fn split<'a>(text: &'a str, flag: &str) -> Result<(&'a str, Option<f64>)> {
    let Some((name, number)) = text.split_once('=') else { return Ok((text, None)) };
    let number = number
        .parse()
        .map_err(|e| Error::config(flag, format!("\"{number}\" is not a number")).because(e))?;
    Ok((name, Some(number)))
}
