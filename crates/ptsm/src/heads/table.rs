//! What several heads say of the end of every series, as one table.

use super::files::SharedHead;
use super::shared::SharedModel;
use crate::data::{Column, LabelCoding, Series, SeriesSet, Table};
use crate::forecast::{
    Contexts, Forecast, ForecastColumns, ForecastInterface, ForecastRows, Forecaster,
    forecast_times, free_name, leading_columns,
};
use crate::labeller::Predictions;
use crate::{Error, Result};
use ptsm_core::Prediction;

/// Decimals of probabilities.
const DECIMALS: f64 = 1e6;

/// What a head says of one series.
enum Answer {
    Forecast(Forecast),
    Class { name: String, probability: f64 },
    Values(Vec<f64>),
}

impl Answer {
    /// The name of a class; empty for other answers.
    fn class(&self) -> &str {
        match self {
            Self::Class { name, .. } => name,
            Self::Forecast(_) | Self::Values(_) => "",
        }
    }
}

/// The answers of the heads for the end of every series, from one pass of the backbone each: the
/// columns of series and times as in a forecast, `HEAD.CHANNEL` with its quantiles for each forecast,
/// `HEAD.label` and `HEAD.probability` for classes, `HEAD.TARGET` for values. A series has as many
/// rows as the longest horizon has steps; shorter forecasts leave the last cells empty, labels are
/// repeated.
///
/// # Errors
///
/// `InvalidInput`, naming the series, if it has no row before the forecast, or the head whose output
/// is not finite.
pub fn heads_table(
    forecaster: &Forecaster,
    shared: &mut SharedModel,
    set: &SeriesSet,
    rows_before_end: usize,
) -> Result<Table> {
    if forecaster.preprocessor().standardiser.effects.is_some() {
        let text = "do not add the effects of covariates, which this model was trained with (leave heads out)";
        return Err(Error::config("heads", text));
    }
    let interfaces: Vec<ForecastInterface> = shared.heads().iter().map(interface).collect();
    let mut answers: Vec<Vec<Answer>> = shared.heads().iter().map(|_| Vec::new()).collect();
    for series in &set.series {
        let contexts = forecaster.context(series, rows_before_end)?;
        let outputs = shared.forward(&contexts.batch)?;
        for (number, head) in shared.heads().iter().enumerate() {
            let output = Output { head, numbers: &outputs[number], contexts: &contexts };
            answers[number].push(output.answer(&interfaces[number], &series.id)?);
        }
    }
    let horizon = shared.heads().iter().filter(|head| head.preprocessor.labels.is_none());
    let steps = horizon.map(|head| head.model.config().prediction_length).max();
    let steps = steps.unwrap_or(forecaster.config().prediction_length);
    let mut columns = rows_of(set, rows_before_end, steps);
    for (head, answers) in shared.heads().iter().zip(&answers) {
        let taken: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        columns.extend(Block { head, answers, steps, taken: &taken }.columns());
    }
    Table::new(columns)
}

fn interface(head: &SharedHead) -> ForecastInterface {
    let SharedHead { model, preprocessor, calibration, .. } = head;
    ForecastInterface::new(model, preprocessor.clone(), calibration.clone())
}

/// The columns of series and times.
fn rows_of(set: &SeriesSet, rows_before_end: usize, steps: usize) -> Vec<Column> {
    let first_row = |series: &Series| series.num_rows().saturating_sub(rows_before_end);
    let times: Vec<Option<Vec<i64>>> = set
        .series
        .iter()
        .map(|series| {
            let first = first_row(series);
            forecast_times(set, series, first..first + steps)
        })
        .collect();
    let rows: Vec<ForecastRows<'_>> = set
        .series
        .iter()
        .zip(&times)
        .map(|(series, times)| ForecastRows {
            id: &series.id,
            first_row: first_row(series),
            timestamps: times.as_deref(),
            steps,
        })
        .collect();
    leading_columns(set, &rows, &[])
}

/// The output of a head for one series.
struct Output<'a> {
    head: &'a SharedHead,
    numbers: &'a Prediction,
    contexts: &'a Contexts,
}

