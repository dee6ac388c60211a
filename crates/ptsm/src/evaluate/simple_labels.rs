//! Labels without training: the most frequent class or the mean value, and the label of the nearest case.

use crate::data::{LabelledSet, Labels, Transform};
use crate::{Error, Result};
use ptsm_core::{bytes_of, require_memory};

/// Cases that are looked through for the nearest one, at most.
const LOOKED_THROUGH: usize = 1000;

/// Scores of labels that need no training, over held-out cases: accuracy of classes, RMSE of values in the units of the
/// data.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SimpleLabels {
    /// Of the most frequent class of the other cases, or their mean.
    pub constant: f64,
    /// Of the label of the nearest of the other cases (1-NN), by the squared differences of standardised values.
    pub nearest: f64,
}

/// Sums over held-out cases.
#[derive(Default)]
struct Sums {
    constant: f64,
    nearest: f64,
    count: f64,
}

impl SimpleLabels {
    /// Scores both on cases that are held out of `set`, fold by fold. Of more than 1,000 other cases every n-th is
    /// looked through for the nearest.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the cases have no labels, or a channel was never seen.
    pub fn cross_validated<'a>(
        set: &LabelledSet,
        folds: impl Iterator<Item = &'a [usize]>,
    ) -> Result<Self> {
        let cases = standardised(set)?;
        let mut sums = Sums::default();
        for fold in folds {
            let others: Vec<usize> = (0..set.len()).filter(|case| !fold.contains(case)).collect();
            sums.add(&set.labels, &cases, [fold, &others])?;
        }
        let mean = |sum: f64| sum / sums.count;
        Ok(match &set.labels {
            Labels::Values { .. } => {
                Self { constant: mean(sums.constant).sqrt(), nearest: mean(sums.nearest).sqrt() }
            }
            _ => Self { constant: mean(sums.constant), nearest: mean(sums.nearest) },
        })
    }
}

impl Sums {
    /// Adds the held-out cases of a fold, for which the labels of the others are known.
    fn add(
        &mut self,
        labels: &Labels,
        cases: &[Vec<f32>],
        [held_out, others]: [&[usize]; 2],
    ) -> Result<()> {
        let step = others.len().div_ceil(LOOKED_THROUGH).max(1);
        let nearest = |case: usize| {
            let distance = |other: usize| distance(&cases[case], &cases[other]);
            let looked_through = others.iter().copied().step_by(step);
            looked_through
                .min_by(|&a, &b| distance(a).total_cmp(&distance(b)))
                .ok_or_else(|| Error::input("there is no other case"))
        };
        match labels {
            Labels::Classes { names, of } => {
                let mut counts = vec![0_usize; names.len()];
                others.iter().for_each(|&other| counts[of[other]] += 1);
                let most = (0..counts.len()).rev().max_by_key(|&class| counts[class]);
                for &case in held_out {
                    self.constant += f64::from(u8::from(most == Some(of[case])));
                    self.nearest += f64::from(u8::from(of[nearest(case)?] == of[case]));
                }
                self.count += held_out.len() as f64;
            }
            Labels::Values { names, of } => {
                let width = names.len();
                let mean = |k: usize| {
                    let sum: f64 = others.iter().map(|&other| of[other * width + k]).sum();
                    sum / others.len() as f64
                };
                let means: Vec<f64> = (0..width).map(mean).collect();
                for &case in held_out {
                    let near = nearest(case)?;
                    for (k, mean) in means.iter().enumerate() {
                        let truth = of[case * width + k];
                        self.constant += (truth - mean).powi(2);
                        self.nearest += (truth - of[near * width + k]).powi(2);
                    }
                }
                self.count += (held_out.len() * width) as f64;
            }
            Labels::Unknown(_) => return Err(Error::input("the cases have no labels")),
        }
        Ok(())
    }
}

/// The values of every case, standardised by channel, NaN where one is missing; rows that shorter cases do not have are
/// missing in front.
fn standardised(set: &LabelledSet) -> Result<Vec<Vec<f32>>> {
    let standardiser = set.standardiser(Transform::None)?;
    let (longest, width) = (set.longest(), set.channels.len());
    let bytes = bytes_of(&[set.len() + 1, longest, width]);
    require_memory("comparing the cases", bytes, "fewer or shorter cases")?;
    let one = |case| {
        let prepared = standardiser.apply(case)?;
        let mut values = vec![f32::NAN; longest * width];
        let from = values.len() - prepared.values.len();
        values[from..].copy_from_slice(&prepared.values);
        if let Some(mask) = &prepared.observed_mask {
            let unseen = mask.iter().enumerate().filter(|(_, seen)| **seen == 0.0);
            unseen.for_each(|(i, _)| values[from + i] = f32::NAN);
        }
        Ok(values)
    };
    set.cases.iter().map(one).collect()
}

/// Mean squared difference of the points that both cases have; infinite without any.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let difference = f64::from(x - y);
        if !difference.is_nan() {
            sum += difference * difference;
            count += 1.0;
        }
    }
    if count == 0.0 { f64::INFINITY } else { sum / count }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Series;

    fn set(labels: Labels) -> LabelledSet {
        let case = |i: usize| {
            let level = if i < 6 { 0.0 } else { 10.0 };
            // The last case is shorter, and has a gap.
            let values = match i {
                9 => vec![f64::NAN, level + 2.0],
                _ => (0..4).map(|t| level + ((i + t) % 3) as f64).collect(),
            };
            Series::new(i.to_string(), 1, values).unwrap()
        };
        LabelledSet::new(vec!["x".into()], (0..10).map(case).collect(), labels).unwrap()
    }

    fn scores(labels: Labels) -> SimpleLabels {
        let folds = [[0, 1, 6, 9], [2, 3, 7, 8]];
        SimpleLabels::cross_validated(&set(labels), folds.iter().map(<[usize; 4]>::as_slice))
            .unwrap()
    }

    #[test]
    fn classes_by_level_are_those_of_the_nearest_case() {
        let names = (0..10).map(|i| if i < 6 { "low" } else { "high" }.to_owned()).collect();
        let found = scores(Labels::classes(names));
        assert_eq!((found.constant, found.nearest), (0.5, 1.0));
    }

    #[test]
    fn values_are_scored_by_the_root_of_the_mean_square() {
        let of = (0..10).map(|i| if i < 6 { 1.0 } else { 5.0 }).collect();
        let found = scores(Labels::Values { names: vec!["y".into()], of });
        assert_eq!(found.nearest, 0.0);
        // The other six cases have four low values and two high ones: their mean is 7 / 3.
        let wanted = (f64::midpoint((4.0f64 / 3.0).powi(2), (8.0f64 / 3.0).powi(2))).sqrt();
        assert!((found.constant - wanted).abs() < 1e-12, "{}", found.constant);
    }
}
