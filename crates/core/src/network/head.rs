//! The layers of the heads. What they compute is in the module `head`.

use super::layers::LinearLayer;

/// The layers of one head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadLayers {
    /// Forecasting.
    Forecast(ForecastLayers),
    /// Pretraining: from the features of a patch back to its numbers.
    Pretraining {
        /// Of every patch.
        projection: LinearLayer,
    },
    /// Classification and regression.
    Pooled(PooledLayers),
}

/// The layers of a forecasting head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForecastLayers {
    /// Channels that are forecast, C'.
    pub channels: usize,
    /// Time steps that are forecast, H.
    pub steps: usize,
    /// From the whole hidden state of a channel: one layer, or one for each parameter of a
    /// distribution.
    pub projections: Vec<LinearLayer>,
    /// From the scaled window of a channel to its scaled forecast.
    pub skip: Option<LinearLayer>,
    /// Cross-channel reconciliation.
    pub cross_channel: Option<CrossChannelLayers>,
    /// Hierarchical reconciliation.
    pub hierarchy: Option<HierarchyLayers>,
}

/// The layers of the cross-channel forecast reconciliation head, applied at every step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossChannelLayers {
    /// Of the gate.
    pub gate: Option<LinearLayer>,
    /// From the steps around a step to the correction of all channels.
    pub mlp: LinearLayer,
}

/// The layers of the hierarchical patch reconciliation head, applied to every channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HierarchyLayers {
    /// From the forecast to the sums of its segments.
    pub aggregate: LinearLayer,
    /// From a segment and its sum to the correction of the segment.
    pub reconcile: LinearLayer,
}

/// The layers of the head of classification and regression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PooledLayers {
    /// The layers that bring back the statistics that the scaler took away.
    pub inject: Option<InjectLayers>,
    /// From the pooled state of all channels: one layer, or one for each parameter of a
    /// distribution.
    pub projections: Vec<LinearLayer>,
}

/// The layers of the scale injection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InjectLayers {
    /// From features and mapped statistics, of every patch.
    pub inverse_expansion: LinearLayer,
    /// Back to the features, of every patch.
    pub inverse_compression: LinearLayer,
    /// From the statistics, of every channel.
    pub map_expansion: LinearLayer,
    /// Back to two numbers, of every channel.
    pub map_compression: LinearLayer,
}
