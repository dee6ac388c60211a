//! The default answer: a network, a ridge regression and classical methods forecast the validation windows, and the mean of
//! those that do it best is what the model directory holds.
//!
//! The rule looks at validation windows only, so that what is scored on the test part was chosen
//! without it. [`RULE`] is its version.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::data::{JobData, SeriesData};
use super::event::Observer;
use super::plan::{Job, Save, SaveMode};
use super::run::{Trained, save_model};
use crate::data::{Batch, Prepared, WindowShape, prepare};
use crate::ensemble::{
    Classical, EnsembleWindow, MemberModel, Members, Method, SavedMember, begun_names, new_names,
    save_weighted,
};
use crate::evaluate::{fit_ridge, select_channels};
use crate::model_dir::write_json;
use crate::train::{Recipe, Samples, Subset};
use crate::{Config, Cpu, Error, ErrorKind, Prediction, Result, Task};
use ptsm_core::OutputKind;

/// Version of the rule. A change of its candidates or numbers makes a new one.
pub const RULE: u32 = 1;

/// Past steps that classical methods see, or the whole of shorter series.
const CLASSICAL_CONTEXT: usize = 512;

/// Forecasts of single channels by which candidates are compared; the validation windows are thinned to
/// that many, evenly spread.
const COMPARED: usize = 600;

/// Windows that are forecast at once; the choice does not depend on it.
const AT_ONCE: usize = 64;

/// Members of the mean, counted as often as they were taken.
const PICKS: usize = 4;

/// Share by which a further member has to lower the error.
const GAIN: f64 = 0.01;

/// Training of the default forecaster.
#[derive(Clone)]
pub struct ChoiceJob<'a> {
    /// The series.
    pub data: &'a JobData,
    /// The network.
    pub recipe: Recipe,
    /// Where the chosen forecaster is saved.
    pub save: Save,
}

/// What was chosen, and by which errors; `choice.json` in the model directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Choice {
    /// Version of the rule.
    pub rule: u32,
    /// Validation windows by which the candidates were compared; 0 if the split has none.
    pub windows: usize,
    /// Every candidate, the best one first.
    pub candidates: Vec<Candidate>,
    /// Mean absolute error of the chosen mean, as those of the candidates.
    pub error: Option<f64>,
}

/// One candidate of a choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Candidate {
    /// `network`, `ridge`, or the name of a classical method.
    pub name: String,
    /// Mean absolute error on the compared windows, in standardised units; `None` if there are none.
    pub error: Option<f64>,
    /// Its weight in the chosen mean; 0 = not in it.
    pub weight: f64,
}

/// The forecaster that was chosen, with the run of its network.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Chosen {
    /// What was chosen.
    pub choice: Choice,
    /// The run of the network, whether it was chosen or not.
    pub network: Trained,
}

/// A candidate and what it forecasts for the compared windows, `[N, H, C']`.
struct Forecasts {
    member: MemberModel,
    numbers: Vec<f32>,
}

/// What was chosen, and the members of the mean with their weights.
struct Compared {
    choice: Choice,
    members: Vec<(MemberModel, f64)>,
}

/// The truth of the compared windows.
struct Truth {
    values: Vec<f32>,
    mask: Option<Vec<f32>>,
}

