//! What was chosen and why, as `choice.json` keeps it and as a user reads it.

use serde::{Deserialize, Serialize};

use super::metric::Metric;

/// What was chosen, and by which errors; `choice.json` in the model directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Choice {
    /// Version of the rule.
    pub rule: u32,
    /// What is small in a good forecast.
    #[serde(default)]
    pub metric: Metric,
    /// Validation windows by which the candidates were compared; 0 if the split has none.
    pub windows: usize,
    /// Validation windows in all, of which those are spread evenly; 0 in files of earlier versions.
    #[serde(default)]
    pub all_windows: usize,
    /// Every candidate, the best one first.
    pub candidates: Vec<Candidate>,
    /// Error of the chosen mean, as those of the candidates.
    pub error: Option<f64>,
    /// Whether members of the mean were fitted again with the validation part, after the comparison: the
    /// validation part says nothing of them any more.
    #[serde(default)]
    pub refitted: bool,
}

/// One candidate of a choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Candidate {
    /// `network`, `level_networks`, `ridge`, `log_ridge`, `zero_shot` (the network inside the library), or the name of
    /// a classical method.
    pub name: String,
    /// Error on the compared windows, see [`Choice::metric`]; `None` if there are none.
    pub error: Option<f64>,
    /// Its weight in the chosen mean; 0 = not in it.
    pub weight: f64,
}

impl Choice {
    /// Every candidate with its error and its share of the mean that was chosen, one a line.
    pub fn table(&self) -> String {
        let units = match self.metric {
            Metric::Mae => " (each series in its standardised units)",
            Metric::Smape | Metric::Mape => "",
        };
        let mut text = format!("  {} on {}{units}:\n", self.metric.described(), self.compared());
        for Candidate { name, error, weight } in &self.candidates {
            let error = error.map_or("-".to_owned(), |error| self.metric.shown(error));
            let taken = if *weight > 0.0 { format!("  {}", share(*weight)) } else { String::new() };
            text += format!("  {:22} {error:>10}{taken}", shown(name)).trim_end();
            text.push('\n');
        }
        let members = self.candidates.iter().filter(|candidate| candidate.weight > 0.0).count();
        if let Some(error) = self.error.filter(|_| members > 1) {
            text += &format!(
                "  {:22} {:>10}  = their mean by these weights\n",
                "",
                self.metric.shown(error)
            );
        }
        text
    }

    /// The windows of the comparison in words.
    fn compared(&self) -> String {
        let s = if self.windows == 1 { "" } else { "s" };
        match self.all_windows > self.windows {
            true => format!(
                "{} of {} validation windows, evenly spread",
                self.windows, self.all_windows
            ),
            false => format!("{} validation window{s}", self.windows),
        }
    }

    /// What was chosen, in a sentence, with what it was better than.
    pub fn sentence(&self) -> String {
        let taken = self.candidates.iter().filter(|candidate| candidate.weight > 0.0);
        let members: Vec<String> =
            taken.map(|one| format!("{} {}", shown(&one.name), share(one.weight))).collect();
        let members = members.join(" + ");
        let (Some(error), Some(best)) = (self.error, self.candidates.first()) else {
            return format!("{members}: there is no validation part to compare it with others by");
        };
        let s = if self.windows == 1 { "" } else { "s" };
        let few = if self.windows < FEW { ", which is little to choose by" } else { "" };
        let compared = format!(
            "{} of {} on {} validation window{s}{few}",
            self.metric.described(),
            self.metric.shown(error),
            self.windows
        );
        let simple =
            |one: &&Candidate| ["repeat_last", "seasonal_naive"].contains(&one.name.as_str());
        let against = self.candidates.iter().find(simple).unwrap_or(best);
        let better = match against.error {
            Some(other) if other > 0.0 && against.weight < 1.0 => {
                format!(", {} {}", than(error / other), shown(&against.name))
            }
            _ => String::new(),
        };
        let steadier = match best.error {
            Some(least) if error > least => format!(
                "; {} alone is at {} there, but a mean is steadier where each of many series says little",
                shown(&best.name),
                self.metric.shown(least)
            ),
            _ => String::new(),
        };
        let again = match self.refitted {
            true => {
                "; its parts on logarithms were then fitted again, with the validation rows, too"
            }
            false => "",
        };
        format!("{members}: {compared}{better}{steadier}{again}")
    }
}

/// Validation windows below which a choice rests on little.
const FEW: usize = 5;

/// How an error compares with another one, of which it is this multiple.
fn than(ratio: f64) -> String {
    let percent = (100.0 * (ratio - 1.0)).round();
    match percent {
        percent if percent < 0.0 => format!("{:.0} % less than", -percent),
        percent if percent > 0.0 => format!("{percent:.0} % more than"),
        _ => "as much as".to_owned(),
    }
}

fn share(weight: f64) -> String {
    format!("{:.0} %", 100.0 * weight)
}

fn shown(name: &str) -> String {
    match name {
        "ets" => "exponential smoothing".to_owned(),
        "theta" => "Theta".to_owned(),
        "level_networks" => "networks on logarithms".to_owned(),
        "log_ridge" => "ridge on logarithms".to_owned(),
        "zero_shot" => "built-in model".to_owned(),
        other => other.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(error: f64) -> Choice {
        let candidate =
            |name: &str, error, weight| Candidate { name: name.into(), error: Some(error), weight };
        Choice {
            rule: 3,
            metric: Metric::Mae,
            windows: 50,
            all_windows: 50,
            candidates: vec![
                candidate("network", 1.0, 0.0),
                candidate("theta", 1.1, 0.5),
                candidate("log_ridge", 1.1, 0.5),
                candidate("repeat_last", 1.3, 0.0),
            ],
            error: Some(error),
            refitted: true,
        }
    }

    #[test]
    fn the_table_says_what_its_numbers_are() {
        let thinned = Choice { all_windows: 1695, ..choice(0.65) };
        let table = thinned.table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            lines[0],
            "  mean absolute error on 50 of 1695 validation windows, evenly spread (each series in its standardised \
             units):"
        );
        assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>(), ["Theta", "1.1000", "50", "%"]);
        assert!(lines[3].contains("ridge on logarithms") && lines.len() == 6, "{table}");
    }

    #[test]
    fn the_sentence_says_what_is_better_and_what_is_not() {
        let text = choice(0.65).sentence();
        let wanted = "Theta 50 % + ridge on logarithms 50 %: mean absolute error of 0.6500 on 50 validation windows, \
                      50 % less than repeat last; its parts on logarithms were then fitted again";
        assert!(text.starts_with(wanted) && !text.contains("alone"), "{text}");
        let text = choice(1.04).sentence();
        assert!(
            text.contains("; network alone is at 1.0000 there, but a mean is steadier"),
            "{text}"
        );
        assert!(choice(1.301).sentence().contains(", as much as repeat last"));
        assert!(choice(1.43).sentence().contains(", 10 % more than repeat last"));
    }
}
