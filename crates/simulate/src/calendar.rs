//! Effects of the calendar: months differ in their length and their working days, and days of the year
//! are holidays.

use crate::random::Random;

/// Days of a week and of a year without leap day.
const WEEK: usize = 7;
const YEAR: usize = 365;

/// Days of the months in a year without leap day.
const MONTHS: [usize; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// For `count` months from a random one on: how far each month's number of days, or of working days, is
/// from the mean, in deviations.
pub(crate) fn working_days(random: &mut Random, count: usize) -> Vec<f64> {
    let only_length = random.chance(0.3);
    // Sundays alone, or Saturdays too.
    let free = if random.chance(0.3) { 1 } else { 2 };
    let (mut weekday, mut month) = (random.whole(0, WEEK), random.whole(0, 48));
    let days = (0..count).map(|_| {
        let leap = usize::from(month % 48 == 1);
        let length = MONTHS[month % 12] + leap;
        let worked = (0..length).filter(|day| (weekday + day) % WEEK >= free).count();
        weekday = (weekday + length) % WEEK;
        month += 1;
        if only_length { length as f64 } else { worked as f64 }
    });
    centred(days.collect())
}

/// For `count` days from a random one on: -1 or 1 on about ten holidays a year, the same ones every
/// year, and half as much the day before or after.
pub(crate) fn holidays(random: &mut Random, count: usize) -> Vec<f64> {
    let begin = random.whole(0, YEAR);
    let sign = if random.chance(0.75) { -1.0 } else { 1.0 };
    let mut year = vec![0.0; YEAR];
    for _ in 0..random.whole(4, 13) {
        let day = random.whole(0, YEAR);
        year[day] = sign;
        if random.chance(0.3) {
            year[(day + YEAR - 1) % YEAR] = 0.5 * sign;
        }
    }
    // Three deviations of the series: a holiday is no small thing.
    (0..count).map(|day| 3.0 * year[(begin + day) % YEAR]).collect()
}

fn centred(mut values: Vec<f64>) -> Vec<f64> {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let square = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    let deviation = square.sqrt() + 1e-6;
    values.iter_mut().for_each(|x| *x = (*x - mean) / deviation);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_have_their_lengths() {
        for index in 0..20 {
            let shape = working_days(&mut Random::new(index, 0), 48);
            let mean = shape.iter().sum::<f64>() / 48.0;
            assert!(mean.abs() < 1e-9);
            // 28 to 31 days, 20 to 27 worked ones: few different values.
            let mut values: Vec<i64> = shape.iter().map(|x| (x * 1e6).round() as i64).collect();
            values.sort_unstable();
            values.dedup();
            assert!((3..=8).contains(&values.len()), "{values:?}");
        }
    }

    #[test]
    fn holidays_come_back_after_a_year() {
        let days = holidays(&mut Random::new(1, 1), 800);
        assert!(days.iter().any(|x| *x != 0.0));
        assert!(days[..400].iter().zip(&days[365..]).all(|(a, b)| a == b));
    }
}
