//! The backbone for forecasts: from windows to hidden states, the rows spread over the threads.
//!
//! Every row, and every strip of columns in the channel mixer, is computed by itself, in an order
//! that depends on nothing else. So its bits are the same in any batch, at any place in it, and for
//! any number of threads.

use ptsm_kernels::{Finish, Matrix, MatrixMut, MatrixShape, StridedSlice, add_columns, gather};
use rayon::prelude::*;

use super::arena::{Arena, CallSize, Sample, Statistics, Worker};
use super::blocks::strips;
use super::head::RowHead;
use super::pack::ColumnBlock;
use super::plan::{Plan, Run, Window, WindowIndex};
use super::sizes::GROUP;
use crate::Result;
use crate::batch::Batch;
use crate::layers::level;
use crate::window_scaling::WindowScaling;

/// The rows that one thread computes, and where the results go.
struct Share<'a> {
    /// Number of the first row; for a single sample, the number of the sample.
    first: usize,
    out: &'a mut [f32],
    statistics: &'a mut [Statistics],
}

impl Plan {
    /// Rows that the backbone computes for one sample: those of all channels if they are mixed,
    /// otherwise those of `channels`.
    pub(super) fn rows_per_sample(&self, channels: &[usize]) -> usize {
        if self.mixes_channels { self.first.num_channels } else { channels.len() }
    }

    /// Runs the backbone, and the head's part for each row, on all threads. The results are in the
    /// arena, in the order of samples and rows.
    ///
    /// # Errors
    ///
    /// As [`Arena::reserve`].
    pub(super) fn run(&self, batch: &Batch, head: &impl RowHead, arena: &mut Arena) -> Result<()> {
        self.run_on(rayon::current_num_threads(), batch, head, arena)
    }

    /// As [`Self::run`], on so many threads.
    pub(super) fn run_on(
        &self,
        threads: usize,
        batch: &Batch,
        head: &impl RowHead,
        arena: &mut Arena,
    ) -> Result<()> {
        let per_sample = self.rows_per_sample(head.channels());
        let rows = batch.size() * per_sample;
        let (width, head_scratch) = (head.width(), head.scratch(&self.last));
        arena.reserve(self, CallSize { rows, width, head_scratch, threads })?;
        let Arena { workers, out, statistics, .. } = arena;
        let workers = &mut workers[..threads];
        let whole =
            Share { first: 0, out: &mut out[..rows * width], statistics: &mut statistics[..rows] };
        if !self.mixes_channels {
            let work =
                |worker: &mut Worker, share: Share<'_>| self.rows(batch, head, worker, share);
            spread(workers, width, 1, whole, work);
            return Ok(());
        }
        // With fewer samples than threads, the threads share each sample.
        if batch.size() >= threads {
            let work =
                |worker: &mut Worker, share: Share<'_>| self.samples(batch, head, worker, share);
            spread(workers, width, per_sample, whole, work);
            return Ok(());
        }
        let outs = whole.out.chunks_exact_mut(per_sample * width);
        for ((b, out), statistics) in
            outs.enumerate().zip(whole.statistics.chunks_exact_mut(per_sample))
        {
            self.sample(batch, head, workers, Share { first: b, out, statistics });
        }
        Ok(())
    }

    /// Computes rows of channels that are not mixed, group by group.
    fn rows(&self, batch: &Batch, head: &impl RowHead, worker: &mut Worker, share: Share<'_>) {
        let (row, channels) = (self.first.row(), head.channels());
        let mut group = std::mem::take(&mut worker.group);
        let mut reshaped = std::mem::take(&mut worker.reshaped);
        let groups = share.out.chunks_mut(GROUP * head.width());
        for (g, (out, statistics)) in groups.zip(share.statistics.chunks_mut(GROUP)).enumerate() {
            let count = statistics.len();
            let hidden = &mut group[..count * row];
            for (i, (x, statistics)) in hidden.chunks_exact_mut(row).zip(statistics).enumerate() {
                let index = share.first + g * GROUP + i;
                let (sample, channel) = (index / channels.len(), channels[index % channels.len()]);
                *statistics = self.embed(batch, WindowIndex { sample, channel }, worker, x);
            }
            for run in &self.runs {
                let row = run.sizes.row();
                let hidden = &mut group[..count * row];
                for x in hidden.chunks_mut(run.stack * row) {
                    self.mix_rows(run, x, worker);
                }
                if let Some(to) = &run.reshape {
                    let rows = hidden.chunks_exact(row).zip(reshaped.chunks_exact_mut(to.row()));
                    rows.for_each(|(x, out)| run.sizes.reshape(to, x, out));
                    std::mem::swap(&mut group, &mut reshaped);
                }
            }
            let hidden = &group[..count * self.last.row()];
            head.apply(&self.last, hidden, &mut worker.head, out);
        }
        (worker.group, worker.reshaped) = (group, reshaped);
    }

