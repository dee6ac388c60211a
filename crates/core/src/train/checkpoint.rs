//! The whole state of a training run in one file, from which a killed run is resumed with the same
//! result as without the interruption.
//!
//! The file is replaced atomically: if the process is killed while it saves, the older state
//! remains. A checksum over the whole file makes every damage known. Draws and the order of the windows follow from the seed, the step and the epoch, so no
//! random generator is stored.

use std::collections::HashMap;
use std::path::Path;

use ptsm_kernels::Isa;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::adamw::AdamW;
use super::history::Epoch;
use super::training::Training;
use crate::atomic_file::write_atomically;
use crate::checksums::sha256;
use crate::real::instruction_set;
use crate::regular_file::read_regular;
use crate::weights::Parameters;
use crate::{Error, Model, Result, option};

/// Name of the state in a model directory.
pub const CHECKPOINT_FILE: &str = "checkpoints/last.safetensors";

/// The folder of [`CHECKPOINT_FILE`].
pub const CHECKPOINT_FOLDER: &str = "checkpoints";

/// How the checksum begins in the header of the file.
const CHECKSUM: &str = "\"sha256\":\"";

/// What is in place of its 64 digits while it is computed.
const NO_DIGITS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Everything that a run needs to resume.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) weights: Parameters<f32>,
    pub(crate) adamw: AdamW<f32>,
    pub(crate) best: Parameters<f32>,
    /// Moving average of the trained weights, where one is kept.
    pub(crate) average: Option<Vec<f32>>,
    pub(crate) progress: Progress,
}

/// The numbers of a state that are not weights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Epoch in progress, from 0.
    pub(crate) epoch: u32,
    /// Next batch of this epoch.
    pub(crate) batch: usize,
    /// Loss of this epoch so far times its weight, and the weight.
    pub(crate) loss_sum: f64,
    pub(crate) loss_weight: f64,
    /// Finished epochs.
    pub(crate) history: Vec<Epoch>,
    /// Best epoch so far, counted from 1 as in the history; 0 before the first.
    pub(crate) best_epoch: u32,
    pub(crate) best_loss: Option<f64>,
    /// Instruction sets that computed the run so far, in their order.
    #[serde(default)]
    pub(crate) instruction_sets: Vec<String>,
    /// What must be equal for a resumed run to be the same run.
    pub(crate) fingerprint: Fingerprint,
}

/// What a run depends on; a resumed run must agree in all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    /// [`NUMERICS`](super::NUMERICS) of the build.
    #[serde(default)]
    pub(crate) numerics: u32,
    /// `config.json`.
    pub(crate) config: String,
    /// The training settings.
    pub(crate) training: String,
    /// SHA-256 of the prepared data and the windows over them.
    pub(crate) data: String,
    /// SHA-256 of the weights that the run started from.
    pub(crate) start: String,
}

impl Fingerprint {
    /// Says in which part another run differs.
    pub(crate) fn check(&self, stored: &Fingerprint) -> Result<()> {
        let parts = [
            ("the model's configuration", &self.config, &stored.config),
            ("the training settings", &self.training, &stored.training),
            ("the data or their split", &self.data, &stored.data),
            ("the initial weights", &self.start, &stored.start),
        ];
        if self.numerics != stored.numerics {
            return Err(Error::config(
                "resume",
                "this build computes other bits than the one of the checkpoint \
                 (use another output folder, or that build)",
            ));
        }
        for (what, now, then) in parts {
            if now != then {
                return Err(Error::config(
                    "resume",
                    format!("{what} changed since the checkpoint (use another output folder)"),
                ));
            }
        }
        Ok(())
    }
}

impl Progress {
    /// Goes on with the instruction set of this process: that of the checkpoint, or one that was asked
    /// for by name, because its bits differ.
    fn go_on(&mut self, now: &str, forced: bool) -> Result<()> {
        let then = self.instruction_sets.last().map_or("", String::as_str);
        if then == now {
            return Ok(());
        }
        if !forced {
            let isa = |name| option("isa", Some(name));
            let text = format!(
                "the checkpoint was computed with {then}, this machine would continue with {now}, whose results \
                 differ in the last bits ({} resumes with the same bits; {} resumes with other bits, and \
                 training.json records it)",
                isa(then),
                isa(now)
            );
            return Err(Error::config("resume", text));
        }
        self.instruction_sets.push(now.to_owned());
        Ok(())
    }
}

/// Where the digits of the checksum are in the bytes of a checkpoint.
fn digits_of(bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    // A quote inside another text of the header has a backslash before it.
    let start = bytes.windows(CHECKSUM.len()).position(|window| window == CHECKSUM.as_bytes())?;
    let start = start + CHECKSUM.len();
    (start + NO_DIGITS.len() <= bytes.len()).then(|| start..start + NO_DIGITS.len())
}

