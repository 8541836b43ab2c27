//! Frames a second through the plugin, held against what ONNX Runtime alone gives with inputs that are ready.
//!
//! `make bench` prints one table. These machines are noisy: read the ratios, which come from one run, interleaved.

use std::{
    path::{Path, PathBuf},
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use gst::prelude::*;
use gstnextvision::inference::{DecoderKind, Model, ModelConfig};

const SEARCH: Duration = Duration::from_millis(700);
const WARM_UP: Duration = Duration::from_millis(700);
const MEASURE: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;

/// One way of running the library by itself.
#[derive(Clone, Copy, Debug)]
struct Setting {
    instances: usize,
    threads: usize,
    batch: usize,
}

fn main() {
    gst::init().expect("GStreamer starts");
    gstnextvision::plugin_register_static().expect("the plugin registers");
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} cores; frames/s, the median of {ROUNDS} rounds of {} s\n", MEASURE.as_secs());

    let model = bench_model("mobilenetv3-small.onnx");
    println!("MobileNetV3-small, 224x224 RGB");
    let best = search(&model, cores);
    let mut ceiling = Vec::new();
    let feeds = [1, 4, 8, 16];
    let mut served = vec![(Vec::new(), Vec::new()); feeds.len()];
    // A machine that others use drifts: each rate is held against the ceiling just before it.
    for _ in 0..ROUNDS {
        for ((rates, ratios), &feeds) in served.iter_mut().zip(&feeds) {
            let alone = library_alone(&model, best, MEASURE);
            let rate = plugin(&model, feeds);
            ceiling.push(alone);
            rates.push(rate);
            ratios.push(rate / alone);
        }
    }
    println!("  the library alone: {:8.0}   ({best:?})", median(&mut ceiling));
    for ((rates, ratios), feeds) in served.iter_mut().zip(feeds) {
        let (rate, ratio) = (median(rates), median(ratios));
        let spread = format!("{:.2} to {:.2}", ratios[0], ratios[ratios.len() - 1]);
        let goal = if feeds == 1 { 0.80 } else { 0.90 };
        println!("  {feeds:2} feeds         : {rate:8.0}   {ratio:.2} of the ceiling ({spread}; goal {goal:.2})");
    }

    let goal = if cores >= 4 { 20_000.0 } else { 10_000.0 };
    let mut served: Vec<_> = (0..ROUNDS).map(|_| plugin(&bench_model("mean.onnx"), 8)).collect();
    println!("\nA mean over the image, 224x224 RGB");
    println!("   8 feeds         : {:8.0}   (goal {goal:.0})", median(&mut served));
}

fn bench_model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/models").join(name)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The best of instances x threads x batch.
fn search(model: &Path, cores: usize) -> Setting {
    let mut ways: Vec<_> = (1..=cores).map(|instances| (instances, 1)).collect();
    ways.extend([(1, cores), (cores.div_ceil(2), 2)]);
    let mut best = (Setting { instances: 1, threads: 1, batch: 1 }, 0.0);
    for (instances, threads) in ways {
        for batch in [1, 2, 4, 8, 16] {
            let setting = Setting { instances, threads, batch };
            let rate = library_alone(model, setting, SEARCH);
            if rate > best.1 {
                best = (setting, rate);
            }
        }
    }
    best.0
}

/// Frames a second of the library with inputs that are ready.
fn library_alone(model: &Path, setting: Setting, time: Duration) -> f64 {
    let config = ModelConfig {
        model: model.into(),
        decoder: DecoderKind::Tensors,
        intra_op_threads: setting.threads,
        ..ModelConfig::default()
    };
    let model = Model::load(&config).expect("the model loads");
    let frame_bytes = model.description().input.frame_bytes();
    let (frames, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let ready = Barrier::new(setting.instances + 1);
    let elapsed = thread::scope(|scope| {
        for _ in 0..setting.instances {
            let mut session = model.session().expect("a session");
            let (frames, stop, ready) = (&frames, &stop, &ready);
            scope.spawn(move || {
                let input = vec![0f32; frame_bytes / 4 * setting.batch];
                // SAFETY: floats are plain bytes, and any alignment of theirs suits bytes.
                let bytes = unsafe { std::slice::from_raw_parts(input.as_ptr().cast(), input.len() * 4) };
                session.run(bytes, setting.batch, |_| ()).expect("the model runs");
                ready.wait();
                while !stop.load(Ordering::Relaxed) {
                    session.run(bytes, setting.batch, |_| ()).expect("the model runs");
                    frames.fetch_add(setting.batch as u64, Ordering::Relaxed);
                }
            });
        }
        ready.wait();
        let begun = Instant::now();
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        let elapsed = begun.elapsed();
        (frames.load(Ordering::Relaxed), elapsed)
    });
    elapsed.0 as f64 / elapsed.1.as_secs_f64()
}

/// Frames a second of `feeds` pipelines that share one processor, all of its settings automatic.
fn plugin(model: &Path, feeds: usize) -> f64 {
    let owner = gst::parse::launch(&format!("nvbatch processor-id=bench decoder=tensors model={}", model.display()))
        .expect("the processor's line");
    owner.set_state(gst::State::Playing).expect("the model loads");
    let pipelines: Vec<gst::Element> = (0..feeds)
        .map(|_| {
            gst::parse::launch(
                "videotestsrc pattern=black ! video/x-raw,format=RGB,width=224,height=224 \
                 ! nvfeed name=feed processor-id=bench message=false leaky=no",
            )
            .expect("a feed's line")
        })
        .collect();
    for pipeline in &pipelines {
        pipeline.set_state(gst::State::Playing).expect("a feed starts");
    }
    thread::sleep(WARM_UP);
    let (before, begun) = (results(&pipelines), Instant::now());
    thread::sleep(MEASURE);
    let rate = (results(&pipelines) - before) as f64 / begun.elapsed().as_secs_f64();
    for pipeline in pipelines.iter().chain([&owner]) {
        pipeline.set_state(gst::State::Null).expect("a pipeline stops");
    }
    rate
}

fn results(pipelines: &[gst::Element]) -> u64 {
    let of = |pipeline: &gst::Element| {
        let bin = pipeline.downcast_ref::<gst::Bin>().expect("a pipeline");
        let stats: gst::Structure = bin.by_name("feed").expect("the feed").property("stats");
        stats.get::<u64>("results").expect("a count")
    };
    pipelines.iter().map(of).sum()
}
