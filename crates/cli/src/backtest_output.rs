//! What a backtest leaves behind beside its scores: rows in a file as they come, a picture, a report.

use std::path::Path;

use ptsm::backtest::{
    BacktestBlock, BacktestMetrics, BacktestObserver, BacktestReport, ContestantScores,
};
use ptsm::data::{SeriesSet, Table};
use ptsm::evaluate::best_rows;
use ptsm::forecast::IntervalNames;
use ptsm::{Forecast, Result};

use crate::global::Global;
use crate::html::{Column, Figure, Report, Section, Table as Cells};
use crate::pictures::backtest_plot;
use crate::plot::{ErrorCurve, HorizonPlot, MOST_PANELS, to_svg};
use crate::progress::Progress;

/// What writes the rows of a table.
pub(crate) type Push<'a> = &'a mut dyn FnMut(&Table) -> Result<()>;

/// Takes the forecasts of each block: to the file, and those of the first series for the picture.
pub(crate) struct Taker<'a> {
    progress: Progress,
    /// Where tables go.
    push: Option<Push<'a>>,
    names: IntervalNames,
    /// Forecasts of the first series from every cutoff; `None` where no picture is wanted.
    shown: Option<Vec<Vec<Forecast>>>,
    /// The cutoff that is trained before.
    training: Option<usize>,
}

impl<'a> Taker<'a> {
    pub(crate) fn new(
        global: &Global,
        push: Option<Push<'a>>,
        names: IntervalNames,
        pictured: bool,
    ) -> Self {
        let progress = Progress::new(global, "forecasting", 0);
        let shown = pictured.then(Vec::new);
        Self { progress, push, names, shown, training: None }
    }

    /// The forecasts for the picture.
    pub(crate) fn into_shown(self) -> Vec<Vec<Forecast>> {
        self.progress.finish();
        self.shown.unwrap_or_default()
    }

    fn show(&mut self, block: &BacktestBlock<'_>) {
        let (Some(shown), Some(found)) = (&mut self.shown, block.forecasts.first()) else { return };
        for forecast in found {
            match shown.iter().position(|runs| runs[0].id == forecast.id) {
                Some(place) => shown[place].push(forecast.clone()),
                None if shown.len() < MOST_PANELS => shown.push(vec![forecast.clone()]),
                None => {}
            }
        }
    }
}

impl BacktestObserver for Taker<'_> {
    fn block(&mut self, block: &BacktestBlock<'_>) -> Result<()> {
        self.show(block);
        match &mut self.push {
            Some(push) => push(&block.table(self.names)?),
            None => Ok(()),
        }
    }

    fn progress(&mut self, done: usize, windows: usize) -> Result<()> {
        self.progress.set_total(windows as u64);
        self.progress.update(done as u64, "");
        Ok(())
    }

    fn training(&mut self, cutoff: usize, text: &str) -> Result<()> {
        if self.training != Some(cutoff) && !text.is_empty() {
            self.training = Some(cutoff);
            self.progress.line(&format!("training again before cutoff {}", cutoff + 1));
        }
        Ok(())
    }
}

/// What the report is made from.
pub(crate) struct BacktestPage<'a> {
    pub(crate) report: &'a BacktestReport,
    pub(crate) set: &'a SeriesSet,
    /// Past steps that the model sees.
    pub(crate) context: usize,
    pub(crate) shown: &'a [Vec<Forecast>],
    /// What was read, in a line.
    pub(crate) data: String,
    pub(crate) model: &'a Path,
}

