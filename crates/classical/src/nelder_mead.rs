//! The downhill simplex of Nelder and Mead (1965, "A simplex method for function minimization",
//! The Computer Journal 7), in a box.

/// Where to search, and how long. All slices have one entry a coordinate.
pub(crate) struct Search<'a> {
    pub(crate) start: &'a [f64],
    /// Size of the first simplex along each coordinate, not zero.
    pub(crate) step: &'a [f64],
    pub(crate) lower: &'a [f64],
    pub(crate) upper: &'a [f64],
    /// Evaluations at most, but for those of the iteration at hand.
    pub(crate) evaluations: usize,
    /// Ends where the values of the simplex differ by less than this share of the best one.
    pub(crate) tolerance: f64,
}

/// A point and its value.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) point: Vec<f64>,
    pub(crate) value: f64,
}

/// The least value found. Values that are not numbers count as infinite.
pub(crate) fn minimise(search: &Search<'_>, mut f: impl FnMut(&[f64]) -> f64) -> Found {
    let mut left = search.evaluations;
    let mut evaluate = |mut point: Vec<f64>| {
        for (x, (lower, upper)) in point.iter_mut().zip(search.lower.iter().zip(search.upper)) {
            *x = x.clamp(*lower, *upper);
        }
        let value = f(&point);
        Found { point, value: if value.is_nan() { f64::INFINITY } else { value } }
    };
    let mut simplex = vec![evaluate(search.start.to_vec())];
    for (i, step) in search.step.iter().enumerate() {
        let mut point = search.start.to_vec();
        // Inwards, where outwards would leave the box.
        let inside = (search.lower[i]..=search.upper[i]).contains(&(point[i] + step));
        point[i] += if inside { *step } else { -*step };
        simplex.push(evaluate(point));
    }
    loop {
        simplex.sort_by(|a, b| a.value.total_cmp(&b.value));
        let (best, worst) = (simplex[0].value, simplex[simplex.len() - 1].value);
        if left == 0 || worst - best <= search.tolerance * best.abs() || best == f64::INFINITY {
            return simplex.swap_remove(0);
        }
        left = left.saturating_sub(iterate(&mut simplex, &mut evaluate));
    }
}

/// Replaces the worst point of a sorted simplex, or all but the best; returns the evaluations.
fn iterate(simplex: &mut [Found], evaluate: &mut impl FnMut(Vec<f64>) -> Found) -> usize {
    let last = simplex.len() - 1;
    let centre: Vec<f64> = (0..last)
        .map(|i| simplex[..last].iter().map(|found| found.point[i]).sum::<f64>() / last as f64)
        .collect();
    let along = |to: &[f64], share: f64| -> Vec<f64> {
        centre.iter().zip(to).map(|(centre, to)| centre + share * (to - centre)).collect()
    };
    let reflected = evaluate(along(&simplex[last].point, -1.0));
    if reflected.value < simplex[0].value {
        let expanded = evaluate(along(&simplex[last].point, -2.0));
        simplex[last] = if expanded.value < reflected.value { expanded } else { reflected };
        return 2;
    }
    if reflected.value < simplex[last - 1].value {
        simplex[last] = reflected;
        return 1;
    }
    if reflected.value < simplex[last].value {
        simplex[last] = reflected;
    }
    let contracted = evaluate(along(&simplex[last].point, 0.5));
    if contracted.value < simplex[last].value {
        simplex[last] = contracted;
        return 2;
    }
    let (best, others) = simplex.split_at_mut(1);
    for found in others {
        let halfway = best[0].point.iter().zip(&found.point).map(|(a, b)| 0.5 * (a + b));
        *found = evaluate(halfway.collect());
    }
    2 + last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search<'a>(start: &'a [f64], bounds: (&'a [f64], &'a [f64])) -> Search<'a> {
        Search {
            start,
            step: &[0.3, 0.3][..start.len()],
            lower: bounds.0,
            upper: bounds.1,
            evaluations: 2000,
            tolerance: 1e-14,
        }
    }

    fn valley(x: &[f64]) -> f64 {
        1.0 + (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2)
    }

    #[test]
    fn the_floor_of_a_curved_valley_is_found() {
        let got = minimise(&search(&[-1.2, 1.0], (&[-5.0; 2], &[5.0; 2])), valley);
        assert!((got.value - 1.0).abs() < 1e-10, "{got:?}");
        assert!((got.point[0] - 1.0).abs() < 1e-4 && (got.point[1] - 1.0).abs() < 1e-4, "{got:?}");
    }

    #[test]
    fn a_least_value_outside_the_box_is_found_on_its_wall() {
        let got = minimise(&search(&[-1.2, 1.0], (&[-5.0; 2], &[0.5, 5.0])), valley);
        assert!((got.point[0] - 0.5).abs() < 1e-6 && (got.value - 1.25).abs() < 1e-6, "{got:?}");
    }

    #[test]
    fn evaluations_are_capped_and_nan_is_avoided() {
        let mut count = 0;
        let mut capped = search(&[-1.2, 1.0], (&[-5.0; 2], &[5.0; 2]));
        capped.evaluations = 50;
        minimise(&capped, |x| {
            count += 1;
            valley(x)
        });
        assert!((50..60).contains(&count), "{count}");
        let holed = |x: &[f64]| if x[0] > 0.5 { f64::NAN } else { 1.0 + (x[0] - 0.4).powi(2) };
        let got = minimise(&search(&[0.0], (&[-9.0], &[9.0])), holed);
        assert!((got.point[0] - 0.4).abs() < 1e-5, "{got:?}");
        let got = minimise(&search(&[0.0], (&[-9.0], &[9.0])), |_| f64::NAN);
        assert_eq!(got.value, f64::INFINITY);
    }
}
