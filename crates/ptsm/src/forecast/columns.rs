//! The columns of forecasts: their names, and the cells under them.

use super::answer::Forecast;

/// How the columns of quantiles and of the ends of intervals are called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IntervalNames {
    /// By level, the point forecast in the middle: `load_q0.025`, `load_q0.1`, `load`, `load_q0.9`,
    /// `load_q0.975`.
    #[default]
    Quantile,
    /// As the libraries of Nixtla call the ends of intervals, behind the point forecast: `load`,
    /// `load-lo-95`, `load-lo-80`, `load-hi-80`, `load-hi-95`. Quantiles that are no end of an
    /// interval are called as above.
    Nixtla,
}

/// The columns of the forecasts of one model: each channel under its own name, among its quantiles by
/// level, to which the ends of intervals belong ([`IntervalNames`]).
#[derive(Debug, Clone)]
pub struct ForecastColumns {
    names: Vec<String>,
    contents: Vec<Content>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy)]
struct Content {
    channel: usize,
    part: Part,
}

/// A part of a forecast; numbers count the intervals or quantiles of [`Forecast`].
#[derive(Debug, Clone, Copy)]
enum Part {
    Values,
    Lower(usize),
    Upper(usize),
    Quantile(usize),
}

impl ForecastColumns {
    /// The columns of forecasts like this one, in a table that has the columns `taken` too. Channels
    /// keep their names; a quantile gets a line below (`load_q0.1_`) where its name is taken.
    pub fn new(forecast: &Forecast, taken: &[String]) -> Self {
        Self::named(forecast, taken, IntervalNames::Quantile)
    }

    /// As [`ForecastColumns::new`], with other names of the intervals.
    pub fn named(forecast: &Forecast, taken: &[String], names: IntervalNames) -> Self {
        let mut taken = [taken, &forecast.channels].concat();
        let parts = names.parts(forecast);
        let mut this = Self { names: Vec::new(), contents: Vec::new() };
        for (channel, own) in forecast.channels.iter().enumerate() {
            for (suffix, part) in &parts {
                let mut name = own.clone();
                if !suffix.is_empty() {
                    name = free_name(&format!("{own}{suffix}"), &taken);
                    taken.push(name.clone());
                }
                this.names.push(name);
                this.contents.push(Content { channel, part: *part });
            }
        }
        this
    }

    /// Their names, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The cells of one step of a forecast, in the order of the names.
    ///
    /// # Panics
    ///
    /// If the forecast has no such step, or is not like the one that the columns were made for.
    pub fn row<'a>(
        &'a self,
        forecast: &'a Forecast,
        step: usize,
    ) -> impl Iterator<Item = f64> + 'a {
        let first = step * forecast.channels.len();
        self.contents.iter().map(move |content| content.part.of(forecast)[first + content.channel])
    }

    /// The cells of column number `index` of a forecast, one for each step.
    ///
    /// # Panics
    ///
    /// If there is no such column, or the forecast is not like the one that the columns were made
    /// for.
    pub fn column<'a>(
        &self,
        index: usize,
        forecast: &'a Forecast,
    ) -> impl Iterator<Item = f64> + 'a {
        let Content { channel, part } = self.contents[index];
        part.of(forecast).iter().skip(channel).step_by(forecast.channels.len()).copied()
    }
}

impl Part {
    /// Its numbers, `[H, C']`.
    fn of(self, forecast: &Forecast) -> &[f64] {
        match self {
            Self::Values => &forecast.values,
            Self::Lower(number) => &forecast.intervals[number].lower,
            Self::Upper(number) => &forecast.intervals[number].upper,
            Self::Quantile(number) => &forecast.quantiles[number].values,
        }
    }
}

impl IntervalNames {
    /// The parts of a forecast of one channel in order, with what follows the channel in their names.
    fn parts(self, forecast: &Forecast) -> Vec<(String, Part)> {
        let mut parts = levels(forecast);
        match self {
            // The point forecast lies where the median does.
            Self::Quantile => {
                let below = parts.partition_point(|(level, _)| *level < 0.5);
                parts.insert(below, (0.5, Part::Values));
            }
            Self::Nixtla => parts.insert(0, (0.0, Part::Values)),
        }
        parts.into_iter().map(|(level, part)| (self.suffix(forecast, level, part), part)).collect()
    }

