//! The heads of self-attention as layers.

use ptsm_core::Result;
use ptsm_core::network::SelfAttention;

use super::builder::LinearWeights;
use super::weights::Weights;

/// The matrices of one head, multiplied into two layers of `z`.
#[derive(Debug)]
pub(super) struct AttentionHead {
    /// Query with key: its output times `z` transposed are the scores. The key's bias adds the same number to every score of a row,
    /// which the softmax cancels.
    pub(super) query: LinearWeights,
    /// Value with output: the head's term of the attention's output. Attention weights of a row sum to 1, so the value's bias is unchanged.
    pub(super) value: LinearWeights,
}

/// One head of the block `name`; without numbers if `weights` has none.
pub(super) fn attention_head(
    weights: &Weights<'_>,
    name: &str,
    attention: &SelfAttention,
    head: usize,
) -> Result<AttentionHead> {
    let SelfAttention { heads, query, key, value, out, .. } = attention;
    let part = |layer| weights.linear(layer);
    let (query, key, value, out) = (part(query)?, part(key)?, part(value)?, part(out)?);
    let width = query.inputs;
    let layer = |part: &str| LinearWeights {
        name: format!("{name}.self_attn_layer.{part}.{head}"),
        inputs: width,
        outputs: width,
        weight: Vec::new(),
        bias: Vec::new(),
    };
    let (mut scores, mut values) = (layer("query_key"), layer("value_out"));
    if query.weight.is_empty() {
        return Ok(AttentionHead { query: scores, value: values });
    }
    let size = width / heads;
    let features = head * size..(head + 1) * size;
    let scale = 1.0 / (size as f32).sqrt();
    let sum = |f: &dyn Fn(usize) -> f32| features.clone().map(f).sum::<f32>();
    for o in 0..width {
        for i in 0..width {
            let at = |f: usize| query.weight[f * width + i] * key.weight[f * width + o];
            scores.weight.push(scale * sum(&at));
            let at = |f: usize| out.weight[o * width + f] * value.weight[f * width + i];
            values.weight.push(sum(&at));
        }
        scores.bias.push(scale * sum(&|f| query.bias[f] * key.weight[f * width + o]));
        let own = if head == 0 { out.bias[o] } else { 0.0 };
        values.bias.push(own + sum(&|f| out.weight[o * width + f] * value.bias[f]));
    }
    Ok(AttentionHead { query: scores, value: values })
}