    /// Computes samples whose channels are mixed, one after the other on one thread.
    fn samples(&self, batch: &Batch, head: &impl RowHead, worker: &mut Worker, share: Share<'_>) {
        let channels = self.first.num_channels;
        let outs = share.out.chunks_exact_mut(channels * head.width());
        for ((i, out), statistics) in
            outs.enumerate().zip(share.statistics.chunks_exact_mut(channels))
        {
            let first = share.first / channels + i;
            self.sample(
                batch,
                head,
                std::slice::from_mut(worker),
                Share { first, out, statistics },
            );
        }
    }

    /// Computes one sample, number `share.first`, whose channels are mixed, on all `workers`: they
    /// share the strips of columns in the channel mixer, and the channels in everything else.
    fn sample(&self, batch: &Batch, head: &impl RowHead, workers: &mut [Worker], share: Share<'_>) {
        let (row, channels, b) = (self.first.row(), self.first.num_channels, share.first);
        let mut sample = std::mem::take(&mut workers[0].sample);
        sample.reserve(self);
        let per_worker = channels.div_ceil(workers.len());
        let statistics = share.statistics.par_chunks_mut(per_worker);
        let hidden = sample.hidden[..channels * row].par_chunks_mut(per_worker * row);
        each(workers, hidden.zip(statistics), |i, worker, (hidden, statistics)| {
            for (j, (x, statistics)) in hidden.chunks_exact_mut(row).zip(statistics).enumerate() {
                let window = WindowIndex { sample: b, channel: i * per_worker + j };
                *statistics = self.embed(batch, window, worker, x);
            }
        });
        for run in &self.runs {
            self.run_sample(run, &mut sample, workers);
        }
        let row = self.last.row();
        let outs = share.out.par_chunks_mut(per_worker * head.width());
        let parts = sample.hidden[..channels * row].par_chunks(per_worker * row).zip(outs);
        each(workers, parts, |_, worker, (hidden, out)| {
            let groups = hidden.chunks(GROUP * row).zip(out.chunks_mut(GROUP * head.width()));
            for (hidden, out) in groups {
                head.apply(&self.last, hidden, &mut worker.head, out);
            }
        });
        workers[0].sample = sample;
    }

    /// One run of blocks on a sample: the channel mixer, then the others channel by channel.
    fn run_sample(&self, run: &Run, sample: &mut Sample, workers: &mut [Worker]) {
        let (row, channels) = (run.sizes.row(), run.sizes.num_channels);
        let per_worker = channels.div_ceil(workers.len());
        if let Some(channel) = &run.channel {
            self.mix_channels(channel, sample, workers);
        }
        let Sample { hidden, reshaped, mixed, .. } = sample;
        let mixed = &mixed[..];
        let parts = hidden[..channels * row].par_chunks_mut(per_worker * row);
        each(workers, parts, |i, worker, hidden| {
            if let Some(channel) = &run.channel {
                for (j, x) in hidden.chunks_exact_mut(row).enumerate() {
                    self.add_mixed(channel, i * per_worker + j, mixed, x);
                }
            }
            for x in hidden.chunks_mut(run.stack * row) {
                self.mix_rows(run, x, worker);
            }
        });
        if let Some(to) = &run.reshape {
            let rows = hidden[..channels * row].par_chunks_exact(row);
            let outs = reshaped[..channels * to.row()].par_chunks_exact_mut(to.row());
            rows.zip(outs).for_each(|(x, out)| run.sizes.reshape(to, x, out));
            std::mem::swap(hidden, reshaped);
        }
    }

    /// What the channel mixer adds to all rows of a sample, into the strips of its `mixed`.
    fn mix_channels(&self, channel: &ColumnBlock, sample: &mut Sample, workers: &mut [Worker]) {
        let (row, channels, pitch) =
            (channel.sizes.row(), channel.sizes.num_channels, channel.sizes.pitch);
        let Sample { hidden, normed, mixed, .. } = sample;
        let (hidden, normed) = (&hidden[..channels * row], &mut normed[..channels * row]);
        let per_worker = channels.div_ceil(workers.len());
        let parts =
            hidden.par_chunks(per_worker * row).zip(normed.par_chunks_mut(per_worker * row));
        each(workers, parts, |_, _, (hidden, normed)| {
            for (x, z) in hidden.chunks_exact(row).zip(normed.chunks_exact_mut(row)) {
                channel.norm.apply(pitch, Matrix::new(x, pitch), MatrixMut::new(z, pitch));
            }
        });
        let z = &normed[..];
        let strip = channels * channel.columns;
        let number = row.div_ceil(channel.columns);
        let strips_per_worker = number.div_ceil(workers.len());
        let parts = mixed[..number * strip].par_chunks_mut(strips_per_worker * strip);
        each(workers, parts, |i, worker, mixed| {
            let all = strips(row, channel.columns).skip(i * strips_per_worker);
            for ((first, columns), out) in all.zip(mixed.chunks_exact_mut(strip)) {
                let scratch = &mut worker.column_block;
                self.channel_mixer(channel, &z[first..], columns, scratch, out);
            }
        });
    }

