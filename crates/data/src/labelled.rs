//! Labelled cases for classification and regression.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::series::{HashedParts, Series};
use super::standard::Standardiser;
use ptsm_core::Transform;
use ptsm_core::{Error, Result};

/// What the cases are labelled with.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// One class a case.
    Classes {
        /// Names of the classes.
        names: Vec<String>,
        /// Number of the class of every case.
        of: Vec<usize>,
    },
    /// One or more values a case.
    Values {
        /// Names of the values.
        names: Vec<String>,
        /// `[cases, values]`, row-major, finite.
        of: Vec<f64>,
    },
    /// Nothing: so many cases that are to be labelled.
    Unknown(usize),
}

impl Labels {
    /// Classes by their names; the names in ascending order. `1.0` is the class `1`.
    pub fn classes(labels: Vec<String>) -> Self {
        let labels: Vec<String> = labels.iter().map(|label| class_name(label).to_owned()).collect();
        let mut names = labels.clone();
        names.sort();
        names.dedup();
        let of = labels.iter().filter_map(|label| names.binary_search(label).ok()).collect();
        Labels::Classes { names, of }
    }

    /// Number of cases.
    fn len(&self) -> usize {
        match self {
            Labels::Classes { of, .. } => of.len(),
            Labels::Values { names, of } => of.len() / names.len().max(1),
            Labels::Unknown(count) => *count,
        }
    }

    fn subset(&self, indices: &[usize]) -> Self {
        match self {
            Labels::Classes { names, of } => {
                let of = indices.iter().map(|&i| of[i]).collect();
                Labels::Classes { names: names.clone(), of }
            }
            Labels::Values { names, of } => {
                let width = names.len();
                let of = indices.iter().flat_map(|&i| of[i * width..][..width].to_vec()).collect();
                Labels::Values { names: names.clone(), of }
            }
            Labels::Unknown(_) => Labels::Unknown(indices.len()),
        }
    }
}

/// The name of a class without the decimals of a whole number, which some programs write.
pub(super) fn class_name(label: &str) -> &str {
    let whole = label.split_once('.').filter(|(whole, decimals)| {
        let digits = whole.strip_prefix('-').unwrap_or(whole);
        let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_whole && !decimals.is_empty() && decimals.bytes().all(|byte| byte == b'0')
    });
    whole.map_or(label, |(whole, _)| whole)
}

/// Series with a label each.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledSet {
    /// Names of the channels, C.
    pub channels: Vec<String>,
    /// The cases, which may differ in length; at least one.
    pub cases: Vec<Series>,
    /// Their labels.
    pub labels: Labels,
}

impl LabelledSet {
    /// Puts cases and labels together.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there is no case, or not one label for each.
    pub fn new(channels: Vec<String>, cases: Vec<Series>, labels: Labels) -> Result<Self> {
        if cases.is_empty() || labels.len() != cases.len() {
            let text = format!("{} cases with {} labels", cases.len(), labels.len());
            return Err(Error::input(text));
        }
        Ok(Self { channels, cases, labels })
    }

    /// SHA-256, as hex digits, over the names of the channels, every value and gap, and the labels: what differs for
    /// other data.
    pub fn fingerprint(&self) -> String {
        let mut parts = HashedParts::default();
        self.channels.iter().for_each(|name| parts.add(name.as_bytes()));
        self.cases.iter().for_each(|case| parts.add_series(case));
        let (names, of): (&[String], Vec<u8>) = match &self.labels {
            Labels::Classes { names, of } => {
                (names, of.iter().flat_map(|&class| (class as u64).to_le_bytes()).collect())
            }
            Labels::Values { names, of } => {
                (names, of.iter().flat_map(|x| x.to_le_bytes()).collect())
            }
            Labels::Unknown(_) => (&[], Vec::new()),
        };
        names.iter().for_each(|name| parts.add(name.as_bytes()));
        parts.add(&of);
        parts.finish()
    }

    /// The number of cases.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Whether there is no case: never.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// Points in time of the longest case.
    pub fn longest(&self) -> usize {
        self.cases.iter().map(Series::num_rows).max().unwrap_or_default()
    }

    /// Some of the cases.
    pub fn subset(&self, indices: &[usize]) -> Self {
        Self {
            channels: self.channels.clone(),
            cases: indices.iter().map(|&i| self.cases[i].clone()).collect(),
            labels: self.labels.subset(indices),
        }
    }

    /// The same cases with their classes counted as a trained model counts them.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the class and those that are known, if one was not there in training.
    pub fn with_classes(mut self, known: &[String]) -> Result<Self> {
        if let Labels::Classes { names, of } = &self.labels {
            let place = |class: &usize| {
                known
                    .iter()
                    .position(|name| class_name(name) == class_name(&names[*class]))
                    .ok_or_else(|| {
                        let known = known.join(", ");
                        let text = format!(
                            "the class \"{}\" was not there in training (known: {known})",
                            names[*class]
                        );
                        Error::input(text)
                    })
            };
            let of = of.iter().map(place).collect::<Result<Vec<_>>>()?;
            self.labels = Labels::Classes { names: known.to_vec(), of };
        }
        Ok(self)
    }

    /// Deals the cases into `count` parts of equal size, each class evenly; the seed decides.
    ///
    /// # Errors
    ///
    /// `InvalidConfig` if there are not at least two parts, or fewer cases than parts.
    pub fn folds(&self, count: usize, seed: u64) -> Result<Vec<Vec<usize>>> {
        if count < 2 || count > self.len() {
            let text = format!("{count} must be from 2 to the {} cases", self.len());
            return Err(Error::config("folds", text));
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<usize> = (0..self.len()).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, random.random_range(0..=i));
        }
        if let Labels::Classes { of, .. } = &self.labels {
            // Stable: within a class the drawn order stays.
            order.sort_by_key(|&i| of[i]);
        }
        let mut folds = vec![Vec::new(); count];
        for (k, i) in order.into_iter().enumerate() {
            folds[k % count].push(i);
        }
        folds.iter_mut().for_each(|fold| fold.sort_unstable());
        Ok(folds)
    }

    /// Shift and scale of the channels over all points that were seen, after this transform.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, naming the channel, if none of its points was seen.
    pub fn standardiser(&self, transform: Transform) -> Result<Standardiser> {
        let parts: Vec<_> = self.cases.iter().map(|case| (case, 0..case.num_rows())).collect();
        Standardiser::fit(&self.channels, &parts, transform)
    }
}
