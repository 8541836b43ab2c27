//! Pipelines with the model's owner and its feeds are started and stopped in any order, again and again. Each cycle ends
//! with every frame accounted for and nothing of ours left; over all of them memory, descriptors and threads do not grow.

use std::time::{Duration, Instant};

use fastrand::Rng;
use gst::prelude::*;
use gstnextvision::runtime::Runtime;

use crate::{
    Fallible,
    cameras::Camera,
    processor::Processor,
    setting,
    soak::resources::{self, Resources},
};

const FEEDS: usize = 3;

pub fn run() -> Fallible<bool> {
    let cycles: u32 = setting("CYCLES", 2000)?;
    let seed = setting("SEED", fastrand::u32(..) as u64)?;
    println!("cycles: {cycles}, SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let before = resources::Sample::now();
    let mut resources = Resources::default();
    let begun = Instant::now();
    let (mut frames, mut slowest, mut sample) = (0, Duration::ZERO, Duration::ZERO);
    for number in 1..=cycles {
        let cycle = Instant::now();
        frames += one(&mut random)?;
        slowest = slowest.max(cycle.elapsed());
        if begun.elapsed() >= sample {
            resources.add(begun.elapsed());
            sample += Duration::from_secs(1);
        }
        if number % 200 == 0 {
            println!("{number:6} cycles, {:5.0} s, {}", begun.elapsed().as_secs_f64(), resources.last());
        }
    }
    println!("{cycles} cycles in {:.0} s, {frames} frames, slowest {slowest:.2?}", begun.elapsed().as_secs_f64());
    let left = resources::what_is_left(&before);
    println!("left at the end: {left}");
    let steady = resources.judge(begun.elapsed());
    let held = steady && left.is_nothing();
    println!("cycles: {}", if held { "HELD" } else { "FAILED" });
    Ok(held)
}

/// Starts all in random order, and stops all in another one. Returns how many frames came in.
fn one(random: &mut Rng) -> Fallible<u64> {
    let mut processor = None;
    let mut cameras: [Option<Camera>; FEEDS] = Default::default();
    let mut order: Vec<usize> = (0..=FEEDS).collect();
    random.shuffle(&mut order);
    for &which in &order {
        match cameras.get_mut(which) {
            Some(camera) => {
                let rate = random.u32(30..=200);
                *camera = Some(Camera::start(&format!("f{which}"), rate, random.bool(), "processor-id=cycled")?);
            }
            None => processor = Some(Processor::load("cycled", "mean", "instances=2 max-batch-size=4")?),
        }
    }
    // Some cycles end at once, and some in the middle of a stream.
    if random.bool() {
        let watched = cameras.iter().flatten().next().ok_or("no camera")?;
        let until = Instant::now() + Duration::from_secs(60);
        while watched.count("results") == 0 {
            if Instant::now() > until {
                return Err(format!("no result within a minute: {}", watched.stats()).into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    random.shuffle(&mut order);
    let mut frames = 0;
    for which in order {
        match cameras.get_mut(which) {
            Some(camera) => {
                let Some(camera) = camera.take() else { continue };
                if !camera.is_conserved() {
                    return Err(format!("a frame has disappeared: {}", camera.stats()).into());
                }
                frames += camera.count("received");
                camera.pipeline.set_state(gst::State::Null)?;
            }
            None => drop(processor.take()),
        }
    }
    let runtime = Runtime::get();
    match (runtime.feeds().len(), runtime.processors().len()) {
        (0, 0) => Ok(frames),
        left => Err(format!("feeds and processors that are left: {left:?}").into()),
    }
}
