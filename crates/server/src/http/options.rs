//! Options of requests: fields of JSON, or of the query beside another body.

use ptsm::data::{DateOrder, Duplicates, Frequency, Grid, Resample, Rounding, ThousandsMark};
use ptsm::spec::DataSpec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use crate::failure::{Answered, Code, Failure};

/// How the columns of a table are read, where that is not as in the training of the model. Nothing here names a file.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TableSchema {
    /// Column of times; "none" = rows are numbered.
    pub(crate) timestamp: Option<String>,
    /// Column that distinguishes the series of a long table; "none" = one series.
    pub(crate) id: Option<String>,
    /// Channels, in this order.
    #[serde(deserialize_with = "one_or_list")]
    pub(crate) targets: Option<Vec<String>>,
    /// Step of the rows, such as 15min, 1h, 1d, 1mo.
    #[schema(value_type = Option<String>)]
    pub(crate) frequency: Option<Frequency>,
    /// Put rows into the order of their times.
    #[serde(deserialize_with = "flag")]
    #[schema(value_type = bool)]
    pub(crate) sort: bool,
    /// Several rows of one time: error, first, last or mean.
    #[schema(value_type = Option<String>)]
    pub(crate) duplicates: Option<Duplicates>,
    /// regular: a time without a row is a missing row; rows: each row is one step.
    #[schema(value_type = Option<String>)]
    pub(crate) grid: Option<Grid>,
    /// Order of dates such as 7/1/2016: day-first, month-first or year-first.
    #[schema(value_type = Option<String>)]
    pub(crate) dates: Option<DateOrder>,
    /// Move times to a grid that they are close to, such as 5min or 5min:30s.
    #[schema(value_type = Option<String>)]
    pub(crate) round: Option<Rounding>,
    /// Make one row of those in a longer step, such as 1h:mean.
    #[schema(value_type = Option<String>)]
    pub(crate) resample: Option<Resample>,
    /// Steps of the season, for models that forecast any series.
    #[serde(deserialize_with = "number")]
    pub(crate) season: Option<usize>,
    /// Further texts that mean "missing".
    #[serde(deserialize_with = "one_or_list")]
    pub(crate) missing: Option<Vec<String>>,
    /// Character between the cells of CSV.
    pub(crate) delimiter: Option<String>,
    /// Decimal numbers have a comma.
    #[serde(deserialize_with = "flag")]
    #[schema(value_type = bool)]
    pub(crate) decimal_comma: bool,
    /// Separator of thousands.
    #[schema(value_type = Option<String>)]
    pub(crate) thousands: Option<ThousandsMark>,
    /// Columns of labels, which are not read; of /v1/classify alone.
    #[serde(deserialize_with = "one_or_list")]
    pub(crate) label: Option<Vec<String>>,
}

impl TableSchema {
    /// Names of the fields that say something.
    pub(crate) fn given(&self) -> Vec<&'static str> {
        let all = [
            ("timestamp", self.timestamp.is_some()),
            ("id", self.id.is_some()),
            ("targets", self.targets.is_some()),
            ("frequency", self.frequency.is_some()),
            ("sort", self.sort),
            ("duplicates", self.duplicates.is_some()),
            ("grid", self.grid.is_some()),
            ("dates", self.dates.is_some()),
            ("round", self.round.is_some()),
            ("resample", self.resample.is_some()),
            ("season", self.season.is_some()),
            ("missing", self.missing.is_some()),
            ("delimiter", self.delimiter.is_some()),
            ("decimal_comma", self.decimal_comma),
            ("thousands", self.thousands.is_some()),
            ("label", self.label.is_some()),
        ];
        all.into_iter().filter_map(|(name, is_given)| is_given.then_some(name)).collect()
    }

    pub(crate) fn spec(self) -> DataSpec {
        DataSpec {
            timestamp: self.timestamp,
            id: self.id,
            targets: self.targets,
            frequency: self.frequency,
            sort: self.sort,
            duplicates: self.duplicates,
            grid: self.grid,
            dates: self.dates,
            round: self.round,
            resample: self.resample,
            season: self.season,
            missing: self.missing.unwrap_or_default(),
            delimiter: self.delimiter,
            decimal_comma: self.decimal_comma,
            thousands: self.thousands,
            label: self.label,
            ..DataSpec::default()
        }
    }
}

