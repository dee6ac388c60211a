//! `ptsm simulate`: writes simulated series as a long table, or lists what is simulated.

use std::path::{Path, PathBuf};

use ptsm::data::{Column, Table, write_table};
use ptsm::simulate::{Effect, Family, SimulatedSeries, Simulator, VERSION};
use ptsm::{Error, Result};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::global::Global;
use crate::mix::MixArgs;
use crate::output::{answer, remark};

/// Shortest series.
const SHORTEST: usize = 8;

/// Options of `simulate`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").args(["out", "list"]).required(true)))]
pub(crate) struct Args {
    /// Table to write (.csv, .parquet, .arrow, .json): unique_id, ds (1, 2, ...) and y
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Number of series
    #[arg(long, value_name = "N", default_value_t = 100)]
    series: u64,
    /// Points of each series
    #[arg(long, value_name = "POINTS", default_value_t = 200)]
    length: usize,
    /// Seed; series number i of a seed is the same in every table
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Number of the first series
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u64,
    /// List the families of series and the effects on them
    #[arg(long, conflicts_with_all = ["series", "length", "seed", "first"])]
    list: bool,
    #[command(flatten)]
    mix: MixArgs,
}

/// Writes or lists.
pub(crate) fn run(global: &Global, args: &Args) -> Result<()> {
    let mix = args.mix.mix()?;
    let Some(out) = args.out.as_deref().filter(|_| !args.list) else {
        let families: Vec<Row> = Family::ALL.iter().map(|&family| Row::of_family(family)).collect();
        let effects: Vec<Row> = Effect::ALL.iter().map(|&effect| Row::of_effect(effect)).collect();
        return list(global, &families, &effects);
    };
    if args.length < SHORTEST {
        let text = format!("{} must be at least {SHORTEST}", args.length);
        return Err(Error::config("--length", text));
    }
    let simulator = Simulator::new(args.seed, mix);
    let end = args.first.checked_add(args.series).ok_or_else(|| {
        Error::config("--first", format!("{} is too large for so many series", args.first))
    })?;
    let began = std::time::Instant::now();
    let all: Vec<SimulatedSeries> = (args.first..end)
        .into_par_iter()
        .map(|index| simulator.series(index, args.length))
        .collect();
    let seconds = began.elapsed().as_secs_f64();
    let table = table(args, all)?;
    write_table(out, &table)?;
    report(global, args, out, seconds)
}

fn report(global: &Global, args: &Args, out: &Path, seconds: f64) -> Result<()> {
    let millions = args.series as f64 / seconds.max(1e-9) * 60e-6;
    remark(global, &format!("simulated in {seconds:.2} s: {millions:.1} M series a minute"));
    let value = json!({
        "out": out, "series": args.series, "length": args.length, "seed": args.seed,
        "first": args.first, "version": VERSION, "seconds": seconds,
    });
    let text = format!(
        "{}: {} series of {} points (seed {}, simulator {VERSION})\n",
        out.display(),
        args.series,
        args.length,
        args.seed
    );
    answer(global, &value, &text)
}

/// The long table; series are named by their number.
fn table(args: &Args, all: Vec<SimulatedSeries>) -> Result<Table> {
    let names: Vec<String> = (args.first..).take(all.len()).map(|i| format!("s{i}")).collect();
    let ids = names.iter().map(|name| (name.as_str(), args.length));
    let steps = (0..all.len()).flat_map(|_| (1..=args.length).map(|step| step as f64));
    let columns = vec![
        Column::repeated_texts("unique_id", ids),
        Column::numbers("ds", steps.collect()),
        Column::numbers("y", all.into_iter().flat_map(|series| series.values).collect()),
    ];
    Table::new(columns)
}

/// One line of the list.
struct Row {
    name: &'static str,
    weight: f64,
    about: &'static str,
}

impl Row {
    fn of_family(family: Family) -> Self {
        Self { name: family.name(), weight: family.default_weight(), about: family.about() }
    }

    fn of_effect(effect: Effect) -> Self {
        Self { name: effect.name(), weight: effect.default_weight(), about: effect.about() }
    }

    fn json(&self) -> Value {
        json!({ "name": self.name, "weight": self.weight, "about": self.about })
    }

    fn text(&self) -> String {
        format!("  {:18} {:.2}  {}\n", self.name, self.weight, self.about)
    }
}

fn list(global: &Global, families: &[Row], effects: &[Row]) -> Result<()> {
    let values = |rows: &[Row]| rows.iter().map(Row::json).collect::<Vec<Value>>();
    let value =
        json!({ "version": VERSION, "families": values(families), "effects": values(effects) });
    let texts = |rows: &[Row]| rows.iter().map(Row::text).collect::<String>();
    let text = format!(
        "families of series, with their weights\n{}effects on them, with their chances\n{}",
        texts(families),
        texts(effects)
    );
    answer(global, &value, &text)
}
