//! Series are functions of seed and number, and families are what their names say.

// A failed `unwrap` in a test helper is a failed test; one test prints how fast series are made.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use ptsm_simulate::{Effect, Family, Mix, Simulator, VERSION, WindowLengths, Windows};

/// One family without any effect.
fn plain(family: Family) -> Simulator {
    let mix = Mix::default().only(&[(family, Some(1.0))]).unwrap();
    let none = |mix: Mix, effect: &Effect| mix.without(effect.name()).unwrap();
    Simulator::new(11, Effect::ALL.iter().fold(mix, none))
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// FNV-1a over some numbers.
fn digest(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0xcbf2_9ce4_8422_2325, |hash, number| {
        (hash ^ number).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Mean absolute difference of values `lag` steps apart.
fn difference(values: &[f64], lag: usize) -> f64 {
    let pairs = values.iter().zip(&values[lag..]);
    pairs.map(|(a, b)| (a - b).abs()).sum::<f64>() / (values.len() - lag) as f64
}

#[test]
fn series_have_the_same_bits_in_any_order_and_on_any_thread() {
    let simulator = Simulator::new(3, Mix::default());
    let forwards: Vec<Vec<u64>> =
        (0..200).map(|index| bits(&simulator.series(index, 100).values)).collect();
    let mut backwards: Vec<Vec<u64>> =
        (0..200).rev().map(|index| bits(&simulator.series(index, 100).values)).collect();
    backwards.reverse();
    assert_eq!(forwards, backwards);
    let threads: Vec<Vec<Vec<u64>>> = std::thread::scope(|scope| {
        let work = |first: u64| {
            let simulator = &simulator;
            scope.spawn(move || {
                let own = (first..200).step_by(3);
                own.map(|index| bits(&simulator.series(index, 100).values)).collect()
            })
        };
        let handles: Vec<_> = (0..3).map(work).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    for (index, series) in forwards.iter().enumerate() {
        assert_eq!(series, &threads[index % 3][index / 3], "{index}");
    }
    let other = Simulator::new(4, Mix::default());
    assert_ne!(forwards[0], bits(&other.series(0, 100).values));
}

#[test]
fn the_numbers_are_those_of_their_version() {
    // Whoever changes a number raises the version and writes the new digest here.
    let simulator = Simulator::new(0, Mix::default());
    let series = (0..500).flat_map(|index| bits(&simulator.series(index, 176).values));
    let lengths = WindowLengths { context: 128, horizon: 24 };
    let windows = Windows::new(simulator.clone(), lengths);
    let numbers = |index| {
        let window = windows.window(index);
        let all = [window.past, window.seen, window.future, window.counts].concat();
        all.into_iter().map(|value| u64::from(value.to_bits()))
    };
    let found = [digest(series), digest((0..500).flat_map(numbers))];
    assert_eq!((VERSION, found), (1, GOLDEN), "{found:#x?}");
}

const GOLDEN: [u64; 2] = [0x0833_8672_dd2f_6249, 0x8549_648a_c4dc_c8e7];

#[test]
fn the_variance_of_walks_grows_with_the_distance() {
    let walks = plain(Family::Walk);
    let ratio = |index: u64| {
        let values = walks.series(index, 2000).values;
        let square = |lag: usize| {
            let pairs = values.iter().zip(&values[lag..]);
            pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / (values.len() - lag) as f64
        };
        square(32) / square(8)
    };
    let ratio = median((0..200).map(ratio).collect());
    assert!((3.3..5.2).contains(&ratio), "{ratio}");
}

#[test]
fn seasons_have_the_stated_period() {
    for family in [Family::Smoothing, Family::Sarima, Family::Integrated, Family::Trend] {
        let simulator = plain(family);
        let all = (0..400).map(|index| simulator.series(index, 240));
        let seasonal = all.filter(|series| (4..=60).contains(&series.period));
        let ratio = |series: ptsm_simulate::SimulatedSeries| {
            let whole = difference(&series.values, series.period);
            let half = difference(&series.values, series.period + series.period / 2);
            whole / half
        };
        let ratio = median(seasonal.map(ratio).collect());
        assert!(ratio < 0.8, "{}: {ratio}", family.name());
    }
    let walks = plain(Family::Walk);
    let ratio = |series: &ptsm_simulate::SimulatedSeries| {
        difference(&series.values, 12) / difference(&series.values, 18)
    };
    let ratio = median((0..200).map(|index| ratio(&walks.series(index, 240))).collect());
    assert!((0.7..0.95).contains(&ratio), "walks of 12 and 18 steps: {ratio}");
}

#[test]
fn counts_are_whole_numbers_and_many_are_zero() {
    let mix = Mix::default().only(&[(Family::Counts, None)]).unwrap();
    let simulator = Simulator::new(1, mix);
    let values: Vec<f64> = (0..300).flat_map(|index| simulator.series(index, 120).values).collect();
    assert!(values.iter().all(|value| *value >= 0.0 && value.fract() == 0.0));
    let zeros = values.iter().filter(|value| **value == 0.0).count() as f64 / values.len() as f64;
    assert!((0.15..0.7).contains(&zeros), "{zeros}");
}

#[test]
fn growth_and_exponentiated_series_are_above_zero() {
    let growth = plain(Family::Growth);
    let share = |simulator: &Simulator| {
        let positive = |index: &u64| simulator.series(*index, 150).values.iter().all(|x| *x > 0.0);
        (0..300).filter(positive).count()
    };
    assert!(share(&growth) > 280, "{}", share(&growth));
    let mix = plain(Family::Smoothing).mix().clone();
    let powers = Simulator::new(1, mix.with_chance(Effect::Exponentiated, 1.0).unwrap());
    assert_eq!(share(&powers), 300);
    assert!(share(&plain(Family::Smoothing)) < 100);
}

#[test]
fn each_effect_changes_series_and_each_family_is_drawn() {
    let all = Simulator::new(9, Mix::default());
    for &effect in Effect::ALL {
        let less = Simulator::new(9, Mix::default().without(effect.name()).unwrap());
        let differs =
            |index: &u64| all.series(*index, 150).values != less.series(*index, 150).values;
        assert!((0..200).any(|index| differs(&index)), "{}", effect.name());
    }
    let drawn: Vec<Family> = (0..2000).map(|index| all.series(index, 60).family).collect();
    for &family in Family::ALL {
        let share = drawn.iter().filter(|drawn| **drawn == family).count() as f64 / 2000.0;
        let wanted = family.default_weight();
        assert!((share - wanted).abs() < 0.035, "{}: {share} {wanted}", family.name());
    }
}

#[test]
fn windows_are_padded_scaled_and_cut_as_stated() {
    let lengths = WindowLengths { context: 128, horizon: 24 };
    let windows = Windows::new(Simulator::new(2, Mix::default()), lengths);
    let (mut full, mut holes, mut whole_future, mut sizes) = (0, 0, 0, Vec::new());
    for index in 0..2000 {
        let window = windows.window(index);
        let begin = window.seen.iter().position(|seen| *seen == 1.0).unwrap();
        let points = 128 - begin;
        assert!(points >= 5, "{index}");
        assert_eq!((window.seen[begin], window.seen[127]), (1.0, 1.0));
        let hidden: Vec<usize> = (0..128).filter(|&t| window.seen[t] == 0.0).collect();
        let filling = |t: usize| if t < begin { window.past[begin] } else { 0.0 };
        assert!(hidden.iter().all(|&t| window.past[t] == filling(t)), "{index}");
        full += usize::from(begin == 0);
        holes += usize::from(hidden.len() > begin);
        let steps = window.counts.iter().filter(|counts| **counts == 1.0).count();
        assert!(steps >= 1 && window.counts[..steps].iter().all(|counts| *counts == 1.0));
        assert!(window.future[steps..].iter().all(|value| *value == 0.0));
        whole_future += usize::from(steps == 24);
        assert!(window.past.iter().chain(&window.future).all(|value| value.abs() < 100.0));
        let squares =
            window.past[begin..].iter().map(|value| f64::from(value * value)).sum::<f64>();
        sizes.push((squares / points as f64).sqrt());
    }
    assert!((620..820).contains(&full), "{full}");
    assert!((60..140).contains(&holes), "{holes}");
    assert!((350..900).contains(&whole_future), "{whole_future}");
    // The square root of deviation over mean step: between 0.8 (noise) and 3.2 (smooth).
    sizes.sort_by(f64::total_cmp);
    assert!(
        (0.75..1.1).contains(&sizes[100]) && sizes[1900] < 3.3,
        "{:?}",
        (sizes[100], sizes[1900])
    );
}

#[test]
#[ignore = "prints how fast series and windows are made (cargo test --release -- --ignored --nocapture)"]
fn print_throughput() {
    let simulator = Simulator::new(5, Mix::default());
    let report = |what: &str, count: u64, work: &dyn Fn(u64) -> f64| {
        let began = std::time::Instant::now();
        let sum: f64 = (0..count).map(work).sum();
        let rate = count as f64 / began.elapsed().as_secs_f64();
        println!("{what:24} {rate:10.0} a second {:8.2} M a minute ({sum:.3e})", rate * 60e-6);
    };
    for length in [100, 176, 560] {
        let last = |index| simulator.series(index, length).values[length - 1].min(1e6);
        report(&format!("series of {length}"), 20_000, &last);
    }
    for (context, horizon) in [(128, 24), (512, 48)] {
        let windows = Windows::new(simulator.clone(), WindowLengths { context, horizon });
        let first = |index| f64::from(windows.window(index).future[0]);
        report(&format!("windows of {context} + {horizon}"), 20_000, &first);
    }
    for &family in Family::ALL {
        let simulator = plain(family);
        let last = |index| simulator.series(index, 560).values[559].min(1e6);
        report(family.name(), 4_000, &last);
    }
}
