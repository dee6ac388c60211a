//! Simulated windows as the samples of a trainer.

use crate::data::{Batch, BatchShape};
use crate::simulate::{Effect, Family, Mix, VERSION, Windows};
use crate::train::Samples;

/// Windows from this number on are never trained on.
pub const HELD_BACK: u64 = 1 << 63;

/// Simulated windows of one channel, made when they are asked for.
#[derive(Debug, Clone)]
pub struct SimulatedSamples {
    windows: Windows,
    first: u64,
    count: usize,
}

impl SimulatedSamples {
    /// The windows from number 0 to below `count`, to be trained on.
    pub fn new(windows: Windows, count: usize) -> Self {
        Self { windows, first: 0, count }
    }

    /// `count` windows from number [`HELD_BACK`] on.
    pub fn held_back(windows: Windows, count: usize) -> Self {
        Self { windows, first: HELD_BACK, count }
    }
}

/// Weights and chances, so that other mixes have other texts.
fn text_of(mix: &Mix) -> String {
    let families = Family::ALL.iter().map(|&family| (family.name(), mix.weight(family)));
    let effects = Effect::ALL.iter().map(|&effect| (effect.name(), mix.chance(effect)));
    families.chain(effects).map(|(name, weight)| format!(" {name}={weight}")).collect()
}

impl Samples for SimulatedSamples {
    fn len(&self) -> usize {
        self.count
    }

    fn batch(&self, indices: &[usize]) -> Batch {
        let lengths = self.windows.lengths();
        let shape =
            BatchShape { size: indices.len(), context_length: lengths.context, num_channels: 1 };
        let [mut past, mut seen, mut future, mut counts] = [const { Vec::new() }; 4];
        for &index in indices {
            let window = self.windows.window(self.first + index as u64);
            past.extend(window.past);
            seen.extend(window.seen);
            future.extend(window.future);
            counts.extend(window.counts);
        }
        Batch::new(shape, past)
            .and_then(|batch| batch.with_observed_mask(seen))
            .and_then(|batch| batch.with_future_values(future))
            .and_then(|batch| batch.with_future_observed_mask(counts))
            .expect("simulated windows have one length")
    }

    fn fingerprint(&self) -> String {
        let simulator = self.windows.simulator();
        format!(
            "simulation {VERSION}, seed {}, {:?}, {} windows from {}:{}",
            simulator.seed(),
            self.windows.lengths(),
            self.count,
            self.first,
            text_of(simulator.mix())
        )
    }

    fn describe(&self) -> String {
        format!("simulated windows of {:?}", self.windows.lengths())
    }

    fn are_drawn(&self) -> bool {
        true
    }
}
