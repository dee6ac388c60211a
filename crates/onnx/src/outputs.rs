//! Outputs of a graph: names, shapes, and the units of the data.

use std::sync::Arc;

use ptsm::core::network::HeadLayers;
use ptsm::core::{Distribution, LocScale, OutputKind, option};
use ptsm::data::{LabelCoding, Standardiser};
use ptsm::{Error, Result};

use crate::graph::{Graph, Value};
use crate::lower::distribution;
use crate::lower::forecast::Forecast;
use crate::lower::units::Units;
use crate::source::Head;

/// Names of the outputs.
pub(crate) const POINTS: &str = "prediction_outputs";
pub(crate) const QUANTILES: &str = "quantiles";
pub(crate) const MEAN: &str = "mean";
pub(crate) const LOGITS: &str = "logits";
pub(crate) const PROBABILITIES: &str = "probabilities";
pub(crate) const VALUES: &str = "regression_outputs";

/// The logit of a class that no network of an ensemble thinks possible: one whose probability is 0 in double precision.
pub(crate) const LEAST_LOGIT: f32 = -1000.0;

/// The logarithm of the least probability above 0 in double precision.
pub(crate) const LEAST_LOGARITHM: f32 = -745.133_2;

/// The level of the points of a model of quantiles.
const MEDIAN: f64 = 0.5;

/// Whether a head forecasts.
pub(crate) fn forecasts(head: &Head) -> bool {
    matches!(head.model.network().head, HeadLayers::Forecast(_))
}

/// The levels of the output `quantiles` of a head of this kind, of which `asked` are wanted; empty = it has none.
///
/// # Errors
///
/// `InvalidConfig`, naming the level or the kind of head, for what has no closed form.
pub(crate) fn levels(kind: &OutputKind, asked: &[f64]) -> Result<Vec<f64>> {
    let refuse = |text: String| Err(Error::config(option("quantiles", None), text));
    if let Some(level) = asked.iter().find(|&&level| !(level > 0.0 && level < 1.0)) {
        return refuse(format!("{level} must be above 0 and below 1"));
    }
    match kind {
        OutputKind::Quantiles(trained) if asked.is_empty() => Ok(trained.to_vec()),
        OutputKind::Quantiles(trained) => {
            let (first, last) = (trained[0], trained[trained.len() - 1]);
            match asked.iter().find(|&&level| !kind.reaches(level)) {
                Some(level) => {
                    refuse(format!("{level} lies outside {first} to {last}, the trained levels"))
                }
                None => Ok(asked.to_vec()),
            }
        }
        _ if asked.is_empty() => Ok(Vec::new()),
        OutputKind::Distribution(Distribution::Normal) => Ok(asked.to_vec()),
        OutputKind::Distribution(distribution) => {
            let parameters = distribution.parameter_names().join(", ");
            refuse(format!(
                "quantiles of {} have no closed form in a graph (leave it out: the file gives the parameters {parameters}, \
                 which the caller can take quantiles of)",
                match distribution {
                    Distribution::StudentT => "Student's t distribution",
                    _ => "a negative binomial",
                }
            ))
        }
        _ => refuse("needs a model that was trained for quantiles or a normal distribution".into()),
    }
}

/// How numbers at the trained levels, `[Q]`, become those at other ones: `[Q, K]`, row-major. Between levels it is
/// linear; beyond them the outermost one counts.
pub(crate) fn interpolation(trained: &[f64], asked: &[f64]) -> Vec<f32> {
    let mut weights = vec![0.0; trained.len() * asked.len()];
    for (k, &level) in asked.iter().enumerate() {
        let mut set = |q: usize, share: f64| weights[q * asked.len() + k] = share as f32;
        match trained.partition_point(|&known| known < level) {
            0 => set(0, 1.0),
            after if after == trained.len() => set(after - 1, 1.0),
            after => {
                let (low, high) = (trained[after - 1], trained[after]);
                let share = (level - low) / (high - low);
                set(after - 1, 1.0 - share);
                set(after, share);
            }
        }
    }
    weights
}

/// The outputs of one head.
pub(crate) struct Named<'a> {
    pub(crate) g: &'a mut Graph,
    /// In front of the names: which head, where it is not the only one or `main`.
    pub(crate) prefix: String,
}

/// What becomes of a forecast.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) units: &'a Units,
    /// Channels that are forecast.
    pub(crate) channels: &'a [usize],
    /// Levels of quantiles.
    pub(crate) levels: &'a [f64],
}

