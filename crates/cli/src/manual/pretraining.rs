//! The help of `pretrain`, whose options are those of `train` with other defaults, and without those that it refuses.

use clap::{Arg, Command};

/// Defaults that differ, by the names of the options.
const DEFAULTS: [(&str, &str); 17] = [
    ("context_length", "512"),
    ("prediction_length", "48"),
    ("patch_length", "16"),
    ("patch_stride", "16"),
    ("d_model", "48"),
    ("num_layers", "5"),
    ("dropout", "0"),
    ("head_dropout", "0"),
    ("loss", "quantile"),
    ("quantiles", "0.025,0.1,0.5,0.9,0.975"),
    ("location", "last"),
    ("batch_size", "256"),
    ("schedule", "cosine"),
    ("warmup_steps", "200"),
    ("gradient_clip", "1"),
    ("ema_decay", "0.998"),
    ("skip_rate", "1"),
];

/// Options that a training on simulated windows, each seen once, refuses.
const REFUSED: [&str; 12] = [
    "epochs",
    "epoch_steps",
    "patience",
    "min_delta",
    "window_step",
    "partial_windows",
    "with_validation",
    "transform",
    "percent_loss",
    "freeze",
    "class_weights",
    "skip_start",
];

/// The command with its own defaults in its help.
pub(super) fn with_own_defaults(command: Command) -> Command {
    command.mut_args(|arg| match DEFAULTS.iter().find(|(id, _)| *id == arg.get_id().as_str()) {
        Some((_, default)) => with_default(arg, default),
        None => {
            let refused = REFUSED.contains(&arg.get_id().as_str());
            if refused { arg.hide(true) } else { arg }
        }
    })
}

/// The option with this default at the end of its help, in place of the one there.
fn with_default(arg: Arg, default: &str) -> Arg {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let text = help.split(" [default: ").next().unwrap_or_default();
    let help = format!("{text} [default: {default}]");
    arg.help(help)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use ptsm::pretrain::defaults;

    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_job() {
        let (model, training) = defaults();
        let number = |x: Option<usize>| x.unwrap().to_string();
        let real = |x: Option<f64>| x.unwrap().to_string();
        let extension = model.ptsm.unwrap();
        let quantiles: Vec<String> =
            extension.quantiles.unwrap().iter().map(ToString::to_string).collect();
        let wanted = [
            ("context_length", number(model.context_length)),
            ("prediction_length", number(model.prediction_length)),
            ("patch_length", number(model.patch_length)),
            ("patch_stride", number(model.patch_stride)),
            ("d_model", number(model.d_model)),
            ("num_layers", number(model.num_layers)),
            ("dropout", real(model.dropout)),
            ("head_dropout", real(model.head_dropout)),
            ("quantiles", quantiles.join(",")),
            ("batch_size", training.batch_size.to_string()),
            ("warmup_steps", training.warmup_steps.to_string()),
            ("gradient_clip", real(training.gradient_clip)),
            ("ema_decay", real(training.ema_decay)),
            ("skip_rate", training.skip_rate.to_string()),
        ];
        for (name, value) in wanted {
            assert!(DEFAULTS.contains(&(name, value.as_str())), "{name} {value}");
        }
    }

    #[test]
    fn every_name_is_an_option_of_pretrain_and_its_default_is_shown() {
        let whole = crate::args::Args::command();
        let command = with_own_defaults(whole.find_subcommand("pretrain").unwrap().clone());
        let of = |id: &str| command.get_arguments().find(|arg| arg.get_id() == id).unwrap().clone();
        for (id, default) in DEFAULTS {
            let help = of(id).get_help().unwrap().to_string();
            assert!(help.ends_with(&format!("[default: {default}]")), "{id}: {help}");
            assert_eq!(help.matches("[default").count(), 1, "{id}: {help}");
        }
        assert!(REFUSED.iter().all(|id| of(id).is_hide_set()));
    }
}
