//! What was found of known covariates: whether they help, and each of them by itself.

use serde::{Deserialize, Serialize};

/// What became of the covariates of a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CovariateChoice {
    /// Mean absolute error of the better of two simple forecasters (ridge, Theta) on validation windows without
    /// covariates, standardised units.
    pub error_without: f64,
    /// The same with the effects that were chosen, or the best ones where none were.
    pub error_with: f64,
    /// Whether the effects are used.
    pub used: bool,
    /// Columns and features of the calendar that are used.
    pub kept: Vec<String>,
    /// Those that are not, since forecasts are better without them.
    pub left_out: Vec<String>,
    /// Those that change for the first time in the validation part, which therefore says nothing of them: they are used
    /// as they were asked for.
    #[serde(default)]
    pub not_judged: Vec<String>,
    /// What they were fitted to: `levels`, `changes`, or `changes over N rows`.
    pub fitted_to: String,
    /// Earlier rows whose covariates act too.
    pub lags: usize,
    /// Validation windows, counted for each channel, that the errors are of.
    pub windows: usize,
    /// The error without each of the covariates, as it is with the others; empty where they are not used.
    pub without_each: Vec<WithoutOne>,
}

/// The error without one covariate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WithoutOne {
    /// A column, or a feature of the calendar.
    pub name: String,
    /// As [`CovariateChoice::error_with`].
    pub error: f64,
}

impl CovariateChoice {
    /// What was found, in a sentence.
    pub fn sentence(&self) -> String {
        let Self { error_without, error_with, windows, .. } = self;
        let change = 100.0 * (1.0 - error_with / error_without.max(f64::MIN_POSITIVE));
        let compared = format!(
            "mean absolute error {error_with:.4} with, {error_without:.4} without, by simple forecasters on {windows} \
             validation windows"
        );
        if self.used && self.kept == self.not_judged {
            return format!(
                "{} used as asked for: first changed in the validation part, so nothing judged it{}",
                are(&self.kept),
                self.without()
            );
        }
        match self.used {
            true => format!(
                "{} used: {compared} ({change:.1} % less); effects fitted to {}{}{}{}",
                are(&self.kept),
                self.fitted_to,
                match self.lags {
                    0 => String::new(),
                    1 => ", of the same row and the one before it".to_owned(),
                    rows => format!(", of the same row and the {rows} before it"),
                },
                self.without(),
                match self.not_judged.as_slice() {
                    [] => String::new(),
                    new => format!(
                        "; {} first changed in the validation part, so nothing judged it",
                        new.join(", ")
                    ),
                }
            ),
            false => format!("covariates are not used, since they do not help: {compared}"),
        }
    }
}

impl CovariateChoice {
    /// What is left out, in words.
    fn without(&self) -> String {
        match self.left_out.as_slice() {
            [] => String::new(),
            left => format!("; left out, as no help: {}", left.join(", ")),
        }
    }
}

fn are(names: &[String]) -> String {
    let is = if names.len() == 1 { "is" } else { "are" };
    format!("{} {is}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_says_what_covariates_are_worth() {
        let used = CovariateChoice {
            error_without: 0.5,
            error_with: 0.4,
            used: true,
            kept: vec!["price".into()],
            left_out: vec!["promo".into()],
            not_judged: Vec::new(),
            fitted_to: "changes".into(),
            lags: 1,
            windows: 30,
            without_each: Vec::new(),
        };
        let text = used.sentence();
        assert!(text.contains("0.4000 with, 0.5000 without, by simple"), "{text}");
        assert!(text.starts_with("price is used: "), "{text}");
        assert!(
            text.ends_with(
                "to changes, of the same row and the one before it; left out, as no help: promo"
            ),
            "{text}"
        );
        let new = CovariateChoice { not_judged: vec!["price".into()], ..used.clone() };
        assert!(new.sentence().starts_with("price is used as asked for: first changed"));
        let text = CovariateChoice { used: false, error_with: 0.51, ..used }.sentence();
        assert!(text.starts_with("covariates are not used, since they do not help"), "{text}");
    }
}