/// Options of a forecast.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct ForecastOptions {
    /// Name of the model; may be left out where one is served beside `builtin`.
    pub(crate) model: Option<String>,
    /// Steps to forecast, where they are not those of the model.
    #[serde(deserialize_with = "number")]
    pub(crate) prediction_length: Option<usize>,
    /// Rows before the end of the data from which it is forecast.
    #[serde(deserialize_with = "number")]
    pub(crate) rows_before_end: Option<usize>,
    /// Levels of the intervals, such as 0.8; those of the model where none are named.
    #[serde(deserialize_with = "numbers")]
    pub(crate) levels: Option<Vec<f64>>,
    /// Names of the columns of intervals in a table: quantile or nixtla.
    pub(crate) interval_names: Option<String>,
}

impl ForecastOptions {
    /// Names of the options that are given.
    pub(crate) fn given(&self) -> Vec<&'static str> {
        let all = [
            self.model.is_some(),
            self.prediction_length.is_some(),
            self.rows_before_end.is_some(),
            self.levels.is_some(),
            self.interval_names.is_some(),
        ];
        FORECAST_FIELDS.into_iter().zip(all).filter_map(|(name, is)| is.then_some(name)).collect()
    }
}

/// A text or a list of texts; in a query the list is one text with commas.
fn one_or_list<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        None,
        One(String),
        List(Vec<String>),
    }
    Ok(match Either::deserialize(from)? {
        Either::None => None,
        Either::One(text) => Some(text.split(',').map(str::to_owned).collect()),
        Either::List(list) => Some(list),
    })
}

/// A number, or its text in a query.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
        value => usize::deserialize(value).map(Some).map_err(serde::de::Error::custom),
    }
}

fn numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<f64>>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        Value::String(text) => {
            let parts = text.split(',').map(|part| part.trim().parse::<f64>());
            parts.collect::<Result<_, _>>().map(Some).map_err(serde::de::Error::custom)
        }
        value => Vec::<f64>::deserialize(value).map(Some).map_err(serde::de::Error::custom),
    }
}

fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match Value::deserialize(from)? {
        Value::Bool(flag) => Ok(flag),
        Value::String(text) if text.is_empty() || text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        _ => Err(serde::de::Error::custom("wanted true or false")),
    }
}

/// Fields that options of a forecast have, in a query beside those of the table.
const FORECAST_FIELDS: [&str; 5] =
    ["model", "prediction_length", "rows_before_end", "levels", "interval_names"];

/// Options of a forecast and of the table, out of a query.
pub(crate) fn of_query(query: &str) -> Answered<(ForecastOptions, TableSchema)> {
    let (mut forecast, mut schema) = (serde_json::Map::new(), serde_json::Map::new());
    let bad = |text: String| Failure::new(Code::Unreadable, format!("query: {text}"));
    let uri = axum::http::Uri::builder().path_and_query(format!("/?{query}")).build();
    let uri = uri.map_err(|e| bad(e.to_string()))?;
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri);
    for (name, value) in pairs.map_err(|e| bad(e.to_string()))?.0 {
        let fields =
            if FORECAST_FIELDS.contains(&name.as_str()) { &mut forecast } else { &mut schema };
        if fields.insert(name.clone(), Value::String(value)).is_some() {
            return Err(bad(format!("{name} is given twice")));
        }
    }
    Ok((fields(forecast)?, fields(schema)?))
}

fn fields<T: DeserializeOwned>(fields: serde_json::Map<String, Value>) -> Answered<T> {
    T::deserialize(Value::Object(fields))
        .map_err(|error| Failure::new(Code::Unreadable, format!("query: {error}")))
}

/// Reads a body of JSON.
pub(crate) fn of_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Answered<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        let code = match error.classify() {
            serde_json::error::Category::Data => Code::Unusable,
            _ => Code::Unreadable,
        };
        Failure::new(code, format!("the body: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_and_unknown_fields_refused() {
        let (forecast, schema) =
            of_query("model=a&levels=0.8,0.95&prediction_length=4&id=shop&targets=x,y&sort")
                .unwrap();
        assert_eq!(forecast.levels.unwrap(), [0.8, 0.95]);
        assert_eq!((forecast.prediction_length, forecast.rows_before_end), (Some(4), None));
        assert_eq!(schema.targets.unwrap(), ["x", "y"]);
        assert!(schema.sort);
        for query in ["horizon=3", "levels=x", "data=/etc/passwd", "holidays=x", "id=a&id=b"] {
            assert!(of_query(query).is_err(), "{query}");
        }
    }
}