/// Writes the checksum of the bytes, computed with zeros in its place, into them.
fn seal(bytes: &mut [u8]) -> Option<()> {
    let place = digits_of(bytes)?;
    let digest = sha256(bytes);
    bytes[place].copy_from_slice(digest.as_bytes());
    Some(())
}

/// Refuses a checkpoint that is damaged, whatever run it is of.
///
/// # Errors
///
/// `Io` if it cannot be read, `InvalidWeights` if its checksum does not fit.
pub fn check_checkpoint(path: &Path) -> Result<()> {
    check_seal(&read_regular(path)?).map_err(|e| e.at(path.display().to_string()))
}

/// How far the run of a checkpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reached {
    /// Optimiser steps that are done.
    pub step: u64,
    /// Finished epochs.
    pub epochs_done: u32,
    /// Epochs of the whole run, without early stopping.
    pub epochs: u32,
}

/// How far the run of a checkpoint is. Nothing but its header is looked at, and its checksum is not: that is for who
/// resumes it.
///
/// # Errors
///
/// `Io` if it cannot be read, `InvalidWeights` if it is no checkpoint of this version.
pub fn checkpoint_reached(path: &Path) -> Result<Reached> {
    let bytes = read_regular(path)?;
    let bad = || Error::weights("is not a valid checkpoint").at(path.display().to_string());
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| bad().because(e))?;
    let progress = header.metadata().as_ref().and_then(|m| m.get("progress")).ok_or_else(bad)?;
    let (progress, step): (Progress, u64) =
        serde_json::from_str(progress).map_err(|e| bad().because(e))?;
    let training: Training =
        serde_json::from_str(&progress.fingerprint.training).map_err(|e| bad().because(e))?;
    Ok(Reached { step, epochs_done: progress.epoch, epochs: training.epochs })
}

/// Refuses bytes that are not those that were sealed.
fn check_seal(bytes: &[u8]) -> Result<()> {
    let Some(place) = digits_of(bytes) else {
        let text = "has no checksum: it is damaged, no checkpoint, or of an earlier version (remove it to \
                    start anew)";
        return Err(Error::weights(text));
    };
    let mut zeroed = bytes.to_vec();
    zeroed[place.clone()].copy_from_slice(NO_DIGITS.as_bytes());
    match sha256(&zeroed).as_bytes() == &bytes[place] {
        true => Ok(()),
        false => {
            let text = "is damaged: its checksum does not fit (remove it to start anew)";
            Err(Error::weights(text))
        }
    }
}

impl State {
    /// Refuses counts that no run of these settings reaches.
    pub(crate) fn check_limits(&self, epochs: u32, steps: u64) -> Result<()> {
        let Progress { epoch, batch, history, .. } = &self.progress;
        let batch = u64::try_from(*batch).unwrap_or(u64::MAX);
        let epochs_fit = *epoch <= epochs && history.len() as u64 <= u64::from(epochs);
        match epochs_fit && batch <= steps && self.adamw.step <= steps {
            true => Ok(()),
            false => Err(Error::weights("is a checkpoint with impossible counts: it is damaged")),
        }
    }

    /// Moves the average of the weights towards them. The decay is smaller in the first steps, so
    /// that the average soon forgets the initial weights.
    pub(crate) fn update_average(&mut self, decay: Option<f64>) {
        let (Some(average), Some(decay)) = (&mut self.average, decay) else { return };
        let step = self.adamw.step as f64;
        let rest = (1.0 - decay.min((1.0 + step) / (10.0 + step))) as f32;
        for (average, &weight) in average.iter_mut().zip(&self.weights.trained) {
            *average += rest * (weight - *average);
        }
    }

    /// The model with the weights that are scored and kept: the average, if there is one.
    pub(crate) fn kept(&self, model: &Model) -> Model {
        let mut kept = model.clone();
        if let Some(average) = &self.average {
            kept.parameters.trained.clone_from(average);
        }
        kept
    }

