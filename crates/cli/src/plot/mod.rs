//! Draws pictures: forecasts, training curves, error by step, and comparisons.
//!
//! Each picture is a plain struct that a command fills and that implements [`save::Picture`];
//! [`save()`] writes it to a file, [`to_svg`] makes text to embed. Neither a font nor a program of
//! the machine is needed.

mod anomalies;
mod axis;
mod bars;
mod confusion;
mod curves;
mod font;
mod forecast;
mod horizon;
mod influences;
mod legend;
mod reconstruction;
mod render;
mod save;
mod scatter;
mod scene;
mod style;
mod time_axis;
mod training_curve;

#[cfg(test)]
mod task_samples;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use anomalies::{AnomalyPanel, AnomalyPlot, AnomalyPoint, MOST_ANOMALY_PANELS};
pub(crate) use bars::{Bar, BarsPlot};
pub(crate) use confusion::ConfusionPlot;
pub(crate) use forecast::{ForecastPanel, ForecastPlot, Interval, MOST_PANELS, Point, Run};
pub(crate) use horizon::{ErrorCurve, HorizonPlot};
pub(crate) use influences::{
    HeatCell, HeatRow, InfluencePanel, InfluencePlot, MOST_INFLUENCE_PANELS,
};
pub(crate) use reconstruction::{ReconstructionPanel, ReconstructionPlot};
pub(crate) use save::{Svg, save, to_svg};
pub(crate) use scatter::{ScatterPanel, ScatterPlot};
pub(crate) use style::dark_rules;
pub(crate) use time_axis::TimeKind;
pub(crate) use training_curve::{Epoch, TrainingCurve};
