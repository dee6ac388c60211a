//! Estimates of the memory that work needs, and refusal before it is allocated.
//!
//! The numbers are estimates from sizes: weights, buffers, gradients and windows, without the program
//! itself. Work that cannot fit is refused with [`ErrorKind::OutOfMemory`] before anything is
//! allocated, where a machine would otherwise start to swap or kill the process.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, ErrorKind, Result};

/// Environment variable that replaces what the machine says: a number of bytes, or of `KiB`, `MiB`
/// or `GiB`, that the whole process may take.
const LIMIT: &str = "PTSM_MEMORY_LIMIT";

/// The way out where the weights themselves are too many.
pub const SMALLER_MODEL: &str =
    "fewer patches (their mixers have the square of their number of weights), channels or layers";

/// Work below this is not worth asking the machine for.
const UNCHECKED: u64 = 16 << 20;

/// Bytes of the product of `lengths` in f32; the largest number if it has no room.
pub fn bytes_of(lengths: &[usize]) -> u64 {
    lengths.iter().fold(size_of::<f32>() as u64, |product, &len| product.saturating_mul(len as u64))
}

/// Bytes that this process may still take: what the machine and its control groups have left, or
/// what `PTSM_MEMORY_LIMIT` leaves beyond what the process holds; in any case no more than its address
/// space may grow (`ulimit -v`). `None` where nobody says.
///
/// # Errors
///
/// `InvalidConfig` if `PTSM_MEMORY_LIMIT` is no size.
pub fn available_memory() -> Result<Option<u64>> {
    let limited = match chosen_limit()? {
        Some(limit) => [Some(limit.saturating_sub(resident().unwrap_or(0))), None],
        None => {
            let machine = read("/proc/meminfo").and_then(|text| kilobytes(&text, "MemAvailable:"));
            [machine, groups()]
        }
    };
    Ok(limited.into_iter().chain([address_space()]).flatten().min())
}

/// Refuses a `PTSM_MEMORY_LIMIT` that is no size, before any work.
///
/// # Errors
///
/// `InvalidConfig`, naming the variable.
pub fn check_memory_limit() -> Result<()> {
    chosen_limit().map(|_| ())
}

fn chosen_limit() -> Result<Option<u64>> {
    let Some(text) = std::env::var_os(LIMIT) else { return Ok(None) };
    let text = text.to_string_lossy();
    parse_size(&text).map(Some).ok_or_else(|| {
        let text = format!(
            "\"{text}\" is no size (wanted bytes, or a number with KiB, MiB, GiB or TiB, such as 8GiB)"
        );
        Error::config(LIMIT, text)
    })
}

/// Memory that is taken piece by piece, such as series by series: every piece is counted before it is
/// taken, and the work is refused where the next one does not fit.
#[derive(Debug)]
pub struct MemoryBudget {
    task: String,
    way_out: &'static str,
    /// Bytes that were counted since the system was asked last.
    pending: AtomicU64,
}

impl MemoryBudget {
    /// For work that `task` names; `way_out` is what takes less.
    pub fn new(task: impl Into<String>, way_out: &'static str) -> Self {
        Self { task: task.into(), way_out, pending: AtomicU64::new(0) }
    }

    /// Counts a piece that is about to be taken.
    ///
    /// # Errors
    ///
    /// `OutOfMemory` if it does not fit, as [`require_memory`].
    pub fn take(&self, bytes: u64) -> Result<()> {
        let before = self.pending.fetch_add(bytes.min(1 << 62), Ordering::Relaxed);
        let pending = before.saturating_add(bytes);
        if pending < UNCHECKED {
            return Ok(());
        }
        self.pending.store(0, Ordering::Relaxed);
        compare(&self.task, pending, available_memory()?, self.way_out)
    }
}

/// Refuses work that takes more than there is; `task` says what it is, `way_out` what takes less.
///
/// # Errors
///
/// `OutOfMemory`, with both numbers.
pub fn require_memory(task: &str, bytes: u64, way_out: &str) -> Result<()> {
    if bytes < UNCHECKED {
        return Ok(());
    }
    compare(task, bytes, available_memory()?, way_out)
}

fn compare(task: &str, bytes: u64, available: Option<u64>, way_out: &str) -> Result<()> {
    match available {
        Some(available) if bytes > available => {
            let (bytes, available) = (in_words(bytes), in_words(available));
            let text = format!(
                "{task} takes about {bytes} more, {available} are there (try {way_out}; {LIMIT} sets \
                 another limit)"
            );
            Err(Error::new(ErrorKind::OutOfMemory, text))
        }
        _ => Ok(()),
    }
}

/// A size as people read it, such as `1.3 GiB`.
pub fn in_words(bytes: u64) -> String {
    let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} bytes"),
    }
}

