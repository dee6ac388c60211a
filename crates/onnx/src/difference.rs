//! How far two lists of numbers are apart.

/// The largest difference of a window's numbers over its largest number, over all windows; infinite where one is not a
/// number, or the lengths differ. Windows of nothing but zeros are compared with the largest number of all.
///
/// # Panics
///
/// If there is no window.
pub fn largest_relative(found: &[f32], wanted: &[f64], windows: usize) -> f64 {
    assert!(windows > 0, "no window was compared");
    if found.len() != wanted.len() || !found.len().is_multiple_of(windows) {
        return f64::INFINITY;
    }
    let size = |values: &[f64]| values.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
    let all = size(wanted).max(f64::MIN_POSITIVE);
    let each = (found.len() / windows).max(1);
    let pairs = found.chunks(each).zip(wanted.chunks(each));
    pairs.fold(0.0, |most, (found, wanted)| {
        let apart = found.iter().zip(wanted).fold(0.0_f64, |max, (&x, y)| {
            let apart = (f64::from(x) - y).abs();
            if apart.is_nan() { f64::INFINITY } else { max.max(apart) }
        });
        let size = size(wanted);
        most.max(apart / if size > 0.0 { size } else { all })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_is_compared_with_its_own_largest_number() {
        assert_eq!(largest_relative(&[100.0, 2.0], &[100.0, 1.0], 2), 1.0);
        assert_eq!(largest_relative(&[100.0, 2.0], &[100.0, 1.0], 1), 0.01);
        assert_eq!(largest_relative(&[f32::NAN], &[1.0], 1), f64::INFINITY);
        assert_eq!(largest_relative(&[1.0], &[1.0, 1.0], 1), f64::INFINITY);
        assert_eq!(largest_relative(&[0.0], &[0.0], 1), 0.0);
    }
}
