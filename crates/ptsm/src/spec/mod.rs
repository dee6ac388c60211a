//! Typed specifications of a job: its data, its model, and their assembly into a
//! [`Config`](crate::Config).
//!
//! The same fields are flags of the command, tables of a TOML recipe and objects in JSON. They are
//! strict: an unknown field or value is an error that lists the known ones and names the nearest.
//! (A `config.json` of Hugging Face is read by [`Config`](crate::Config), which stays as loose as
//! the reference.)

mod assemble;
mod channels;
mod choices;
mod data;
mod model;
mod strict;

pub use assemble::{DataShape, Targets};
pub use channels::ChannelChoice;
pub use choices::{
    AggregationChoice, ChannelModeChoice, DistributionChoice, LossChoice, MaskChoice, NormChoice,
    PositionChoice, ScalingChoice,
};
pub use data::{DataSpec, Source, data_dir};
pub use model::ModelSpec;
pub(crate) use strict::with_nearest;
pub use strict::{from_fields, nearest};
