//! Helps to measure times: a pool of threads, quantiles, the machine's multiply-add peak before and
//! after the work, and whether other work disturbed it.

use std::time::Instant;

use ptsm::{Error, ErrorKind, Result};
use ptsm_kernels::{Isa, measure_fma_peak};

/// Two peaks measured around the same work disagree if one is below this share of the other.
const PEAKS_AGREE: f64 = 0.8;
/// A measurement whose threads waited longer than this share of its time for a core is disturbed.
const WAITED_AT_MOST: f64 = 0.1;

/// A pool of this many threads.
pub(super) fn rayon_pool(threads: usize) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Error::new(ErrorKind::Internal, "no threads could be started").because(e))
}

/// The quantile of ascending numbers, by nearest rank.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// The peak that a measurement is compared with.
#[derive(Debug, Clone)]
pub(super) struct Peak {
    /// Of all threads together, the larger of before and after, GFLOP/s.
    pub(super) gflops: f64,
    /// Why a share of it is unreliable; `None` on a quiet machine.
    pub(super) disturbed: Option<String>,
}

impl Peak {
    /// `gflops` as a share of the peak; `None` above 1, because the peak was then measured too low.
    pub(super) fn share(&self, gflops: f64) -> Option<f64> {
        let share = gflops / self.gflops;
        (share <= 1.0).then_some(share)
    }
}

/// Runs `work` in `pool`, and measures the peak of the pool's threads before and after. `work`
/// gives its result and the GFLOP/s that it reached.
pub(super) fn beside_peak<T: Send>(
    pool: &rayon::ThreadPool,
    isa: Isa,
    work: impl FnOnce() -> Result<(T, f64)> + Send,
) -> Result<(T, Peak)> {
    let peak = || pool.broadcast(|_| measure_fma_peak(isa)).iter().sum::<f64>();
    let before = peak();
    let (began, waited) = (Instant::now(), waited_seconds());
    let (result, gflops) = pool.install(work)?;
    let seconds = began.elapsed().as_secs_f64() * pool.current_num_threads() as f64;
    let waited = waited_seconds().zip(waited).map(|(after, before)| (after - before) / seconds);
    let after = peak();
    Ok((result, judge(before, after, waited, gflops)))
}

/// The peak from its two measurements, the share of time that threads waited for a core, and what
/// the work reached.
fn judge(before: f64, after: f64, waited: Option<f64>, gflops: f64) -> Peak {
    let (low, high) = (before.min(after), before.max(after));
    let disturbed = if gflops > high {
        Some(format!("{gflops:.1} GFLOP/s is above the measured peak of {high:.1}"))
    } else if let Some(waited) = waited.filter(|&waited| waited > WAITED_AT_MOST) {
        Some(format!("threads waited {:.0} % of the time for a core", 100.0 * waited))
    } else if low < PEAKS_AGREE * high {
        Some(format!("the peak was {before:.1} GFLOP/s before and {after:.1} after"))
    } else {
        None
    };
    Peak { gflops: high, disturbed }
}

/// Seconds that the threads of this process have waited for a core; `None` where the system does
/// not say (Linux does, in `schedstat`).
fn waited_seconds() -> Option<f64> {
    let mut total = 0.0;
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        // A thread that has ended in between has no file any more.
        let Ok(text) = std::fs::read_to_string(thread.ok()?.path().join("schedstat")) else {
            continue;
        };
        total += text.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1e9;
    }
    Some(total)
}

/// The line below a table some of whose shares are unreliable; empty if none is.
pub(super) fn warning<'a>(disturbed: impl Iterator<Item = &'a Option<String>>) -> String {
    match disturbed.flatten().next() {
        Some(why) => format!(
            "? = the machine was busy with other work ({why}): neither times nor shares of its peak \
             mean anything there; stop the other work and run this again\n"
        ),
        None => String::new(),
    }
}

/// A share of the peak for a table, marked where the machine was busy.
pub(super) fn share_text(share: Option<f64>, disturbed: Option<&String>) -> String {
    let mark = if disturbed.is_some() { "?" } else { "" };
    share.map_or("-".into(), |share| format!("{:.1}%", 100.0 * share)) + mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_is_said_and_an_impossible_share_is_not_given() {
        let quiet = judge(100.0, 98.0, Some(0.01), 70.0);
        assert_eq!((quiet.share(70.0), &quiet.disturbed), (Some(0.7), &None));
        let beyond = judge(10.0, 11.0, None, 70.0);
        assert_eq!(beyond.share(70.0), None);
        assert!(beyond.disturbed.unwrap().contains("above the measured peak"));
        let waiting = judge(100.0, 98.0, Some(0.4), 70.0).disturbed.unwrap();
        assert!(waiting.contains("waited 40 %"), "{waiting}");
        let moved = judge(100.0, 60.0, Some(0.0), 55.0).disturbed.unwrap();
        assert!(moved.contains("100.0 GFLOP/s before and 60.0 after"), "{moved}");
        let lines = [None, Some("a".to_owned())];
        assert!(warning(lines.iter()).contains("busy with other work (a)"));
        assert_eq!(warning(lines[..1].iter()), "");
    }
}
