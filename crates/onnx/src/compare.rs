//! A file in a runtime beside this library, on the same windows.

use std::path::Path;

use ptsm::core::Backend;
use ptsm::data::{LabelCoding, LabelledSet, Repair, Series};
use ptsm::forecast::ForecastModel;
use ptsm::heads::MAIN_HEAD;
use ptsm::spec::DataSpec;
use ptsm::{Cpu, Error, Prediction, Result, Session};

use crate::difference::largest_relative;
use crate::export::settle;
use crate::exported::{Exported, Tensor};
use crate::options::Options;
use crate::outputs::forecasts;
use crate::reference::{InUnits, Numbers, forecast, labels};
use crate::runtime::Runtime;
use crate::source::{Head, Parts, Source};
use crate::windows::{Cut, Layout, Windows};

/// Windows of the check with random numbers.
const RANDOM: usize = 64;
/// Windows that are run at once.
const AT_ONCE: usize = 512;
/// Windows of a file that are compared: all up to so many, evenly spread ones of more.
const MOST: usize = 20_000;

/// What was compared, and how far apart the numbers were.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Windows that were compared.
    pub windows: usize,
    /// Windows of the data; more than were compared where those are evenly spread ones.
    pub all: usize,
    /// Windows among those chosen that were left out, because a point is missing and the file has no input for that.
    pub left_out: usize,
    /// How far apart each output was.
    pub outputs: Vec<Difference>,
}

/// How far apart the numbers of an output were.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Name of the output.
    pub output: String,
    /// The largest difference over the largest number, window by window and channel by channel; infinite where one is no
    /// number.
    pub largest: f64,
}

impl Comparison {
    /// The largest of all.
    pub fn largest(&self) -> f64 {
        self.outputs.iter().fold(0.0, |max, difference| max.max(difference.largest))
    }
}

