//! Coarser steps: means of blocks of them, in which long seasons are forecast, and the way back.

/// A series as means of blocks of steps, and how far its values lie from them.
#[derive(Debug, Clone)]
pub(super) struct Blocks {
    /// Steps of a block; 1 = every step is its own.
    length: usize,
    /// Means, oldest first; the last one ends where the series ends.
    pub(super) means: Vec<f64>,
    /// Standard deviation of values from the means of their blocks.
    roughness: f64,
}

impl Blocks {
    /// Blocks of `length` steps; the steps that fill no block, at the start, are left out. `values` fill at least one.
    pub(super) fn of(values: &[f64], length: usize) -> Self {
        if length == 1 {
            return Self { length, means: values.to_vec(), roughness: 0.0 };
        }
        let whole = &values[values.len() % length..];
        let blocks = || whole.chunks_exact(length);
        let means: Vec<f64> =
            blocks().map(|block| block.iter().sum::<f64>() / length as f64).collect();
        let squares = blocks()
            .zip(&means)
            .flat_map(|(block, mean)| block.iter().map(move |value| (value - mean).powi(2)));
        let freedom = means.len() * (length - 1);
        let roughness = (squares.sum::<f64>() / freedom as f64).sqrt();
        Self { length, means, roughness }
    }

    /// Blocks that hold the next `steps` steps.
    pub(super) fn holding(&self, steps: usize) -> usize {
        steps.div_ceil(self.length)
    }

    /// The next `steps` steps of a path of forecast means: on straight lines between the middles of blocks, from the
    /// last block that was seen.
    pub(super) fn path(&self, forecast: &[f64], steps: usize) -> Vec<f64> {
        let last = self.means.last().copied().unwrap_or_default();
        self.between(last, forecast, steps)
    }

    /// As [`Blocks::path`], of how far a quantile lies from the path, `deviation` standard deviations of a normal
    /// distribution; that of a step is farther than that of a mean by how rough the series is.
    pub(super) fn distances(&self, forecast: &[f64], deviation: f64, steps: usize) -> Vec<f64> {
        let first = forecast.first().copied().unwrap_or_default();
        let rough = deviation * self.roughness;
        let farther = |distance: f64| distance.hypot(rough).copysign(deviation);
        self.between(first, forecast, steps).into_iter().map(farther).collect()
    }

    fn between(&self, before: f64, forecast: &[f64], steps: usize) -> Vec<f64> {
        let length = self.length as f64;
        let value = |step: usize| {
            // In blocks, from the middle of the block before the first one.
            let place = (step as f64 + 0.5) / length + 0.5;
            let block = place as usize;
            let at = |block: usize| match block {
                0 => before,
                _ => forecast[(block - 1).min(forecast.len() - 1)],
            };
            let share = place - block as f64;
            at(block) * (1.0 - share) + at(block + 1) * share
        };
        match self.length {
            1 => forecast[..steps].to_vec(),
            _ => (0..steps).map(value).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_one_step_are_the_steps() {
        let blocks = Blocks::of(&[1.0, 4.0], 1);
        assert_eq!((&blocks.means[..], blocks.holding(5)), (&[1.0, 4.0][..], 5));
        assert_eq!(blocks.path(&[2.0, 7.0, 9.0], 2), [2.0, 7.0]);
        assert_eq!(blocks.distances(&[-2.0, -7.0], -1.3, 2), [-2.0, -7.0]);
    }

    #[test]
    fn a_line_comes_back_and_noise_widens() {
        let line = |from: i32, to: i32| (from..to).map(f64::from).collect::<Vec<f64>>();
        let blocks = Blocks::of(&line(0, 22), 4);
        assert_eq!(blocks.means, [3.5, 7.5, 11.5, 15.5, 19.5]);
        assert_eq!(blocks.holding(9), 3);
        let forecast = [23.5, 27.5, 31.5];
        assert_eq!(blocks.path(&forecast, 10), line(22, 32));
        // After the middle of the last block its mean stays.
        assert_eq!(blocks.path(&forecast, 12)[10..], [31.5, 31.5]);
        assert!((blocks.roughness - (5.0f64 / 3.0).sqrt()).abs() < 1e-12);
        let wide = blocks.distances(&[3.0, 3.0], 2.0, 5);
        for distance in wide {
            assert!((distance - (9.0f64 + 4.0 * 5.0 / 3.0).sqrt()).abs() < 1e-12);
        }
        assert_eq!(Blocks::of(&[5.0; 9], 4).distances(&[0.0], -1.0, 1), [0.0]);
    }
}