impl ChoiceJob<'_> {
    /// Trains the network, compares it with the classical methods and saves what was chosen.
    ///
    /// # Errors
    ///
    /// As [`Job::run`]; `InvalidConfig` if the network does not forecast points of series.
    pub fn run(&self, observer: &mut dyn Observer) -> Result<Chosen> {
        let JobData::Series(series) = self.data else {
            return Err(Error::config("task", "the default forecaster is for series"));
        };
        self.save.check()?;
        let names = match self.save.mode {
            SaveMode::Resume => begun_names(&self.save.dir, 1),
            SaveMode::New | SaveMode::Replace => new_names(&self.save.dir, 1),
        };
        let dir = self.save.dir.member(&names[0]);
        if self.save.mode == SaveMode::Resume
            && self.save.dir.is_taken()
            && !dir.checkpoint().exists()
        {
            let text = "holds a finished model: there is nothing to resume (replace it, or use \
                        another folder)";
            return Err(Error::config(self.save.dir.path().display().to_string(), text));
        }
        let job = Job {
            data: self.data,
            task: Task::Forecasting,
            model: self.recipe.model.clone(),
            training: self.recipe.training.clone(),
            start: None,
            few_shot: None,
            save: Some(Save { dir, mode: self.save.mode }),
        };
        if OutputKind::of(&job.config()?)? != OutputKind::Points {
            let text = "the default forecaster forecasts points";
            return Err(Error::config("loss", text));
        }
        if job.config()?.prediction_channel_indices.is_some() {
            let text = "the default forecaster forecasts every channel";
            return Err(Error::config("prediction_channel_indices", text));
        }
        let network = job.run(observer)?;
        let window = window(series, network.model.config());
        let compared = choose(series, &network, window)?;
        self.write(&names[0], &network, &compared, window)?;
        Ok(Chosen { choice: compared.choice, network })
    }

    /// Saves the chosen forecaster in place of what the directory held.
    fn write(
        &self,
        name: &str,
        network: &Trained,
        Compared { choice, members }: &Compared,
        window: EnsembleWindow,
    ) -> Result<()> {
        let dir = &self.save.dir;
        let saved = |(member, weight): &(MemberModel, f64)| {
            let member = match member {
                MemberModel::Network(_) => SavedMember::Network(name.to_owned()),
                MemberModel::Ridge(ridge) => {
                    SavedMember::Ridge(format!("{name}-ridge"), Arc::clone(ridge))
                }
                MemberModel::Classical(classical) => SavedMember::Classical(*classical),
            };
            (member, *weight)
        };
        match members.as_slice() {
            [(MemberModel::Network(_), _)] => {
                save_model(dir, &network.model, &network.preprocessor)?;
                write_json(&dir.training(), &network.record)?;
                dir.keep_members(&[])?;
            }
            all => {
                let members: Vec<(SavedMember, f64)> = all.iter().map(saved).collect();
                save_weighted(dir.path(), &members, Some(window), &network.preprocessor)?;
            }
        }
        write_json(&dir.choice(), choice)
    }
}

/// The windows of the mean: as long as those of the network, and long enough for classical methods.
fn window(series: &SeriesData, network: &Config) -> EnsembleWindow {
    let longest = series.set.series.iter().map(crate::data::Series::num_rows).max();
    let classical = longest.unwrap_or_default().min(CLASSICAL_CONTEXT);
    EnsembleWindow {
        context_length: network.context_length.max(classical),
        prediction_length: network.prediction_length,
        num_input_channels: network.num_input_channels,
    }
}

/// Compares the candidates on validation windows and chooses the mean.
fn choose(series: &SeriesData, network: &Trained, window: EnsembleWindow) -> Result<Compared> {
    let EnsembleWindow { context_length, prediction_length, .. } = window;
    let shape = WindowShape { context_length, prediction_length, step: 1 };
    let standardiser = &network.preprocessor.standardiser;
    let prepared = prepare(&series.set, &series.split, shape, None, Some(standardiser))?;
    let windows = Subset::spread(
        &prepared.validation,
        (COMPARED / prepared.validation.num_channels()).max(1),
    );
    let whole = Config { context_length, ..network.model.config().clone() };
    let (forecasts, truth) = forecasts(candidates(series, network, &prepared)?, &whole, &windows)?;
    let errors: Vec<Option<f64>> = forecasts.iter().map(|one| truth.error(&one.numbers)).collect();
    let (counts, error) = pick(&forecasts, &errors, &truth);
    let picks: usize = counts.iter().sum();
    let (mut candidates, mut members) = (Vec::new(), Vec::new());
    for ((Forecasts { member, .. }, error), count) in forecasts.into_iter().zip(errors).zip(counts)
    {
        let weight = count as f64 / picks as f64;
        candidates.push(Candidate { name: member.name().to_owned(), error, weight });
        if count > 0 {
            members.push((member, weight));
        }
    }
    candidates.sort_by(|a, b| {
        let error = |candidate: &Candidate| candidate.error.unwrap_or(f64::INFINITY);
        error(a).total_cmp(&error(b))
    });
    let choice = Choice { rule: RULE, windows: windows.len(), candidates, error };
    Ok(Compared { choice, members })
}

