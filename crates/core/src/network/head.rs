//! The layers of the heads. What they compute is in the module `head`.

use super::layers::LinearLayer;

/// The layers of one head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadLayers {
    /// Forecasting.
    Forecast(ForecastLayers),
    /// Pretraining: from the features of a patch back to its numbers.
    Pretraining {
        /// The same layer for every patch.
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
    /// Layer of the gate.
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
    /// The layers that bring the statistics of the window, which scaling removed, into the hidden
    /// state.
    pub inject: Option<InjectLayers>,
    /// From the pooled state of all channels: one layer, or one for each parameter of a
    /// distribution.
    pub projections: Vec<LinearLayer>,
}

/// The layers of the scale injection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InjectLayers {
    /// From the features of a patch and the mapped statistics to the hidden layer.
    pub inverse_expansion: LinearLayer,
    /// From the hidden layer to the features of the patch.
    pub inverse_compression: LinearLayer,
    /// From the two statistics of a channel to a hidden layer.
    pub map_expansion: LinearLayer,
    /// From that hidden layer to the mapped statistics, two numbers.
    pub map_compression: LinearLayer,
}
