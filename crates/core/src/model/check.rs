//! Checks of a batch before a model runs on it.

use super::{ForwardOptions, Model};
use crate::batch::Batch;
use crate::output_kind::OutputKind;
use crate::real::Real;
use crate::{Error, Result};

impl<T: Real> Model<T> {
    /// Refuses a batch that does not fit the model, or holds a number that is not finite.
    pub(crate) fn check(&self, batch: &Batch<T>, mode: ForwardOptions) -> Result<()> {
        let context_length = self.network.embedding.context_length;
        let num_input_channels = self.network.embedding.state.channels;
        let wanted = [
            ("time steps", context_length, batch.context_length()),
            ("channels", num_input_channels, batch.num_channels()),
        ];
        for (what, wanted, got) in wanted {
            if wanted != got {
                let text = format!("has {got} {what}, the model wants {wanted}");
                return Err(Error::input(text).at("past_values"));
            }
        }
        if batch.size() == 0 {
            return Err(Error::input("holds no sample").at("past_values"));
        }
        let tensors =
            [("past_values", Some(batch.past_values())), ("observed_mask", batch.observed_mask())];
        for (name, values) in tensors {
            let Some(values) = values else { continue };
            if let Some(i) = values.iter().position(|x| !x.to_f64().is_finite()) {
                let text = format!(
                    "element {i} is {}, wanted a finite number (a missing point holds 0 and the mask 0)",
                    values[i]
                );
                return Err(Error::input(text).at(name));
            }
        }
        self.check_patch_mask(batch)?;
        let fewest = self.network.fewest_batch_norm_rows();
        if mode.train_norm && fewest.is_some_and(|rows| batch.size() * rows < 2) {
            return Err(Error::input("batch norm cannot train on a single value per feature"));
        }
        Ok(())
    }

    /// Pretraining needs a mask, other tasks must not have one.
    fn check_patch_mask(&self, batch: &Batch<T>) -> Result<()> {
        let pretrains = *self.output.kind() == OutputKind::Patches;
        let text = match batch.patch_mask() {
            None if pretrains => "is missing: pretraining hides patches (see draw_masks)".into(),
            Some(_) if !pretrains => "is there, but only pretraining hides patches".into(),
            Some(mask) => {
                let wanted =
                    batch.size() * batch.num_channels() * self.network.embedding.state.patches;
                if mask.len() == wanted {
                    return Ok(());
                }
                format!("has {} numbers, wanted {wanted} (batch x channels x patches)", mask.len())
            }
            None => return Ok(()),
        };
        Err(Error::input(text).at("patch_mask"))
    }
}
