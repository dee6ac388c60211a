//! The heads for forecasts: they read the backbone's hidden state a few rows at a time, while it is
//! in the processor's cache.

use ptsm_kernels::{Aligned, Finish, Matrix, MatrixMut, RowLinear};

use super::arena::Statistics;
use super::plan::Plan;
use super::sizes::{GROUP, Sizes};
use super::skip::{ScaledBatch, Skip};
use crate::config::{Extension, Scaler};
use crate::model::Model;
use crate::weights::{HeadSlot, LinearSlot};

/// The part of a head that needs one (sample, channel) row only.
pub(super) trait RowHead: Sync {
    /// Channels whose rows it reads; where channels are mixed, it is given the rows of all.
    fn channels(&self) -> &[usize];

    /// Numbers that it writes for one row.
    fn width(&self) -> usize;

    /// Numbers of scratch that it needs for a group of rows.
    fn scratch(&self, sizes: &Sizes) -> usize;

    /// Reads `hidden` `[rows][D][pitch]` and writes `out` `[rows][width]`; at most a group of rows.
    /// The padding after the last patch holds numbers without a meaning.
    fn apply(&self, sizes: &Sizes, hidden: &[f32], scratch: &mut [f32], out: &mut [f32]);
}

/// How a session computes its head.
#[derive(Debug)]
pub(super) enum PackedHead {
    /// A plain point forecast, packed.
    Point(Box<PredictionHead>),
    /// By its definition, from the hidden state.
    Defined,
}

impl PackedHead {
    /// Packs the head of `model`.
    pub(super) fn new(model: &Model, plan: &Plan) -> Self {
        let config = model.config();
        // None of them changes the projection: the skip is added to its output, location and level are
        // parts of the scaling.
        let Extension { linear_skip, location, level, .. } = *config.extension();
        let only_point = Extension { linear_skip, location, level, ..Extension::default() };
        let plain = config.distribution().is_none() && *config.extension() == only_point;
        match &model.layout().head {
            HeadSlot::Forecast(slot) if plain => {
                let skip = slot.skip.as_ref().map(|slot| Skip::new(model, slot, plan));
                PackedHead::Point(Box::new(PredictionHead::new(
                    model,
                    &slot.projections[0],
                    skip,
                    plan,
                )))
            }
            _ => PackedHead::Defined,
        }
    }
}

/// Keeps the hidden states themselves, `[B, C][row]`.
#[derive(Debug)]
pub(super) struct HiddenRows {
    channels: Vec<usize>,
    row: usize,
}

impl HiddenRows {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { channels: (0..plan.last.num_channels).collect(), row: plan.last.row() }
    }

    /// What was kept, as `[B, C, N, D]`.
    pub(super) fn unpack(&self, plan: &Plan, batch: usize, rows: &[f32]) -> Vec<f32> {
        let Sizes { num_patches, d_model, pitch, .. } = plan.last;
        let count = batch * self.channels.len();
        let mut hidden = vec![0.0; count * num_patches * d_model];
        let targets = hidden.chunks_exact_mut(num_patches * d_model);
        for (row, to) in rows.chunks_exact(self.row).zip(targets) {
            for (n, patch) in to.chunks_exact_mut(d_model).enumerate() {
                for (d, to) in patch.iter_mut().enumerate() {
                    *to = row[d * pitch + n];
                }
            }
        }
        hidden
    }
}

impl RowHead for HiddenRows {
    fn channels(&self) -> &[usize] {
        &self.channels
    }

    fn width(&self) -> usize {
        self.row
    }

    fn scratch(&self, _: &Sizes) -> usize {
        0
    }

    fn apply(&self, _: &Sizes, hidden: &[f32], _: &mut [f32], out: &mut [f32]) {
        out.copy_from_slice(&hidden[..out.len()]);
    }
}

/// Forecasting: one projection of the whole hidden state, un-scaled in the end.
#[derive(Debug)]
pub(super) struct PredictionHead {
    /// Its inputs in the order of the hidden state, features first.
    projection: RowLinear,
    width: usize,
    skip: Option<Skip>,
    /// Channels that are forecast, ascending.
    channels: Vec<usize>,
    scaler: Scaler,
}

impl PredictionHead {
    /// Packs the projection of a point forecast.
    fn new(model: &Model, projection: &LinearSlot, skip: Option<Skip>, plan: &Plan) -> Self {
        let Sizes { num_patches, d_model, .. } = plan.last;
        let trained = &model.parameters.trained;
        let mut weight = vec![0.0; projection.weight.len()];
        let rows = trained[projection.weight.clone()].chunks_exact(projection.inputs);
        for (from, to) in rows.zip(weight.chunks_exact_mut(projection.inputs)) {
            for n in 0..num_patches {
                for d in 0..d_model {
                    to[d * num_patches + n] = from[n * d_model + d];
                }
            }
        }
        let bias = &trained[projection.bias.clone()];
        let (inputs, outputs) = (projection.inputs, projection.outputs);
        Self {
            projection: RowLinear::new(plan.isa, inputs, outputs, &weight, bias),
            width: plan.isa.pad(outputs),
            skip,
            channels: model.config().prediction_channels(),
            scaler: plan.scaler,
        }
    }

