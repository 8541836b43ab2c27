//! What a processor costs in memory, and that it does not grow.
//!
//! `cargo bench --bench memory`. Each row is a process of its own, for memory that was used once is not given back.

mod common;

use std::{env, process::Command, thread, time::Duration};

use common::{bench_model, count, resident_mb, start, stats, stop, tell};
use gstnextvision::inference::{DecoderKind, Model, ModelConfig, Session};

/// ResNet-18: 47 MB of weights.
const MODEL: &str = "resnet18.onnx";
/// Of the processor with feeds.
const INSTANCES: usize = 4;
const BATCH: usize = 4;
const FEEDS: usize = 16;
const FRAME_BYTES: usize = 224 * 224 * 3;
/// A feed's own, and its pipeline's with a thread and its stack.
const FEED_MB: f64 = 0.064;
const PIPELINE_MB: f64 = 0.5;
const MEASURED_PARTS: usize = 5;
const CHANGING: [(&str, usize); 2] = [("mean.onnx", 10_000), ("mobilenetv3-small.onnx", 3_000)];
const LARGEST: usize = 8;

fn main() {
    let argument = |name: &str| env::var(name).ok();
    if let Some(instances) = argument("NV_MEMORY_OF").and_then(|set| set.parse().ok()) {
        return sessions(instances);
    }
    if argument("NV_MEMORY_PARTS").is_some() {
        return parts();
    }
    if argument("NV_MEMORY_FEEDS").is_some() {
        return processor();
    }
    if let Some((model, batches)) = argument("NV_MEMORY_CHANGING").as_deref().and_then(|set| set.split_once(' ')) {
        return changing(model, batches.parse().expect("a number"));
    }
    println!("ResNet-18, 47 MB of weights, batch 1: resident memory added by");
    for instances in [1, 2, 4, 8] {
        again("NV_MEMORY_OF", &instances.to_string());
    }
    println!("\nA processor of {INSTANCES} instances, batch {BATCH}, and {FEEDS} feeds");
    again("NV_MEMORY_FEEDS", "yes");
    println!("\nOne instance, batches of 1 to {LARGEST} frames by chance");
    for (model, batches) in CHANGING {
        again("NV_MEMORY_CHANGING", &format!("{model} {batches}"));
    }
}

fn again(name: &str, value: &str) {
    let this = env::current_exe().expect("a path of its own");
    let status = Command::new(this).env(name, value).status();
    assert!(status.expect("it starts").success());
}

fn load(name: &str) -> Model {
    let config = ModelConfig {
        model: bench_model(name),
        decoder: DecoderKind::Tensors,
        intra_op_threads: 1,
        ..ModelConfig::default()
    };
    Model::load(&config).expect("the model loads")
}

fn run(session: &mut Session, input: &[u8], batch: usize) {
    session.run(input, batch, |_| ()).expect("the model runs");
}

fn sessions(instances: usize) {
    common::init();
    let before = resident_mb();
    let model = load(MODEL);
    let mut sessions: Vec<_> = (0..instances).map(|_| model.session().expect("a session")).collect();
    let loaded = resident_mb() - before;
    let input = vec![0; model.description().input.frame_bytes()];
    sessions.iter_mut().for_each(|session| run(session, &input, 1));
    println!("  {instances} instances: {loaded:4.0} MB loaded, {:4.0} MB after a run", resident_mb() - before);
}

/// A model whose one session has run, and what a second session adds.
fn parts() {
    common::init();
    let model = load(MODEL);
    let input = vec![1; model.description().input.frame_bytes() * BATCH];
    let added = || {
        let before = resident_mb();
        let mut session = model.session().expect("a session");
        (0..3).for_each(|_| run(&mut session, &input, BATCH));
        (session, resident_mb() - before)
    };
    let (_one, first) = added();
    let (_two, second) = added();
    println!("{} {second}", first - second);
}

/// MB of the model and of an arena. What loading has freed is sometimes used again, and not seen: that of several processes
/// with the largest arena tells. Both of one process, for what one lacks the other may have.
fn parts_mb() -> (f64, f64) {
    let this = env::current_exe().expect("a path of its own");
    let measured = (0..MEASURED_PARTS).map(|_| {
        let output = Command::new(&this).env("NV_MEMORY_PARTS", "yes").output().expect("it starts");
        let told = String::from_utf8(output.stdout).expect("text");
        let (model, arena) = told.trim().split_once(' ').expect("two numbers");
        [model, arena].map(|number| number.parse::<f64>().expect("a number"))
    });
    let [model, arena] = measured.max_by(|one, other| one[1].total_cmp(&other[1])).expect("one at least");
    (model, arena)
}

/// At most one model, the arenas of its instances, the memory of batches, and frames that wait.
fn processor() {
    common::init();
    let (model_mb, arena_mb) = parts_mb();
    // The library itself is not what a processor takes.
    let mut session = load("mean.onnx").session().expect("a session");
    let input = vec![1; FRAME_BYTES * size_of::<f32>()];
    run(&mut session, &input, 1);
    drop((session, input));
    trim();
    let before = resident_mb();
    let owner = start(&format!(
        "nvbatch processor-id=bench decoder=tensors model={} instances={INSTANCES} intra-op-threads=1 \
         max-batch-size={BATCH}",
        bench_model(MODEL).display()
    ));
    let feeds: Vec<_> = (0..FEEDS)
        .map(|_| {
            start(
                "videotestsrc pattern=black ! video/x-raw,format=RGB,width=224,height=224 \
                 ! nvfeed processor-id=bench message=false leaky=no",
            )
        })
        .collect();
    thread::sleep(Duration::from_secs(5));
    let resident = resident_mb() - before;
    let ran = count(&stats(&owner), "batches");
    feeds.iter().chain([&owner]).for_each(stop);

    let mb = |bytes: usize| bytes as f64 / 1e6;
    let batches_mb = mb((INSTANCES + 2) * BATCH * FRAME_BYTES * size_of::<f32>());
    // Two that wait, one in the hands of the streaming thread, and one that the source fills.
    let frames_mb = mb(FEEDS * 4 * FRAME_BYTES);
    let feeds_mb = FEEDS as f64 * (FEED_MB + PIPELINE_MB);
    let allowed = model_mb + INSTANCES as f64 * arena_mb + batches_mb + frames_mb + feeds_mb;
    println!(
        "  model {model_mb:.0} MB + {INSTANCES} arenas of {arena_mb:.1} + batches {batches_mb:.1} + frames {frames_mb:.1} \
         + feeds {feeds_mb:.1} = {allowed:.0} MB; {ran} batches were run"
    );
    tell("resident memory added", resident, "MB", allowed);
}

/// Long runs with changing batch sizes do not grow.
fn changing(name: &str, batches: usize) {
    common::init();
    let model = load(name);
    let mut session = model.session().expect("a session");
    let input = vec![0; model.description().input.frame_bytes() * LARGEST];
    let mut random = 1u32;
    let mut some = |batches: usize| {
        for _ in 0..batches {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            run(&mut session, &input, 1 + (random >> 16) as usize % LARGEST);
        }
        resident_mb()
    };
    let early = some(batches / 10);
    let late = some(batches - batches / 10);
    println!("  {name}: {early:.1} MB after {} batches, {late:.1} MB after {batches}", batches / 10);
    tell("growth", late - early, "MB", 1.0);
}

fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
