//! The settings that are searched where no recipe says others.

use serde_json::{Map, Value, json};

use crate::Task;
use crate::data::{LabelledSet, Labels};
use crate::job::CaseSearch;
use crate::spec::{ChannelModeChoice, ModelSpec};
use crate::train::Training;

/// Fields whose first value stands for all of them in the first round of a search.
const LATE: [&str; 3] = ["d_model", "epochs", "init"];

/// Steps of a short training; a long one has twice as many.
const SHORT: usize = 300;
const LONG: usize = 2;

/// Passes over the cases in a short training, at least and at most.
const PASSES: [usize; 2] = [5, 100];

/// How much larger than the median the largest value is of cases that may need logarithms.
const WIDE: f64 = 100.0;

impl CaseSearch {
    /// The search over scalers, pooling, patches, widths and lengths of training that suits these cases, and for
    /// regression also logarithms, where no value is below 0 and they differ much in size, and two styles of initial
    /// weights.
    ///
    /// The small network of three layers that reads all channels together; the first value of each list is the usual
    /// one.
    pub fn built_in(task: Task, set: &LabelledSet) -> Self {
        let model = ModelSpec {
            mode: Some(ChannelModeChoice::MixChannel),
            num_layers: Some(3),
            dropout: Some(0.2),
            head_dropout: Some(0.2),
            ..ModelSpec::default()
        };
        let batch_size = (set.len() / 32).next_power_of_two().clamp(16, 64);
        let training = Training { batch_size, learning_rate: 3e-3, ..Training::default() };
        let passes = SHORT.div_ceil(set.len().div_ceil(batch_size)).clamp(PASSES[0], PASSES[1]);
        let mut grid = Map::new();
        let mut list = |name: &str, values: Value| grid.insert(name.to_owned(), values);
        list("head_aggregation", json!(["max_pool", "avg_pool", "none"]));
        list("scaling", json!(["none", "std"]));
        list("d_model", json!([16, 32]));
        list("epochs", json!([passes, LONG * passes]));
        if task == Task::Regression {
            list("init", json!(["pytorch", "normal"]));
            if is_wide(set) {
                list("transform", json!(["none", "log1p"]));
            }
        }
        Self { task, model, training, grid, settings: patches(set.longest()) }
    }

    /// The search without the fields that `model`, or `training`, settles.
    #[must_use]
    pub fn settled(mut self, model: &ModelSpec, training: &[&str]) -> Self {
        let fields = serde_json::to_value(model).unwrap_or_default();
        let is_open = |name: &str| fields.get(name).is_none() && !training.contains(&name);
        self.grid = self.grid.into_iter().filter(|(name, _)| is_open(name)).collect();
        if ["patch_length", "patch_stride"].iter().any(|name| !is_open(name)) {
            self.settings.clear();
        }
        self.model.overlay(model);
        self
    }

    /// The settings of the first round: those whose widths, lengths of training and initial weights are the usual ones.
    pub(super) fn first_round(&self, all: &[Map<String, Value>]) -> Vec<Map<String, Value>> {
        let is_usual = |setting: &&Map<String, Value>| {
            LATE.iter().all(|name| setting.get(*name) == self.usual(name))
        };
        all.iter().filter(is_usual).cloned().collect()
    }

    /// The settings that differ from `other` in nothing but fields of later rounds, itself among them.
    pub(super) fn relatives(
        all: &[Map<String, Value>],
        other: &Map<String, Value>,
    ) -> Vec<Map<String, Value>> {
        let is_relative = |setting: &&Map<String, Value>| {
            setting.iter().all(|(name, value)| {
                LATE.contains(&name.as_str()) || other.get(name) == Some(value)
            })
        };
        all.iter().filter(is_relative).cloned().collect()
    }

    fn usual(&self, name: &str) -> Option<&Value> {
        self.grid.get(name).and_then(Value::as_array).and_then(|values| values.first())
    }
}

