//! How long frames are inside: a live feed alone, sixteen at half of what the machine can do, and the limit of waiting.

mod common;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use common::{Fed, Pace, bench_model, count, frame, quantile, start, stats, stop, tell};
use gst::prelude::*;

const FRAMES: usize = 300;
const LIVE: Duration = Duration::from_millis(33);
const FEEDS: usize = 16;
/// Frames that are still on their way when a measurement ends.
const TAIL: Duration = Duration::from_millis(300);

fn main() {
    common::init();
    println!("from the push of a frame to its result, as the application sees both");
    alone();
    half_of_capacity();
    longest_wait();
}

/// What a result tells: its frame, and nanoseconds of preprocessing, of the run, and of waiting.
struct Told {
    at: Instant,
    frame: usize,
    preprocess: u64,
    inference: u64,
    queue: u64,
}

fn listen(feed: &Fed) -> mpsc::Receiver<Told> {
    let (send, receive) = mpsc::channel();
    let send = Mutex::new(send);
    feed.element.connect("result", false, move |values| {
        let at = Instant::now();
        let result = values[1].get::<&gst::StructureRef>().expect("a result");
        let timing: gst::Structure = result.get("timing").expect("its timing");
        let time = |name: &str| count(&timing, name);
        let told = Told {
            at,
            frame: count(result, "frame") as usize,
            preprocess: time("preprocess-ns"),
            inference: time("inference-ns"),
            queue: time("queue-ns"),
        };
        // Who waited for it may be gone.
        _ = send.lock().expect("nobody panicked").send(told);
        None
    });
    receive
}

fn owner(properties: &str) -> gst::Element {
    let model = bench_model("mobilenetv3-small.onnx");
    start(&format!("nvbatch processor-id=bench decoder=classifier model={} {properties}", model.display()))
}

/// The time inside is preprocessing, one inference, and at most 0.3 ms.
fn alone() {
    let owner = owner("");
    let mut feed = Fed::new("bench", 224, "downstream", &frame(224));
    let results = listen(&feed);
    let (mut beyond, mut inferences) = (Vec::new(), Vec::new());
    let (mut queues, mut tellings) = (Vec::new(), Vec::new());
    for _ in 0..FRAMES {
        let pushed = Instant::now();
        feed.push();
        let Ok(told) = results.recv_timeout(Duration::from_secs(10)) else { continue };
        let inside = told.at - pushed;
        let own = Duration::from_nanos(told.preprocess + told.inference);
        beyond.push(inside.saturating_sub(own).as_secs_f64() * 1e3);
        inferences.push(told.inference as f64 / 1e6);
        queues.push(told.queue as f64 / 1e6);
        tellings.push(inside.saturating_sub(own).as_secs_f64() * 1e3 - told.queue as f64 / 1e6);
        thread::sleep(LIVE.saturating_sub(inside));
    }
    println!("\none live feed at 30 frames/s, MobileNetV3-small, {:.1} ms a run", quantile(&mut inferences, 0.5));
    tell("beyond preprocessing and one inference, p50", quantile(&mut beyond, 0.5), "ms", 0.3);
    println!("  p95 {:.3} ms, p99 {:.3} ms", quantile(&mut beyond, 0.95), quantile(&mut beyond, 0.99));
    let (queue, telling) = (quantile(&mut queues, 0.5), quantile(&mut tellings, 0.5));
    println!("  until the run begins {queue:.3} ms, from its end to the application {telling:.3} ms");
    drop(feed);
    stop(&owner);
}

