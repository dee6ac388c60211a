//! Heads as steps: the projection of the hidden state, and what is folded into it.
//!
//! What follows the projections is computed on the host in f32, by [`ptsm_core::Model::finish`]:
//! un-scaling, parameters of a distribution, quantiles, ranges and reconciliation. A pooled head's
//! scale injection has no activation function, so it is the sum of two linear maps: one of the
//! hidden state, folded into the projection, and one of loc and scale, which the host adds because
//! loc and scale may be of any size and bfloat16 has eight significant bits.

use ptsm_core::network::{HeadLayers, InjectLayers, LinearLayer, PooledLayers, State};
use ptsm_core::{Config, Error, ErrorKind, Model, Result};

use super::builder::{Apply, Builder, LinearWeights};
use super::weights::Weights;
use crate::program::{Op, TensorId};

/// How the session reads the program's output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    /// Columns of each projection, side by side in a row of the output.
    pub(crate) widths: Vec<usize>,
    /// What the statistics add to a pooled head, if it has the injection.
    pub(crate) injection: Option<Injection>,
}

/// A pooled head's dependence on loc and scale.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Injection {
    channels: usize,
    /// `[row of the output][channel]`: factor of loc, factor of scale, constant.
    slopes: Vec<[f64; 3]>,
}

impl Injection {
    /// Adds its share to `projected` `[B, rows]`, given `loc` and `scale` `[B, C]`.
    pub(crate) fn add(&self, projected: &mut [f32], loc: &[f32], scale: &[f32]) {
        let rows = self.slopes.len() / self.channels;
        let statistics = loc.chunks_exact(self.channels).zip(scale.chunks_exact(self.channels));
        for (out, (loc, scale)) in projected.chunks_exact_mut(rows).zip(statistics) {
            for (out, slopes) in out.iter_mut().zip(self.slopes.chunks_exact(self.channels)) {
                let terms = slopes.iter().zip(loc.iter().zip(scale));
                let share: f64 = terms
                    .map(|(s, (&loc, &scale))| {
                        s[0] * f64::from(loc) + s[1] * f64::from(scale) + s[2]
                    })
                    .sum();
                *out = (f64::from(*out) + share) as f32;
            }
        }
    }
}

/// The four layers of the scale injection as two affine maps.
struct Maps {
    /// `[D, D]`, of the hidden state.
    hidden: Vec<f64>,
    /// `[D]`: factor of loc, factor of scale, constant.
    statistics: Vec<[f64; 3]>,
}

/// Which number of a sample's hidden state `[C, N, D]`.
#[derive(Debug, Clone, Copy)]
struct HiddenIndex {
    channel: usize,
    patch: usize,
    feature: usize,
}

/// Lowers the head of one model.
struct HeadLowering<'a> {
    model: &'a Model,
    weights: &'a Weights<'a>,
}

/// Appends the steps of the heads of `models` on the hidden state `[B, C, N, D]`: one head, or several that forecast, whose
/// projections are then side by side in one product. Gives the output and the reading of each.
///
/// # Errors
///
/// `BackendUnavailable` if one of several heads does not forecast.
pub(super) fn lower_heads(
    b: &mut Builder<'_>,
    models: &[&Model],
    h: TensorId,
) -> Result<(TensorId, Vec<Reading>)> {
    if let [model] = models {
        let weights = Weights::new(model, b.with_values());
        let (out, reading) = HeadLowering { model, weights: &weights }.lower(b, h)?;
        return Ok((out, vec![reading]));
    }
    let (mut all, mut readings): (Option<LinearWeights>, _) = (None, Vec::new());
    for (place, model) in models.iter().enumerate() {
        let HeadLayers::Forecast(layers) = &model.network().head else {
            let what = match model.network().head {
                HeadLayers::Pretraining { .. } => "pretrains (run it alone)",
                _ => "labels cases (run it alone, or all of them on cpu)",
            };
            let text =
                format!("one pass on this backend takes heads that forecast only; this one {what}");
            let place = format!("head {} of {}", place + 1, models.len());
            return Err(Error::new(ErrorKind::BackendUnavailable, text).at(place));
        };
        let weights = Weights::new(model, b.with_values());
        let head = HeadLowering { model, weights: &weights };
        let (layer, widths) = head.side_by_side(&layers.projections)?;
        match &mut all {
            Some(all) => append(all, layer),
            None => all = Some(layer),
        }
        readings.push(Reading { widths, injection: None });
    }
    let all = all.ok_or_else(|| Error::config("heads", "there is none, wanted one or more"))?;
    Ok((forecast(b, &all, h)?, readings))
}

