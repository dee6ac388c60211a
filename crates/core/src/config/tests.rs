//! Tests of reading, defaults and validation of a configuration.

use super::*;

fn parse(fields: &str) -> Result<Config> {
    Config::from_json(&format!("{{\"model_type\": \"patchtsmixer\", {fields}}}"))
}

#[test]
fn an_empty_file_holds_the_defaults() {
    let config = Config::from_json("{\"model_type\": \"patchtsmixer\"}").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.num_patches(), 4);
}

#[test]
fn aliases_and_old_spellings_are_read() {
    let config = parse("\"hidden_size\": 12, \"num_hidden_layers\": 5, \"scaling\": true").unwrap();
    assert_eq!((config.d_model, config.num_layers), (12, 5));
    let location = Location::Mean;
    assert_eq!(config.scaler(), Scaler::Std { minimum_scale: 1e-5, location });
    let both = parse("\"hidden_size\": 12, \"d_model\": 6, \"post_init\": false").unwrap();
    assert_eq!(both.d_model, 6);
    assert!(both.extra.contains_key("post_init"));
    let one = parse("\"num_forecast_mask_patches\": 3, \"mask_value\": 0.0").unwrap();
    assert_eq!(one.num_forecast_mask_patches, [3]);
}

#[test]
fn unvalidated_strings_mean_what_the_reference_makes_of_them() {
    let config =
        parse("\"mode\": \"odd\", \"norm_mlp\": \"MyBATCHthing\", \"scaling\": \"robust\"");
    let config = config.unwrap();
    assert!(!config.mixes_channels());
    assert_eq!(config.norm(), Norm::Batch);
    assert_eq!(config.scaler(), Scaler::None);
    let mean =
        parse("\"scaling\": \"mean\", \"default_scale\": 2, \"minimum_scale\": 0.5").unwrap();
    assert_eq!(mean.scaler(), Scaler::Mean { minimum_scale: 0.5, default_scale: Some(2.0) });
}

#[test]
fn writing_and_reading_is_the_identity() {
    let fields =
        "\"prediction_channel_indices\": [2, 0], \"num_input_channels\": 3, \"x\": {\"y\": 1}";
    let config = parse(fields).unwrap();
    assert_eq!(config.prediction_channels(), [0, 2]);
    let text = config.to_json().unwrap();
    assert!(text.contains("\"num_patches\": 4"));
    assert_eq!(Config::from_json(&text).unwrap(), config);
}

#[test]
fn every_bad_field_is_named() {
    let table = [
        ("\"patch_length\": 32", "patch_length: 32 must be less than context_length 32"),
        ("\"patch_stride\": 0", "patch_stride: 0 must be from 1"),
        ("\"d_model\": \"wide\"", "d_model: has an impossible value"),
        ("\"self_attn\": true, \"self_attn_heads\": 3", "self_attn_heads: 3 must divide d_model 8"),
        ("\"use_positional_encoding\": true, \"d_model\": 7", "needs an even d_model, got 7"),
        ("\"dropout\": 1.0", "dropout: 1 must be at least 0 and below 1"),
        ("\"prediction_channel_indices\": [4]", "4 must be below num_input_channels 1"),
        ("\"num_input_channels\": 3, \"prediction_channel_indices\": [1, 1]", "twice"),
        ("\"loss\": \"mae\"", "loss: is \"mae\", wanted one of mse, nll"),
        ("\"context_length\": 16000000, \"patch_length\": 1, \"patch_stride\": 1", "parameters"),
        ("\"norm_eps\": 0", "norm_eps: 0 must be above 0"),
        ("\"output_range\": [1, 0]", "output_range"),
    ];
    for (fields, wanted) in table {
        let error = parse(fields).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{fields}");
        assert!(error.to_string().contains(wanted), "{fields}: {error}");
    }
}

#[test]
fn another_model_type_is_refused() {
    let error = Config::from_json("{\"model_type\": \"patchtst\"}").unwrap_err();
    assert_eq!(error.to_string(), "model_type: is \"patchtst\", wanted \"patchtsmixer\"");
    assert!(Config::from_json("{}").is_err());
    assert!(Config::from_json("[1]").is_err());
    assert!(Config::from_json("{\"model_type\": ").is_err());
}

#[test]
fn the_class_name_tells_the_task() {
    let mut config = Config::default();
    assert_eq!(config.task().unwrap(), Task::Forecasting);
    config.architectures = Some(vec![Task::Regression.architecture().into()]);
    assert_eq!(config.task().unwrap(), Task::Regression);
    config.architectures = Some(vec!["BertModel".into()]);
    assert!(config.task().is_err());
}

#[test]
fn a_model_with_parts_of_ours_is_marked_in_its_file_and_read_with_and_without_the_mark() {
    let fields = "\"norm_mlp\": \"BatchNorm\", \"ptsm\": {\"location\": \"last\"}";
    let config = parse(fields).unwrap();
    let text = config.to_file_json().unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file["model_type"], "ptsm_patchtsmixer");
    assert_eq!(file["norm_mlp"], serde_json::json!({"ptsm alone reads this model": "BatchNorm"}));
    assert_eq!(Config::from_json(&text).unwrap(), config);
    // As earlier versions wrote it.
    assert_eq!(Config::from_json(&config.to_json().unwrap()).unwrap(), config);
}

#[test]
fn a_plain_model_is_written_as_hugging_face_reads_it() {
    for fields in ["\"d_model\": 6", "\"ptsm\": {}"] {
        let config = parse(fields).unwrap();
        assert_eq!(config.to_file_json().unwrap(), config.to_json().unwrap(), "{fields}");
        assert!(config.to_json().unwrap().contains("\"model_type\": \"patchtsmixer\""));
    }
}