/// All candidates, the simplest first, so that it is taken where errors are equal: classical methods, the
/// ridge regression where the data allow one, the network.
fn candidates(
    series: &SeriesData,
    network: &Trained,
    prepared: &Prepared,
) -> Result<Vec<MemberModel>> {
    let season = series.seasonal_period;
    let context_length = prepared.train.shape().context_length;
    let fits = |method: &Method| {
        *method != Method::SeasonalNaive || (2..=context_length).contains(&season)
    };
    let classical = Method::ALL.into_iter().filter(fits);
    let classical = classical.map(|method| MemberModel::Classical(Classical { method, season }));
    let ridge = match fit_ridge(&prepared.train, &prepared.validation, season) {
        Ok(ridge) => Some(MemberModel::Ridge(Arc::new(ridge))),
        Err(error) if error.kind() == ErrorKind::InvalidInput => None,
        Err(error) => return Err(error.at("ridge")),
    };
    let network = MemberModel::Network(Box::new(network.model.clone()));
    Ok(classical.chain(ridge).chain([network]).collect())
}

/// What every candidate forecasts for these windows, as a member of an ensemble of this configuration.
fn forecasts(
    members: Vec<MemberModel>,
    whole: &Config,
    windows: &dyn Samples,
) -> Result<(Vec<Forecasts>, Truth)> {
    let mut sessions = Vec::with_capacity(members.len());
    for member in &members {
        let alone = Members::alone(member.clone(), whole.clone());
        sessions.push(alone.load(&Cpu::default())?.session()?);
    }
    let mut all: Vec<Forecasts> =
        members.into_iter().map(|member| Forecasts { member, numbers: Vec::new() }).collect();
    let mut truth = Truth { values: Vec::new(), mask: None };
    let indices: Vec<usize> = (0..windows.len()).collect();
    let mut output = Prediction::default();
    for part in indices.chunks(AT_ONCE) {
        let batch = windows.batch(part);
        for (one, session) in all.iter_mut().zip(&mut sessions) {
            session.forward(&batch, &mut output)?;
            one.numbers.extend(output.points());
        }
        truth.push(&batch, &whole.prediction_channels());
    }
    Ok((all, truth))
}

/// How often each candidate is taken, and the error of their mean: the best one first, then whichever
/// lowers the error of the mean most, as long as it lowers it by [`GAIN`].
fn pick(
    forecasts: &[Forecasts],
    errors: &[Option<f64>],
    truth: &Truth,
) -> (Vec<usize>, Option<f64>) {
    let mut counts = vec![0; forecasts.len()];
    let best = (0..forecasts.len()).filter(|&i| errors[i].is_some());
    let best = best
        .min_by(|&a, &b| errors[a].unwrap_or_default().total_cmp(&errors[b].unwrap_or_default()));
    let Some(best) = best else {
        // Nothing to compare by: the network, which is the last one.
        counts[forecasts.len() - 1] = 1;
        return (counts, None);
    };
    counts[best] = 1;
    let mut sum: Vec<f32> = forecasts[best].numbers.clone();
    let mut error = errors[best];
    for taken in 2..=PICKS {
        let mean_with = |one: &Forecasts| -> Vec<f32> {
            sum.iter().zip(&one.numbers).map(|(s, x)| (s + x) / taken as f32).collect()
        };
        let tried = forecasts.iter().map(|one| truth.error(&mean_with(one))).enumerate();
        let tried = tried.filter_map(|(number, error)| Some((number, error?)));
        let Some((next, lower)) = tried.min_by(|a, b| a.1.total_cmp(&b.1)) else { break };
        if error.is_some_and(|error| lower >= error * (1.0 - GAIN)) {
            break;
        }
        counts[next] += 1;
        sum.iter_mut().zip(&forecasts[next].numbers).for_each(|(s, x)| *s += x);
        error = Some(lower);
    }
    (counts, error)
}

