//! How far two lists of numbers are apart.

/// The numbers of one group of `[B, ...]`: a window, and of forecasts `[B, H, C', ...]` one channel of it.
#[derive(Clone, Copy)]
struct Group {
    /// Numbers in front of the axis of channels for each window, H; 1 where there is no such axis.
    steps: usize,
    channels: usize,
    /// Numbers of each step of a channel.
    each: usize,
}

impl Group {
    fn of(shape: &[usize]) -> Self {
        match shape {
            [_, steps, channels, rest @ ..] => {
                Self { steps: *steps, channels: *channels, each: rest.iter().product() }
            }
            _ => Self { steps: 1, channels: 1, each: shape.iter().skip(1).product() },
        }
    }

    /// The places of the numbers of one channel of a window.
    fn places(self, window: usize, channel: usize) -> impl Iterator<Item = usize> {
        let Self { steps, channels, each } = self;
        (0..steps).flat_map(move |step| {
            let from = ((window * steps + step) * channels + channel) * each;
            from..from + each
        })
    }
}

/// The largest difference of numbers of the shape `[B, ...]` over the largest of them, window by window, and of forecasts
/// `[B, H, C', ...]` also channel by channel; infinite where one is not a number, or there are not as many as the shape
/// says. Nothing but zeros is compared with the largest number of all.
///
/// # Panics
///
/// If there is no window.
pub(crate) fn largest_relative(found: &[f32], wanted: &[f64], shape: &[usize]) -> f64 {
    let windows = shape.first().copied().unwrap_or(0);
    assert!(windows > 0, "no window was compared");
    if found.len() != wanted.len() || found.len() != shape.iter().product::<usize>() {
        return f64::INFINITY;
    }
    let all = wanted.iter().fold(f64::MIN_POSITIVE, |max, x| max.max(x.abs()));
    let group = Group::of(shape);
    let each = (0..windows).flat_map(|window| (0..group.channels).map(move |c| (window, c)));
    each.fold(0.0, |most, (window, channel)| {
        let (mut apart, mut size) = (0.0_f64, 0.0_f64);
        for place in group.places(window, channel) {
            let difference = (f64::from(found[place]) - wanted[place]).abs();
            apart = if difference.is_nan() { f64::INFINITY } else { apart.max(difference) };
            size = size.max(wanted[place].abs());
        }
        most.max(apart / if size > 0.0 { size } else { all })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_is_compared_with_its_own_largest_number() {
        assert_eq!(largest_relative(&[100.0, 2.0], &[100.0, 1.0], &[2, 1]), 1.0);
        assert_eq!(largest_relative(&[100.0, 2.0], &[100.0, 1.0], &[1, 2]), 0.01);
        assert_eq!(largest_relative(&[f32::NAN, 1.0], &[1.0, 1.0], &[1, 2]), f64::INFINITY);
        assert_eq!(largest_relative(&[1.0], &[1.0, 1.0], &[1, 2]), f64::INFINITY);
        assert_eq!(largest_relative(&[1.0], &[1.0], &[1, 2]), f64::INFINITY);
        assert_eq!(largest_relative(&[0.0], &[0.0], &[1, 1]), 0.0);
    }

    #[test]
    fn a_small_channel_is_not_compared_with_a_large_one() {
        assert_eq!(largest_relative(&[1e6, 20.0], &[1e6, 40.0], &[1, 1, 2]), 0.5);
        // Two steps of two channels at two levels: 1 of 4 differs in the second channel.
        let wanted = [8e6, 9e6, 2.0, 4.0, 8e6, 9e6, 2.0, 4.0];
        let mut found = wanted.map(|x| x as f32);
        found[6] = 3.0;
        assert_eq!(largest_relative(&found, &wanted, &[1, 2, 2, 2]), 0.25);
    }
}
