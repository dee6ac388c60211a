//! P-values adjusted for the number of points that were looked at.

/// The adjusted p-value of each, by Benjamini and Hochberg: the smallest rate of false discoveries at which the point
/// is among the discoveries. With p-values in rising order, it is the smallest `m p_j / j` over all `j` from the rank
/// of the point on, and at most 1; equal p-values have equal ones.
pub fn adjusted(p_values: &[f64]) -> Vec<f64> {
    let count = p_values.len();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let (mut found, mut smallest) = (vec![1.0; count], 1.0f64);
    for (rank, &place) in order.iter().enumerate().rev() {
        smallest = smallest.min(count as f64 * p_values[place] / (rank + 1) as f64);
        found[place] = smallest;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The step-up rule itself: all points up to the largest rank k with `p_(k) <= k rate / m`.
    fn by_definition(p_values: &[f64], rate: f64) -> Vec<bool> {
        let mut sorted = p_values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len() as f64;
        let holds = |k: &usize| count * sorted[k - 1] / *k as f64 <= rate;
        let largest = (1..=sorted.len()).rev().find(holds);
        let border = largest.map_or(f64::NEG_INFINITY, |k| sorted[k - 1]);
        p_values.iter().map(|&p| p <= border).collect()
    }

    #[test]
    fn a_point_is_a_discovery_at_a_rate_as_the_step_up_rule_says() {
        let mut state = 7u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as f64 / (1u64 << 31) as f64
        };
        for count in [1, 2, 3, 10, 100] {
            for _ in 0..50 {
                // Some small ones, and ties.
                let p: Vec<f64> =
                    (0..count).map(|_| ((draw() * draw() * 40.0).ceil() / 40.0).min(1.0)).collect();
                let q = adjusted(&p);
                for rate in [0.01, 0.05, 0.1, 0.3, 0.9] {
                    let found: Vec<bool> = q.iter().map(|&q| q <= rate).collect();
                    assert_eq!(found, by_definition(&p, rate), "{p:?} at {rate}");
                }
            }
        }
    }

    #[test]
    fn the_example_of_the_paper() {
        // Benjamini and Hochberg 1995, section 3: four of fifteen are discoveries at 0.05.
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
            0.5719, 0.6528, 0.7590, 1.0,
        ];
        let q = adjusted(&p);
        assert_eq!(q.iter().filter(|&&q| q <= 0.05).count(), 4);
        assert!(adjusted(&[]).is_empty());
        assert!(q.is_sorted() && q[14] == 1.0);
    }
}
