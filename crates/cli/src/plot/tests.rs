//! Checks of every picture, with ordinary and with unusual data.
//!
//! Set `PTSM_PICTURES` to a folder to keep the ordinary ones there and look at them.

use std::path::Path;

use super::forecast::Interval;
use super::save::Picture;
use super::*;

/// 1 July 2016, 00:00 UTC, where the ETT data begin.
const START: i64 = 1_467_331_200;

/// A daily wave with a slower one and some noise.
fn wave(step: i64, phase: f64) -> f64 {
    let t = step as f64;
    let noise = ((step * 7_919 + 13) % 101) as f64 / 101.0 - 0.5;
    20.0 + 8.0 * (t / 24.0 * std::f64::consts::TAU + phase).sin() + 3.0 * (t / 90.0).sin() + noise
}

fn panel(channel: &str, context: i64, horizon: i64, phase: f64) -> ForecastPanel {
    let point = |step: i64, value: f64| (START + step * 3600, Some(value));
    let forecast = |step: i64| 0.85 * wave(step, phase) + 3.0;
    let future = context..context + horizon;
    let width = |step: i64| 0.6 + 0.05 * (step - context) as f64;
    let interval = |level: f64, factor: f64| Interval {
        level,
        lower: future.clone().map(|s| forecast(s) - factor * width(s)).collect(),
        upper: future.clone().map(|s| forecast(s) + factor * width(s)).collect(),
    };
    ForecastPanel {
        channel: channel.to_owned(),
        unit: Some("°C".to_owned()),
        context: (0..context)
            .map(|s| match s {
                60..=75 => (START + s * 3600, None),
                _ => point(s, wave(s, phase)),
            })
            .collect(),
        truth: Some(future.clone().map(|s| point(s, wave(s, phase))).collect()),
        forecast: future.clone().map(|s| point(s, forecast(s))).collect(),
        bands: vec![interval(0.5, 1.0), interval(0.9, 2.4)],
        earlier: Vec::new(),
    }
}

/// A forecast of as many channels.
pub(crate) fn forecast_plot(channels: usize) -> ForecastPlot {
    let names = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT", "load", "wind", "sun"];
    ForecastPlot {
        title: "Forecast of ETTh1, 96 hours ahead".to_owned(),
        subtitle: "window 1 203 of the test split; MSE 0.3712, MAE 0.3941".to_owned(),
        time: TimeKind::UnixSeconds,
        panels: (0..channels).map(|c| panel(names[c % names.len()], 240, 96, c as f64)).collect(),
        number: channels,
    }
}

fn plain(mut plot: ForecastPlot) -> ForecastPlot {
    for panel in &mut plot.panels {
        panel.bands.clear();
    }
    plot
}

/// A training run of thirty epochs.
pub(crate) fn training_curve() -> TrainingCurve {
    let epoch = |number: usize| {
        let t = number as f64;
        Epoch {
            number,
            training_loss: Some(0.30 + 0.35 * (-t / 6.0).exp()),
            validation_loss: Some(0.36 + 0.3 * (-t / 4.0).exp() + 0.0007 * t * t / 3.0),
            learning_rate: Some(1e-3 * 0.5 * (1.0 + (t / 30.0 * std::f64::consts::PI).cos())),
        }
    };
    TrainingCurve {
        title: "Training".to_owned(),
        subtitle: "30 epochs in 41 s, seed 42, 12 480 parameters".to_owned(),
        loss: "MSE".to_owned(),
        epochs: (1..=30).map(epoch).collect(),
        best_epoch: Some(12),
    }
}

fn horizon_plot() -> HorizonPlot {
    let curve = |name: &str, is_model: bool, level: f64, growth: f64| ErrorCurve {
        name: name.to_owned(),
        errors: (1..=96)
            .map(|step| {
                level + growth * f64::from(step).sqrt() + 0.02 * wave(step.into(), 0.0) / 20.0
            })
            .collect(),
        is_model,
    };
    HorizonPlot {
        title: "Error by forecast step".to_owned(),
        subtitle: "ETTh1 test split, all channels, standardised units".to_owned(),
        metric: "MSE".to_owned(),
        curves: vec![
            curve("PatchTSMixer", true, 0.2, 0.02),
            curve("naive", false, 0.3, 0.1),
            curve("seasonal naive", false, 0.42, 0.012),
            curve("ridge", false, 0.21, 0.022),
        ],
    }
}

