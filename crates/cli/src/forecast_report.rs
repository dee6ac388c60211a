//! The HTML report of a scored forecaster: scores, pictures, training, data.

use std::path::Path;

use ptsm::data::SeriesSet;
use ptsm::evaluate::{BaselineOutcome, Evaluation, Metrics, best_rows};
use ptsm::model_dir::{ModelDir, read_json};
use ptsm::record::Record;
use ptsm::spec::Source;
use ptsm::{Forecast, Forecaster, Result};

use crate::html::{Column, Figure, Report, Section, Table};
use crate::output::flag;
use crate::pictures::{bars_plot, forecast_plot, horizon_plot, training_curve};
use crate::plot::to_svg;
use crate::scoring::{NamedMetrics, called, named_metrics};
use crate::source::summary;

/// Forecasts of the last steps of the data, whose true values are known.
pub(crate) fn last_forecasts(
    forecaster: &mut Forecaster,
    set: &SeriesSet,
) -> Result<Vec<Forecast>> {
    let steps = forecaster.config().prediction_length;
    forecaster.predict(set, steps)
}

/// What the report is made from.
pub(crate) struct ForecastReport<'a> {
    pub(crate) command: String,
    pub(crate) model_dir: &'a Path,
    pub(crate) source: &'a Source,
    pub(crate) set: &'a SeriesSet,
    pub(crate) evaluation: &'a Evaluation,
    pub(crate) forecasts: Vec<Forecast>,
}

impl ForecastReport<'_> {
    /// The HTML page.
    pub(crate) fn render(&self, forecaster: &Forecaster) -> Result<String> {
        let evaluation = self.evaluation;
        let mut sections = vec![
            Section::table("Scores", self.scores()),
            Section::picture(
                "Beside baselines",
                to_svg(&bars_plot(evaluation, self.model_dir))?,
                "Mean squared error over every window, in units of the training rows' deviation.",
            ),
        ];
        if !self.forecasts.is_empty() {
            let plot = forecast_plot("", forecaster, self.set, &self.forecasts);
            sections.push(Section::picture(
                "The last forecast with a known truth",
                to_svg(&plot)?,
                "Context, forecast and true values, in data units.",
            ));
        }
        sections.push(Section::picture(
            "Error by horizon step",
            to_svg(&horizon_plot(evaluation, self.model_dir, false))?,
            "",
        ));
        if let Some(table) = self.channels() {
            sections.push(Section::table("By channel", table));
        }
        self.add_training(&mut sections)?;
        sections.push(Section::text("Data", self.data_notes()));
        sections.push(Section::code("Command", &self.command));
        Report {
            title: format!("{} on {}", called(self.model_dir), evaluation.dataset),
            subtitle: format!(
                "{} steps, {} windows of the {} rows, none left out",
                evaluation.lengths(),
                evaluation.model.windows,
                evaluation.split
            ),
            figures: self.figures(),
            sections,
            footer: format!("ptsm {}", env!("CARGO_PKG_VERSION")),
        }
        .render()
    }

    fn figures(&self) -> Vec<Figure> {
        let baselines = named_metrics(self.evaluation, self.model_dir)
            .into_iter()
            .filter(|found| !found.is_model);
        let best = baselines.min_by(|a, b| a.metrics.mse.total_cmp(&b.metrics.mse));
        let figure = |name: &str, value: Option<f64>, note: String| Figure {
            name: name.into(),
            value: value.map_or("-".into(), |value| format!("{value:.4}")),
            note,
        };
        let note = |pick: fn(&Metrics) -> f64| {
            best.as_ref().map_or(String::new(), |baseline| {
                format!("{}: {:.4}", baseline.name, pick(baseline.metrics))
            })
        };
        let model = &self.evaluation.model;
        vec![
            figure("MSE", Some(model.mse), note(|m| m.mse)),
            figure("MAE", Some(model.mae), note(|m| m.mae)),
            figure("Correlation", model.correlation, String::new()),
        ]
    }

    fn scores(&self) -> Table {
        let cell = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.4}"));
        let names = ["MSE", "MAE", "RMSE", "MASE", "Correlation"];
        let all = named_metrics(self.evaluation, self.model_dir);
        let scores = |m: &Metrics| [Some(m.mse), Some(m.mae), Some(m.rmse), m.mase, m.correlation];
        let row = |NamedMetrics { name, metrics, .. }: &NamedMetrics<'_>| {
            std::iter::once(name.clone()).chain(scores(metrics).map(cell)).collect()
        };
        let best = names.iter().enumerate().map(|(number, name)| {
            best_rows(name, all.iter().map(|named| scores(named.metrics)[number]))
        });
        let reasons = self.evaluation.baselines.iter().filter_map(|b| match &b.outcome {
            BaselineOutcome::NotScored { reason } => Some(format!("{}: {reason}", b.name)),
            BaselineOutcome::Scored(_) => None,
        });
        let verdict = self.evaluation.verdict.iter().map(|verdict| verdict.sentence.clone());
        Table {
            columns: std::iter::once(Column::text("Forecaster"))
                .chain(names.map(Column::number))
                .collect(),
            rows: all.iter().map(row).collect(),
            best: std::iter::once(Vec::new()).chain(best).collect(),
            note: verdict.chain(reasons).collect::<Vec<_>>().join("; "),
        }
    }

    fn channels(&self) -> Option<Table> {
        let parts = self.evaluation.model.per_channel.as_ref()?;
        let cell = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.4}"));
        let names = &self.evaluation.channel_names;
        let rows = names.iter().zip(parts).map(|(name, m)| {
            vec![name.clone(), cell(m.mse), cell(m.mae), cell(m.mase), m.points.to_string()]
        });
        Some(Table {
            columns: std::iter::once(Column::text("Channel"))
                .chain(["MSE", "MAE", "MASE", "Points"].map(Column::number))
                .collect(),
            rows: rows.collect(),
            best: Vec::new(),
            note: String::new(),
        })
    }

    /// The training curve and facts, if the model directory has a record of the training.
    fn add_training(&self, sections: &mut Vec<Section>) -> Result<()> {
        // A record of another version cannot be read; the report is then written without it.
        let record = read_json::<Record>(&ModelDir::new(self.model_dir).training());
        let Ok(Some(record)) = record else { return Ok(()) };
        let svg = to_svg(&training_curve(&record.history, false))?;
        sections.push(Section::picture("Training", svg, ""));
        let seconds = record.seconds();
        let facts = [
            ("Parameters", record.num_parameters.to_string()),
            ("Training windows", record.train_windows.to_string()),
            ("Epochs", record.history.epochs.len().to_string()),
            ("Best epoch", record.history.best_epoch.to_string()),
            ("Stopped by", record.history.stopped_by.clone()),
            ("Seconds", format!("{seconds:.1}")),
            ("Seed", record.training.seed.to_string()),
            ("Peak learning rate", record.training.learning_rate.to_string()),
            ("Instruction set", record.instruction_set.clone()),
        ];
        let facts = facts.map(|(name, value)| (name.to_owned(), value)).to_vec();
        sections.push(Section::key_values("How it was trained", facts));
        Ok(())
    }

    fn data_notes(&self) -> Vec<String> {
        let mut notes = vec![summary(&self.source.name, self.set)];
        if let Some(set) = self.source.dataset {
            notes.push(format!("{}. Licence: {}. Source: {}.", set.about, set.licence, set.source));
        }
        notes.extend(self.set.repairs.notes().iter().map(|note| note.spelled(flag)));
        notes
    }
}