/// Sixteen live feeds at half of the capacity: p99 inside is at most three inferences of the frame's batch.
fn half_of_capacity() {
    let owner = owner("");
    let mut feeds: Vec<Fed> = (0..FEEDS).map(|_| Fed::new("bench", 224, "no", &frame(224))).collect();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        feeds.iter_mut().for_each(Fed::push);
    }
    let capacity = count(&stats(&owner), "results") as f64 / begun.elapsed().as_secs_f64();
    drop(feeds);

    let mut feeds: Vec<Fed> = (0..FEEDS).map(|_| Fed::new("bench", 224, "downstream", &frame(224))).collect();
    let results: Vec<_> = feeds.iter().map(listen).collect();
    let pushed: Vec<_> = (0..FEEDS).map(|_| Arc::new(Mutex::new(Vec::new()))).collect();
    let rate = capacity / 2.0;
    Pace::new(rate).push(&mut feeds, Duration::from_secs(8), |feed| {
        pushed[feed].lock().expect("nobody panicked").push(Instant::now());
    });
    thread::sleep(TAIL);
    let (mut inside, mut inferences) = (Vec::new(), Vec::new());
    for (results, pushed) in results.iter().zip(&pushed) {
        let pushed = pushed.lock().expect("nobody panicked");
        for told in results.try_iter() {
            let time = (told.at - pushed[told.frame]).as_nanos() as f64;
            inside.push(time / told.inference as f64);
            inferences.push(told.inference as f64 / 1e6);
        }
    }
    let run = quantile(&mut inferences, 0.5);
    println!(
        "\n{FEEDS} live feeds, {rate:.0} frames/s of {capacity:.0} in all, {run:.1} ms a run, {} frames",
        inside.len()
    );
    tell("p99 inside, in inferences of the frame's batch", quantile(&mut inside, 0.99), "x", 3.0);
    println!("  p50 {:.2}, p95 {:.2}", quantile(&mut inside, 0.5), quantile(&mut inside, 0.95));
    drop(feeds);
    stop(&owner);
}

/// Nobody waits for company longer than `max-latency`, to 1 ms. A run takes more than twice as long here, or less would do.
fn longest_wait() {
    const LIMIT: f64 = 20.0;
    const PERIOD: Duration = Duration::from_millis(400);
    const IN_TIME: Duration = Duration::from_millis(15);
    const LATE: Duration = Duration::from_millis(40);
    let model = bench_model("yolov8n.onnx");
    let owner = start(&format!(
        "nvbatch processor-id=bench decoder=tensors model={} instances=1 intra-op-threads=1 max-batch-size=8 \
         max-latency=20000000",
        model.display()
    ));
    let mut feeds =
        [Fed::new("bench", 640, "downstream", &frame(640)), Fed::new("bench", 640, "downstream", &frame(640))];
    let results = [listen(&feeds[0]), listen(&feeds[1])];
    let over = Arc::new(AtomicBool::new(false));
    let sleeper = thread::spawn({
        let over = over.clone();
        move || lateness_of_sleep(Duration::from_secs_f64(LIMIT / 1e3), &over)
    });
    let mut waits = Vec::new();
    for round in 0..150 {
        let begun = Instant::now();
        // The second one always comes a little after the first, but each fifth time it is late.
        let is_late = round % 5 == 4;
        let [first, second] = &mut feeds;
        first.push();
        thread::sleep(if is_late { LATE } else { IN_TIME });
        second.push();
        let told = results.each_ref().map(|results| results.recv_timeout(Duration::from_secs(10)));
        if let ([Ok(told), Ok(_)], true) = (told, is_late) {
            waits.push((told.queue + told.preprocess) as f64 / 1e6);
        }
        thread::sleep(PERIOD.saturating_sub(begun.elapsed()));
    }
    println!("\nmax-latency 20 ms, a feed that waits for another one that is late, {} times", waits.len());
    println!("  waits p50 {:.2} ms", quantile(&mut waits, 0.5));
    tell("p99 beyond max-latency", quantile(&mut waits, 0.99) - LIMIT, "ms", 1.0);
    over.store(true, Ordering::Relaxed);
    let mut late = sleeper.join().expect("it only sleeps");
    let (p99, max) = (quantile(&mut late, 0.99), quantile(&mut late, 1.0));
    println!(
        "  a thread that only sleeps so long meanwhile: p99 {p99:.2} ms late, the latest of {} {max:.2}",
        late.len()
    );
    drop(feeds);
    stop(&owner);
}

/// By how many milliseconds a thread that sleeps for `time`, again and again, wakes late: what of a late frame is the
/// machine's.
fn lateness_of_sleep(time: Duration, over: &AtomicBool) -> Vec<f64> {
    let mut late = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        thread::sleep(time);
        late.push((begun.elapsed() - time).as_secs_f64() * 1e3);
    }
    late
}