fn bars_plot() -> BarsPlot {
    let bar =
        |name: &str, value: f64, is_model: bool| Bar { name: name.to_owned(), value, is_model };
    BarsPlot {
        title: "Against the baselines".to_owned(),
        subtitle: "ETTh1 test split, 2 785 windows".to_owned(),
        metric: "MSE, lower is better".to_owned(),
        bars: vec![
            bar("PatchTSMixer", 0.3712, true),
            bar("ridge", 0.3856, false),
            bar("seasonal naive", 0.5121, false),
            bar("naive", 1.2944, false),
            bar("drift", f64::NAN, false),
        ],
    }
}

/// Three numbered steps ahead, the truth not known yet.
fn short_forecast_plot() -> ForecastPlot {
    let mut short = panel("sales of the northern region, all shops together", 14, 3, 1.0);
    for point in short.context.iter_mut().chain(&mut short.forecast) {
        point.0 = (point.0 - START) / 3600;
        point.1 = point.1.map(|value| value * 2_500.0);
    }
    short.truth = None;
    short.bands.clear();
    ForecastPlot {
        title: "Three steps ahead".to_owned(),
        subtitle: String::new(),
        time: TimeKind::Step,
        panels: vec![short],
        number: 1,
    }
}

fn steep_training_curve() -> TrainingCurve {
    let mut curve = training_curve();
    for epoch in &mut curve.epochs {
        let fall = 30.0 * (-(epoch.number as f64)).exp();
        epoch.training_loss = epoch.training_loss.map(|loss| loss + fall);
        epoch.learning_rate = None;
    }
    curve.best_epoch = Some(29);
    curve
}

fn ordinary() -> Vec<(&'static str, Box<dyn Picture>)> {
    let mut pictures = task_samples::ordinary();
    pictures.extend(series_pictures());
    pictures
}

fn series_pictures() -> Vec<(&'static str, Box<dyn Picture>)> {
    vec![
        ("forecast-1", Box::new(plain(forecast_plot(1)))),
        ("forecast-1-bands", Box::new(forecast_plot(1))),
        ("forecast-3", Box::new(plain(forecast_plot(3)))),
        ("forecast-7", Box::new(plain(forecast_plot(7)))),
        ("forecast-10-bands", Box::new(forecast_plot(10))),
        ("training", Box::new(training_curve())),
        ("forecast-short", Box::new(short_forecast_plot())),
        ("training-steep", Box::new(steep_training_curve())),
        ("horizon", Box::new(horizon_plot())),
        ("bars", Box::new(bars_plot())),
    ]
}

/// Points of all kinds that break careless code.
fn odd_points() -> Vec<Vec<Point>> {
    vec![
        vec![],
        vec![(0, Some(1.0))],
        vec![(5, None), (6, None)],
        (0..20).map(|at| (at, Some(3.0))).collect(),
        vec![(0, Some(f64::NAN)), (1, Some(f64::INFINITY)), (2, Some(1.0))],
        vec![(0, Some(-1e308)), (1, Some(1e308))],
        vec![(i64::MIN, Some(0.0)), (i64::MAX, Some(1e-310))],
    ]
}

fn odd() -> Vec<Box<dyn Picture>> {
    let mut pictures = task_samples::odd();
    for points in odd_points() {
        for time in [TimeKind::UnixSeconds, TimeKind::Step] {
            let panel = ForecastPanel {
                channel: "x".to_owned(),
                context: points.clone(),
                truth: Some(points.clone()),
                forecast: points.clone(),
                bands: vec![Interval {
                    level: 0.9,
                    lower: vec![f64::NAN, 0.0],
                    upper: vec![1.0; 3],
                }],
                unit: None,
                earlier: vec![Run { forecast: points.clone(), bands: Vec::new() }],
            };
            pictures.push(Box::new(ForecastPlot {
                title: String::new(),
                subtitle: String::new(),
                time,
                panels: vec![panel; 5],
                number: 5,
            }));
        }
        let values: Vec<f64> = points.iter().map(|p| p.1.unwrap_or(f64::NAN)).collect();
        let mut horizon = horizon_plot();
        horizon.curves[1].errors = values.clone();
        horizon.curves.truncate(2);
        pictures.push(Box::new(horizon));
        let mut training = training_curve();
        training.epochs.truncate(points.len());
        for (epoch, value) in training.epochs.iter_mut().zip(&values) {
            epoch.validation_loss = Some(*value);
            epoch.learning_rate = None;
        }
        pictures.push(Box::new(training));
        let mut bars = bars_plot();
        bars.bars.truncate(values.len());
        for (bar, value) in bars.bars.iter_mut().zip(&values) {
            bar.value = *value;
        }
        pictures.push(Box::new(bars));
    }
    pictures.push(Box::new(forecast_plot(0)));
    pictures
}

