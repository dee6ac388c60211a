//! Builds the file of a source.

use prost::Message;
use ptsm::core::{OutputKind, SMALLER_MODEL, Scaler, bytes_of, in_words, option, require_memory};
use ptsm::data::{LabelCoding, Standardiser};
use ptsm::ensemble::{Linear, MemberModel};
use ptsm::heads::MAIN_HEAD;
use ptsm::{Config, Error, Model, Result};

use crate::exported::{Exported, Tensor};
use crate::graph::{Graph, Value};
use crate::lower::forecast::{Forecast, HeadInput};
use crate::lower::ridge;
use crate::lower::scaling::{Scaled, scale};
use crate::lower::units::Units;
use crate::lower::weights::Weights;
use crate::lower::window::{Given, Lengths, Window};
use crate::metadata;
use crate::options::{Options, Standardise};
use crate::outputs::{Named, Wanted, forecasts};
use crate::proto::{ModelProto, OperatorSetIdProto, ValueInfoProto};
use crate::source::{Head, Member, Parts, Source};

/// Version of the operators.
pub(crate) const OPSET: i64 = 17;
/// Version of the intermediate representation, which belongs to that of the operators.
pub(crate) const IR_VERSION: i64 = 8;

/// Bytes beyond which no reader of protocol buffers takes a file.
const MOST_BYTES: usize = i32::MAX as usize;

/// Times that the weights are held while a file is made: beside the model as constants and as the file, and what is
/// turned over.
const COPIES: usize = 3;

/// The options with everything settled.
pub(crate) fn settle(source: &Source, options: &Options) -> Result<Options> {
    let standardise = match (options.standardise, &source.preprocessor) {
        (Some(Standardise::Inside), None) => {
            let none = option("standardise", Some("none"));
            let text = format!(
                "inside needs a preprocessor.json beside the weights, which says how (use {none}, or ptsm import)"
            );
            return Err(Error::config("standardise", text));
        }
        (Some(chosen), _) => chosen,
        (None, Some(_)) => Standardise::Inside,
        (None, None) => Standardise::None,
    };
    Ok(Options { standardise: Some(standardise), ..options.clone() })
}

/// Builds the file.
pub(crate) fn build(source: &Source, options: &Options) -> Result<Exported> {
    let options = settle(source, options)?;
    require_memory("making the ONNX file", bytes_of(&[COPIES, source.numbers()]), SMALLER_MODEL)?;
    let mut g = Graph::default();
    let given = given(source, &options)?;
    let (window, units) = given.lower(&mut g)?;
    let mut build = Build { g: &mut g, window, units, options: &options };
    match &source.parts {
        Parts::Heads(heads) => build.heads(heads)?,
        Parts::Forecasters { config, members } => build.members(config, members)?,
        Parts::Labellers { networks, labels } => build.labellers(networks, labels.as_ref())?,
    }
    let metadata_props = metadata::of(source, &options)?;
    let graph = g.finish("ptsm");
    let tensors = |infos: &[ValueInfoProto]| infos.iter().filter_map(Tensor::of).collect();
    let (inputs, outputs) = (tensors(&graph.input), tensors(&graph.output));
    let nodes = graph.node.len();
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "ptsm".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: metadata::sentence(source)?,
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        metadata_props,
    };
    require_size(model.encoded_len())?;
    let notes = source.notes.clone();
    Ok(Exported { bytes: model.encode_to_vec(), inputs, outputs, nodes, notes })
}

/// Refuses a file that would be written and could not be read.
fn require_size(bytes: usize) -> Result<()> {
    if bytes <= MOST_BYTES {
        return Ok(());
    }
    let text = format!(
        "would be an ONNX file of {}, and readers take no more than {} (export fewer heads, or one member of an ensemble)",
        in_words(bytes as u64),
        in_words(MOST_BYTES as u64 + 1)
    );
    Err(Error::config("model", text))
}

