//! Instruction sets: detected at run time, chosen once, and passed to every kernel.
//!
//! The sets other than [`Isa::Portable`] hold a token that only detection can make: a value of such a
//! set proves that the machine has the instructions. A kernel is an [`Op`], written once over
//! [`Vector`]; [`Isa::run`] is the single place that enters the code compiled for a set.

use std::sync::OnceLock;

use crate::vector::Vector;
use crate::vector::portable::Portable;
#[cfg(target_arch = "x86_64")]
use crate::vector::{avx2::Avx2, avx512::Avx512};

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isa {
    /// The instructions that every machine of this architecture has; one element at a time in the source.
    Portable,
    /// AVX2 and FMA: 8 lanes of f32.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// AVX-512 (F, DQ, BW, VL): 16 lanes of f32.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

/// The set of this process, chosen once.
static CHOICE: OnceLock<Result<Isa, String>> = OnceLock::new();

/// Set if the choice was made by [`Isa::force`].
static FORCED: OnceLock<()> = OnceLock::new();

/// A kernel: arguments as fields, the loop in [`Op::run`], generic over the vectors.
pub(crate) trait Op {
    /// What it returns.
    type Output;
    /// The loop. Implementations are `#[inline(always)]`, so that they are compiled into the function
    /// that enables the instructions.
    fn run<V: Vector>(self, v: V) -> Self::Output;
}

impl Isa {
    /// Every set of this machine, best first.
    pub fn available() -> Vec<Isa> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(Avx512::detect().map(Isa::Avx512));
            found.extend(Avx2::detect().map(Isa::Avx2));
        }
        found.push(Isa::Portable);
        found
    }

    /// The best set of this machine.
    pub fn best() -> Isa {
        Self::available()[0]
    }

    /// The name that `PTSM_ISA` takes.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => "avx512",
        }
    }

    /// The set of this name, if the machine has it; `None` for the name gives the best.
    ///
    /// # Errors
    ///
    /// A sentence that names the sets of this machine.
    pub fn named(name: Option<&str>) -> Result<Isa, String> {
        let available = Self::available();
        let Some(name) = name else {
            return Ok(available[0]);
        };
        available.iter().copied().find(|isa| isa.name() == name).ok_or_else(|| {
            let names: Vec<_> = available.iter().map(|isa| isa.name()).collect();
            format!("\"{name}\" is not there, this machine has {}", names.join(", "))
        })
    }

    /// Chooses the set of this name for the whole process, whatever `PTSM_ISA` asks for; to be called
    /// before anything else.
    ///
    /// # Errors
    ///
    /// As [`Isa::named`]; a sentence if another set is in use already.
    pub fn force(name: &str) -> Result<(), String> {
        let wanted = Isa::named(Some(name))?;
        if *CHOICE.get_or_init(|| Ok(wanted)) != Ok(wanted) {
            return Err("another instruction set is in use already".to_owned());
        }
        let _ = FORCED.set(());
        Ok(())
    }

    /// Whether the set of this process was chosen by [`Isa::force`].
    pub fn is_forced() -> bool {
        FORCED.get().is_some()
    }

    /// The set that [`Isa::force`] chose, the environment variable `PTSM_ISA` asks for, or the best. Read
    /// once.
    ///
    /// # Errors
    ///
    /// As [`Isa::named`].
    pub fn from_env() -> Result<Isa, String> {
        let choose = || {
            let name = std::env::var("PTSM_ISA").ok().filter(|name| !name.is_empty());
            Isa::named(name.as_deref()).map_err(|text| format!("PTSM_ISA: {text}"))
        };
        CHOICE.get_or_init(choose).clone()
    }

    /// Runs `op` in code compiled for this set.
    #[inline]
    pub(crate) fn run<O: Op>(self, op: O) -> O::Output {
        match self {
            Isa::Portable => op.run(Portable),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(token) => {
                #[target_feature(enable = "avx2", enable = "fma")]
                fn with_avx2<O: Op>(token: Avx2, op: O) -> O::Output {
                    op.run(token)
                }
                // SAFETY: `token` exists, so AVX2 and FMA were detected.
                unsafe { with_avx2(token, op) }
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(token) => {
                #[target_feature(enable = "avx512f", enable = "avx512dq", enable = "avx512bw")]
                #[target_feature(enable = "avx512vl", enable = "avx2", enable = "fma")]
                fn with_avx512<O: Op>(token: Avx512, op: O) -> O::Output {
                    op.run(token)
                }
                // SAFETY: `token` exists, so all of these were detected.
                unsafe { with_avx512(token, op) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_lowers_the_choice_and_never_raises_it() {
        assert_eq!(Isa::named(None), Ok(Isa::best()));
        assert_eq!(Isa::named(Some("portable")), Ok(Isa::Portable));
        let text = Isa::named(Some("sse9")).unwrap_err();
        assert!(text.contains("\"sse9\" is not there") && text.contains("portable"), "{text}");
    }
}