    /// What follows the channel in the name of a part.
    fn suffix(self, forecast: &Forecast, level: f64, part: Part) -> String {
        let percent = |number: usize| rounded(100.0 * forecast.intervals[number].level);
        match (self, part) {
            (_, Part::Values) => String::new(),
            (Self::Nixtla, Part::Lower(number)) => format!("-lo-{}", percent(number)),
            (Self::Nixtla, Part::Upper(number)) => format!("-hi-{}", percent(number)),
            _ => format!("_q{}", rounded(level)),
        }
    }
}

/// The quantiles of a forecast and the ends of its intervals, ascending.
fn levels(forecast: &Forecast) -> Vec<(f64, Part)> {
    let ends = forecast.intervals.iter().enumerate().flat_map(|(number, interval)| {
        let tail = 0.5 * (1.0 - interval.level);
        [(tail, Part::Lower(number)), (1.0 - tail, Part::Upper(number))]
    });
    let quantiles = forecast.quantiles.iter().enumerate();
    let quantiles = quantiles.map(|(number, quantile)| (quantile.level, Part::Quantile(number)));
    let mut levels: Vec<(f64, Part)> = ends.chain(quantiles).collect();
    levels.sort_by(|a, b| a.0.total_cmp(&b.0));
    levels
}

/// Rounds a level to nine decimals, so that 0.975 is not written as 0.9750000000000001.
fn rounded(level: f64) -> f64 {
    (level * 1e9).round() / 1e9
}

/// `wanted`, with lines below it (`row_`) where `taken` has it already.
pub fn free_name(wanted: &str, taken: &[String]) -> String {
    let mut name = wanted.to_owned();
    while taken.contains(&name) {
        name.push('_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::super::{ForecastInterval, ForecastQuantile};
    use super::*;

    /// Two steps of two channels, with the number of the part in front of the point.
    fn forecast(channels: [&str; 2]) -> Forecast {
        let part = |number: f64| vec![number, number + 0.1, number + 0.2, number + 0.3];
        Forecast {
            id: String::new(),
            channels: channels.map(str::to_owned).to_vec(),
            timestamps: None,
            first_row: 0,
            values: part(0.0),
            intervals: vec![
                ForecastInterval { level: 0.5, lower: part(1.0), upper: part(2.0) },
                ForecastInterval { level: 0.95, lower: part(3.0), upper: part(4.0) },
            ],
            quantiles: vec![ForecastQuantile { level: 0.1, values: part(5.0) }],
        }
    }

    #[test]
    fn quantiles_and_ends_of_intervals_ascend_around_their_channel() {
        let forecast = forecast(["load", "wind"]);
        let columns = ForecastColumns::new(&forecast, &[]);
        let of_load =
            ["load_q0.025", "load_q0.1", "load_q0.25", "load", "load_q0.75", "load_q0.975"];
        assert_eq!(columns.names()[..6], of_load);
        assert_eq!(columns.names()[9], "wind");
        let first: Vec<f64> = columns.row(&forecast, 0).collect();
        assert_eq!(first[..7], [3.0, 5.0, 1.0, 0.0, 2.0, 4.0, 3.1]);
        let second: Vec<f64> = columns.row(&forecast, 1).collect();
        for index in 0..12 {
            let cells: Vec<f64> = columns.column(index, &forecast).collect();
            assert_eq!(cells, [first[index], second[index]], "column {index}");
        }
    }

    #[test]
    fn intervals_have_the_names_of_nixtla_on_request() {
        let forecast = forecast(["load", "wind"]);
        let columns = ForecastColumns::named(&forecast, &[], IntervalNames::Nixtla);
        let of_load = ["load", "load-lo-95", "load_q0.1", "load-lo-50", "load-hi-50", "load-hi-95"];
        assert_eq!(columns.names()[..6], of_load);
        let first: Vec<f64> = columns.row(&forecast, 0).collect();
        assert_eq!(first[..6], [0.0, 3.0, 5.0, 1.0, 2.0, 4.0]);
    }

    #[test]
    fn no_two_columns_have_one_name() {
        let forecast = forecast(["load", "load_q0.1"]);
        let taken = ["load_q0.25".to_owned(), free_name("row", &["row".into(), "row_".into()])];
        assert_eq!(taken[1], "row__");
        let columns = ForecastColumns::new(&forecast, &taken);
        let mut all = [columns.names(), &taken].concat();
        assert_eq!(columns.names()[1..3], ["load_q0.1_", "load_q0.25_"]);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 14);
    }
}
