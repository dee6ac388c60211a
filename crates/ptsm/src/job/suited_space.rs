//! A search space as it suits some series: with lengths, where nobody chose them, and without what does not fit.

use super::automatic::{automatic_recipe, check_lengths};
use super::store::Subject;
use crate::spec::ModelSpec;
use crate::train::{Recipe, SearchSpace};
use crate::{ErrorKind, Result};

/// Rows of all series beyond which a choice is taken to fit wherever its configuration is possible: long series have
/// windows of every kind, and looking takes a while.
const FEW_ROWS: usize = 20_000;

/// A search space for some series.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SuitedSpace {
    /// The space.
    pub space: SearchSpace,
    /// What was chosen and left out, a sentence each.
    pub notes: Vec<String>,
}

impl SuitedSpace {
    /// Chooses lengths as [`automatic_recipe`] does where the space has none, and leaves out choices that do not fit the
    /// series by themselves.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, with the numbers, if the series hold no window of the lengths; `InvalidConfig` if the recipe that is
    /// varied is impossible.
    pub fn new(space: &SearchSpace, subject: &Subject) -> Result<Self> {
        let mut suited = Self { space: space.clone(), notes: Vec::new() };
        suited.choose_lengths(subject);
        check_lengths(subject.data(), &suited.space.base.model)?;
        suited.leave_out(subject)?;
        Ok(suited)
    }

    fn choose_lengths(&mut self, subject: &Subject) {
        let model = &mut self.space.base.model;
        if model.context_length.is_some() && model.prediction_length.is_some() {
            return;
        }
        let wanted = ModelSpec {
            context_length: model.context_length,
            prediction_length: model.prediction_length,
            ..ModelSpec::default()
        };
        let chosen = automatic_recipe(subject.data(), &wanted).0.model;
        model.context_length = chosen.context_length;
        model.prediction_length = chosen.prediction_length;
        model.patch_length = model.patch_length.or(chosen.patch_length);
        model.patch_stride = model.patch_stride.or(chosen.patch_stride);
        self.notes.push(format!(
            "context of {} and horizon of {} steps: chosen for these series, as train does",
            chosen.context_length.unwrap_or_default(),
            chosen.prediction_length.unwrap_or_default()
        ));
    }

    fn leave_out(&mut self, subject: &Subject) -> Result<()> {
        let base = self.space.base.clone();
        fits(subject, &base)?;
        for axis in &mut self.space.axes {
            let all = axis.choices.len();
            let mut kept = Vec::new();
            for choice in axis.choices.drain(..) {
                match fits(subject, &base.with(&choice)?) {
                    Ok(()) => kept.push(choice),
                    Err(error) if does_not_fit(error.kind()) => {}
                    Err(error) => return Err(error),
                }
            }
            axis.choices = kept;
            let left_out = all - axis.choices.len();
            if left_out > 0 {
                let text =
                    format!("{}: {left_out} of {all} choices do not fit these series", axis.name);
                self.notes.push(text);
            }
        }
        self.space.axes.retain(|axis| !axis.choices.is_empty());
        Ok(())
    }
}

fn does_not_fit(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidConfig | ErrorKind::InvalidInput)
}

/// Whether a recipe can be trained on the series.
fn fits(subject: &Subject, recipe: &Recipe) -> Result<()> {
    let job = subject.job(recipe);
    job.config()?;
    let rows: usize = subject.set().series.iter().map(|series| series.num_rows()).sum();
    match rows <= FEW_ROWS {
        true => job.config().and_then(|config| job.lay_out(config)).map(|_| ()),
        false => Ok(()),
    }
}
