//! Sample pictures of classification, regression and pretraining, for the checks of
//! [`tests`](super::tests).

use super::save::Picture;
use super::*;

fn confusion(names: &[&str], scale: u64) -> ConfusionPlot {
    let count = |row: usize, column: usize| match row.abs_diff(column) {
        0 => scale * (7 + row as u64 % 5),
        1 => scale * ((row as u64 * 3 + column as u64) % 4),
        _ => u64::from((row * 5 + column * 3).is_multiple_of(17)),
    };
    let counts = (0..names.len()).map(|row| (0..names.len()).map(|c| count(row, c)).collect());
    ConfusionPlot {
        title: "Which activity was taken for which".to_owned(),
        subtitle: "138 cases of the test split, accuracy 0.9420".to_owned(),
        classes: names.iter().map(|name| (*name).to_owned()).collect(),
        counts: counts.collect(),
    }
}

fn scatter(targets: usize, points: i64) -> ScatterPlot {
    let noise = |i: i64| ((i * 7_919 + 13) % 101) as f64 / 101.0 - 0.5;
    let panel = |target: usize| ScatterPanel {
        target: ["death rate", "flow in m³/s", "energy in kWh", "z"][target % 4].to_owned(),
        points: (0..points)
            .map(|i| {
                let truth = 10_f64.powi(target as i32 - 1) * (0.5 + noise(i * 31));
                (truth, 0.8 * truth + 0.02 + 0.1 * noise(i) * (truth + 0.1))
            })
            .collect(),
    };
    ScatterPlot {
        title: "Predicted against true values".to_owned(),
        subtitle: "61 cases of the test split, RMSE 0.0412".to_owned(),
        panels: (0..targets).map(panel).collect(),
    }
}

fn reconstruction(channels: usize) -> ReconstructionPlot {
    let panel = |channel: usize| {
        let wave = |step: usize| {
            let t = step as f64 + 17.0 * channel as f64;
            let noise = ((step * 7_919 + 13) % 101) as f64 / 101.0 - 0.5;
            (t / 24.0).sin() + 0.4 * (t / 7.0).sin() + 0.3 * noise
        };
        let patches = (0..32).filter(|patch| (patch * 5 + channel * 3) % 7 < 3);
        let mut truth: Vec<f64> = (0..256).map(wave).collect();
        truth[100..106].fill(f64::NAN);
        ReconstructionPanel {
            channel: format!("channel {channel}"),
            truth,
            masked: patches.map(|patch| patch * 8..patch * 8 + 8).collect(),
            reconstruction: (0..256).map(|step| 0.85 * wave(step) + 0.05).collect(),
        }
    };
    ReconstructionPlot {
        title: "Hidden patches and their reconstruction".to_owned(),
        subtitle: "window 12 of the validation rows, 40 % of the patches hidden".to_owned(),
        panels: (0..channels).map(panel).collect(),
    }
}

const ACTIVITIES: [&str; 4] = ["standing", "running", "walking", "badminton"];

/// Names of thirty classes, some of them long.
fn thirty() -> Vec<&'static str> {
    let names = ["Ha", "shot from the left side", "Rückhand", "42", "walking upstairs slowly"];
    (0..30).map(|class| names[class % names.len()]).collect()
}

pub(super) fn ordinary() -> Vec<(&'static str, Box<dyn Picture>)> {
    vec![
        ("confusion-2", Box::new(confusion(&ACTIVITIES[..2], 50))),
        ("confusion-4", Box::new(confusion(&ACTIVITIES, 3))),
        ("confusion-30", Box::new(confusion(&thirty(), 100))),
        ("scatter-1", Box::new(scatter(1, 61))),
        ("scatter-4", Box::new(scatter(4, 5_000))),
        ("reconstruction-1", Box::new(reconstruction(1))),
        ("reconstruction-3", Box::new(reconstruction(3))),
    ]
}

pub(super) fn odd() -> Vec<Box<dyn Picture>> {
    let mut pictures: Vec<Box<dyn Picture>> = vec![
        Box::new(confusion(&[], 1)),
        Box::new(confusion(&["<b>&\u{0}", ""], u64::from(u32::MAX))),
        Box::new(ConfusionPlot { counts: vec![vec![]], ..confusion(&ACTIVITIES, 1) }),
        Box::new(confusion(&["x"; 45], 0)),
        Box::new(scatter(0, 0)),
        Box::new(scatter(8, 1)),
        Box::new(reconstruction(0)),
        Box::new(reconstruction(10)),
    ];
    for values in [vec![], vec![f64::NAN], vec![3.0; 4], vec![-1e308, 1e308], vec![1e-310, 2e-310]]
    {
        let points: Vec<(f64, f64)> =
            values.iter().map(|&x| (x, -x)).chain(values.iter().map(|&x| (x, x))).collect();
        let mut odd = scatter(3, 0);
        odd.panels[1].points = points;
        pictures.push(Box::new(odd));
        let mut odd = reconstruction(2);
        odd.panels[0] = ReconstructionPanel {
            channel: "</text>".to_owned(),
            truth: values.clone(),
            masked: vec![0..1, 1..9, 7..7],
            reconstruction: values[..values.len() / 2].to_vec(),
        };
        pictures.push(Box::new(odd));
    }
    pictures
}
