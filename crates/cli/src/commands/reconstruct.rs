//! `evaluate` for pretrained models: scores how well they reconstruct hidden patches.

use std::path::Path;

use ptsm::core::{ForwardOptions, draw_masks};
use ptsm::data::{
    Part, Prepared, PreparedSeries, Split, Standardiser, WindowSet, WindowShape, prepare,
};
use ptsm::preprocessor::Preprocessor;
use ptsm::train::{LossOptions, score};
use ptsm::{Model, Result, Task};
use serde_json::json;

use crate::global::Global;
use crate::output::{answer, remark};
use crate::plot::{self, ReconstructionPanel, ReconstructionPlot};
use crate::source::{DataArgs, summary};

/// What is evaluated.
pub(crate) struct Request<'a> {
    pub(crate) model: &'a Path,
    pub(crate) data: &'a DataArgs,
    pub(crate) part: Part,
    pub(crate) borders: Option<Split>,
    pub(crate) plot: Option<&'a Path>,
}

/// Whether the model in `dir` reconstructs hidden patches.
pub(crate) fn reconstructs(dir: &Path) -> Result<bool> {
    Ok(ptsm::ensemble::task_of(dir)? == Task::Pretraining)
}

/// Scores the reconstruction over every window of a part.
pub(crate) fn evaluate(global: &Global, request: &Request<'_>) -> Result<()> {
    let model = Model::from_dir(request.model)?;
    let preprocessor = Preprocessor::from_dir(request.model, model.config())?;
    let source = request.data.read_for(global, &preprocessor)?;
    let set = preprocessor.read_as(
        &source.table,
        &request.data.roles(),
        &request.data.repair(&source)?,
    )?;
    remark(global, &summary(&source.name, &set));
    let context_length = model.config().context_length;
    let shape = WindowShape { context_length, prediction_length: 0, step: 1 };
    let split = request.borders.unwrap_or(preprocessor.split);
    let prepared = prepare(&set, &split, shape, None, Some(&preprocessor.standardiser))?;
    let windows = prepared.part(request.part);
    let found = score(&model, windows, &LossOptions::default())?;
    if let Some(path) = request.plot {
        plot::save(
            path,
            &picture(
                &model,
                &preprocessor,
                &LastWindow::new(&prepared, request.part),
                &source.name,
            )?,
        )?;
        remark(global, &format!("picture: {}", path.display()));
    }
    let name = request.part.name();
    let text = format!(
        "{}, {name}: {} windows, mean squared error of hidden patches {:.4} (scaled units, in \
         which the windows have variance 1)\n",
        source.name,
        windows.len(),
        found.loss
    );
    let value = json!({
        "dataset": source.name, "split": name, "windows": windows.len(), "masked_mse": found.loss,
    });
    answer(global, &value, &text)
}

/// The windows of a part, and what their last one was standardised by.
#[derive(Clone, Copy)]
struct LastWindow<'a> {
    windows: &'a WindowSet,
    scale: &'a Standardiser,
}

impl<'a> LastWindow<'a> {
    fn new(prepared: &'a Prepared, part: Part) -> Self {
        let windows = prepared.part(part);
        let series = windows.segment_of(windows.len() - 1);
        Self { windows, scale: &prepared.scales[series] }
    }
}

/// The last window with hidden patches, in data units.
fn picture(
    model: &Model,
    preprocessor: &Preprocessor,
    shown: &LastWindow<'_>,
    name: &str,
) -> Result<ReconstructionPlot> {
    let config = model.config();
    let LastWindow { windows, scale } = *shown;
    let last = windows.len() - 1;
    let masks = draw_masks(config, 1, 0, 0);
    let batch = windows.batch(&[last]).with_patch_mask(masks.clone())?;
    let forward = model.forward(&batch, ForwardOptions::default())?;
    let (series, start): (&PreparedSeries, usize) = windows.locate(last);
    let (patches, length) = (config.num_patches(), config.patch_length);
    let channels = config.num_input_channels;
    let panels = (0..channels).map(|c| {
        let undo = |x: f32| scale.undo_value(c, x);
        let seen = |t: usize| {
            let i = (start + t) * channels + c;
            series.observed_mask.as_ref().is_none_or(|mask| mask[i] != 0.0)
        };
        let truth = (0..config.context_length).map(|t| match seen(t) {
            true => undo(batch.past_values()[t * channels + c]),
            false => f64::NAN,
        });
        let mut reconstruction = vec![f64::NAN; config.context_length];
        let mut masked = Vec::new();
        let (loc, scale) = (forward.backbone.loc()[c], forward.backbone.scale()[c]);
        for n in (0..patches).filter(|n| masks[c * patches + n] != 0.0) {
            let first = config.patch_start() + n * config.patch_stride;
            masked.push(first..first + length);
            for k in 0..length {
                let value = forward.outputs.prediction[(c * patches + n) * length + k];
                reconstruction[first + k] = undo(value * scale + loc);
            }
        }
        ReconstructionPanel {
            channel: preprocessor.channels[c].clone(),
            truth: truth.collect(),
            masked,
            reconstruction,
        }
    });
    Ok(ReconstructionPlot {
        title: format!("Hidden patches of {name}"),
        subtitle: "the last window of the part; shaded patches were hidden from the model".into(),
        panels: panels.collect(),
    })
}
