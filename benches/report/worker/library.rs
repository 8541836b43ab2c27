//! The ceiling: ONNX Runtime alone, with inputs that are ready.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use gstnextvision::inference::{DecoderKind, Model, ModelConfig, Session};

use super::usage;
use crate::job::{Figures, Job, Setting};

/// Runs of one frame by one thread whose median is what an inference takes.
const RUNS: usize = 50;
/// Seconds that a batch may take on one thread: larger ones are not looked at.
const LONGEST_RUN: f64 = 0.3;
/// The best ones of the first look are looked at again, for longer.
const SECOND_LOOK: usize = 4;

pub fn run(job: &Job) -> Figures {
    let setting = job.setting.expect("a setting");
    measure(job, setting, Duration::from_secs_f64(job.window))
}

/// The best of instances x threads x batch.
pub fn search(job: &Job) -> Setting {
    let inference_ms = one_run(job, Duration::ZERO);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut ways: Vec<_> = (1..=cores).map(|instances| (instances, 1)).collect();
    ways.extend([(1, cores), (cores.div_ceil(2), 2)]);
    let mut rates = Vec::new();
    for (instances, threads) in ways {
        let mut batch = 1;
        while batch <= 16 && batch as f64 * inference_ms / 1e3 <= LONGEST_RUN {
            let setting = Setting { instances, threads, batch };
            rates.push((measure(job, setting, Duration::from_secs_f64(job.window)).rate(), setting));
            batch *= 2;
        }
    }
    rates.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    rates.truncate(SECOND_LOOK);
    let again = |&(_, setting): &(f64, Setting)| {
        (measure(job, setting, Duration::from_secs_f64(job.window * 3.0)).rate(), setting)
    };
    let best = rates.iter().map(again).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.expect("at least batch 1").1
}

pub fn load(job: &Job, threads: usize) -> Model {
    let config = ModelConfig {
        model: job.model.clone().into(),
        decoder: DecoderKind::Tensors,
        intra_op_threads: threads,
        ..ModelConfig::default()
    };
    Model::load(&config).expect("the model loads")
}

/// A ready input, and a session that has run it once.
pub fn warm(model: &Model, batch: usize) -> (Session, Vec<f32>) {
    let mut session = model.session().expect("a session");
    // Values of pixels: memory that was only asked for, all zeros, would lie in a single page and cost nothing to read.
    let numbers = model.description().input.frame_bytes() / 4 * batch;
    let input: Vec<f32> = (0..numbers).map(|index| (index % 256) as f32 / 255.0).collect();
    run_once(&mut session, &input, batch);
    (session, input)
}

pub fn run_once(session: &mut Session, input: &[f32], batch: usize) {
    // SAFETY: floats are plain bytes, and any alignment of theirs suits bytes.
    let bytes = unsafe { std::slice::from_raw_parts(input.as_ptr().cast(), size_of_val(input)) };
    session.run(bytes, batch, |_| ()).expect("the model runs");
}

/// Median milliseconds of one run of one frame by one thread, each `pause` after the one before.
pub fn one_run(job: &Job, pause: Duration) -> f64 {
    let (mut session, input) = warm(&load(job, 1), 1);
    let mut millis: Vec<f64> = (0..RUNS)
        .map(|_| {
            thread::sleep(pause);
            let begun = Instant::now();
            run_once(&mut session, &input, 1);
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    millis.sort_by(f64::total_cmp);
    millis[RUNS / 2]
}

fn measure(job: &Job, setting: Setting, window: Duration) -> Figures {
    let model = load(job, setting.threads);
    let stop = AtomicBool::new(false);
    let ready = Barrier::new(setting.instances + 1);
    let (done, cpu_seconds) = thread::scope(|scope| {
        let start = |_| {
            let (model, stop, ready) = (&model, &stop, &ready);
            scope.spawn(move || {
                let (mut session, input) = warm(model, setting.batch);
                ready.wait();
                let (begun, mut runs) = (Instant::now(), 0u64);
                while !stop.load(Ordering::Relaxed) {
                    run_once(&mut session, &input, setting.batch);
                    runs += 1;
                }
                (runs * setting.batch as u64, begun.elapsed().as_secs_f64())
            })
        };
        let instances: Vec<_> = (0..setting.instances).map(start).collect();
        ready.wait();
        let before = usage::cpu_seconds();
        thread::sleep(window);
        stop.store(true, Ordering::Relaxed);
        let done: Vec<_> = instances.into_iter().map(|instance| instance.join().expect("it ran")).collect();
        (done, usage::cpu_seconds() - before)
    });
    // Each instance by its own clock: the run that was under way at the end counts with the time it took.
    let frames = done.iter().map(|(frames, _)| frames).sum();
    let rate: f64 = done.iter().map(|&(frames, seconds)| frames as f64 / seconds).sum();
    Figures {
        frames,
        seconds: frames as f64 / rate,
        cpu_seconds,
        peak_mb: usage::peak_mb(),
        latency: None,
        library: None,
    }
}