/// The projection of all patches of each channel.
fn forecast(b: &mut Builder<'_>, layer: &LinearWeights, h: TensorId) -> Result<TensorId> {
    let [batch, channels, n, d] = b.shape(h);
    let shape = [1, 1, batch * channels, n * d];
    let flat = b.step("head.flat", Op::Reshape { shape }, &[h])?;
    b.linear(flat, layer, Apply::default())
}

/// Puts the outputs of another layer of the same input after those of `all`.
fn append(all: &mut LinearWeights, next: LinearWeights) {
    all.outputs += next.outputs;
    all.weight.extend(next.weight);
    all.bias.extend(next.bias);
}

impl HeadLowering<'_> {
    fn config(&self) -> &Config {
        self.model.config()
    }

    fn state(&self) -> State {
        self.model.network().last_state()
    }

    /// Appends the head's steps on the hidden state `[B, C, N, D]`; gives the output and its
    /// reading.
    fn lower(&self, b: &mut Builder<'_>, h: TensorId) -> Result<(TensorId, Reading)> {
        match &self.model.network().head {
            HeadLayers::Forecast(layers) => {
                let (layer, widths) = self.side_by_side(&layers.projections)?;
                let out = forecast(b, &layer, h)?;
                Ok((out, Reading { widths, injection: None }))
            }
            HeadLayers::Pretraining { projection } => {
                let layer = self.weights.linear(projection)?;
                let widths = vec![layer.outputs];
                let out = b.linear(h, &layer, Apply::default())?;
                Ok((out, Reading { widths, injection: None }))
            }
            HeadLayers::Pooled(layers) => self.pooled(b, layers, h),
        }
    }

    /// Several layers of the same input as one layer.
    fn side_by_side(&self, layers: &[LinearLayer]) -> Result<(LinearWeights, Vec<usize>)> {
        let mut all = self.weights.linear(&layers[0])?;
        let mut widths = vec![all.outputs];
        for layer in &layers[1..] {
            let next = self.weights.linear(layer)?;
            widths.push(next.outputs);
            append(&mut all, next);
        }
        Ok((all, widths))
    }

    /// A pooled head. Linear pooling and the injection are folded into the projection.
    fn pooled(
        &self,
        b: &mut Builder<'_>,
        layers: &PooledLayers,
        h: TensorId,
    ) -> Result<(TensorId, Reading)> {
        let PooledLayers { inject, projections } = layers;
        let (layer, widths) = self.side_by_side(projections)?;
        let maps = inject.as_ref().map(|inject| self.maps(inject)).transpose()?;
        let [batch, channels, n, d] = b.shape(h);
        let maximum = self.config().head_aggregation.as_deref() == Some("max_pool");
        let injection = match &maps {
            Some(maps) if b.with_values() => Some(self.injection(&layer, maps)),
            _ => None,
        };
        let (state, inputs, weight) = if maximum {
            let mut state = h;
            if let Some(maps) = &maps {
                state = b.linear(h, &injected(maps, d), Apply::default())?;
            }
            let pooled = b.step("head.pooled", Op::Max, &[state])?;
            (pooled, channels * d, layer.weight)
        } else {
            let hidden = maps.as_ref().map(|maps| &maps.hidden[..]);
            let weight = match b.with_values() {
                true => self.over_patches(&layer, hidden),
                false => Vec::new(),
            };
            (h, channels * n * d, weight)
        };
        let flat = b.step("head.flat", Op::Reshape { shape: [1, 1, batch, inputs] }, &[state])?;
        let name = "head.projection".to_owned();
        let layer = LinearWeights { name, inputs, weight, ..layer };
        let out = b.linear(flat, &layer, Apply::default())?;
        Ok((out, Reading { widths, injection }))
    }

    /// The projection `[T, inputs]` of a linear pooling as `[T, C N D]` of the hidden state itself.
    fn over_patches(&self, layer: &LinearWeights, hidden: Option<&[f64]>) -> Vec<f32> {
        let State { channels, patches: n, features: d } = self.state();
        let mut out = Vec::with_capacity(layer.outputs * channels * n * d);
        let mut pooled = vec![0.0; d];
        for row in 0..layer.outputs {
            for channel in 0..channels {
                for patch in 0..n {
                    for (feature, to) in pooled.iter_mut().enumerate() {
                        *to = self.share(layer, row, HiddenIndex { channel, patch, feature });
                    }
                    match hidden {
                        None => out.extend(pooled.iter().map(|&x| x as f32)),
                        Some(map) => out.extend((0..d).map(|i| {
                            (0..d).map(|o| pooled[o] * map[o * d + i]).sum::<f64>() as f32
                        })),
                    }
                }
            }
        }
        out
    }

    /// The factor of one number of the (injected) hidden state in a row of the projection, with
    /// linear pooling.
    fn share(&self, layer: &LinearWeights, row: usize, number: HiddenIndex) -> f64 {
        let HiddenIndex { channel, patch, feature } = number;
        let (config, State { patches: n, features, .. }) = (self.config(), self.state());
        let place = channel * features + feature;
        let weight = |place: usize| f64::from(layer.weight[row * layer.inputs + place]);
        match config.head_aggregation.as_deref() {
            Some("avg_pool") => weight(place) / n as f64,
            Some("use_last") => {
                if patch + 1 == n {
                    weight(place)
                } else {
                    0.0
                }
            }
            Some(_) => weight(place),
            None => weight(place * n + patch),
        }
    }

    /// What loc and scale add to the projection.
    fn injection(&self, layer: &LinearWeights, maps: &Maps) -> Injection {
        let (config, State { channels, patches: n, features: d }) = (self.config(), self.state());
        let patches = if config.head_aggregation.as_deref() == Some("max_pool") { 1 } else { n };
        let mut slopes = Vec::with_capacity(layer.outputs * channels);
        for row in 0..layer.outputs {
            for channel in 0..channels {
                let mut slope = [0.0; 3];
                for feature in 0..d {
                    let numbers = (0..patches).map(|patch| HiddenIndex { channel, patch, feature });
                    let share: f64 = numbers.map(|number| self.share(layer, row, number)).sum();
                    (0..3).for_each(|i| slope[i] += share * maps.statistics[feature][i]);
                }
                slopes.push(slope);
            }
        }
        Injection { channels, slopes }
    }

    fn maps(&self, inject: &InjectLayers) -> Result<Maps> {
        let layer = |layer: &LinearLayer| -> Result<(Vec<f64>, Vec<f64>)> {
            let values = |name: String| -> Result<Vec<f64>> {
                let values = self.weights.values(&name)?;
                Ok(values.iter().map(|&x| f64::from(x)).collect())
            };
            Ok((values(layer.weight())?, values(layer.bias())?))
        };
        let (widen, widen_bias) = layer(&inject.map_expansion)?;
        let (narrow, narrow_bias) = layer(&inject.map_compression)?;
        let (expand, expand_bias) = layer(&inject.inverse_expansion)?;
        let (compress, compress_bias) = layer(&inject.inverse_compression)?;
        let d = self.state().features;
        let mapped: Vec<[f64; 3]> = (0..2)
            .map(|o| {
                let sum = |f: &dyn Fn(usize) -> f64| {
                    (0..4).map(|k| narrow[o * 4 + k] * f(k)).sum::<f64>()
                };
                let constant = narrow_bias[o] + sum(&|k| widen_bias[k]);
                [sum(&|k| widen[k * 2]), sum(&|k| widen[k * 2 + 1]), constant]
            })
            .collect();
        let mut hidden = Vec::with_capacity(d * d);
        let mut statistics = Vec::with_capacity(d);
        for o in 0..d {
            let sum = |f: &dyn Fn(usize) -> f64| {
                (0..2 * d).map(|k| compress[o * 2 * d + k] * f(k)).sum::<f64>()
            };
            hidden.extend((0..d).map(|i| sum(&|k| expand[k * (d + 2) + i])));
            let [of_first, of_second] = [0, 1].map(|j| sum(&|k| expand[k * (d + 2) + d + j]));
            let mut slope = [0, 1, 2].map(|i| of_first * mapped[0][i] + of_second * mapped[1][i]);
            slope[2] += compress_bias[o] + sum(&|k| expand_bias[k]);
            statistics.push(slope);
        }
        Ok(Maps { hidden, statistics })
    }
}

/// The injection's map of the hidden state as a layer.
fn injected(maps: &Maps, width: usize) -> LinearWeights {
    LinearWeights {
        name: "inject_scale".into(),
        inputs: width,
        outputs: width,
        weight: maps.hidden.iter().map(|&x| x as f32).collect(),
        bias: vec![0.0; width],
    }
}
