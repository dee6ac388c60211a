//! `ptsm train --task classification|regression` without options of the network: settings are searched.

use ptsm::job::{CASE_BUDGET, CaseChoice, CaseChoiceJob, CaseSearch, Save};
use ptsm::model_dir::ModelDir;
use ptsm::spec::{DataSpec, ModelSpec};
use ptsm::{Error, Result};
use serde_json::json;

use super::{Args, Reporter};
use crate::global::Global;
use crate::output::{answer, remark};
use crate::source::check_named;

/// Searches, trains what was chosen, and says how good it is.
pub(super) fn run(global: &Global, args: &Args, dir: ModelDir) -> Result<()> {
    let unused = [
        ("--init", args.init.is_some()),
        ("--few-shot", args.few_shot.is_some()),
        ("--hold-out", args.hold_out.is_some()),
        ("--plot", args.plot.is_some()),
        ("--metric", args.metric.is_some()),
    ];
    if let Some((flag, _)) = unused.iter().find(|(_, given)| *given) {
        let text = "is not used by the search for settings, which trains many networks (leave it out, or state an \
                    option of the network in place of --recipe auto)";
        return Err(Error::config(*flag, text));
    }
    let spec: DataSpec = args.data_spec();
    check_named(&spec)?;
    let (name, set) = spec.read_cases(args.task)?;
    let began = std::time::Instant::now();
    let given = args.model.over(ModelSpec::default())?;
    let mut search =
        CaseSearch::built_in(args.task, &set).settled(&given, &args.training.searched());
    args.training.apply(&mut search.training);
    let lengths = match set.cases.iter().map(ptsm::data::Series::num_rows).min() {
        Some(shortest) if shortest < set.longest() => format!("{shortest} to {}", set.longest()),
        _ => set.longest().to_string(),
    };
    let (cases, channels) = (set.len(), set.channels.len());
    let s = if channels == 1 { "" } else { "s" };
    remark(global, &format!("{name}: {cases} cases of {lengths} steps, {channels} channel{s}"));
    let budget = args.budget.unwrap_or(CASE_BUDGET);
    let save = Some(Save { dir, mode: args.mode() });
    let mut reporter = Reporter::new(global);
    let chosen = CaseChoiceJob { name, set, search, budget, save }.run(&mut reporter);
    reporter.finish();
    report(global, args, &chosen?.choice, began.elapsed().as_secs_f64())
}

fn report(global: &Global, args: &Args, choice: &CaseChoice, seconds: f64) -> Result<()> {
    let out = args.out.display();
    let value = json!({
        "out": args.out, "choice": choice, "sentence": choice.sentence(), "seconds": seconds,
    });
    let text = format!(
        "{out}: the mean of {} networks, trained on all {} cases, with the best of {} settings ({})\n{}\n",
        choice.networks,
        choice.cases,
        choice.tried,
        choice.described(),
        choice.sentence()
    );
    answer(global, &value, &text)
}