impl Named<'_> {
    fn put(&mut self, name: &str, value: Value, doc: &str) -> Result<()> {
        let name = format!("{}{name}", self.prefix);
        self.g.output(&name, value, doc)
    }

    /// Puts `[B, C', H]` out as `[B, H, C']`.
    fn put_steps(&mut self, name: &str, value: Value, doc: &str) -> Result<()> {
        let turned = self.g.transpose(value, &[0, 2, 1])?;
        self.put(name, turned, doc)
    }

    /// Puts `[B, C', H, K]` out as `[B, H, C', K]`.
    fn put_quantiles(&mut self, value: Value, levels: &[f64]) -> Result<()> {
        let turned = self.g.transpose(value, &[0, 2, 1, 3])?;
        let levels: Vec<String> = levels.iter().map(f64::to_string).collect();
        self.put(QUANTILES, turned, &format!("at the levels {}", levels.join(", ")))
    }

    /// A forecast.
    pub(crate) fn forecast(&mut self, forecast: &Forecast, wanted: Wanted<'_>) -> Result<()> {
        let Wanted { units, channels, levels: asked } = wanted;
        self.g.enter("outputs");
        match forecast {
            Forecast::Points(points) => {
                levels(&OutputKind::Points, asked)?;
                let points = units.undo(self.g, *points, channels)?;
                self.put_steps(POINTS, points, "the forecast")
            }
            Forecast::Quantiles(values, trained) => {
                let all = levels(&OutputKind::Quantiles(Arc::clone(trained)), asked)?;
                let median = self.at(*values, trained, &[MEDIAN])?;
                let median = units.undo(self.g, median, channels)?;
                let steps = self.g.length(median, 2)?;
                let median = self.g.reshape(median, &[channels.len(), steps])?;
                self.put_steps(POINTS, median, &points_in_words(trained))?;
                let values = self.at(*values, trained, &all)?;
                let values = units.undo(self.g, values, channels)?;
                self.put_quantiles(values, &all)
            }
            Forecast::Distribution(distribution, parameters) => {
                self.distribution(*distribution, parameters, wanted)
            }
        }
    }

    /// Quantiles `[B, C', H, Q]` at other levels.
    fn at(&mut self, values: Value, trained: &[f64], asked: &[f64]) -> Result<Value> {
        if trained == asked {
            return Ok(values);
        }
        let weights = interpolation(trained, asked);
        let shape = [trained.len(), asked.len()];
        let weights = self.g.floats("quantiles.interpolation", &shape, &weights);
        self.g.binary("MatMul", values, weights)
    }

    fn distribution(
        &mut self,
        distribution: Distribution,
        parameters: &[Value],
        wanted: Wanted<'_>,
    ) -> Result<()> {
        let Wanted { units, channels, .. } = wanted;
        let asked = levels(&OutputKind::Distribution(distribution), wanted.levels)?;
        let mean = distribution::mean(self.g, distribution, parameters)?;
        let undone = units.undo(self.g, mean, channels)?;
        let doc = match units.transform.is_none() {
            true => "the mean of the distribution of each point",
            false => "the mean of the distribution of the logarithms of each point, taken back",
        };
        self.put_steps(MEAN, undone, doc)?;
        let located = located_in_words(units);
        for (&x, &name) in parameters.iter().zip(distribution.parameter_names()) {
            let (x, doc) = match name {
                "loc" => (units.shifted(self.g, x, channels)?, located),
                "scale" => (units.widened(self.g, x, channels)?, located),
                _ => (x, unmoved_in_words(name)),
            };
            self.put_steps(
                name,
                x,
                &format!("a parameter of the distribution of each point{doc}"),
            )?;
        }
        if asked.is_empty() {
            return Ok(());
        }
        let [loc, scale] = [parameters[0], parameters[1]];
        let steps = self.g.length(loc, 2)?;
        let wide = [channels.len(), steps, 1];
        let (loc, scale) = (self.g.reshape(loc, &wide)?, self.g.reshape(scale, &wide)?);
        let standard =
            |level: &f64| distribution.quantile(&[0.0, 1.0], LocScale::NONE, *level) as f32;
        let standard: Vec<f32> = asked.iter().map(standard).collect();
        let standard = self.g.floats("quantiles.standard", &[asked.len()], &standard);
        let away = self.g.binary("Mul", scale, standard)?;
        let values = self.g.binary("Add", loc, away)?;
        let values = units.undo(self.g, values, channels)?;
        self.put_quantiles(values, &asked)
    }

    /// Logits `[B, K]` of one network, or of several, whose probabilities are averaged.
    pub(crate) fn classes(&mut self, networks: &[Value]) -> Result<()> {
        self.g.enter("outputs");
        let mut sum = self.g.softmax(networks[0])?;
        let mut logits = networks[0];
        if networks.len() > 1 {
            for &other in &networks[1..] {
                let other = self.g.softmax(other)?;
                sum = self.g.binary("Add", sum, other)?;
            }
            sum = self.g.with("Div", sum, networks.len() as f32)?;
            logits = self.mean_logits(networks)?;
        }
        self.put(LOGITS, logits, "scores of the classes before the softmax")?;
        self.put(PROBABILITIES, sum, "probabilities of the classes")
    }

    /// Logarithms of the mean probabilities of several networks, `[B, K]`: from logarithms, because single precision has
    /// no probability below 1e-45.
    fn mean_logits(&mut self, networks: &[Value]) -> Result<Value> {
        let all = networks.iter().map(|&logits| self.g.log_softmax(logits));
        let all = all.collect::<Result<Vec<Value>>>()?;
        let mut most = all[0];
        for &other in &all[1..] {
            most = self.g.binary("Max", most, other)?;
        }
        let mut sum: Option<Value> = None;
        for logarithm in all {
            let below = self.g.binary("Sub", logarithm, most)?;
            let share = self.g.unary("Exp", below)?;
            sum = Some(match sum {
                Some(sum) => self.g.binary("Add", sum, share)?,
                None => share,
            });
        }
        let sum = sum.ok_or_else(|| Error::internal("no network labels"))?;
        let mean = self.g.with("Div", sum, networks.len() as f32)?;
        let logarithm = self.g.unary("Log", mean)?;
        let logits = self.g.binary("Add", logarithm, most)?;
        let (limit, least) = (self.g.number(LEAST_LOGARITHM), self.g.number(LEAST_LOGIT));
        let possible = self.g.binary("Greater", logits, limit)?;
        self.g.choose(possible, logits, least)
    }

    /// Values `[B, K]` of one regression, or of several, which are averaged; of one with a distribution its parameters.
    pub(crate) fn values(
        &mut self,
        networks: &[Vec<Value>],
        distribution: Option<Distribution>,
        labels: Option<&LabelCoding>,
    ) -> Result<()> {
        self.g.enter("outputs");
        let standardiser = match labels {
            Some(LabelCoding::Values { standardiser, .. }) => Some(standardiser),
            _ => None,
        };
        let mean = |g: &mut Graph, parameters: &[Value]| match distribution {
            Some(distribution) => distribution::mean(g, distribution, parameters),
            None => Ok(parameters[0]),
        };
        let mut sum = mean(self.g, &networks[0])?;
        for other in &networks[1..] {
            let other = mean(self.g, other)?;
            sum = self.g.binary("Add", sum, other)?;
        }
        if networks.len() > 1 {
            sum = self.g.with("Div", sum, networks.len() as f32)?;
        }
        let values = targets(self.g, standardiser, sum, true)?;
        self.put(VALUES, values, "values of the targets")?;
        let (Some(distribution), [parameters]) = (distribution, networks) else { return Ok(()) };
        let located = match standardiser {
            Some(_) => ", in the units of the targets",
            None => ", as the network gives it",
        };
        for (&x, &name) in parameters.iter().zip(distribution.parameter_names()) {
            let (x, doc) = match name {
                "loc" => (targets(self.g, standardiser, x, true)?, located),
                "scale" => (targets(self.g, standardiser, x, false)?, located),
                _ => (x, unmoved_in_words(name)),
            };
            self.put(name, x, &format!("a parameter of the distribution of each target{doc}"))?;
        }
        Ok(())
    }
}

