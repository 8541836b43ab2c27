//! What a linked `nvbatch` costs a frame beyond the model's run: preparing its picture, adding 20 objects as metadata, and
//! handing it from upstream's thread to the instance's and on to the source pad's.
//!
//! `cargo bench --bench linked`. Time of all threads on the CPU, which other users of the machine disturb least; the ways
//! are measured in turn, and each figure is the median of the rounds.

use std::path::{Path, PathBuf};

use gst::prelude::*;
use gstnextvision::inference::{DecoderKind, InputSpec, Model, ModelConfig, Preprocessor};

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

    let [mut added, mut prepared, mut all] = [Vec::new(), Vec::new(), Vec::new()];
    // The first round warms up.
    for round in 0..=ROUNDS {
        let (library, preparing) = alone(&model);
        let without = pipeline("");
        let nothing = pipeline("! nvbatch processor-id=linked leaky=no threshold=1");
        let objects = pipeline("! nvbatch processor-id=linked leaky=no");
        if round > 0 {
            added.push(objects - nothing);
            prepared.push(preparing);
            all.push(objects - without - library);
        }
    }
    owner.set_state(gst::State::Null).expect("the processor stops");
    println!(
        "A linked nvbatch, 224x224 RGB, 20 objects, the median of {ROUNDS} rounds of {FRAMES} frames; a frame costs"
    );
    println!("  the metadata:                {:5.1} us   (goal {GOAL:.0})", median(&mut added));
    println!("  preparing the picture:       {:5.1} us", median(&mut prepared));
    println!("  all beyond the model's run:  {:5.1} us", median(&mut all));
}

/// Microseconds of CPU time that a frame costs through a pipeline with `middle`.
fn pipeline(middle: &str) -> f64 {
    let line = format!("videotestsrc num-buffers={FRAMES} {SOURCE} {middle} ! fakesink name=sink");
    let pipeline = gst::parse::launch(&line).expect("a pipeline");
    let bus = pipeline.bus().expect("its bus");
    pipeline.set_state(gst::State::Paused).expect("it starts");
    pipeline.state(gst::ClockTime::NONE).0.expect("the first frame comes");
    let begun = cpu_time();
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let end = bus.timed_pop_filtered(None, &[gst::MessageType::Eos, gst::MessageType::Error]);
    let spent = cpu_time() - begun;
    assert_eq!(end.map(|message| message.type_()), Some(gst::MessageType::Eos), "{line}");
    pipeline.set_state(gst::State::Null).expect("it stops");
    spent / f64::from(FRAMES)
}

/// The same for the library with an input that is ready, and for writing that input; on one thread.
fn alone(path: &Path) -> (f64, f64) {
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

fn preparing(spec: &InputSpec, mut place: Vec<u8>) -> f64 {
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, 224, 224).build().expect("a valid size");
    let buffer = gst::Buffer::with_size(info.size()).expect("memory");
    let mut preprocessor = Preprocessor::new(&info, spec).expect("a preprocessor");
    of_each(|| {
        preprocessor.write(&buffer, None, &mut place).expect("a picture");
    })
}

/// Microseconds of CPU time that each of so many takes.
fn of_each(mut one: impl FnMut()) -> f64 {
    let begun = cpu_time();
    (0..FRAMES).for_each(|_| one());
    (cpu_time() - begun) / f64::from(FRAMES)
}

/// Of this process, in microseconds.
fn cpu_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills in what it is given, and knows this clock.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(failed, 0, "Linux has a clock of the process");
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