/// Panics unless tags nest and close, attributes are quoted, and every number is one.
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
    for word in ["NaN", "inf", "-0\""] {
        assert!(!svg.contains(word), "{word} in {svg}");
    }
    assert!(!svg.chars().any(|c| c.is_control() && c != '\n'));
}

fn svg_text(picture: &dyn Picture) -> String {
    to_svg(picture).unwrap().as_str().to_owned()
}

#[test]
fn svg_of_ordinary_pictures_is_well_formed() {
    for (name, picture) in ordinary() {
        let svg = svg_text(picture.as_ref());
        assert_well_formed(&svg);
        assert!(svg.len() > 3_000, "{name} is nearly empty");
    }
}

#[test]
fn odd_data_give_well_formed_pictures() {
    for picture in odd() {
        assert_well_formed(&svg_text(picture.as_ref()));
    }
}

#[test]
fn odd_data_can_be_written_as_png() {
    let folder = tempfile::tempdir().unwrap();
    for picture in odd().iter().step_by(3) {
        save(&folder.path().join("odd.png"), picture.as_ref()).unwrap();
    }
}

#[test]
fn pictures_are_saved_as_svg_and_png() {
    let temporary = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("PTSM_PICTURES");
    let folder = kept.as_deref().map_or(temporary.path(), Path::new);
    for (name, picture) in ordinary() {
        let png = folder.join(format!("{name}.png"));
        save(&png, picture.as_ref()).unwrap();
        let bytes = std::fs::read(&png).unwrap();
        assert_eq!(bytes[..8], *b"\x89PNG\r\n\x1a\n");
        // Two pixels for each of the 960 logical ones.
        assert_eq!(bytes[16..20], 1920_u32.to_be_bytes());
        let svg = folder.join(format!("{name}.SVG"));
        save(&svg, picture.as_ref()).unwrap();
        let text = std::fs::read_to_string(&svg).unwrap();
        assert_eq!(text, svg_text(picture.as_ref()));
    }
}

#[test]
fn another_extension_names_both_that_work() {
    let error = save(Path::new("a.pdf"), &bars_plot()).unwrap_err();
    assert_eq!(error.kind(), ptsm::ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(text.contains("a.pdf") && text.contains(".svg") && text.contains(".png"), "{text}");
    assert!(save(Path::new("plain"), &bars_plot()).is_err());
}

#[test]
fn failed_save_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken.svg");
    std::fs::create_dir(&taken).unwrap();
    let error = save(&taken, &bars_plot()).unwrap_err();
    assert_eq!(error.kind(), ptsm::ErrorKind::Io);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let missing = folder.path().join("no/such/a.png");
    assert_eq!(save(&missing, &bars_plot()).unwrap_err().kind(), ptsm::ErrorKind::Io);
}

#[test]
fn hostile_names_are_escaped() {
    let mut plot = forecast_plot(2);
    plot.title = "<script>alert(\"1\")</script>\u{0}".to_owned();
    plot.panels[0].channel = "</text><b a='x'>&\u{1b}".to_owned();
    let svg = svg_text(&plot);
    assert_well_formed(&svg);
    assert!(!svg.contains("<script") && !svg.contains("<b "));
}

#[test]
fn more_than_eight_channels_are_cut_with_a_note() {
    let svg = svg_text(&forecast_plot(10));
    assert!(svg.contains("the first 8 of 10"));
    assert!(svg.contains("\nload\n") && !svg.contains("\nwind\n"));
    assert!(!svg_text(&forecast_plot(8)).contains("the first"));
}

#[test]
fn missing_points_are_gaps_in_the_context() {
    let lines = |plot: &ForecastPlot| {
        let is_line = |s: &&scene::Shape| {
            matches!(s, scene::Shape::Line { colour: style::Colour::Context, .. })
        };
        plot.scene().shapes.iter().filter(is_line).count()
    };
    let mut plot = plain(forecast_plot(1));
    assert_eq!(lines(&plot), 2);
    plot.panels[0].context.retain(|point| point.1.is_some());
    assert_eq!(lines(&plot), 1);
}