/// What the points of a model of quantiles are: the median, or the level next to it where none of the trained ones lies
/// on its other side.
fn points_in_words(trained: &[f64]) -> String {
    let (first, last) = (trained[0], trained[trained.len() - 1]);
    match MEDIAN.clamp(first, last) {
        MEDIAN => "the median".to_owned(),
        nearest => {
            format!("the quantile at the level {nearest}, the trained one nearest to the median")
        }
    }
}

/// What location and scale of a distribution are in.
fn located_in_words(units: &Units) -> &'static str {
    match (units.shift, units.transform.is_none()) {
        (None, _) => ", as the network gives it",
        (Some(_), true) => ", in data units",
        (Some(_), false) => ", in units of the logarithms sign(x) ln(1 + |x|)",
    }
}

/// What parameters are in that no shift and scale of the data moves.
fn unmoved_in_words(name: &str) -> &'static str {
    match name {
        "df" => ", without a unit",
        _ => ", as the network gives it",
    }
}

/// Standardised targets `[B, K]`, or (not `shifts`) widths of them, in the units of the data.
fn targets(
    g: &mut Graph,
    standardiser: Option<&Standardiser>,
    x: Value,
    shifts: bool,
) -> Result<Value> {
    let Some(Standardiser { mean, scale, .. }) = standardiser else { return Ok(x) };
    let numbers = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let scale = g.floats("targets.scale", &[mean.len()], &numbers(scale));
    let scaled = g.binary("Mul", x, scale)?;
    if !shifts {
        return Ok(scaled);
    }
    let mean = g.floats("targets.mean", &[mean.len()], &numbers(mean));
    g.binary("Add", scaled, mean)
}