    /// Writes the state, atomically.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let internal = |e| Error::internal("a checkpoint cannot be written").because(e);
        let progress = serde_json::to_string(&(&self.progress, self.adamw.step))
            .map_err(|e| Error::internal("a checkpoint cannot be written").because(e))?;
        let mut floats = vec![
            ("weights.trained", &self.weights.trained),
            ("weights.buffers", &self.weights.buffers),
            ("adamw.first_moment", &self.adamw.first_moment),
            ("adamw.second_moment", &self.adamw.second_moment),
            ("best.trained", &self.best.trained),
            ("best.buffers", &self.best.buffers),
        ];
        floats.extend(self.average.as_ref().map(|average| ("average.trained", average)));
        let counters =
            [("weights.counters", &self.weights.counters), ("best.counters", &self.best.counters)];
        let mut raw: Vec<(&str, Dtype, usize, Vec<u8>)> = Vec::new();
        for (name, values) in floats {
            let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            raw.push((name, Dtype::F32, values.len(), bytes));
        }
        for (name, values) in counters {
            let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            raw.push((name, Dtype::I64, values.len(), bytes));
        }
        let mut views = Vec::new();
        for (name, dtype, len, bytes) in &raw {
            views.push((*name, TensorView::new(*dtype, vec![*len], bytes).map_err(internal)?));
        }
        let metadata = HashMap::from([
            ("progress".to_owned(), progress),
            ("sha256".to_owned(), NO_DIGITS.to_owned()),
        ]);
        let mut bytes = safetensors::serialize(views, Some(metadata)).map_err(internal)?;
        seal(&mut bytes)
            .ok_or_else(|| Error::internal("a checkpoint has no place for a checksum"))?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "cannot be made", e))?;
        }
        write_atomically(path, |out| out.write_all(&bytes))
    }

    /// Reads a state. `self` is the run's initial state, which says what to expect.
    pub(crate) fn load(&self, path: &Path) -> Result<Self> {
        let bytes = read_regular(path)?;
        self.parse(&bytes).map_err(|e| e.at(path.display().to_string()))
    }

    fn parse(&self, bytes: &[u8]) -> Result<Self> {
        check_seal(bytes)?;
        let damaged = |e| Error::weights("is not a valid checkpoint").because(e);
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let progress = header.metadata().as_ref().and_then(|m| m.get("progress"));
        let Some(progress) = progress else {
            return Err(Error::weights("is a safetensors file, but no checkpoint"));
        };
        let (mut progress, step): (Progress, u64) = serde_json::from_str(progress)
            .map_err(|e| Error::weights("is a checkpoint of another version").because(e))?;
        self.progress.fingerprint.check(&progress.fingerprint)?;
        progress.go_on(instruction_set()?.name(), Isa::is_forced())?;
        let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let mut state = State { progress, ..self.clone() };
        state.adamw.step = step;
        let mut floats = vec![
            ("weights.trained", &mut state.weights.trained),
            ("weights.buffers", &mut state.weights.buffers),
            ("adamw.first_moment", &mut state.adamw.first_moment),
            ("adamw.second_moment", &mut state.adamw.second_moment),
            ("best.trained", &mut state.best.trained),
            ("best.buffers", &mut state.best.buffers),
        ];
        floats.extend(state.average.as_mut().map(|average| ("average.trained", average)));
        for (name, values) in floats {
            let data = data_of::<4>(&file, name, Dtype::F32, values.len())?;
            values.iter_mut().zip(data).for_each(|(x, &b)| *x = f32::from_le_bytes(b));
        }
        let counters = [
            ("weights.counters", &mut state.weights.counters),
            ("best.counters", &mut state.best.counters),
        ];
        for (name, values) in counters {
            let data = data_of::<8>(&file, name, Dtype::I64, values.len())?;
            values.iter_mut().zip(data).for_each(|(x, &b)| *x = i64::from_le_bytes(b));
        }
        Ok(state)
    }
}

fn data_of<'a, const N: usize>(
    file: &SafeTensors<'a>,
    name: &str,
    dtype: Dtype,
    len: usize,
) -> Result<&'a [[u8; N]]> {
    let view = file.tensor(name).map_err(|e| Error::weights(format!("lacks {name}")).because(e))?;
    let data = view.data().as_chunks::<N>().0;
    if view.dtype() != dtype || data.len() != len {
        let text =
            format!("{name} has {:?} {:?}, wanted {dtype:?} [{len}]", view.dtype(), view.shape());
        return Err(Error::weights(text));
    }
    Ok(data)
}

/// The state of a run of this model that has not begun.
#[cfg(any(test, feature = "testing"))]
fn unbegun(config: &crate::config::Config) -> Result<State> {
    use crate::weights::{Init, Layout};
    let layout = Layout::new(&config.network()?)?;
    let weights = Parameters::init(&layout, Init::PyTorch, 3);
    let isa = instruction_set()?.name().to_owned();
    Ok(State {
        best: weights.clone(),
        adamw: AdamW::new(layout.num_trained(), 0.9, 0.999, 1e-8, 0.0),
        weights,
        average: None,
        progress: Progress { instruction_sets: vec![isa], ..Progress::default() },
    })
}

