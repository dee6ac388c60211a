//! The result of a run: scores, cutoffs, what was seen in training, comparisons.

use super::block::Plan;
use super::contestant::{Contestant, Refit};
use super::origins::Origins;
use super::report::{BacktestReport, ContestantScores, CutoffReport, NamedMetrics, Rival, Seen};
use super::run::{Backtest, Run};
use super::sums::Sums;
use super::totals::Totals;
use crate::data::{Part, Series, SeriesSet};
use crate::ensemble::Method;
use crate::evaluate::{PairedComparison, Score, mean_error};
use crate::{Error, Result};

impl Run<'_, '_> {
    /// The result, when all cutoffs are done.
    pub(super) fn report(&self) -> Result<BacktestReport> {
        let Backtest { data, origins, refit, .. } = *self.backtest;
        let set = &data.set;
        let last = origins.windows - 1;
        let left_out = set.series.iter().filter(|one| !origins.has_past(one, last));
        let left_out: Vec<String> = left_out.map(|one| one.id.clone()).collect();
        let scores = |name: &str, totals: &Totals| contestant_scores(name, set, totals);
        let (of_models, of_baselines) = self.totals.split_at(self.contestants.len());
        let models: Vec<ContestantScores> = self
            .contestants
            .iter()
            .zip(of_models)
            .map(|(one, totals)| scores(&one.name, totals))
            .collect();
        if models[0].overall.points == 0 {
            let text = "not one value after the cutoffs is known, so there is no score";
            return Err(Error::input(text));
        }
        let names = self.plan.baselines.iter().map(|method| method.name()).chain(["ridge"]);
        let baselines: Vec<ContestantScores> =
            names.zip(of_baselines).map(|(name, totals)| scores(name, totals)).collect();
        Ok(BacktestReport {
            dataset: data.name.clone(),
            origins,
            season: data.seasonal_period,
            refit: refit.to_string(),
            series: set.series.len() - left_out.len(),
            left_out,
            missing: models[0].overall.missing,
            cutoffs: (0..origins.windows).map(|cutoff| self.cutoff_report(cutoff)).collect(),
            not_scored: self.not_scored(),
            comparisons: self.comparisons(&models, &baselines),
            models,
            baselines,
        })
    }

    fn not_scored(&self) -> Vec<String> {
        let Backtest { baselines, .. } = *self.backtest;
        let mut reasons = Vec::new();
        if baselines && !self.plan.baselines.contains(&Method::Theta) {
            let text = "theta: it is fitted to the past of each window anew, which takes a while (not done \
                        unless every_theta asks for it)";
            reasons.push(text.to_owned());
        }
        if baselines && self.plan.season > self.plan.past {
            let Plan { season, past, .. } = self.plan;
            reasons.push(format!(
                "seasonal_naive: a season of {season} steps is longer than the {past} that the model sees"
            ));
        }
        if let Some(Err(reason)) = &self.ridge {
            reasons.push(reason.clone());
        }
        reasons
    }

    fn cutoff_report(&self, cutoff: usize) -> CutoffReport {
        let Backtest { data, origins, refit, .. } = *self.backtest;
        let set = &data.set;
        let rows = origins.rows_before_end(cutoff);
        let numbers: Vec<usize> = self.backtest.eligible(cutoff).collect();
        let end = |series: &Series| series.num_rows() - rows;
        let times = numbers.iter().filter_map(|&number| {
            let series = &set.series[number];
            Some((series.timestamps.as_ref()?.get(end(series) - 1)?, series))
        });
        let text = |(time, series): (i64, &Series)| set.time_text(series, time);
        let again = self.contestants.iter().any(|one| one.again.is_some());
        CutoffReport {
            rows_before_end: rows,
            first_time: times.clone().min_by_key(|(time, _)| *time).map(text),
            last_time: times.max_by_key(|(time, _)| *time).map(text),
            series: numbers.len(),
            too_short: set.series.len() - numbers.len(),
            trained_before: refit.cutoff(cutoff).filter(|_| again).map(|number| number + 1),
            seen: self.contestants.iter().map(|one| self.seen(one, &numbers, rows)).collect(),
        }
    }

    /// How many of these forecasts begin in rows that a contestant has seen in training.
    fn seen(&self, one: &Contestant, numbers: &[usize], rows: usize) -> Seen {
        let mut seen = Seen::default();
        for part in numbers.iter().filter_map(|&number| self.saw(one, number, rows)) {
            match part {
                Part::Validation => seen.validation += 1,
                _ => seen.training += 1,
            }
        }
        seen
    }