#[cfg(test)]
mod tests {
    use ptsm::core::Transform;

    use super::*;
    use crate::evaluate::evaluate;
    use crate::fact::{Dim, Fact, Kind};
    use crate::lower::own_scale::Shift;

    #[test]
    fn quantiles_between_trained_levels_lie_between_their_values() {
        let weights = interpolation(&[0.1, 0.5, 0.9], &[0.5, 0.3, 0.95]);
        assert_eq!(weights, [0.0, 0.5, 0.0, 1.0, 0.5, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn the_points_of_quantiles_are_called_what_they_are() {
        assert_eq!(points_in_words(&[0.2, 0.8]), "the median");
        assert!(points_in_words(&[0.7]).contains("at the level 0.7"));
        assert!(points_in_words(&[0.1, 0.3]).contains("at the level 0.3"));
    }

    #[test]
    fn averaged_classes_keep_logits_whose_probability_is_no_single_number() -> Result<()> {
        let mut g = Graph::default();
        let row = || Fact::new(Kind::Float, vec![Dim::Batch, Dim::Fixed(3)]);
        let networks = [g.input("a", row(), ""), g.input("b", row(), "")];
        Named { g: &mut g, prefix: String::new() }.classes(&networks)?;
        let (a, b) = ([0.0_f32, -200.0, -2000.0], [0.5_f32, -300.0, -2000.0]);
        let found = evaluate(&g.finish("test"), &[("a", &a[..]), ("b", &b[..])]);
        let share = |row: [f32; 3], k: usize| {
            let all: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            f64::from(row[k]).exp() / all
        };
        for k in 0..3 {
            let mean = f64::midpoint(share(a, k), share(b, k));
            let wanted = if mean > 0.0 { mean.ln() } else { LEAST_LOGIT.into() };
            let (logit, probability) = (found[LOGITS][k], found[PROBABILITIES][k]);
            assert!(
                (f64::from(logit) - wanted).abs() < 1e-4,
                "class {k}: {logit}, wanted {wanted}"
            );
            assert!((f64::from(probability) - mean).abs() < 1e-6, "class {k}: {probability}");
        }
        Ok(())
    }

    #[test]
    fn parameters_say_what_they_are_in() {
        let mut g = Graph::default();
        let shift = Some(Shift { mean: g.number(0.0), scale: g.number(1.0) });
        let units = Units { shift, ..Units::AS_THEY_ARE };
        assert!(located_in_words(&Units::AS_THEY_ARE).contains("as the network gives it"));
        assert!(located_in_words(&units).contains("data units"));
        let logarithms = Units { transform: Transform::Log1p, ..units };
        assert!(located_in_words(&logarithms).contains("logarithms"));
        assert!(unmoved_in_words("total_count").contains("as the network gives it"));
        assert!(unmoved_in_words("df").contains("without a unit"));
    }

    #[test]
    fn quantiles_without_a_closed_form_are_refused_by_name() -> Result<()> {
        let trained = OutputKind::Quantiles(vec![0.1, 0.9].into());
        assert_eq!(levels(&trained, &[])?, [0.1, 0.9]);
        let refused = |kind: &OutputKind, level: f64, wanted: &str| match levels(kind, &[level]) {
            Ok(found) => panic!("{found:?}, wanted {wanted}"),
            Err(error) => assert!(error.to_string().contains(wanted), "{error}"),
        };
        refused(&trained, 0.95, "outside 0.1 to 0.9");
        refused(&trained, 1.0, "below 1");
        refused(&OutputKind::Distribution(Distribution::StudentT), 0.5, "df, loc, scale");
        refused(&OutputKind::Points, 0.5, "trained for quantiles");
        let normal = OutputKind::Distribution(Distribution::Normal);
        assert_eq!(levels(&normal, &[0.5])?, [0.5]);
        Ok(())
    }
}
