//! Estimates of the memory that work needs, and refusal before it is allocated.
//!
//! The numbers are estimates from sizes: weights, buffers, gradients and windows, without the program
//! itself. Work that cannot fit is refused with [`ErrorKind::OutOfMemory`] before anything is
//! allocated, where a machine would otherwise start to swap or kill the process.

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

/// Bytes that this process may still take: what the machine and its control group have left, or
/// what `PTSM_MEMORY_LIMIT` leaves beyond what the process holds; `None` where nobody says.
///
/// # Errors
///
/// `InvalidConfig` if `PTSM_MEMORY_LIMIT` is no size.
pub fn available_memory() -> Result<Option<u64>> {
    if let Ok(text) = std::env::var(LIMIT) {
        let Some(limit) = parse_size(&text) else {
            let text =
                format!("\"{text}\" is no size (wanted bytes, or a number with KiB, MiB or GiB)");
            return Err(Error::config(LIMIT, text));
        };
        return Ok(Some(limit.saturating_sub(resident().unwrap_or(0))));
    }
    let machine = read("/proc/meminfo").and_then(|text| kilobytes(&text, "MemAvailable:"));
    Ok([machine, group()].into_iter().flatten().min())
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

/// What the control group has left: its limit less its use, not counting pages that it can reclaim.
fn group() -> Option<u64> {
    const FILES: [[&str; 3]; 2] = [
        [
            "/sys/fs/cgroup/memory.max",
            "/sys/fs/cgroup/memory.current",
            "/sys/fs/cgroup/memory.stat",
        ],
        [
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
            "/sys/fs/cgroup/memory/memory.stat",
        ],
    ];
    FILES.iter().find_map(|[limit, used, pages]| {
        let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
        let (limit, used) = (number(limit)?, number(used)?);
        let pages = read(pages).unwrap_or_default();
        let cached = pages.lines().find_map(|line| line.strip_prefix("inactive_file "));
        let cached = cached.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(cached)))
    })
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
    fn products_without_room_are_the_largest_number() {
        assert_eq!(bytes_of(&[3, 5]), 60);
        assert_eq!(bytes_of(&[usize::MAX, 2]), u64::MAX);
    }
}
