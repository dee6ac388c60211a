//! `ptsm import`: makes a model directory of a folder that Hugging Face wrote.

use std::path::PathBuf;

use ptsm::data::{Split, Transform};
use ptsm::ensemble::task_of;
use ptsm::import::{Import, Imported};
use ptsm::job::save_model;
use ptsm::model_dir::ModelDir;
use ptsm::model_writer::ModelWriter;
use ptsm::spec::DataSpec;
use ptsm::{Result, Task};
use serde_json::json;

use crate::commands::inspect::minimum_scale;
use crate::commands::train::{TRANSFORMS, read_data};
use crate::global::Global;
use crate::output::{answer, refuse_taken, remark_note};
use crate::source::DataArgs;
use crate::words::recipe_words;

/// Options of `import`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder with config.json and weights: what save_pretrained wrote, or a checkpoint of a Trainer
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// Model directory to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace a model that is in --out
    #[arg(long)]
    overwrite: bool,
    /// Whether the channels were standardised for training, each by the mean and deviation of its
    /// training rows [default: true, of counts false]
    #[arg(long, value_name = "BOOL")]
    standardise: Option<bool>,
    /// What was done to values before that: none, or log1p [default: none]
    #[arg(long, value_parser = recipe_words::<Transform>(TRANSFORMS))]
    transform: Option<Transform>,
    /// ett-hour, ett-minute, 7:1:2, fraction:0.7,0.1, last:18 or date:VALIDATION,TEST: which rows the model
    /// was trained on; the data set's own, or 7:1:2, if not given
    #[arg(long)]
    split: Option<Split>,
    /// Columns of the labels, for classification and regression from tables [default: label, class
    /// or target]
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    label: Option<Vec<String>>,
    #[command(flatten)]
    data: DataArgs,
}

/// Reads folder and data, writes the model directory.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    refuse_taken(&args.out, args.overwrite)?;
    let task = task_of(&args.from)?;
    let labels = matches!(task, Task::Classification | Task::Regression);
    let spec = DataSpec {
        split: args.split,
        label: args.label.clone(),
        // Nothing is trained, so every case counts.
        hold_out: labels.then_some(0.0),
        ..args.data.spec()
    };
    let data = read_data(global, &spec, task, 0)?;
    let import = Import {
        from: &args.from,
        data: &data,
        standardise: args.standardise,
        transform: args.transform,
    };
    let Imported { model, preprocessor, standardised, notes, .. } = import.run()?;
    notes.iter().for_each(|note| remark_note(global, note));
    let out = ModelDir::new(&args.out);
    save_model(&ModelWriter::new(&out)?, &model, &preprocessor)?;
    let config = model.config();
    let how = match standardised {
        true => "standardised by the training rows",
        false => "as they are",
    };
    let mut text = format!(
        "{}: {}, {} channels {how}: {}\n",
        args.out.display(),
        config.task()?.architecture(),
        preprocessor.channels.len(),
        preprocessor.channels.join(", ")
    );
    if let Some(added) = minimum_scale(config) {
        text += &format!("minimum_scale {added}\n");
    }
    let value = json!({
        "out": args.out, "task": task, "channels": preprocessor.channels,
        "standardised": standardised, "frequency": preprocessor.frequency,
        "split": preprocessor.split, "num_parameters": model.layout().num_trained(),
    });
    answer(global, &value, &text)
}