    /// Channels that are forecast, ascending.
    pub(super) fn kept(&self) -> &[usize] {
        &self.channels
    }

    /// Steps of a forecast.
    pub(super) fn steps(&self) -> usize {
        self.projection.outputs()
    }

    /// Number of a row among those that the plan computes: that of sample `b` and of `channel`,
    /// which is number `place` among the kept ones.
    pub(super) fn row(&self, plan: &Plan, b: usize, place: usize, channel: usize) -> usize {
        let within = if plan.mixes_channels { channel } else { place };
        b * plan.rows_per_sample(&self.channels) + within
    }

    /// The scaled forecast of a row.
    pub(super) fn scaled<'o>(&self, out: &'o [f32], row: usize) -> &'o [f32] {
        &out[row * self.width..][..self.steps()]
    }

    /// Applies the projection to stored hidden states `[B, C][row]`; the result is
    /// `[B, C'][width]`.
    pub(super) fn apply_to_all(&self, plan: &Plan, hidden: &[f32], batch: usize) -> Vec<f32> {
        let (sizes, row, kept) = (&plan.last, plan.last.row(), self.channels.len());
        let mut group = Aligned::zeros(GROUP * row);
        let mut scratch = Aligned::zeros(self.scratch(sizes));
        let mut out = Aligned::zeros(batch * kept * self.width);
        for (g, out) in out.chunks_mut(GROUP * self.width).enumerate() {
            let count = out.len() / self.width;
            for i in 0..count {
                let index = g * GROUP + i;
                let from = index / kept * sizes.num_channels + self.channels[index % kept];
                group[i * row..][..row].copy_from_slice(&hidden[from * row..][..row]);
            }
            self.apply(sizes, &group[..count * row], &mut scratch, out);
        }
        out.to_vec()
    }

    /// Adds the linear skip, if there is one, to `out` `[rows][width]`: see [`Skip::add`].
    pub(super) fn add_skip(
        &self,
        plan: &Plan,
        scaled: ScaledBatch<'_>,
        channel: impl Fn(usize) -> usize + Sync,
        windows: &mut Aligned,
        out: &mut [f32],
    ) {
        if let Some(skip) = &self.skip {
            let out = &mut out[..scaled.statistics.len() * self.width];
            skip.add(plan, scaled, channel, windows, out);
        }
    }

    /// Un-scales the rows that the head wrote, `scaled`, into `[B, H, C']`. `row` gives, for a
    /// sample, a place among the kept channels and its channel, the number of the row in `scaled`
    /// and `statistics`.
    pub(super) fn finish(
        &self,
        batch: usize,
        scaled: &[f32],
        statistics: &[Statistics],
        row: impl Fn(usize, usize, usize) -> usize,
        prediction: &mut Vec<f32>,
    ) {
        let (steps, count) = (self.steps(), self.channels.len());
        prediction.resize(batch * steps * count, 0.0);
        for (b, out) in prediction.chunks_exact_mut(steps * count).enumerate() {
            for (place, &channel) in self.channels.iter().enumerate() {
                let row = row(b, place, channel);
                let statistics = statistics[row];
                let scaled = self.scaled(scaled, row);
                for (out, y) in out[place..].iter_mut().step_by(count).zip(scaled) {
                    *out = self.scaler.undo(*y) * statistics.scale + statistics.loc;
                }
            }
        }
    }
}

impl RowHead for PredictionHead {
    fn channels(&self) -> &[usize] {
        &self.channels
    }

    fn width(&self) -> usize {
        self.width
    }

    fn scratch(&self, sizes: &Sizes) -> usize {
        let dense = sizes.pitch == sizes.num_patches;
        if dense { 0 } else { GROUP * sizes.d_model * sizes.num_patches }
    }

    fn apply(&self, sizes: &Sizes, hidden: &[f32], scratch: &mut [f32], out: &mut [f32]) {
        let rows = out.len() / self.width;
        let out = MatrixMut::new(out, self.width);
        let Sizes { num_patches, pitch, .. } = *sizes;
        if pitch == num_patches {
            let hidden = Matrix::new(hidden, sizes.row());
            return self.projection.apply(rows, hidden, Finish::Store, out);
        }
        for (from, to) in hidden.chunks_exact(pitch).zip(scratch.chunks_exact_mut(num_patches)) {
            to.copy_from_slice(&from[..num_patches]);
        }
        let row = sizes.d_model * num_patches;
        self.projection.apply(rows, Matrix::new(scratch, row), Finish::Store, out);
    }
}