impl BacktestPage<'_> {
    /// The HTML page.
    pub(crate) fn render(&self) -> Result<String> {
        let report = self.report;
        let mut sections = vec![Section::table("Scores", self.scores())];
        let sentences: Vec<String> =
            report.comparisons.iter().map(|rival| rival.sentence.clone()).collect();
        if !sentences.is_empty() {
            sections.push(Section::text("Compared in pairs", sentences));
        }
        let plot = backtest_plot("", self.context, self.set, self.shown);
        let caption = "True values and the forecasts from each cutoff, in data units.";
        sections.push(Section::picture("Forecasts", to_svg(&plot)?, caption));
        sections.push(Section::picture("Error by step", to_svg(&self.by_step())?, ""));
        if report.cutoffs.len() > 1 {
            sections.push(Section::table("By cutoff", self.by_cutoff()));
        }
        let note = report.seen_note();
        if !note.is_empty() {
            let lines = note.lines().filter(|line| !line.is_empty()).map(str::to_owned);
            sections.push(Section::text("What was seen in training", lines.collect()));
        }
        sections.push(Section::text("Data", vec![self.data.clone()]));
        let command = std::env::args().collect::<Vec<_>>().join(" ");
        sections.push(Section::code("Command", command));
        let origins = report.origins;
        Report {
            title: format!("Backtest of {} on {}", self.model.display(), report.dataset),
            subtitle: format!(
                "{} steps from {} cutoffs every {} rows, {} series",
                origins.steps, origins.windows, origins.step, report.series
            ),
            figures: self.figures(),
            sections,
            footer: format!("ptsm {}", env!("CARGO_PKG_VERSION")),
        }
        .render()
    }

    fn all(&self) -> Vec<&ContestantScores> {
        self.report.models.iter().chain(&self.report.baselines).collect()
    }

    fn figures(&self) -> Vec<Figure> {
        let scores = self.report.models.first().map(|model| model.overall.points_table());
        let wanted = scores.into_iter().flatten().filter(|(_, value)| value.is_some());
        let figure = |(name, value): (&str, Option<f64>)| Figure {
            name: name.to_owned(),
            value: cell(value),
            note: String::new(),
        };
        let wanted = wanted.filter(|(name, _)| ["MASE", "MAE", "sMAPE %"].contains(name));
        wanted.map(figure).collect()
    }

    fn scores(&self) -> Cells {
        let all = self.all();
        table_of("Forecaster", all.iter().map(|one| (one.name.replace('_', " "), &one.overall)))
    }

    fn by_cutoff(&self) -> Cells {
        let models = self.report.models.first().into_iter().flat_map(|model| &model.by_cutoff);
        let names = self.report.cutoffs.iter().map(|cutoff| match &cutoff.last_time {
            Some(time) => time.clone(),
            None => format!("{} rows before the end", cutoff.rows_before_end),
        });
        Cells { best: Vec::new(), ..table_of("Cutoff", names.zip(models)) }
    }

    fn by_step(&self) -> HorizonPlot {
        let models = self.report.models.len();
        let curve = |(number, one): (usize, &&ContestantScores)| ErrorCurve {
            name: one.name.replace('_', " "),
            errors: one.by_step.iter().map(|step| step.mae.unwrap_or(f64::NAN)).collect(),
            is_model: number == 0 && models > 0,
        };
        HorizonPlot {
            title: String::new(),
            subtitle: String::new(),
            metric: "MAE".into(),
            curves: self.all().iter().enumerate().map(curve).collect(),
        }
    }
}

fn cell(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.4}"))
}

/// Names and values of one row.
type Scores = [(&'static str, Option<f64>); 7];

fn table_of<'a>(first: &str, rows: impl Iterator<Item = (String, &'a BacktestMetrics)>) -> Cells {
    let rows: Vec<(String, Scores)> =
        rows.map(|(name, metrics)| (name, metrics.points_table())).collect();
    let names: Vec<&str> =
        rows.first().map(|(_, scores)| scores.map(|(name, _)| name).to_vec()).unwrap_or_default();
    let best = names
        .iter()
        .enumerate()
        .map(|(number, name)| best_rows(name, rows.iter().map(|(_, scores)| scores[number].1)));
    Cells {
        columns: std::iter::once(Column::text(first))
            .chain(names.iter().map(|name| Column::number(*name)))
            .collect(),
        best: std::iter::once(Vec::new()).chain(best).collect(),
        rows: rows
            .iter()
            .map(|(name, scores)| {
                let cells = scores.iter().map(|(_, value)| cell(*value));
                std::iter::once(name.clone()).chain(cells).collect()
            })
            .collect(),
        note: String::new(),
    }
}
