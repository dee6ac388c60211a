//! `ptsm demo`: the whole story, from the table inside the binary to a report.

use std::path::{Path, PathBuf};

use ptsm::data::{Grid, Repair, Roles, SeriesSet, write_table};
use ptsm::train::Training;
use ptsm::{Cpu, Forecaster, Result, forecast_table};
use serde_json::json;

use crate::args::Global;
use crate::commands::train::{Plan, train};
use crate::output::{answer, remark, write_text};
use crate::plot;
use crate::source::{DataArgs, Source};
use crate::story::{self, Page, Part, Scoring};

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
    let plan = plan(global, args, model_dir.clone())?;
    let trained = train(global, &plan)?;
    let Plan { source, set, .. } = plan;
    let mut forecaster = Forecaster::from_dir(&model_dir, &Cpu::default())?;
    let scoring = Scoring {
        part: Part::Test,
        baselines: true,
        batch_size: 256,
        per_step: true,
        per_channel: true,
    };
    let evaluation =
        story::score(global, &mut forecaster, &trained.prepared, &source.name, &scoring)?;
    let future = forecaster.predict(&set, 0)?;
    write_table(&args.out.join("forecast.csv"), &forecast_table(&set, &future)?)?;
    let past = story::last_forecasts(&mut forecaster, &set)?;
    draw(
        &args.out,
        &story::forecast_plot("Weather at JFK, New York", &forecaster, &set, &past[0]),
    )?;
    plot::save(
        &args.out.join("training.svg"),
        &story::training_curve(&trained.record.history, true),
    )?;
    plot::save(&args.out.join("horizon.svg"), &story::horizon_plot(&evaluation, true))?;
    let page = Page {
        command: format!("ptsm demo --seed {} --epochs {}", args.seed, args.epochs),
        model_dir: &model_dir,
        source: &source,
        set: &set,
        evaluation: &evaluation,
        forecasts: past,
    };
    write_text(&args.out.join("report.html"), &page.render(&forecaster)?)?;
    let mut brief = evaluation.clone();
    story::trim(&mut brief, false, false);
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

fn plan(global: &Global, args: &Args, model_dir: PathBuf) -> Result<Plan> {
    let data = DataArgs { data: Some(ptsm::data::EMBEDDED_NAME.into()), ..DataArgs::default() };
    let source: Source = data.read(global)?;
    let set = SeriesSet::from_table(&source.table, &Roles::default(), &Repair::default())?;
    remark(global, "one week of hourly weather in, one day of weather out");
    let model = json!({
        "context_length": 168, "prediction_length": 24, "patch_length": 12, "patch_stride": 6,
        "d_model": 24, "num_layers": 3, "dropout": 0.3, "head_dropout": 0.3,
    });
    Ok(Plan {
        split: source.default_split(),
        grid: Grid::Regular,
        model: model.as_object().cloned().unwrap_or_default(),
        training: Training { epochs: args.epochs, seed: args.seed, ..Training::default() },
        task: ptsm::Task::Forecasting,
        start: None,
        few_shot: None,
        keep_head: false,
        out: model_dir,
        resume: false,
        source,
        set,
    })
}
