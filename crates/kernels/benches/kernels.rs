//! `cargo bench -p ptsm-kernels`: the rate of each kernel at the sizes of real models, in billions of
//! floating-point operations (or elements) per second, and for products as a percentage of the measured
//! peak.

// A benchmark prints what it measured.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use ptsm_kernels::{
    ColumnLinear, Finish, Isa, LayerNorm, Matrix, MatrixMut, MatrixShape, PaddedRows, ProductShape,
    RowLinear, Strided, Write, dropout, gate_rows, gelu, gelu_backward, measure_fma_peak,
    normalise_columns, product, softmax_rows,
};

/// Patches, width and expansion of a model, and its channels.
struct Shape {
    name: &'static str,
    patches: usize,
    width: usize,
    expansion: usize,
    channels: usize,
}

const SHAPES: [Shape; 5] = [
    Shape { name: "seed", patches: 64, width: 16, expansion: 2, channels: 7 },
    Shape { name: "notebook", patches: 32, width: 48, expansion: 3, channels: 7 },
    Shape { name: "large", patches: 63, width: 48, expansion: 5, channels: 7 },
    Shape { name: "long", patches: 2048, width: 16, expansion: 2, channels: 7 },
    Shape { name: "longest", patches: 4096, width: 16, expansion: 2, channels: 1 },
];

/// Numbers between -1 and 1.
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * 12.9898).sin()).collect()
}

/// Seconds of the fastest call in a tenth of a second.
fn fastest(mut call: impl FnMut()) -> f64 {
    let (began, mut best) = (Instant::now(), f64::INFINITY);
    while began.elapsed() < Duration::from_millis(100) {
        let start = Instant::now();
        call();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

/// The work of one call of a kernel.
#[derive(Clone, Copy)]
enum Work {
    /// Floating-point operations, on a core whose peak is `peak` GFLOP/s.
    Flops { count: usize, peak: f64 },
    /// Elements processed.
    Elements(usize),
}

fn line(shape: &Shape, kernel: &str, work: Work, seconds: f64) {
    let rate = |count: usize| count as f64 / seconds / 1e9;
    print!("{:9} {kernel:24} ", shape.name);
    match work {
        Work::Flops { count, peak } => {
            let share = 100.0 * rate(count) / peak;
            println!("{:8.2} GFLOP/s  {share:5.1} % of peak", rate(count));
        }
        Work::Elements(count) => println!("{:8.2} Gelem/s", rate(count)),
    }
}

fn products(isa: Isa, shape: &Shape, peak: f64) {
    let Shape { patches, width, expansion, channels, .. } = *shape;
    let (n, wide, d) = (patches, patches * expansion, width);
    let (pitch, wide_pitch) = (isa.pad(n), isa.pad(wide));
    let rows = d * channels.min(8);
    let bias = numbers(wide.max(d * expansion));
    let measure = |kernel: &str, count: usize, call: &mut dyn FnMut()| {
        line(shape, kernel, Work::Flops { count, peak }, fastest(call));
    };
    let (x, mut hidden) = (numbers(rows * pitch), vec![0.0; rows * wide_pitch]);
    let mut out = vec![0.0; rows * pitch];
    let w = numbers(n * wide);
    let fc1 = RowLinear::new(isa, n, wide, &w, &bias[..wide]);
    let fc2 = RowLinear::new(isa, wide, n, &w, &bias[..n]);
    measure("patch fc1 + GELU", 2 * rows * n * wide, &mut || {
        let (x, out) = (Matrix::new(black_box(&x), pitch), MatrixMut::new(&mut hidden, wide_pitch));
        fc1.apply(rows, x, Finish::Gelu, out);
    });
    measure("patch fc2", 2 * rows * n * wide, &mut || {
        let (x, out) =
            (Matrix::new(black_box(&hidden), wide_pitch), MatrixMut::new(&mut out, pitch));
        fc2.apply(rows, x, Finish::Store, out);
    });
    let padded = isa.pad(n);
    let mut sums = vec![0.0; wide * padded];
    measure("patch fc1 gradient", 2 * rows * padded * wide, &mut || {
        let d = Strided { values: &hidden, row: 1, step: wide_pitch };
        let shape = ProductShape { rows: wide, columns: padded, inner: rows };
        let (x, out) = (Matrix::new(black_box(&x), pitch), MatrixMut::new(&mut sums, padded));
        product(isa, shape, d, x, Finish::Add, out);
    });
    let w = numbers(d * d * expansion);
    let fc1 = ColumnLinear::new(isa, d, d * expansion, &w, &bias[..d * expansion]);
    let mut wide_columns = vec![0.0; d * expansion * pitch];
    measure("feature fc1", 2 * pitch * d * d * expansion, &mut || {
        let x = Matrix::new(black_box(&x[..d * pitch]), pitch);
        fc1.apply(pitch, x, Finish::Store, MatrixMut::new(&mut wide_columns, pitch));
    });
}

fn elementwise(isa: Isa, shape: &Shape) {
    let (n, d) = (shape.patches, shape.width);
    let pitch = isa.pad(n);
    let x = numbers(d * pitch);
    let mut out = vec![0.0; d * pitch];
    let elements = Work::Elements(d * pitch);
    line(shape, "GELU", elements, fastest(|| gelu(isa, black_box(&x), &mut out)));
    let seconds = fastest(|| gelu_backward(isa, black_box(&x), &x, &mut out));
    line(shape, "GELU backward", elements, seconds);
    let columns = MatrixShape { rows: d, columns: pitch };
    let norm = LayerNorm { weight: &x[..d], bias: &x[..d], eps: 1e-5 };
    let seconds = fastest(|| {
        let (x, out) = (Matrix::new(black_box(&x), pitch), MatrixMut::new(&mut out, pitch));
        normalise_columns(isa, columns, x, norm, out)
    });
    line(shape, "layer norm", elements, seconds);
    let seconds = fastest(|| softmax_rows(isa, pitch, black_box(&mut out)));
    line(shape, "softmax of rows", elements, seconds);
    let mut logits = x.clone();
    let rows = PaddedRows { width: n, pitch };
    let seconds =
        fastest(|| gate_rows(isa, rows, black_box(&mut logits), &x, &mut out, Write::Add));
    line(shape, "gate of rows", elements, seconds);
    let seconds = fastest(|| dropout(isa, 1, 2, 0.3, black_box(&mut out)));
    line(shape, "dropout", elements, seconds);
}

fn main() {
    let isa = Isa::from_env().unwrap_or(Isa::Portable);
    let peak = (0..5).map(|_| measure_fma_peak(isa)).fold(0.0, f64::max);
    println!("{}, one core: {peak:.1} GFLOP/s at most", isa.name());
    for shape in &SHAPES {
        products(isa, shape, peak);
        elementwise(isa, shape);
    }
}