/// What the graph is given.
fn given<'a>(source: &'a Source, options: &Options) -> Result<Given<'a>> {
    let Config { context_length, num_input_channels, .. } = source.config();
    let own = source.preprocessor.as_ref().map(|preprocessor| &preprocessor.standardiser);
    let inside = options.standardise == Some(Standardise::Inside);
    let standardiser = own.filter(|_| inside);
    let horizon = horizon(source, standardiser)?;
    let mut origin = None;
    let takes_levels = takes_levels(source);
    if let (Some(own), false) = (own, inside) {
        origin = own.origin().filter(|_| takes_levels);
        let moves = own.adapts || !own.series.is_empty();
        if moves && takes_levels {
            let text = "none: the model takes logarithms of distances from the data's zero, which lies elsewhere in each \
                        window where windows or series have shifts of their own (use inside)";
            return Err(Error::config("standardise", text));
        }
        if own.effects.is_some() {
            let text = "none: effects of covariates are taken off where the data are standardised (use inside)";
            return Err(Error::config("standardise", text));
        }
    }
    let lengths = Lengths { context: context_length, channels: num_input_channels, horizon };
    Ok(Given { lengths, missing: options.missing, standardiser, origin, takes_levels })
}

/// Whether a part of the model scales windows by level.
fn takes_levels(source: &Source) -> bool {
    let scales = |model: &Model| matches!(model.config().scaler(), Scaler::Level { .. });
    match &source.parts {
        Parts::Heads(heads) => heads.iter().any(|head| scales(&head.model)),
        Parts::Labellers { .. } => false,
        Parts::Forecasters { members, .. } => members.iter().any(|member| match &member.model {
            MemberModel::Network(model) => scales(model),
            MemberModel::Linear(linear) => matches!(**linear, Linear::Logarithms(_)),
            _ => false,
        }),
    }
}

/// Steps for which covariates are asked: the same for all heads.
fn horizon(source: &Source, standardiser: Option<&Standardiser>) -> Result<usize> {
    let steps = source.config().prediction_length;
    if standardiser.is_none_or(|own| own.effects.is_none()) {
        return Ok(steps);
    }
    let alike = match &source.parts {
        Parts::Heads(heads) => heads
            .iter()
            .all(|head| forecasts(head) && head.model.config().prediction_length == steps),
        Parts::Forecasters { .. } => true,
        Parts::Labellers { .. } => false,
    };
    match alike {
        true => Ok(steps),
        false => {
            let text =
                "covariates need heads that all forecast the same steps (export them one by one)";
            Err(Error::config("heads", text))
        }
    }
}

/// A file on the way.
struct Build<'a> {
    g: &'a mut Graph,
    window: Window,
    units: Units,
    options: &'a Options,
}

