//! Extra heads on the backbone of a model directory: the backbone is stored once, and runs once for
//! all of them.
//!
//! | file | holds |
//! |---|---|
//! | `files.rs` | the heads of a directory: listed, added, removed, read |
//! | `shared.rs` | heads that run together |
//! | `score.rs` | scores of several heads in one pass |
//! | `table.rs` | their answers as a table |

mod files;
mod score;
mod shared;
mod table;

pub use files::{
    MAIN_HEAD, SharedHead, add_head, list_heads, load_heads, remove_head, replace_head, save_heads,
};
pub use score::{HeadWindows, score_heads};
pub use shared::SharedModel;
pub use table::heads_table;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::data::LabelCoding;
    use crate::data::{Batch, BatchShape};
    use crate::data::{Grid, Roles, Split, Standardiser};
    use crate::preprocessor::Preprocessor;
    use crate::train::take_backbone;
    use crate::{Backend, Config, Cpu, Model, Prediction, Task};
    use ptsm_core::Init;

    fn model(task: Task, seed: u64) -> Model {
        let config = Config {
            architectures: Some(vec![task.architecture().into()]),
            num_input_channels: 2,
            num_targets: 2,
            ..Config::default()
        };
        Model::new(config, Init::PyTorch, seed).unwrap()
    }

    fn save(model: &Model, dir: &Path, scale: f64) {
        std::fs::create_dir_all(dir).unwrap();
        model.save(dir).unwrap();
        let names = vec!["up".into(), "down".into()];
        let preprocessor = Preprocessor {
            dataset: "t".into(),
            channels: vec!["x".into(), "y".into()],
            roles: Roles::default(),
            frequency: None,
            times: Default::default(),
            missing: Vec::new(),
            grid: Grid::Rows,
            seasonal_period: 1,
            split: Split::default(),
            standardiser: Standardiser {
                mean: vec![0.0; 2],
                scale: vec![scale; 2],
                ..Standardiser::default()
            },
            labels: Some(LabelCoding::Classes { names }),
            covariates: None,
        };
        preprocessor.save(dir).unwrap();
    }

    fn batch() -> Batch {
        let shape = BatchShape { size: 3, context_length: 32, num_channels: 2 };
        let mask: Vec<f32> = (0..192).map(|i| f32::from(i % 5 != 0)).collect();
        Batch::new(shape, (0..192).map(|i| (i as f32 * 0.37).sin()).collect())
            .and_then(|batch| batch.with_observed_mask(mask))
            .unwrap()
    }

    #[test]
    fn heads_on_one_backbone_answer_as_each_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (main_dir, extra_dir) = (folder.path().join("main"), folder.path().join("extra"));
        let main = model(Task::Forecasting, 1);
        let mut extra = model(Task::Classification, 2);
        save(&main, &main_dir, 1.0);
        save(&extra, &extra_dir, 1.0);
        let text = add_head(&main_dir, "class", &extra_dir).unwrap_err().to_string();
        assert!(text.contains("another backbone"), "{text}");
        take_backbone(&mut extra, &main).unwrap();
        save(&extra, &extra_dir, 2.0);
        let text = add_head(&main_dir, "class", &extra_dir).unwrap_err().to_string();
        assert!(text.contains("standardises"), "{text}");
        save(&extra, &extra_dir, 1.0);
        assert!(add_head(&main_dir, "../x", &extra_dir).is_err());
        add_head(&main_dir, "class", &extra_dir).unwrap();
        assert_eq!(list_heads(&main_dir).unwrap(), ["class"]);

        let names = ["class".to_owned(), MAIN_HEAD.to_owned()];
        let mut shared = SharedModel::from_dir(&main_dir, &names, &Cpu::default()).unwrap();
        let outputs = shared.forward(&batch()).unwrap();
        for (output, alone) in outputs.iter().zip([&extra, &main]) {
            let mut wanted = Prediction::default();
            let alone = Cpu::default().load(alone).unwrap();
            alone.session().unwrap().forward(&batch(), &mut wanted).unwrap();
            assert_eq!(output.numbers, wanted.numbers);
        }
        let text = SharedModel::from_dir(&main_dir, &["quant".into()], &Cpu::default())
            .err()
            .unwrap()
            .to_string();
        assert!(text.contains("\"quant\"") && text.contains("main, class"), "{text}");
    }

    /// Names of the files in the folder of the heads; none if there is no folder.
    fn files(dir: &Path) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(dir.join("heads")) else { return Vec::new() };
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<String> =
            entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_head_that_cannot_be_joined_leaves_the_directory_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (main_dir, extra_dir) = (folder.path().join("main"), folder.path().join("extra"));
        let main = model(Task::Forecasting, 1);
        save(&main, &main_dir, 1.0);
        let refused = |model: &Model, wanted: &str| {
            save(model, &extra_dir, 1.0);
            let before = files(&main_dir);
            let text = add_head(&main_dir, "extra", &extra_dir).unwrap_err().to_string();
            assert!(text.contains(wanted), "{text}");
            assert_eq!(files(&main_dir), before);
        };
        let scaled = Config { scaling: "mean".into(), ..main.config().clone() };
        let mut other = Model::new(scaled, Init::PyTorch, 2).unwrap();
        take_backbone(&mut other, &main).unwrap();
        for with_heads in [false, true] {
            refused(&model(Task::Pretraining, 1), "hidden patches");
            refused(&model(Task::Classification, 2), "another backbone");
            // The weights are the same, but another field of the configuration differs.
            refused(&other, "scaling");
            if !with_heads {
                assert!(!main_dir.join("heads").exists());
                let mut extra = model(Task::Classification, 2);
                take_backbone(&mut extra, &main).unwrap();
                save(&extra, &extra_dir, 1.0);
                add_head(&main_dir, "class", &extra_dir).unwrap();
            }
        }
        assert_eq!(
            files(&main_dir),
            ["class.json", "class.preprocessor.json", "class.safetensors"],
            "no temporary file is left"
        );
    }

    #[test]
    fn a_removed_head_leaves_nothing_and_the_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (main_dir, extra_dir) = (folder.path().join("main"), folder.path().join("extra"));
        let main = model(Task::Forecasting, 1);
        let mut extra = model(Task::Classification, 2);
        take_backbone(&mut extra, &main).unwrap();
        save(&main, &main_dir, 1.0);
        save(&extra, &extra_dir, 1.0);
        for name in ["a", "b"] {
            add_head(&main_dir, name, &extra_dir).unwrap();
        }
        let text = add_head(&main_dir, "a", &extra_dir).unwrap_err().to_string();
        assert!(text.contains("\"a\" is there already"), "{text}");
        replace_head(&main_dir, "a", &extra_dir).unwrap();
        remove_head(&main_dir, "a").unwrap();
        assert_eq!(files(&main_dir), ["b.json", "b.preprocessor.json", "b.safetensors"]);
        let text = remove_head(&main_dir, "a").unwrap_err().to_string();
        assert!(text.contains("only b"), "{text}");
        assert!(remove_head(&main_dir, MAIN_HEAD).is_err());
        remove_head(&main_dir, "b").unwrap();
        assert!(!main_dir.join("heads").exists() && main_dir.join("config.json").exists());
    }

    #[test]
    fn heads_of_several_horizons_share_one_pass() {
        let folder = tempfile::tempdir().unwrap();
        let (main_dir, extra_dir) = (folder.path().join("main"), folder.path().join("extra"));
        let main = model(Task::Forecasting, 1);
        let config = Config { prediction_length: 40, ..main.config().clone() };
        let mut long = Model::new(config, Init::PyTorch, 2).unwrap();
        take_backbone(&mut long, &main).unwrap();
        save(&main, &main_dir, 1.0);
        save(&long, &extra_dir, 1.0);
        add_head(&main_dir, "long", &extra_dir).unwrap();
        let names = [MAIN_HEAD.to_owned(), "long".to_owned()];
        let mut shared = SharedModel::from_dir(&main_dir, &names, &Cpu::default()).unwrap();
        let outputs = shared.forward(&batch()).unwrap();
        for (output, alone) in outputs.iter().zip([&main, &long]) {
            let mut wanted = Prediction::default();
            let alone = Cpu::default().load(alone).unwrap();
            alone.session().unwrap().forward(&batch(), &mut wanted).unwrap();
            assert_eq!(output.numbers, wanted.numbers);
        }
        assert_eq!(outputs[1].numbers.len(), 3 * 40 * 2);
    }
}