    /// Adds the outputs of the channel mixer, which are in the strips of `mixed`, to the row `x` of
    /// one channel.
    fn add_mixed(&self, mixer: &ColumnBlock, channel: usize, mixed: &[f32], x: &mut [f32]) {
        let width = mixer.columns;
        let all = mixed.chunks_exact(mixer.sizes.num_channels * width);
        for ((first, columns), strip) in strips(mixer.sizes.row(), width).zip(all) {
            let shape = MatrixShape { rows: 1, columns };
            let from = Matrix::new(&strip[channel * columns..], columns);
            add_columns(self.isa, shape, from, MatrixMut::new(&mut x[first..], columns));
        }
    }

    /// Scales one (sample, channel) window, cuts it into patches, embeds them into `x`
    /// `[D][pitch]`, and returns what undoes the scaling.
    fn embed(
        &self,
        batch: &Batch,
        WindowIndex { sample, channel }: WindowIndex,
        worker: &mut Worker,
        x: &mut [f32],
    ) -> Statistics {
        let Worker { column, mask, patches, .. } = worker;
        let Window { context_length: length, patch_length, patch_stride, patch_start } =
            self.window;
        let (n, pitch, channels) =
            (self.first.num_patches, self.first.pitch, self.first.num_channels);
        let offset = sample * length * channels + channel;
        gather(StridedSlice { values: batch.past_values(), offset, stride: channels }, column);
        let mask = batch.observed_mask().map(|values| {
            gather(StridedSlice { values, offset, stride: channels }, mask);
            &mask[..]
        });
        let origin = batch.origin().map_or(0.0, |origin| origin[sample * channels + channel]);
        let fitted = self.scaling().fit(column, mask, origin);
        self.scale(column, fitted.into());
        for (k, patches) in patches.chunks_exact_mut(pitch).take(patch_length).enumerate() {
            let (offset, stride) = (patch_start + k, patch_stride);
            gather(StridedSlice { values: column, offset, stride }, &mut patches[..n]);
        }
        let finish = match &self.position {
            None => Finish::Store,
            Some(table) => {
                x.copy_from_slice(table);
                Finish::Add
            }
        };
        let (from, to) = (Matrix::new(patches, pitch), MatrixMut::new(x, pitch));
        self.patcher.apply(pitch, from, finish, to);
        fitted.into()
    }

    /// How windows are scaled.
    fn scaling(&self) -> WindowScaling {
        WindowScaling { scaler: self.scaler, isa: self.isa }
    }

    /// Scales a window, in place.
    pub(super) fn scale(&self, x: &mut [f32], Statistics { loc, scale, least }: Statistics) {
        self.scaling().apply(x, level::Fitted { loc, scale, least });
    }
}

/// Cuts the rows, for each of which the head writes `width` numbers, into equal shares of whole
/// units of `unit` rows, one share for each worker.
fn spread(
    workers: &mut [Worker],
    width: usize,
    unit: usize,
    whole: Share<'_>,
    work: impl Fn(&mut Worker, Share<'_>) + Sync,
) {
    let rows = (whole.statistics.len() / unit).div_ceil(workers.len()) * unit;
    let outs = whole.out.par_chunks_mut(rows * width);
    let parts = outs.zip(whole.statistics.par_chunks_mut(rows));
    each(workers, parts, |i, worker, (out, statistics)| {
        work(worker, Share { first: i * rows, out, statistics });
    });
}

/// Gives part `i` to worker `i`, each on a thread of its own; there are at most as many parts as
/// workers.
fn each<P: Send>(
    workers: &mut [Worker],
    parts: impl IndexedParallelIterator<Item = P>,
    work: impl Fn(usize, &mut Worker, P) + Sync,
) {
    let pairs = workers.par_iter_mut().zip(parts).enumerate();
    pairs.with_max_len(1).for_each(|(i, (worker, part))| work(i, worker, part));
}
