//! Forecasting head: flatten, dropout, projection, and what turns its output into a forecast: the
//! linear skip, reconciliation and un-scaling, or the maps to the parameters of a distribution or
//! to quantiles.
//!
//! Source: `PatchTSMixerForPredictionHead`, transformers 5.23.0; quantiles, the skip and
//! reconciliation are extensions.

use super::cross_channel::{self, CrossChannelHead};
use super::hierarchy::{self, HierarchyHead};
use super::interface::{HeadGradient, HeadInput, OutputGradient, Outputs, Trained};
use super::quantile;
use super::skip::{self, SkipHead};
use crate::config::Config;
use crate::distribution::Distribution;
use crate::layers::{Pass, Place};
use crate::output_kind::{OutputKind, OutputSpec};
use crate::real::Real;
use crate::weights::{ForecastSlot, LinearSlot};

/// What the gradient of the head needs, and what a trace shows.
#[derive(Debug, Clone)]
pub(crate) struct Cache<T> {
    /// Input of the projections: flattened, after dropout, `[B, C, N D]`.
    x: Vec<T>,
    /// Outputs of the projections, in the shape of the prediction.
    raw: Vec<T>,
    /// In the scaled space: the final forecast, the mapped parameters or the quantiles.
    pub(crate) scaled: Vec<T>,
    /// The sums in the scaled space, `[B, S, C']`.
    sums: Vec<T>,
    skip: Option<skip::Cache<T>>,
    cross_channel: Option<cross_channel::Cache<T>>,
    hierarchy: Option<hierarchy::Cache<T>>,
}

/// The head with its sizes.
pub(crate) struct ForecastHead<'a> {
    slot: &'a ForecastSlot,
    config: &'a Config,
    kind: &'a OutputKind,
    /// Channels that are kept, ascending.
    channels: &'a [usize],
}

/// One number of the prediction.
struct Entry {
    /// Index in the prediction.
    out: usize,
    /// Which projection, and the index in its output.
    projection: usize,
    from: usize,
    /// Index in `[B, C]`.
    channel: usize,
    /// Number of the parameter of a distribution.
    parameter: usize,
}

impl<'a> ForecastHead<'a> {
    pub(crate) fn new(slot: &'a ForecastSlot, config: &'a Config, output: &'a OutputSpec) -> Self {
        Self { slot, config, kind: output.kind(), channels: output.channels() }
    }