impl Output<'_> {
    fn answer(&self, interface: &ForecastInterface, series: &str) -> Result<Answer> {
        self.check_finite(series)?;
        let names = match &self.head.preprocessor.labels {
            Some(LabelCoding::Classes { names }) => &names[..],
            _ => &[],
        };
        match self.head.labels(self.numbers) {
            None => {
                let Some(mut forecast) = interface.read_out(self.numbers, self.contexts).pop()
                else {
                    return Err(Error::internal("a window without a forecast"));
                };
                for channel in &mut forecast.channels {
                    *channel = format!("{}.{channel}", self.head.name);
                }
                Ok(Answer::Forecast(forecast))
            }
            Some(Predictions::Logits(logits)) => {
                let shares = Predictions::probabilities(&logits, names.len());
                let best =
                    (0..names.len()).fold(0, |b, i| if shares[i] > shares[b] { i } else { b });
                let probability = (shares[best] * DECIMALS).round() / DECIMALS;
                Ok(Answer::Class { name: names[best].clone(), probability })
            }
            Some(Predictions::Values(values)) => Ok(Answer::Values(values)),
        }
    }

    /// Refuses an output that is not finite.
    fn check_finite(&self, series: &str) -> Result<()> {
        match self.numbers.numbers.iter().find(|x| !x.is_finite()) {
            Some(x) => {
                let place = format!("head \"{}\", series \"{series}\"", self.head.name);
                let text = format!(
                    "the output is {x}, not a finite number: the model does not suit these values"
                );
                Err(Error::input(text).at(place))
            }
            None => Ok(()),
        }
    }
}

/// The columns of one head.
struct Block<'a> {
    head: &'a SharedHead,
    /// One for each series.
    answers: &'a [Answer],
    /// Rows of each series.
    steps: usize,
    /// Names of other columns.
    taken: &'a [String],
}

impl Block<'_> {
    fn columns(&self) -> Vec<Column> {
        match (self.answers.first(), &self.head.preprocessor.labels) {
            (Some(Answer::Forecast(first)), _) => self.forecasts(first),
            (Some(Answer::Class { .. }), _) => self.classes(),
            (Some(Answer::Values(_)), Some(LabelCoding::Values { names, .. })) => {
                self.values(names)
            }
            _ => Vec::new(),
        }
    }

    fn name(&self, column: &str) -> String {
        free_name(&format!("{}.{column}", self.head.name), self.taken)
    }

    /// A column of numbers, of which `cells` gives those of one answer, at most one for each row.
    fn numbers(&self, name: String, cells: impl Fn(&Answer) -> Vec<f64>) -> Column {
        let all = self.answers.iter().flat_map(|answer| {
            let mut cells = cells(answer);
            cells.resize(self.steps, f64::NAN);
            cells
        });
        Column::numbers(name, all.collect())
    }

    fn forecasts(&self, first: &Forecast) -> Vec<Column> {
        let columns = ForecastColumns::new(first, self.taken);
        let column = |(index, name): (usize, &String)| {
            self.numbers(name.clone(), |answer| match answer {
                Answer::Forecast(forecast) => columns.column(index, forecast).collect(),
                _ => Vec::new(),
            })
        };
        columns.names().iter().enumerate().map(column).collect()
    }

    fn classes(&self) -> Vec<Column> {
        let names = self.answers.iter().map(|answer| (answer.class(), self.steps));
        let probability = |answer: &Answer| match answer {
            Answer::Class { probability, .. } => vec![*probability; self.steps],
            _ => Vec::new(),
        };
        vec![
            Column::repeated_texts(self.name("label"), names),
            self.numbers(self.name("probability"), probability),
        ]
    }

    fn values(&self, names: &[String]) -> Vec<Column> {
        let column = |(number, name): (usize, &String)| {
            self.numbers(self.name(name), |answer| match answer {
                Answer::Values(values) => vec![values[number]; self.steps],
                _ => Vec::new(),
            })
        };
        names.iter().enumerate().map(column).collect()
    }
}
