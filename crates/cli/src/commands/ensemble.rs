//! `ptsm ensemble`: several trained forecasters as one model directory.

use std::path::{Path, PathBuf};

use ptsm::{
    ENSEMBLE_FILE, Error, MEMBERS_FOLDER, Model, Preprocessor, Result, WEIGHTS_FILE, save_ensemble,
};
use serde_json::json;

use crate::args::Global;
use crate::output::answer;

/// Options of `ensemble`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Model directories whose forecasts are averaged
    #[arg(required = true, num_args = 1.., value_name = "DIR")]
    members: Vec<PathBuf>,
    /// Model directory to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace a model that is in DIR
    #[arg(long)]
    overwrite: bool,
}

/// Copies the members and describes them.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let taken = [ENSEMBLE_FILE, WEIGHTS_FILE].iter().any(|name| args.out.join(name).exists());
    if taken && !args.overwrite {
        let text = "holds a model already (use --overwrite or another folder)";
        return Err(Error::config(args.out.display().to_string(), text));
    }
    let parameters = join(&args.out, &args.members)?;
    let value = json!({"out": args.out, "members": args.members, "num_parameters": parameters});
    let text = format!(
        "{}: {} members, {parameters} parameters\n",
        args.out.display(),
        args.members.len()
    );
    answer(global, &value, &text)
}

/// Makes `out` an ensemble of copies of the models in `members`; returns the number of their
/// parameters.
pub(crate) fn join(out: &Path, members: &[PathBuf]) -> Result<usize> {
    let mut first: Option<Preprocessor> = None;
    let (mut names, mut parameters) = (Vec::new(), 0);
    for (i, dir) in members.iter().enumerate() {
        let model = Model::from_dir(dir)?;
        let preprocessor = Preprocessor::from_dir(dir, model.config())?;
        let differs = first.as_ref().is_some_and(|first| {
            (&first.channels, &first.standardiser)
                != (&preprocessor.channels, &preprocessor.standardiser)
        });
        if differs {
            let text = "reads other channels than the first member, or standardises them otherwise";
            return Err(Error::config(dir.display().to_string(), text));
        }
        first.get_or_insert(preprocessor);
        let name = i.to_string();
        model.save(&out.join(MEMBERS_FOLDER).join(&name))?;
        parameters += model.layout().num_trained();
        names.push(name);
    }
    let Some(preprocessor) = first else {
        return Err(Error::config("members", "there is none, wanted at least one"));
    };
    save_ensemble(out, &names, &preprocessor)?;
    Ok(parameters)
}
