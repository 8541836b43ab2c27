//! What a linked `nvbatch` costs a frame beyond the model's run: preparing its picture, adding 20 objects as metadata, and
//! handing it from upstream's thread to the instance's and on to the source pad's.
//!
//! `cargo bench --bench linked`. The ways are measured in turn, and each figure is the median of the rounds.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use gst::prelude::*;
use gstnextvision::inference::{Border, DecoderKind, InputSpec, Model, ModelConfig, Preprocessor};

const FRAMES: u32 = 3000;
const ROUNDS: usize = 9;
/// Microseconds.
const GOAL: f64 = 30.0;
const SOURCE: &str = "pattern=black ! video/x-raw,format=RGB,width=224,height=224";

fn main() {
    gst::init().expect("GStreamer starts");
    gstnextvision::plugin_register_static().expect("the plugin registers");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/models/objects.onnx");
    let owner = gst::parse::launch(&format!(
        "nvbatch processor-id=linked model={} decoder=yolo-end2end instances=1 max-batch-size=1",
        model.display()
    ))
    .expect("the processor's line");
    owner.set_state(gst::State::Playing).expect("the model loads");

    let mut rounds = Vec::new();
    // The first round warms up.
    for round in 0..=ROUNDS {
        let (library, preparing) = alone(&model);
        let without = pipeline("");
        let nothing = pipeline("! nvbatch processor-id=linked leaky=no threshold=1");
        let objects = pipeline("! nvbatch processor-id=linked leaky=no");
        if round > 0 {
            rounds.push([
                objects.beyond(without).beyond(library),
                objects.beyond(nothing),
                preparing,
                objects.beyond(without).beyond(library).beyond(preparing).beyond(objects.beyond(nothing)),
            ]);
        }
    }
    owner.set_state(gst::State::Null).expect("the processor stops");
    println!(
        "A linked nvbatch, 224x224 RGB, 20 objects, the median of {ROUNDS} rounds of {FRAMES} frames; us a frame:"
    );
    println!("{:<42}{:>10}{:>10}", "", "elapsed", "CPU");
    let rows =
        ["beyond the model's run", "  metadata", "  preparing the picture", "  from thread to thread, and the queues"];
    for (row, name) in rows.into_iter().enumerate() {
        let median = |of: fn(&Cost) -> f64| median(rounds.iter().map(|round| of(&round[row])).collect());
        let goal = if row == 0 { format!("   (goal {GOAL:.0})") } else { String::new() };
        println!("{name:<42}{:>10.1}{:>10.1}{goal}", median(|cost| cost.elapsed), median(|cost| cost.cpu));
    }
}

/// What a frame costs, in microseconds.
#[derive(Clone, Copy)]
struct Cost {
    /// Of the clock: what a frame adds where each part of the pipeline has a thread of its own.
    elapsed: f64,
    /// Of all threads together, on the CPU.
    cpu: f64,
}

impl Cost {
    fn beyond(self, other: Self) -> Self {
        Self { elapsed: self.elapsed - other.elapsed, cpu: self.cpu - other.cpu }
    }
}

/// What a frame costs where `work` deals with all of them.
fn of_all(work: impl FnOnce()) -> Cost {
    let begun = (Instant::now(), cpu_time());
    work();
    let (elapsed, cpu) = (begun.0.elapsed().as_secs_f64() * 1e6, cpu_time() - begun.1);
    Cost { elapsed: elapsed / f64::from(FRAMES), cpu: cpu / f64::from(FRAMES) }
}

/// What a frame costs in a pipeline with `middle`.
fn pipeline(middle: &str) -> Cost {
    let line = format!("videotestsrc num-buffers={FRAMES} {SOURCE} {middle} ! fakesink name=sink");
    let pipeline = gst::parse::launch(&line).expect("a pipeline");
    let bus = pipeline.bus().expect("its bus");
    pipeline.set_state(gst::State::Paused).expect("it starts");
    pipeline.state(gst::ClockTime::NONE).0.expect("the first frame comes");
    let cost = of_all(|| {
        pipeline.set_state(gst::State::Playing).expect("it plays");
        let end = bus.timed_pop_filtered(None, &[gst::MessageType::Eos, gst::MessageType::Error]);
        assert_eq!(end.map(|message| message.type_()), Some(gst::MessageType::Eos), "{line}");
    });
    pipeline.set_state(gst::State::Null).expect("it stops");
    cost
}

/// The same for the library with an input that is ready, and for writing that input; on one thread.
fn alone(path: &Path) -> (Cost, Cost) {
    let config = ModelConfig {
        model: PathBuf::from(path),
        decoder: DecoderKind::Tensors,
        intra_op_threads: 1,
        ..ModelConfig::default()
    };
    let model = Model::load(&config).expect("the model loads");
    let mut session = model.session().expect("a session");
    let spec = &model.description().input;
    let input = vec![0; spec.frame_bytes()];
    let library = of_each(|| session.run(&input, 1, |_| ()).expect("the model runs"));
    (library, preparing(spec, input))
}

fn preparing(spec: &InputSpec, mut place: Vec<u8>) -> Cost {
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, 224, 224).build().expect("a valid size");
    let buffer = gst::Buffer::with_size(info.size()).expect("memory");
    let mut preprocessor = Preprocessor::new(&info, spec).expect("a preprocessor");
    let mut border = Border::default();
    of_each(|| {
        preprocessor.write(&buffer, None, &mut place, &mut border).expect("a picture");
    })
}

fn of_each(mut one: impl FnMut()) -> Cost {
    of_all(|| (0..FRAMES).for_each(|_| one()))
}

/// Of this process, in microseconds.
fn cpu_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills in what it is given, and knows this clock.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(failed, 0, "Linux has a clock of the process");
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
