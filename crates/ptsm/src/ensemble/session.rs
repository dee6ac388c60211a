//! The members of an ensemble, run one after the other.

use std::sync::Arc;

use super::classical::LoadedClassical;
use super::linear::LoadedRidge;
use super::{MemberModel, Members};
use crate::Result;
use crate::data::Batch;
use ptsm_core::{Backend, Loaded, Prediction, Session};

/// Every member, ready to run.
pub(super) struct LoadedEnsemble {
    members: Vec<LoadedMember>,
}

/// One member, ready to run.
struct LoadedMember {
    loaded: Arc<dyn Loaded>,
    /// Past steps that it sees, the last ones of a window.
    context_length: usize,
    weight: f32,
}

impl LoadedEnsemble {
    pub(super) fn new(members: &Members, backend: &dyn Backend) -> Result<Self> {
        let output = members.output()?;
        let load = |(member, weight): &(MemberModel, f64)| {
            let (loaded, context_length) = match member {
                MemberModel::Network(model) => {
                    (backend.load(model)?, model.config().context_length)
                }
                MemberModel::Ridge(ridge) => {
                    (LoadedRidge::shared(ridge, &output), ridge.context_length())
                }
                MemberModel::Classical(classical) => {
                    (LoadedClassical::shared(*classical, &output), members.config.context_length)
                }
            };
            Ok(LoadedMember { loaded, context_length, weight: *weight as f32 })
        };
        Ok(Self { members: members.all.iter().map(load).collect::<Result<_>>()? })
    }
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
