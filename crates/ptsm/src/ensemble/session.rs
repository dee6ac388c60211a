//! The members of an ensemble, run one after the other.

use std::sync::Arc;

use crate::Result;
use crate::data::Batch;
use ptsm_core::{Loaded, Prediction, Session};

/// Every member, ready to run.
pub(super) struct LoadedEnsemble {
    pub(super) members: Vec<LoadedMember>,
}

/// One member, ready to run.
pub(super) struct LoadedMember {
    pub(super) loaded: Arc<dyn Loaded>,
    /// Past steps that it sees, the last ones of a window.
    pub(super) context_length: usize,
    pub(super) weight: f32,
}

impl Loaded for LoadedEnsemble {
    fn bytes(&self) -> u64 {
        self.members.iter().map(|member| member.loaded.bytes()).sum()
    }

    fn session(&self) -> Result<Box<dyn Session>> {
        let session = |member: &LoadedMember| {
            let &LoadedMember { context_length, weight, .. } = member;
            Ok(MemberSession { session: member.loaded.session()?, context_length, weight })
        };
        let members = self.members.iter().map(session).collect::<Result<_>>()?;
        Ok(Box::new(EnsembleSession { members, output: Prediction::default() }))
    }
}

struct MemberSession {
    session: Box<dyn Session>,
    context_length: usize,
    weight: f32,
}

/// Runs one member after the other.
struct EnsembleSession {
    members: Vec<MemberSession>,
    /// Output of the member that ran last.
    output: Prediction,
}

impl Session for EnsembleSession {
    fn forward(&mut self, batch: &Batch, out: &mut Prediction) -> Result<()> {
        for (i, member) in self.members.iter_mut().enumerate() {
            match member.context_length < batch.context_length() {
                true => {
                    let end = batch.shortened(member.context_length);
                    member.session.forward(&end, &mut self.output)?;
                }
                false => member.session.forward(batch, &mut self.output)?,
            }
            if i == 0 {
                out.reset(self.output.spec());
            }
            let forecast = &self.output.numbers;
            out.numbers.resize(forecast.len(), 0.0);
            // A fixed order of members: the same bits in every batch.
            for (sum, x) in out.numbers.iter_mut().zip(forecast) {
                *sum += member.weight * x;
            }
        }
        out.loc.clone_from(&self.output.loc);
        out.scale.clone_from(&self.output.scale);
        Ok(())
    }
}
