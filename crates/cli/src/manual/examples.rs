//! The examples of the help, by command.

/// Lines to type for each command.
pub(super) const EXAMPLES: &[(&str, &str)] = &[
    (
        "",
        "  # Half a minute: what it can do
  ptsm demo
  # A forecast without training
  ptsm forecast load.csv --plot forecast.png
  # The forecaster that validates best, its errors, the steps after the data
  ptsm train --data load.csv --out model
  ptsm evaluate --model model --data load.csv
  ptsm predict --model model --data load.csv",
    ),
    (
        "forecast",
        "  ptsm forecast sales.csv
  ptsm forecast sales.csv --horizon 24 --out next.csv --plot next.png
  cat sales.csv | ptsm forecast -",
    ),
    ("demo", "  ptsm demo\n  ptsm demo --out tour --seed 1"),
    ("data", "  ptsm data list\n  ptsm data fetch ETTh1"),
    ("data list", "  ptsm data list"),
    ("data fetch", "  ptsm data fetch ETTh1"),
    ("inspect", "  ptsm inspect load.csv\n  ptsm inspect moves_TRAIN.ts\n  ptsm inspect model"),
    (
        "train",
        "  ptsm train --data load.csv --out model
  ptsm train --data load.csv --out bands --loss nll --epochs 5
  ptsm train --data moves_TRAIN.ts --out moves --task classification
  ptsm train --resume model    # after Ctrl-C",
    ),
    ("pretrain", "  ptsm pretrain --out any --windows 400k\n  ptsm pretrain --resume any"),
    (
        "simulate",
        "  ptsm simulate --list
  ptsm simulate --out series.parquet --series 10000 --length 200
  ptsm simulate --out walks.csv --family walk,trend=2 --without counts",
    ),
    ("import", "  ptsm import checkpoint-500 --data load.csv --out model"),
    (
        "evaluate",
        "  ptsm evaluate --model model --data load.csv
  ptsm evaluate --model model --data load.csv --by series,step --report report.html
  # The model inside the binary
  ptsm evaluate --model builtin --data load.csv",
    ),
    (
        "backtest",
        "  ptsm backtest --model builtin --data load.csv --windows 8
  ptsm backtest --model model --data load.csv --refit every:1 --out forecasts.parquet
  ptsm backtest --model model --data load.csv --versus builtin --plot backtest.png",
    ),
    (
        "detect",
        "  ptsm detect --model model --data load.csv --plot anomalies.png
  ptsm detect --model builtin --data load.csv --alpha 0.001 --out points.csv
  ptsm detect --model model --data new.csv --calibration normal.csv --save load.detector",
    ),
    (
        "explain",
        "  ptsm explain --model model --data load.csv --plot why.png
  ptsm explain --model builtin --data load.csv --rows-before-end 24 --out influences.csv",
    ),
    ("calibrate", "  ptsm calibrate --model model --data load.csv --levels 0.5,0.9"),
    (
        "predict",
        "  ptsm predict --model model --data load.csv --out next.csv --plot next.png
  ptsm predict --model model --data load.csv --rows-before-end 24
  cat load.csv | ptsm predict --model model --data -",
    ),
    (
        "export",
        "  ptsm export model --onnx model.onnx --check
  ptsm export model --onnx model.onnx --missing mask --verify-data load.csv
  ptsm export model --onnx network.onnx --member network",
    ),
    (
        "stream",
        "  tail -n +1 -f load.csv | ptsm stream --model model --state load.state > forecasts.jsonl
  ptsm stream --model builtin --like load.csv --input load.csv
  ptsm stream --model model --detector load.detector --no-forecasts --input new.csv",
    ),
    #[cfg(feature = "server")]
    (
        "serve",
        "  ptsm serve --model load=model --port 8080
  ptsm serve models --host 0.0.0.0 --api-key-file keys
  ptsm serve --model load=model --check",
    ),
    (
        "select",
        "  ptsm select --data moves_TRAIN.ts --test moves_TEST.ts
  # search.toml holds: model.patch_length = 4
  #                    training.epochs = 100
  #                    grid.d_model = [8, 16]
  #                    grid.num_layers = [2, 3]
  ptsm select --data moves_TRAIN.ts --recipe search.toml --task classification",
    ),
    (
        "ablate",
        "  # ablation.toml holds: model.context_length = 48
  #                      model.prediction_length = 12
  #                      training.epochs = 6
  ptsm ablate --data load.csv --recipe ablation.toml --seeds 0",
    ),
    (
        "benchmark",
        "  ptsm benchmark --data load.csv --out bench
  ptsm benchmark --data load.csv,wind.csv --horizons 24,48 --out bench
  # suite.toml as in bench/suites of the source: data, horizons, recipes, published rows
  ptsm benchmark --suite suite.toml --only ETTh1 --out bench",
    ),
    (
        "tune",
        "  ptsm tune --data load.csv --out found --budget 10m
  ptsm tune --data load.csv --out found --budget 10m --prediction-length 24",
    ),
    ("ensemble", "  ptsm ensemble model-1 model-2 --out both"),
    (
        "heads",
        "  ptsm heads list --model bands
  ptsm heads add --model bands --from probe --name probe",
    ),
    ("heads add", "  ptsm heads add --model bands --from probe --name probe"),
    ("heads list", "  ptsm heads list --model bands"),
    ("heads remove", "  ptsm heads remove --model bands probe"),
    (
        "heads joint",
        "  ptsm heads joint --model bands --out both --data main=load.csv --data probe=moves.ts",
    ),
    ("verify", "  ptsm verify model"),
    (
        "trace",
        "  ptsm trace --model model --inputs in.safetensors --outputs out.safetensors --gradients",
    ),
    ("compare", "  ptsm compare ours.safetensors reference.safetensors --tolerance 1e-5"),
    ("bench", "  ptsm bench --shape seed\n  ptsm bench --model model --batch 1,32 --threads 1,2"),
    ("tt-plan", "  ptsm tt-plan --model model --batch 32 --compare"),
    ("doctor", "  ptsm doctor"),
    (
        "completions",
        "  ptsm completions bash > ~/.local/share/bash-completion/completions/ptsm
  ptsm completions zsh > ~/.zfunc/_ptsm
  ptsm completions fish > ~/.config/fish/completions/ptsm.fish",
    ),
    ("man", "  ptsm man | man -l -\n  ptsm man --out man1"),
];