/// Writes the checkpoint of a run of this model that has not begun.
///
/// # Errors
///
/// `InvalidConfig` for an impossible model, `Io` if it cannot be written.
#[cfg(feature = "testing")]
pub fn write_unbegun(config: &crate::config::Config, path: &Path) -> Result<()> {
    unbegun(config)?.save(path)
}

/// Reads bytes as the checkpoint of a run of this model, with their checksum made anew: what it protects is reached.
///
/// # Errors
///
/// As when a run is resumed.
#[cfg(feature = "testing")]
pub fn read_resealed(config: &crate::config::Config, bytes: &mut [u8]) -> Result<()> {
    if let Some(place) = digits_of(bytes) {
        bytes[place].copy_from_slice(NO_DIGITS.as_bytes());
        seal(bytes);
    }
    unbegun(config)?.parse(bytes).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn state() -> State {
        unbegun(&Config::default()).unwrap()
    }

    #[test]
    fn no_flipped_bit_is_silent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last.safetensors");
        let state = state();
        state.save(&path).unwrap();
        assert_eq!(state.load(&path).unwrap(), state);
        let sound = std::fs::read(&path).unwrap();
        // Every bit of the header, and every 997th of the numbers.
        let (header, rest) = (8 * 1500, (8 * 1500..8 * sound.len()).step_by(997));
        for bit in (0..header).chain(rest) {
            let mut bytes = sound.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let error = state.parse(&bytes).expect_err(&format!("bit {bit}"));
            assert_eq!(error.kind(), crate::ErrorKind::InvalidWeights, "{error}");
        }
    }

    #[cfg(feature = "testing")]
    #[test]
    fn a_checkpoint_that_is_sealed_anew_is_checked_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (path, config) = (folder.path().join("last.safetensors"), Config::default());
        write_unbegun(&config, &path).unwrap();
        let sound = std::fs::read(&path).unwrap();
        read_resealed(&config, &mut sound.clone()).unwrap();
        // Another tensor than there should be, and fewer bytes.
        let text = b"adamw.first_moment";
        let place = sound.windows(text.len()).position(|window| window == text).unwrap();
        let mut renamed = sound.clone();
        renamed[place] = b'b';
        for mut damaged in [renamed, sound[..sound.len() - 8].to_vec()] {
            let error = read_resealed(&config, &mut damaged).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::InvalidWeights, "{error}");
        }
    }

    #[test]
    fn a_checkpoint_tells_how_far_its_run_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last.safetensors");
        let mut state = state();
        (state.progress.epoch, state.adamw.step) = (2, 9);
        let training = Training { epochs: 5, ..Training::default() };
        state.progress.fingerprint.training = serde_json::to_string(&training).unwrap();
        state.save(&path).unwrap();
        let reached = checkpoint_reached(&path).unwrap();
        assert_eq!(reached, Reached { step: 9, epochs_done: 2, epochs: 5 });
        std::fs::write(&path, "nothing").unwrap();
        assert!(checkpoint_reached(&path).is_err());
    }

    #[test]
    fn another_instruction_set_goes_on_only_if_it_was_asked_for() {
        let begun = Progress { instruction_sets: vec!["avx2".into()], ..Progress::default() };
        let mut same = begun.clone();
        same.go_on("avx2", false).unwrap();
        assert_eq!(same, begun);
        let text = begun.clone().go_on("portable", false).unwrap_err().to_string();
        for part in ["computed with avx2", "isa = avx2", "isa = portable"] {
            assert!(text.contains(part), "{text}");
        }
        let mut other = begun;
        other.go_on("portable", true).unwrap();
        assert_eq!(other.instruction_sets, ["avx2", "portable"]);
    }

    #[test]
    fn counts_near_their_limits_are_refused() {
        let mut sound = state();
        (sound.progress.epoch, sound.progress.batch, sound.adamw.step) = (3, 7, 7);
        sound.check_limits(3, 7).unwrap();
        let changes: [fn(&mut State); 3] = [
            |state| state.progress.epoch = u32::MAX,
            |state| state.progress.batch = usize::MAX,
            |state| state.adamw.step = u64::MAX,
        ];
        for change in changes {
            let mut bad = sound.clone();
            change(&mut bad);
            assert!(bad.check_limits(3, 7).is_err());
        }
    }

    #[test]
    fn a_run_of_a_build_with_other_bits_is_not_resumed() {
        let now = Fingerprint { numerics: 2, ..Fingerprint::default() };
        now.check(&now).unwrap();
        // A checkpoint from before bits were counted.
        let text = now.check(&Fingerprint::default()).unwrap_err().to_string();
        assert!(text.contains("resume") && text.contains("other bits"), "{text}");
    }
}