impl Build<'_> {
    /// The end of the window that a network sees, and the same scaled.
    fn scaled(&mut self, model: &Model, prefix: &str) -> Result<(Window, Scaled)> {
        self.g.enter(&format!("{prefix}scaler"));
        let window = self.window.end(self.g, model.config().context_length)?;
        let scaled = scale(self.g, model.config().scaler(), &window)?;
        Ok((window, scaled))
    }

    /// Several heads of one backbone, each with outputs of its own.
    fn heads(&mut self, heads: &[Head]) -> Result<()> {
        let backbone = Weights::new(&heads[0].model, "");
        let (window, scaled) = self.scaled(&heads[0].model, "")?;
        let hidden = backbone.backbone(self.g, scaled.values)?;
        if heads.iter().all(|head| !forecasts(head)) && !self.options.quantiles.is_empty() {
            return Err(no_quantiles());
        }
        for head in heads {
            let prefix = match head.name.as_str() {
                MAIN_HEAD => String::new(),
                name => format!("{name}."),
            };
            let weights = Weights::new(&head.model, &prefix);
            let kind = head.model.output().kind();
            if forecasts(head) {
                let input = HeadInput { hidden, scaled: &scaled, window: &window };
                let forecast = weights.forecast(self.g, input)?;
                let (units, levels) = (self.units, &self.options.quantiles);
                let channels = head.model.output().channels();
                let wanted = Wanted { units: &units, channels, levels };
                self.named(prefix).forecast(&forecast, wanted)?;
                continue;
            }
            let found = weights.pooled(self.g, hidden, &scaled)?;
            let mut named = self.named(prefix);
            match head.labels.as_ref() {
                _ if *kind == OutputKind::Logits => named.classes(&found)?,
                labels => named.values(&[found], kind.distribution(), labels)?,
            }
        }
        Ok(())
    }

    fn named(&mut self, prefix: String) -> Named<'_> {
        Named { g: self.g, prefix }
    }

    /// The weighted sum of several forecasts.
    fn members(&mut self, config: &Config, members: &[Member]) -> Result<()> {
        let channels = config.prediction_channels();
        let mut sum: Option<Forecast> = None;
        for member in members {
            let forecast = self.member(member, &channels)?;
            self.g.enter(&format!("members/{}", member.name));
            sum = Some(match sum {
                None => weighted(self.g, &forecast, member.weight, None)?,
                Some(sum) => weighted(self.g, &forecast, member.weight, Some(&sum))?,
            });
        }
        let Some(sum) = sum else { return Err(Error::internal("an ensemble has no member")) };
        let (units, levels) = (self.units, &self.options.quantiles);
        let wanted = Wanted { units: &units, channels: &channels, levels };
        self.named(String::new()).forecast(&sum, wanted)
    }

    fn member(&mut self, member: &Member, channels: &[usize]) -> Result<Forecast> {
        let prefix = format!("members/{}/", member.name);
        match &member.model {
            MemberModel::Network(model) => {
                let (window, scaled) = self.scaled(model, &prefix)?;
                let weights = Weights::new(model, &prefix);
                let hidden = weights.backbone(self.g, scaled.values)?;
                let input = HeadInput { hidden, scaled: &scaled, window: &window };
                weights.forecast(self.g, input)
            }
            MemberModel::Linear(linear) => {
                self.g.enter(&prefix);
                let window = self.window.end(self.g, linear.context_length())?;
                let name = format!("members/{}", member.name);
                let all = ridge::forecast(self.g, &name, linear, &window)?;
                Ok(Forecast::Points(self.g.channels(all, channels)?))
            }
            MemberModel::Classical(_) | MemberModel::ZeroShot(_) => {
                Err(Error::internal("a member that is no graph was not refused"))
            }
        }
    }

    /// Networks whose labels are averaged.
    fn labellers(
        &mut self,
        networks: &[(String, Model)],
        labels: Option<&LabelCoding>,
    ) -> Result<()> {
        if !self.options.quantiles.is_empty() {
            return Err(no_quantiles());
        }
        let mut all: Vec<Vec<Value>> = Vec::new();
        for (name, model) in networks {
            let prefix = format!("members/{name}/");
            let (_, scaled) = self.scaled(model, &prefix)?;
            let weights = Weights::new(model, &prefix);
            let hidden = weights.backbone(self.g, scaled.values)?;
            all.push(weights.pooled(self.g, hidden, &scaled)?);
        }
        let kind = networks[0].1.output().kind();
        let mut named = self.named(String::new());
        match *kind == OutputKind::Logits {
            true => named.classes(&all.concat()),
            false => named.values(&all, kind.distribution(), labels),
        }
    }
}

fn no_quantiles() -> Error {
    Error::config("quantiles", "is for models that forecast; this one labels cases")
}

/// `weight` times a forecast, added to the sum of the others.
fn weighted(
    g: &mut Graph,
    forecast: &Forecast,
    weight: f32,
    sum: Option<&Forecast>,
) -> Result<Forecast> {
    let mut add = |x: Value, sum: Option<Value>| {
        let x = g.with("Mul", x, weight)?;
        match sum {
            Some(sum) => g.binary("Add", sum, x),
            None => Ok(x),
        }
    };
    match (forecast, sum) {
        (Forecast::Points(x), None) => Ok(Forecast::Points(add(*x, None)?)),
        (Forecast::Points(x), Some(Forecast::Points(sum))) => {
            Ok(Forecast::Points(add(*x, Some(*sum))?))
        }
        (Forecast::Quantiles(x, levels), None) => {
            Ok(Forecast::Quantiles(add(*x, None)?, levels.clone()))
        }
        (Forecast::Quantiles(x, levels), Some(Forecast::Quantiles(sum, _))) => {
            Ok(Forecast::Quantiles(add(*x, Some(*sum))?, levels.clone()))
        }
        _ => Err(Error::internal("members of an ensemble forecast different things")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_no_reader_takes_is_refused_with_both_sizes() {
        assert!(require_size(MOST_BYTES).is_ok());
        match require_size(3 << 30) {
            Ok(()) => panic!("3 GiB were not refused"),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("3.0 GiB") && text.contains("2.0 GiB"), "{text}");
            }
        }
    }
}