impl Truth {
    fn push(&mut self, batch: &Batch, channels: &[usize]) {
        let width = batch.num_channels();
        let chosen = |values: &[f32]| select_channels(values, width, channels);
        if let Some(mask) = batch.future_observed_mask().map(chosen) {
            self.mask.get_or_insert_default().extend(mask);
        }
        self.values.extend(batch.future_values().map(chosen).unwrap_or_default());
    }

    /// Mean absolute error over the known points; `None` if none is known or it is not finite.
    fn error(&self, forecast: &[f32]) -> Option<f64> {
        let known = |i: &usize| self.mask.as_ref().is_none_or(|mask| mask[*i] != 0.0);
        let error = |i: usize| f64::from((forecast[i] - self.values[i]).abs());
        let (mut sum, mut count) = (0.0, 0usize);
        for i in (0..self.values.len()).filter(known) {
            sum += error(i);
            count += 1;
        }
        (count > 0).then(|| sum / count as f64).filter(|error| error.is_finite())
    }
}

impl Choice {
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
        let compared =
            format!("mean absolute error of {error:.4} on {} validation window{s}", self.windows);
        let simple =
            |one: &&Candidate| ["repeat_last", "seasonal_naive"].contains(&one.name.as_str());
        let against = match self.candidates.iter().find(simple) {
            Some(simple) => simple,
            None => best,
        };
        match against.error {
            Some(other) if other > 0.0 && against.weight < 1.0 => format!(
                "{members}: {compared}, {:.0} % less than {}",
                100.0 * (1.0 - error / other),
                shown(&against.name)
            ),
            _ => format!("{members}: {compared}"),
        }
    }
}

fn share(weight: f64) -> String {
    format!("{:.0} %", 100.0 * weight)
}

fn shown(name: &str) -> String {
    match name {
        "ets" => "exponential smoothing".to_owned(),
        "theta" => "Theta".to_owned(),
        other => other.replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecasts(numbers: &[&[f32]]) -> Vec<Forecasts> {
        let last = Classical { method: Method::RepeatLast, season: 1 };
        let forecasts =
            |x: &&[f32]| Forecasts { member: MemberModel::Classical(last), numbers: x.to_vec() };
        numbers.iter().map(forecasts).collect()
    }

    #[test]
    fn the_mean_grows_while_its_error_falls() {
        let truth = Truth { values: vec![0.0; 4], mask: Some(vec![1.0, 1.0, 1.0, 0.0]) };
        let all =
            forecasts(&[&[1.0, 1.0, 1.0, 99.0], &[-1.5, -1.5, -1.5, 99.0], &[9.0, 9.0, 9.0, 0.0]]);
        let errors: Vec<Option<f64>> = all.iter().map(|one| truth.error(&one.numbers)).collect();
        assert_eq!(errors, [Some(1.0), Some(1.5), Some(9.0)]);
        let (counts, error) = pick(&all, &errors, &truth);
        // 1, then the mean with -1.5, then 1 again: -0.25, 1/6; a fourth does not help.
        assert_eq!(counts, [2, 1, 0]);
        assert!((error.unwrap() - 1.0 / 6.0).abs() < 1e-6);
        let alone = forecasts(&[&[f32::NAN; 4], &[0.0; 4]]);
        let errors: Vec<Option<f64>> = alone.iter().map(|one| truth.error(&one.numbers)).collect();
        assert_eq!(pick(&alone, &errors, &truth), (vec![0, 1], Some(0.0)));
        let unknown = Truth { values: Vec::new(), mask: None };
        let none = forecasts(&[&[], &[]]);
        assert_eq!(pick(&none, &[None, None], &unknown), (vec![0, 1], None));
    }
}