/// The most that this process has held so far, in bytes; `None` where the system does not say.
pub fn peak_memory() -> Option<u64> {
    kilobytes(&read("/proc/self/status")?, "VmHWM:")
}

/// Makes [`peak_memory`] count from now on; whether the system could.
pub fn reset_peak_memory() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

fn resident() -> Option<u64> {
    kilobytes(&read("/proc/self/status")?, "VmRSS:")
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The line `name` of a table of `/proc`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()?.saturating_mul(1024))
}

/// What the limit on the address space leaves; `None` where there is none.
fn address_space() -> Option<u64> {
    let limits = read("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    let taken = kilobytes(&read("/proc/self/status")?, "VmSize:")?;
    Some(limit.saturating_sub(taken))
}

/// What the tightest control group of this process has left.
fn groups() -> Option<u64> {
    let own = read("/proc/self/cgroup").unwrap_or_default();
    // Version 2 has one line, `0::/path`; version 1 one for each controller.
    let path = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let memory = controllers.split(',').any(|name| name == "memory");
        let root = match (controllers.is_empty(), memory) {
            (true, _) => Path::new("/sys/fs/cgroup"),
            (_, true) => Path::new("/sys/fs/cgroup/memory"),
            _ => return None,
        };
        Some((root, path.trim_start_matches('/').to_owned()))
    };
    let paths = own.lines().filter_map(path);
    // In a container the path may be that of the machine outside, and the root is its own group.
    let roots =
        ["/sys/fs/cgroup", "/sys/fs/cgroup/memory"].map(|root| (Path::new(root), String::new()));
    let all = paths.chain(roots).flat_map(|(root, path)| {
        let folders: Vec<_> = root.join(path).ancestors().map(Path::to_path_buf).collect();
        folders.into_iter().filter(move |folder| folder.starts_with(root))
    });
    all.filter_map(|folder| group(&folder)).min()
}

/// What a control group has left: its limit less its use, not counting pages that it can reclaim.
fn group(folder: &Path) -> Option<u64> {
    const FILES: [[&str; 2]; 2] =
        [["memory.max", "memory.current"], ["memory.limit_in_bytes", "memory.usage_in_bytes"]];
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    let number = |name: &str| text(name)?.trim().parse::<u64>().ok();
    let (limit, used) =
        FILES.iter().find_map(|[limit, used]| Some((number(limit)?, number(used)?)))?;
    let pages = text("memory.stat").unwrap_or_default();
    let cached = pages.lines().find_map(|line| line.strip_prefix("inactive_file "));
    let cached = cached.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cached)))
}

fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let units = [("KiB", 1_u64 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
    let found = units.iter().find_map(|&(name, unit)| Some((text.strip_suffix(name)?, unit)));
    let (number, unit) = found.unwrap_or((text, 1));
    let number: f64 = number.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some((number * unit as f64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in
            [("100", 100), ("8GiB", 8 << 30), (" 1.5 MiB ", 3 << 19), ("2 KiB", 2048)]
        {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "GiB", "8GB", "-1", "many", "nan"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
        assert_eq!(in_words(5 << 29), "2.5 GiB");
        assert_eq!(in_words(12), "12 bytes");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_both_numbers_and_a_way_out() {
        let error = compare("a batch", 3 << 30, Some(1 << 30), "a smaller one").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        let text = error.to_string();
        for part in ["a batch", "3.0 GiB", "1.0 GiB", "a smaller one", LIMIT] {
            assert!(text.contains(part), "{text}");
        }
        assert!(compare("a batch", 1 << 30, Some(1 << 30), "").is_ok());
        assert!(compare("a batch", u64::MAX, None, "").is_ok());
    }

    #[test]
    fn pieces_that_do_not_fit_together_are_refused() {
        let budget = MemoryBudget::new("many pieces", "fewer");
        let piece = UNCHECKED / 4;
        // No machine has as much as all of these, and none is asked for so little.
        assert!((0..3).all(|_| budget.take(piece).is_ok()));
        let error = budget.take(u64::MAX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        assert!(error.to_string().contains("many pieces"), "{error}");
    }

    #[test]
    fn what_a_control_group_leaves_is_its_limit_less_its_use() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(group(folder.path()), None);
        write("memory.max", "max\n");
        write("memory.current", "300\n");
        assert_eq!(group(folder.path()), None);
        write("memory.max", "1000\n");
        write("memory.stat", "anon 1\ninactive_file 50\n");
        assert_eq!(group(folder.path()), Some(750));
    }

    #[test]
    fn products_without_room_are_the_largest_number() {
        assert_eq!(bytes_of(&[3, 5]), 60);
        assert_eq!(bytes_of(&[usize::MAX, 2]), u64::MAX);
    }
}