    /// In which part a contestant has seen the row after a cutoff so many rows before the end of a series, if it has.
    pub(super) fn saw(&self, one: &Contestant, number: usize, rows: usize) -> Option<Part> {
        let Backtest { data, refit, .. } = *self.backtest;
        let honest = refit != Refit::Never && one.again.is_some();
        let split = one.split.filter(|_| !honest)?;
        let series = &data.set.series[number];
        // With a context of no rows, a part is its own rows.
        let borders = split.borders(series.num_rows(), series.timestamps.as_ref(), 0).ok()?;
        let end = series.num_rows() - rows;
        let validated = borders.validation.contains(&end);
        if end < borders.train.end || (validated && one.with_validation) {
            return Some(Part::Train);
        }
        validated.then_some(Part::Validation)
    }

    /// The first model beside the others and the best simple forecast, on the windows that no model has seen; on all of
    /// them where there is none.
    fn comparisons(
        &self,
        models: &[ContestantScores],
        baselines: &[ContestantScores],
    ) -> Vec<Rival> {
        let main = self.main_score(models, baselines);
        let all = self.totals[0].units(1, false).errors.is_empty();
        let seen = self.totals[0].any_seen;
        let pair = |number: usize, score: Score| self.paired(number, score, all);
        let of = |number: usize| {
            let units = self.totals[models.len() + number].units(1, all);
            mean_error(&units, main).unwrap_or(f64::INFINITY)
        };
        let best = (0..baselines.len()).min_by(|&a, &b| of(a).total_cmp(&of(b)));
        let own = &models[0];
        let others = (1..models.len()).map(|number| (number, &models[number], false));
        let best = best.map(|number| (models.len() + number, &baselines[number], true));
        let rival = |(number, other, is_baseline): (usize, &ContestantScores, bool)| {
            let metrics: Vec<PairedComparison> =
                [Score::Mase, Score::Mae, Score::Smape, Score::Mape]
                    .into_iter()
                    .filter(|&score| error(own, score).is_some() && error(other, score).is_some())
                    .filter_map(|score| pair(number, score))
                    .collect();
            let found = metrics.iter().find(|one| one.metric == main.name());
            let shown = other.name.replace('_', " ");
            let shown =
                if is_baseline { format!("the best simple forecast ({shown})") } else { shown };
            let sentence = found.map(|one| {
                let words = format!("{} is {}", own.name, one.in_words(&shown));
                match (all, seen) {
                    (true, _) => format!(
                        "not a fair comparison, since a model has seen the rows of every cutoff: {words}"
                    ),
                    (false, true) => format!("on the rows that no model has seen, {words}"),
                    (false, false) => words,
                }
            });
            Rival {
                with: other.name.clone(),
                is_baseline,
                main: main.name().to_owned(),
                sentence: sentence.unwrap_or_default(),
                metrics,
            }
        };
        others.chain(best).map(rival).collect()
    }

    /// The first model paired with the forecaster of this number, on the windows that no model has seen or on all.
    fn paired(&self, number: usize, score: Score, all: bool) -> Option<PairedComparison> {
        let Origins { steps, step, .. } = self.backtest.origins;
        let units = |totals: &Totals| totals.units(steps.div_ceil(step), all);
        PairedComparison::new(&units(&self.totals[0]), &units(&self.totals[number]), score)
    }

    /// The error that all forecasters have: that of the measure, or MASE, or MAE.
    fn main_score(&self, models: &[ContestantScores], baselines: &[ContestantScores]) -> Score {
        let all = || models.iter().chain(baselines);
        let wanted = self.backtest.measure.wanted();
        let defined = |score: &Score| all().all(|one| error(one, *score).is_some());
        wanted.into_iter().find(defined).unwrap_or(Score::Mae)
    }
}

fn error(one: &ContestantScores, score: Score) -> Option<f64> {
    match score {
        Score::Mae => one.overall.mae,
        Score::Mase => one.overall.mase,
        Score::Smape => one.overall.smape,
        Score::Mape => one.overall.mape,
    }
}

fn contestant_scores(name: &str, set: &SeriesSet, totals: &Totals) -> ContestantScores {
    let series = set.series.iter().zip(&totals.by_series);
    let of_series = series
        .map(|(one, sums)| NamedMetrics { id: one.id.clone(), metrics: sums.metrics() })
        .filter(|one| one.metrics.points + one.metrics.missing > 0);
    ContestantScores {
        name: name.to_owned(),
        overall: totals.overall().metrics(),
        by_cutoff: totals.by_cutoff.iter().map(Sums::metrics).collect(),
        by_step: totals.by_step.iter().map(Sums::metrics).collect(),
        by_series: of_series.collect(),
    }
}