/// Patches for cases of `longest` steps: about 12, 24 and 48 of them, and 24 of double length that overlap.
fn patches(longest: usize) -> Vec<Map<String, Value>> {
    let length = |count: usize, least: usize| (longest / count).max(least).min(longest.max(1));
    let (coarse, middle, fine) = (length(12, 6), length(24, 4), length(48, 4));
    let mut all =
        vec![(middle, middle), (coarse, coarse), (coarse, coarse.div_ceil(2)), (fine, fine)];
    let mut seen = Vec::new();
    all.retain(|patch| {
        !seen.contains(patch) && {
            seen.push(*patch);
            true
        }
    });
    let setting = |(length, stride)| {
        let fields = [("patch_length", length), ("patch_stride", stride)];
        fields.into_iter().map(|(name, steps)| (name.to_owned(), json!(steps))).collect()
    };
    all.into_iter().map(setting).collect()
}

/// Whether no value is below 0 and the largest is far above the median.
fn is_wide(set: &LabelledSet) -> bool {
    if !matches!(set.labels, Labels::Values { .. }) {
        return false;
    }
    let values = set.cases.iter().flat_map(|case| case.values.iter().copied());
    let mut values: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    match (values.first(), values.last()) {
        (Some(&least), Some(&most)) if least >= 0.0 => most > WIDE * values[values.len() / 2],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Series;

    fn cases(count: usize, length: usize, size: f64) -> LabelledSet {
        let case = |i: usize| {
            let value = |t: usize| if t == 0 { size } else { (i + t) as f64 % 3.0 };
            Series::new(i.to_string(), 1, (0..length).map(value).collect()).unwrap()
        };
        let labels =
            Labels::Values { names: vec!["y".into()], of: (0..count).map(|i| i as f64).collect() };
        LabelledSet::new(vec!["x".into()], (0..count).map(case).collect(), labels).unwrap()
    }

    #[test]
    fn patches_suit_the_length() {
        let lengths = |longest: usize| {
            let number = |setting: &Map<String, Value>, name: &str| setting[name].as_u64().unwrap();
            let all = patches(longest);
            all.iter()
                .map(|s| (number(s, "patch_length"), number(s, "patch_stride")))
                .collect::<Vec<_>>()
        };
        assert_eq!(lengths(24), [(4, 4), (6, 6), (6, 3)]);
        assert_eq!(lengths(100), [(4, 4), (8, 8), (8, 4)]);
        assert_eq!(lengths(500), [(20, 20), (41, 41), (41, 21), (10, 10)]);
        assert_eq!(lengths(3), [(3, 3), (3, 2)]);
        assert_eq!(lengths(1), [(1, 1)]);
    }

    #[test]
    fn later_fields_are_opened_later_and_settled_ones_never() {
        let set = cases(40, 100, 1e4);
        let search = CaseSearch::built_in(Task::Regression, &set);
        let all = search.all_settings().unwrap();
        let first = search.first_round(&all);
        // 3 poolings, 2 scalers, 2 transforms and 3 patches; 8 widths, lengths and starts of each.
        assert_eq!((all.len(), first.len()), (36 * 8, 36));
        assert!(first.iter().all(|setting| search.recipe(setting).is_ok()));
        let relatives = CaseSearch::relatives(&all, &first[5]);
        assert_eq!(relatives.len(), 8);
        assert!(relatives.contains(&first[5]));
        let chosen = ModelSpec { patch_length: Some(5), d_model: Some(24), ..ModelSpec::default() };
        let settled = search.settled(&chosen, &["epochs"]);
        assert_eq!(settled.all_settings().unwrap().len(), 3 * 2 * 2 * 2);
        assert_eq!(settled.recipe(&Map::new()).unwrap().model.d_model, Some(24));
        let narrow = CaseSearch::built_in(Task::Regression, &cases(40, 100, 3.0));
        assert!(!narrow.grid.contains_key("transform"));
    }

    #[test]
    fn trainings_are_short_in_steps_whatever_the_number_of_cases() {
        let epochs = |count| {
            let search = CaseSearch::built_in(Task::Regression, &cases(count, 20, 1.0));
            (search.training.batch_size, search.grid["epochs"].clone())
        };
        assert_eq!(epochs(40), (16, json!([100, 200])));
        assert_eq!(epochs(300), (16, json!([16, 32])));
        assert_eq!(epochs(5000), (64, json!([5, 10])));
    }
}