/// What computes the numbers of this library.
enum Own<'a> {
    Heads(Vec<(&'a Head, Box<dyn Session>)>),
    Forecaster(Box<dyn Session>),
    Labellers(Vec<Box<dyn Session>>, Option<&'a LabelCoding>),
}

impl<'a> Own<'a> {
    fn load(dir: &Path, source: &'a Source) -> Result<Self> {
        let cpu = Cpu::default();
        Ok(match &source.parts {
            Parts::Heads(heads) => {
                let load = |head: &'a Head| Ok((head, cpu.load(&head.model)?.session()?));
                Self::Heads(heads.iter().map(load).collect::<Result<_>>()?)
            }
            Parts::Forecasters { .. } => {
                Self::Forecaster(ForecastModel::from_dir(dir, &cpu)?.session()?)
            }
            Parts::Labellers { networks, labels } => {
                let load = |(_, model): &(String, ptsm::Model)| cpu.load(model)?.session();
                Self::Labellers(networks.iter().map(load).collect::<Result<_>>()?, labels.as_ref())
            }
        })
    }

    fn numbers(&mut self, windows: &Windows, asked: &[f64]) -> Result<Numbers> {
        let units = InUnits(windows.units.as_deref());
        let run = |session: &mut Box<dyn Session>| {
            let mut output = Prediction::default();
            session.forward(&windows.batch, &mut output)?;
            Ok(output)
        };
        match self {
            Self::Forecaster(session) => forecast(&run(session)?, units, asked),
            Self::Labellers(sessions, coding) => {
                let all: Vec<Prediction> = sessions.iter_mut().map(run).collect::<Result<_>>()?;
                Ok(labels(&all, *coding))
            }
            Self::Heads(heads) => {
                let mut all = Numbers::new();
                for (head, session) in heads {
                    let prediction = run(session)?;
                    let own = match forecasts(head) {
                        true => forecast(&prediction, units, asked)?,
                        false => labels(&[prediction], head.labels.as_ref()),
                    };
                    let named = |(name, numbers)| match head.name.as_str() {
                        MAIN_HEAD => (name, numbers),
                        head => (format!("{head}.{name}"), numbers),
                    };
                    all.extend(own.into_iter().map(named));
                }
                Ok(all)
            }
        }
    }
}

/// Runs an exported file and this library on windows of random numbers.
///
/// # Errors
///
/// Those of [`export`](crate::export()), and of [`Runtime::run`]; `Internal` if the outputs have other names.
pub fn compare_random(
    dir: &Path,
    options: &Options,
    exported: &Exported,
    runtime: &Runtime,
) -> Result<Comparison> {
    let source = Source::read(dir, options)?;
    let settled = settle(&source, options)?;
    let series = Layout::of(&source, &settled).random(RANDOM)?;
    let cuts = series.iter().map(|series| Cut { series, end: series.num_rows() }).collect();
    Comparing { dir, source: &source, options: &settled, exported, runtime }.compare(cuts)
}

/// Runs an exported file and this library on the windows of a file of data: of series every window, 20,000 evenly spread
/// ones at most; of labelled cases every case.
///
/// # Errors
///
/// As [`compare_random`]; `InvalidInput` if the file cannot be read as the model's data, or no window can be compared.
pub fn compare_file(
    dir: &Path,
    options: &Options,
    exported: &Exported,
    runtime: &Runtime,
    data: &str,
) -> Result<Comparison> {
    let source = Source::read(dir, options)?;
    let settled = settle(&source, options)?;
    let Some(preprocessor) = &source.preprocessor else {
        let text = "has no preprocessor.json, which says how data are read (ptsm import makes one)";
        return Err(Error::config(dir.display().to_string(), text));
    };
    let spec = DataSpec::of(data);
    let labelled = preprocessor.labels.is_some();
    let series: Vec<Series> = match labelled {
        true => {
            let (_, set): (String, LabelledSet) = spec.read_cases(source.config().task()?)?;
            set.cases
        }
        false => {
            let read = spec.read_for(preprocessor)?;
            preprocessor.read(&read.table, &Repair::default())?.series
        }
    };
    let context = source.config().context_length;
    let ends = |series: &Series| match labelled {
        true => series.num_rows()..series.num_rows() + 1,
        false => context.min(series.num_rows())..series.num_rows() + 1,
    };
    let all: Vec<Cut<'_>> = series
        .iter()
        .flat_map(|series| ends(series).map(move |end| Cut { series, end }))
        .filter(|cut| cut.end > 0)
        .collect();
    let count = all.len();
    let step = count.div_ceil(MOST).max(1);
    // Counted from the end, so that the last window is among them.
    let skip = count.saturating_sub(1) % step;
    let cuts = all.into_iter().skip(skip).step_by(step).collect();
    let comparing = Comparing { dir, source: &source, options: &settled, exported, runtime };
    Ok(Comparison { all: count, ..comparing.compare(cuts)? })
}

/// A comparison on its way.
struct Comparing<'a> {
    dir: &'a Path,
    source: &'a Source,
    options: &'a Options,
    exported: &'a Exported,
    runtime: &'a Runtime,
}

impl Comparing<'_> {
    fn compare(&self, mut cuts: Vec<Cut<'_>>) -> Result<Comparison> {
        let layout = Layout::of(self.source, self.options);
        let all = cuts.len();
        cuts.retain(|cut| layout.takes(cut));
        if cuts.is_empty() {
            return Err(Error::input(
                "no window can be compared: each has a missing point, and the file has no input for that",
            ));
        }
        let mut own = Own::load(self.dir, self.source)?;
        let none = |output: &Tensor| Difference { output: output.name.clone(), largest: 0.0 };
        let mut outputs: Vec<Difference> = self.exported.outputs.iter().map(none).collect();
        for part in cuts.chunks(AT_ONCE) {
            let windows = layout.lay_out(part)?;
            let wanted = own.numbers(&windows, &self.options.quantiles)?;
            let found = self.runtime.run(&self.exported.bytes, &windows.inputs)?;
            if wanted.len() != outputs.len() {
                return Err(Error::internal("the file has other outputs than the library"));
            }
            for Difference { output, largest } in &mut outputs {
                let (Some(found), Some(wanted)) = (found.get(output), wanted.get(output)) else {
                    return Err(Error::internal(format!("the output {output} is not there")));
                };
                if found.shape.first() != Some(&part.len()) {
                    let (shape, windows) = (&found.shape, part.len());
                    let text = format!("the output {output} is {shape:?} for {windows} windows");
                    return Err(Error::internal(text));
                }
                *largest = largest.max(largest_relative(&found.values, wanted, &found.shape));
            }
        }
        Ok(Comparison { windows: cuts.len(), all, left_out: all - cuts.len(), outputs })
    }
}
