//! `ptsm demo`: trains, scores and forecasts on the table inside the binary, and writes a report.

use std::path::{Path, PathBuf};

use ptsm::data::write_table;
use ptsm::evaluate::Detail;
use ptsm::forecast::forecast_table;
use ptsm::job::{Job, JobData, Save, SaveMode};
use ptsm::model_dir::ModelDir;
use ptsm::score::ScoreOptions;
use ptsm::spec::{DataSpec, ModelSpec};
use ptsm::train::Training;
use ptsm::{Cpu, Error, Forecaster, Result, Task};
use serde_json::json;

use crate::commands::train::run_job;
use crate::forecast_report::{ForecastReport, last_forecasts};
use crate::global::Global;
use crate::output::{answer, remark, write_text};
use crate::pictures::{forecast_plot, horizon_plot, training_curve};
use crate::plot;
use crate::scoring::{score, trim};
use crate::source::read_series;

/// Options of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder for the model, the forecasts, the pictures and the report
    #[arg(long, default_value = "ptsm-demo", value_name = "DIR")]
    out: PathBuf,
    /// Seed of weights, order and dropout
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Passes over the training windows
    #[arg(long, default_value_t = 8)]
    epochs: u32,
}

/// Trains, scores, forecasts, draws.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let model_dir = args.out.join("model");
    let (data, source) = read_series(global, &DataSpec::of(ptsm::data::EMBEDDED_NAME))?;
    remark(global, "one week of hourly weather in, one day of weather out");
    let set = data.set.clone();
    let data = data.into();
    let trained = run_job(global, &job(args, &data, &model_dir))?;
    let Some(prepared) = trained.samples.windows() else {
        return Err(Error::internal("a forecaster without windows"));
    };
    let mut forecaster = Forecaster::from_dir(&model_dir, &Cpu::default())?;
    let scoring = ScoreOptions {
        dataset: source.name.clone(),
        detail: Detail { per_step: true, per_channel: true, per_series: false },
        ..ScoreOptions::default()
    };
    let evaluation = score(global, &mut forecaster, prepared, scoring)?;
    let future = forecaster.predict(&set, 0)?;
    write_table(&args.out.join("forecast.csv"), &forecast_table(&set, &future)?)?;
    let past = last_forecasts(&mut forecaster, &set)?;
    draw(&args.out, &forecast_plot("Weather at JFK, New York", &forecaster, &set, &past[..1]))?;
    plot::save(&args.out.join("training.svg"), &training_curve(&trained.record.history, true))?;
    plot::save(&args.out.join("horizon.svg"), &horizon_plot(&evaluation, &model_dir, true))?;
    let page = ForecastReport {
        command: format!("ptsm demo --seed {} --epochs {}", args.seed, args.epochs),
        model_dir: &model_dir,
        source: &source,
        set: &set,
        evaluation: &evaluation,
        forecasts: past,
    };
    write_text(&args.out.join("report.html"), &page.render(&forecaster)?)?;
    let mut brief = evaluation.clone();
    trim(&mut brief, Detail::default());
    let text = format!(
        "{}\nmodel, forecast.csv, forecast.svg, forecast.png and report.html are in {}\n",
        brief.table(),
        args.out.display()
    );
    let value = json!({"out": args.out, "evaluation": brief, "train_seconds": trained.seconds});
    answer(global, &value, &text)
}

fn draw(out: &Path, picture: &plot::ForecastPlot) -> Result<()> {
    plot::save(&out.join("forecast.svg"), picture)?;
    plot::save(&out.join("forecast.png"), picture)
}

fn job<'a>(args: &Args, data: &'a JobData, model_dir: &Path) -> Job<'a> {
    Job {
        data,
        task: Task::Forecasting,
        model: ModelSpec {
            context_length: Some(168),
            prediction_length: Some(24),
            patch_length: Some(12),
            patch_stride: Some(6),
            d_model: Some(24),
            num_layers: Some(3),
            dropout: Some(0.3),
            head_dropout: Some(0.3),
            ..ModelSpec::default()
        },
        training: Training { epochs: args.epochs, seed: args.seed, ..Training::default() },
        start: None,
        few_shot: None,
        save: Some(Save { dir: ModelDir::new(model_dir), mode: SaveMode::Replace }),
    }
}