    fn skip(&self) -> Option<SkipHead<'_>> {
        let linear = self.slot.skip.as_ref()?;
        let Config { context_length, num_input_channels, .. } = *self.config;
        Some(SkipHead { linear, context_length, num_input_channels, channels: self.channels })
    }

    fn cross_channel(&self) -> Option<CrossChannelHead<'_>> {
        let slot = self.slot.cross_channel.as_ref()?;
        let context_length = self.config.extension().cross_channel.as_ref()?.context_length;
        let (steps, channels) = (self.config.prediction_length, self.channels.len());
        Some(CrossChannelHead { slot, context_length, steps, channels })
    }

    fn hierarchy(&self) -> Option<HierarchyHead<'_>> {
        let slot = self.slot.hierarchy.as_ref()?;
        let segment_length = self.config.extension().hierarchy.as_ref()?.segment_length;
        let (steps, channels) = (self.config.prediction_length, self.channels.len());
        Some(HierarchyHead { slot, segment_length, steps, channels })
    }

    /// The hidden state is `[B, C, N, D]`; the table in `head/mod.rs` says what the output is.
    pub(crate) fn forward<T: Real>(
        &self,
        trained: &[T],
        input: HeadInput<'_, T>,
        pass: &Pass,
    ) -> (Outputs<T>, Cache<T>) {
        let mut x = input.hidden.to_vec();
        pass.dropout(Place::HEAD, 0, self.config.head_dropout, &mut x);
        let projections = self.slot.projections.iter();
        let projected: Vec<Vec<T>> = projections.map(|p| p.forward(trained, &x)).collect();
        let (outputs, mut cache) = self.read(trained, input, &projected);
        cache.x = x;
        (outputs, cache)
    }

    /// Everything after the projections, whose outputs are `[B, C, outputs]` each; the hidden state
    /// in `input` is not used.
    pub(crate) fn read<T: Real>(
        &self,
        trained: &[T],
        input: HeadInput<'_, T>,
        projected: &[Vec<T>],
    ) -> (Outputs<T>, Cache<T>) {
        let batch = input.scaled.loc.len() / self.config.num_input_channels;
        let mut raw = vec![T::ZERO; self.len(batch)];
        self.for_each(batch, |entry| raw[entry.out] = projected[entry.projection][entry.from]);
        let mut cache = Cache {
            x: Vec::new(),
            raw,
            scaled: Vec::new(),
            sums: Vec::new(),
            skip: None,
            cross_channel: None,
            hierarchy: None,
        };
        cache.scaled = self.finish(trained, input, &mut cache);
        let outputs = self.unscale(input, &cache, batch);
        (outputs, cache)
    }

    /// The output in the scaled space: forecast, parameters or quantiles.
    fn finish<T: Real>(
        &self,
        trained: &[T],
        input: HeadInput<'_, T>,
        cache: &mut Cache<T>,
    ) -> Vec<T> {
        let mut scaled = cache.raw.clone();
        match self.kind {
            OutputKind::Distribution(distribution) => {
                let batch = input.scaled.loc.len() / self.config.num_input_channels;
                self.for_each(batch, |entry| {
                    scaled[entry.out] = distribution.map(entry.parameter, cache.raw[entry.out]);
                });
            }
            OutputKind::Quantiles(levels) => quantile::map(levels.len(), &mut scaled),
            _ => {
                if let Some(head) = self.skip() {
                    cache.skip = Some(head.forward(trained, input.scaled, &mut scaled));
                }
                if let Some(head) = self.cross_channel() {
                    let past = self.past(input, head.context_length);
                    let (out, found) = head.forward(trained, &scaled, past.as_deref());
                    (scaled, cache.cross_channel) = (out, Some(found));
                }
                if let Some(head) = self.hierarchy() {
                    let (out, sums, found) = head.forward(trained, &scaled);
                    (scaled, cache.sums, cache.hierarchy) = (out, sums, Some(found));
                }
            }
        }
        scaled
    }

    /// Converts to data units. The parameters of a distribution stay in the scaled space, as in the
    /// reference; but to the logits of a negative binomial the logarithm of the scale is added.
    fn unscale<T: Real>(
        &self,
        input: HeadInput<'_, T>,
        cache: &Cache<T>,
        batch: usize,
    ) -> Outputs<T> {
        let (loc, scale) = (&input.scaled.loc, &input.scaled.scale);
        let mut prediction = cache.scaled.clone();
        match self.kind {
            OutputKind::Distribution(Distribution::NegativeBinomial) => {
                self.for_each(batch, |entry| {
                    if entry.parameter == Distribution::LOGITS {
                        prediction[entry.out] += scale[entry.channel].ln();
                    }
                })
            }
            OutputKind::Distribution(_) => {}
            _ => {
                let scaler = self.config.scaler();
                self.for_each(batch, |entry| {
                    let scaled = scaler.undo(cache.scaled[entry.out]);
                    prediction[entry.out] = scaled * scale[entry.channel] + loc[entry.channel];
                });
            }
        }
        let mut aggregates = cache.sums.clone();
        self.for_each_sum(batch, |out, channel, length: T| {
            aggregates[out] = cache.sums[out] * scale[channel] + length * loc[channel];
        });
        Outputs { prediction, aggregates }
    }

    /// Takes the gradients of the projections' outputs back: adds those of the weights, and returns
    /// that of the hidden state.
    pub(crate) fn project_backward<T: Real>(
        &self,
        trained: &mut Trained<'_, T>,
        cache: &Cache<T>,
        d_projected: &[Vec<T>],
        pass: &Pass,
    ) -> Vec<T> {
        let mut d_x = vec![T::ZERO; cache.x.len()];
        for (projection, d) in self.slot.projections.iter().zip(d_projected) {
            let part = projection.backward(trained.weights, &cache.x, d, trained.grads);
            d_x.iter_mut().zip(&part).for_each(|(to, &d)| *to += d);
        }
        pass.dropout(Place::HEAD, 0, self.config.head_dropout, &mut d_x);
        d_x
    }

    /// The backward pass of [`Self::read`]: returns the gradients of the projections' outputs,
    /// `[B, C, outputs]` each, adds those of the weights of the layers after them, and adds those of
    /// the statistics to `result`.
    pub(crate) fn read_backward<T: Real>(
        &self,
        trained: &mut Trained<'_, T>,
        input: HeadInput<'_, T>,
        cache: &Cache<T>,
        gradient: &OutputGradient<T>,
        result: &mut HeadGradient<T>,
    ) -> Vec<Vec<T>> {
        let batch = input.scaled.loc.len() / self.config.num_input_channels;
        let Outputs { prediction: mut d, aggregates: d_sums } =
            self.unscale_backward(input, cache, gradient, result);
        match self.kind {
            OutputKind::Distribution(distribution) => self.for_each(batch, |entry| {
                d[entry.out] *= distribution.d_map(entry.parameter, cache.raw[entry.out]);
            }),
            OutputKind::Quantiles(levels) => {
                quantile::map_backward(levels.len(), &cache.raw, &mut d)
            }
            _ => {
                let d_scaled = Outputs { prediction: d, aggregates: d_sums };
                d = self.reconcile_backward(trained, input, cache, d_scaled, result);
            }
        }
        let mut d_projected: Vec<Vec<T>> = self
            .slot
            .projections
            .iter()
            .map(|p| vec![T::ZERO; batch * self.config.num_input_channels * p.outputs])
            .collect();
        self.for_each(batch, |entry| d_projected[entry.projection][entry.from] = d[entry.out]);
        d_projected
    }

    /// Gradients of the scaled forecast and its sums; adds those of the statistics to `result`.
    fn unscale_backward<T: Real>(
        &self,
        input: HeadInput<'_, T>,
        cache: &Cache<T>,
        gradient: &OutputGradient<T>,
        result: &mut HeadGradient<T>,
    ) -> Outputs<T> {
        let batch = input.scaled.loc.len() / self.config.num_input_channels;
        let scale = &input.scaled.scale;
        let mut d = gradient.prediction.clone();
        match self.kind {
            OutputKind::Distribution(Distribution::NegativeBinomial) => {
                self.for_each(batch, |entry| {
                    if entry.parameter == Distribution::LOGITS {
                        result.scale[entry.channel] += d[entry.out] / scale[entry.channel];
                    }
                })
            }
            OutputKind::Distribution(_) => {}
            _ => {
                let scaler = self.config.scaler();
                self.for_each(batch, |entry| {
                    let (given, scaled) = (gradient.prediction[entry.out], cache.scaled[entry.out]);
                    d[entry.out] = given * scale[entry.channel] * scaler.undo_slope(scaled);
                    result.scale[entry.channel] += given * scaler.undo(scaled);
                    result.loc[entry.channel] += given;
                });
            }
        }
        let mut d_sums = gradient.aggregates.clone();
        if !d_sums.is_empty() {
            self.for_each_sum(batch, |out, channel, length| {
                let given = gradient.aggregates[out];
                d_sums[out] = given * scale[channel];
                result.scale[channel] += given * cache.sums[out];
                result.loc[channel] += given * length;
            });
        }
        Outputs { prediction: d, aggregates: d_sums }
    }

    /// The backward pass of skip and reconciliation, from the gradients of the scaled forecast and
    /// its sums to that of the projections' outputs; adds the gradient of the scaled window to
    /// `result`.
    fn reconcile_backward<T: Real>(
        &self,
        trained: &mut Trained<'_, T>,
        input: HeadInput<'_, T>,
        cache: &Cache<T>,
        d_scaled: Outputs<T>,
        result: &mut HeadGradient<T>,
    ) -> Vec<T> {
        let Outputs { prediction: mut d, aggregates: d_sums } = d_scaled;
        if let (Some(head), Some(cache)) = (self.hierarchy(), &cache.hierarchy) {
            d = head.backward(trained, cache, &d, &d_sums);
        }
        if let (Some(head), Some(cache)) = (self.cross_channel(), &cache.cross_channel) {
            let (d_base, d_past) = head.backward(trained, cache, &d);
            d = d_base;
            if self.prepends_past() {
                let mut values = vec![T::ZERO; input.scaled.values.len()];
                self.for_each_past(input, head.context_length, |place, from| {
                    values[from] += d_past[place];
                });
                result.values = Some(values);
            }
        }
        if let (Some(head), Some(cache)) = (self.skip(), &cache.skip) {
            let values =
                result.values.get_or_insert_with(|| vec![T::ZERO; input.scaled.values.len()]);
            head.backward(trained, input.scaled, cache, &d, values);
        }
        d
    }

    fn prepends_past(&self) -> bool {
        self.config.extension().cross_channel.as_ref().is_some_and(|cross| cross.prepend_past)
    }

    /// The last scaled values of the kept channels, `[B, cl, C']`.
    fn past<T: Real>(&self, input: HeadInput<'_, T>, context: usize) -> Option<Vec<T>> {
        self.prepends_past().then(|| {
            let batch = input.scaled.loc.len() / self.config.num_input_channels;
            let mut past = vec![T::ZERO; batch * context * self.channels.len()];
            self.for_each_past(input, context, |place, from| {
                past[place] = input.scaled.values[from];
            });
            past
        })
    }

    /// Calls `f(index in [B, cl, C'], index in [B, L, C])`.
    fn for_each_past<T>(
        &self,
        input: HeadInput<'_, T>,
        context: usize,
        mut f: impl FnMut(usize, usize),
    ) {
        let (length, all) = (self.config.context_length, self.config.num_input_channels);
        let batch = input.scaled.loc.len() / all;
        let mut place = 0;
        for b in 0..batch {
            for t in length - context..length {
                for &c in self.channels {
                    f(place, (b * length + t) * all + c);
                    place += 1;
                }
            }
        }
    }

    /// Numbers in the prediction of `batch` samples.
    fn len(&self, batch: usize) -> usize {
        let outputs: usize = self.slot.projections.iter().map(|p: &LinearSlot| p.outputs).sum();
        batch * outputs * self.channels.len()
    }

    /// Calls `f` for every number of the prediction, in its order.
    fn for_each(&self, batch: usize, mut f: impl FnMut(Entry)) {
        let steps = self.config.prediction_length;
        let projections = self.slot.projections.len();
        let levels = match self.kind {
            OutputKind::Quantiles(levels) => levels.len(),
            _ => 1,
        };
        let mut out = 0;
        for b in 0..batch {
            for projection in 0..projections {
                for t in 0..steps {
                    for &c in self.channels {
                        let channel = b * self.config.num_input_channels + c;
                        for q in 0..levels {
                            let from = (channel * steps + t) * levels + q;
                            f(Entry { out, projection, from, channel, parameter: projection });
                            out += 1;
                        }
                    }
                }
            }
        }
    }

    /// Calls `f(index in [B, S, C'], index in [B, C], sl)` for every segment's sum.
    fn for_each_sum<T: Real>(&self, batch: usize, mut f: impl FnMut(usize, usize, T)) {
        let Some(head) = self.hierarchy() else { return };
        let mut out = 0;
        for b in 0..batch {
            for _ in 0..head.num_segments() {
                for &c in self.channels {
                    let channel = b * self.config.num_input_channels + c;
                    f(out, channel, T::from_usize(head.segment_length));
                    out += 1;
                }
            }
        }
    }
}
