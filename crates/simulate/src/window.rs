//! [`Windows`]: simulated series cut into past and future, as a network is trained on them.

use crate::effects::Level;
use crate::random::Random;
use crate::simulator::Simulator;

/// Values further than this many deviations of the past from its mean are cut off there.
const FAR: f64 = 25.0;

/// Shortest history.
const SHORTEST: usize = 5;

/// Histories below this have mostly short futures, as short real series do.
const SHORT: usize = 45;

/// Lengths of a window, in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowLengths {
    /// Longest past, L; at least 16.
    pub context: usize,
    /// Future, H; at least 1.
    pub horizon: usize,
}

/// One window: a past that ends with the last step of the context, and what follows.
///
/// The past is shorter than the context in most windows, and then missing in front, where its first
/// value stands; in some it has holes. Values are shifted by the mean of the past and divided by the square root of its deviation
/// times its mean absolute step, so that smooth and noisy series weigh alike in a loss.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Window {
    /// `[L]`; the first seen value in front of it, and 0 where a later point is missing.
    pub past: Vec<f32>,
    /// `[L]`; 1 = seen, 0 = missing.
    pub seen: Vec<f32>,
    /// `[H]`; 0 beyond the steps that count.
    pub future: Vec<f32>,
    /// `[H]`; 1 = counts, 0 = beyond.
    pub counts: Vec<f32>,
}

/// Simulated windows, numbered from 0: each is a function of the simulator, the lengths and its number.
///
/// ```
/// use ptsm_simulate::{Mix, Simulator, WindowLengths, Windows};
///
/// let lengths = WindowLengths { context: 64, horizon: 12 };
/// let windows = Windows::new(Simulator::new(0, Mix::default()), lengths);
/// let window = windows.window(42);
/// assert_eq!((window.past.len(), window.future.len()), (64, 12));
/// assert_eq!(window.seen.last(), Some(&1.0));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Windows {
    simulator: Simulator,
    lengths: WindowLengths,
}

impl Windows {
    /// Windows of these lengths.
    ///
    /// # Panics
    ///
    /// If the context is below 16 steps or the horizon is 0.
    pub fn new(simulator: Simulator, lengths: WindowLengths) -> Self {
        assert!(lengths.context >= 16 && lengths.horizon >= 1, "{lengths:?}");
        Self { simulator, lengths }
    }

    /// The series behind them.
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// Their lengths.
    pub fn lengths(&self) -> WindowLengths {
        self.lengths
    }

    /// Window number `index`.
    pub fn window(&self, index: u64) -> Window {
        let WindowLengths { context, horizon } = self.lengths;
        let mut random = self.simulator.random(index);
        let past = self.draw_past(&mut random);
        let total = past + horizon.max(SHORTEST);
        let values = self.simulator.draw(&mut random, [past, total]).values;
        let scaled = scale(&values, past);
        let missing = context - past;
        let mut window = Window {
            past: vec![scaled[0]; context],
            seen: vec![0.0; context],
            future: vec![0.0; horizon],
            counts: vec![0.0; horizon],
        };
        window.past[missing..].copy_from_slice(&scaled[..past]);
        window.seen[missing..].fill(1.0);
        if random.chance(0.05) {
            window.make_holes(&mut random, missing + 1..context - 1);
        }
        let steps = self.draw_steps(&mut random, past);
        window.future[..steps].copy_from_slice(&scaled[past..past + steps]);
        window.counts[..steps].fill(1.0);
        window
    }

    /// Points of the past: the whole context, few, or something between.
    fn draw_past(&self, random: &mut Random) -> usize {
        let context = self.lengths.context;
        let past = match random.unit() {
            place if place < 0.35 => context,
            place if place < 0.65 => random.whole(9, 42),
            _ if random.chance(0.1) => random.whole(SHORTEST, 12),
            // As many between 36 and 72 as between 256 and 512.
            _ => {
                let log = random.uniform(libm::log(36.0), libm::log(context.max(37) as f64));
                libm::exp(log) as usize
            }
        };
        past.min(context)
    }

    /// Steps of the future that count: fewer after a short past, and early ones more often.
    fn draw_steps(&self, random: &mut Random, past: usize) -> usize {
        let horizon = self.lengths.horizon;
        let steps = if past < SHORT {
            match random.unit() {
                place if place < 0.3 => random.whole(1, 5),
                place if place < 0.8 => 4 + 2 * random.whole(0, 3),
                _ => horizon,
            }
        } else {
            match random.unit() {
                place if place < 0.33 => random.whole(1, 7),
                place if place < 0.50 => 8,
                place if place < 0.70 => 18,
                place if place < 0.80 => 24,
                _ => horizon,
            }
        };
        steps.min(horizon)
    }
}

impl Window {
    /// Hides some points of the past in `range`.
    fn make_holes(&mut self, random: &mut Random, range: std::ops::Range<usize>) {
        let share = random.uniform(0.03, 0.3);
        for t in range {
            if random.chance(share) {
                (self.past[t], self.seen[t]) = (0.0, 0.0);
            }
        }
    }
}

/// Shifts and scales by the first `past` values.
fn scale(values: &[f64], past: usize) -> Vec<f32> {
    let Level { mean, deviation } = Level::of(&values[..past]);
    let steps = values[..past].windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f64>();
    let step = (steps / (past - 1) as f64).clamp(0.1 * deviation, 1.5 * deviation);
    let (scale, far) = ((deviation * step).sqrt(), FAR * deviation);
    values.iter().map(|value| ((value - mean).clamp(-far, far) / scale) as f32).collect()
}
