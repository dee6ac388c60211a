//! Mean and deviation of some points, summed in their order in double precision.

/// Mean and deviation of the seen points of one channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moments {
    /// Their mean.
    pub(crate) mean: f64,
    /// Population deviation (division by the count); 0 where they are all the same.
    pub(crate) deviation: f64,
}

impl Moments {
    /// Of these points; `None` without any.
    pub(crate) fn of(points: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let add = |(count, sum), value: f64| (count + 1_usize, sum + value);
        let (count, sum) = points.clone().fold((0, 0.0), add);
        if count == 0 {
            return None;
        }
        let mean = sum / count as f64;
        let variance = points.map(|value| (value - mean).powi(2)).sum::<f64>() / count as f64;
        let deviation = variance.sqrt();
        // A constant such as 0.1 has a mean that is rounded, so its deviation is not quite zero.
        let rounding = count as f64 * f64::EPSILON * mean.abs();
        let constant = deviation <= rounding || !deviation.is_finite();
        Some(Self { mean, deviation: if constant { 0.0 } else { deviation } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_the_population_and_a_constant_has_none() {
        let points = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        let got = Moments::of(points.into_iter()).unwrap();
        assert_eq!(got, Moments { mean: 5.0, deviation: 2.0 });
        assert_eq!(Moments::of([0.1; 1000].into_iter()).unwrap().deviation, 0.0);
        assert_eq!(Moments::of(std::iter::empty()), None);
    }
}
