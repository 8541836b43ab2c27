//! Three times the demand that the processor can serve: what is served, to whom, how late, and what it costs in memory;
//! and how soon all is well when it is over.

use std::{
    thread,
    time::{Duration, Instant},
};

use gst::prelude::*;

use crate::{
    Fallible,
    cameras::{Camera, percentile},
    processor::Processor,
    setting,
};

const EQUAL: usize = 8;
const DEADLINE: Duration = Duration::from_millis(200);
/// Of a frame of 64x64 RGB.
const FRAME_BYTES: u64 = 64 * 64 * 3;
/// Of the model's input for it: floats.
const INPUT_BYTES: u64 = 224 * 224 * 3 * 4;
const MAX_BATCH: u64 = 2;
const INSTANCES: u64 = 1;

pub fn run() -> Fallible<bool> {
    let time = Duration::from_secs_f64(setting("SECONDS", 20.0)?);
    let _processor = Processor::load(
        "loaded",
        "benches/models/mobilenetv3-small",
        &format!("instances={INSTANCES} max-batch-size={MAX_BATCH} max-latency=1000000"),
    )?;
    let capacity = capacity()?;
    let rate = (3.0 * capacity / (EQUAL + 1) as f64).ceil() as u32;
    println!(
        "capacity {capacity:.0} frames/s; demand {} frames/s: {EQUAL} equal feeds and one of a higher priority, {rate} \
         frames/s each, deadline {DEADLINE:?}, for {time:?}",
        rate as usize * (EQUAL + 1)
    );
    let more = format!("processor-id=loaded deadline={}", DEADLINE.as_nanos());
    let equal = |number| Camera::start(&format!("equal-{number}"), rate, false, &more);
    let equal: Vec<Camera> = (0..EQUAL).map(equal).collect::<Fallible<_>>()?;
    let prior = Camera::start("prior", rate, false, &format!("{more} priority=1"))?;
    thread::sleep(Duration::from_secs(1));
    let all = || equal.iter().chain([&prior]);
    all().for_each(|camera| drop(camera.take()));
    let before: Vec<Figures> = all().map(Figures::of).collect();
    let (begun, mut most_held, mut conserved) = (Instant::now(), 0, true);
    while begun.elapsed() < time {
        most_held = most_held.max(all().map(|camera| camera.count("queued") + camera.count("in-flight")).sum());
        conserved &= all().all(Camera::is_conserved);
        thread::sleep(Duration::from_millis(20));
    }
    let during: Vec<Figures> = all().map(Figures::of).zip(before).map(|(now, before)| now.since(&before)).collect();
    let mut latencies: Vec<_> = all().flat_map(|camera| camera.take().latencies).collect();

    // The load ends: all but one of the equal feeds stop sending.
    let ended = Instant::now();
    for camera in equal.iter().skip(1) {
        camera.child("valve").ok_or("no valve")?.set_property("drop", true);
    }
    let recovered = wait_for_calm(&equal[0], ended);

    let room: u64 = all().map(|camera| camera.count("queue-capacity") + 2 * (INSTANCES + 1) * MAX_BATCH).sum();
    let shares: Vec<u64> = during.iter().take(EQUAL).map(|figures| figures.results).collect();
    let (least, most) = (shares.iter().min().copied().unwrap_or(0), shares.iter().max().copied().unwrap_or(0));
    let first = during.last().ok_or("no feed of a higher priority")?;
    let longest_run = run_time(&prior);
    let slowest = percentile(&mut latencies, 100);
    let (received, dropped): (u64, u64) =
        during.iter().fold((0, 0), |sum, figures| (sum.0 + figures.received, sum.1 + figures.dropped));
    let mut held = true;
    held &= tell(
        "demand, of the capacity",
        received as f64 / (capacity * time.as_secs_f64()),
        2.5..f64::MAX,
        "2.5 or more",
    );
    held &= tell("frames held at most", most_held as f64, 0.0..room as f64 + 0.5, &format!("the room of {room}"));
    println!(
        "  memory that frames take: at most {:.1} kB of frames and {:.1} kB of inputs, by (queue + in flight) x frame of \
         each feed and (2 + instances) x batch x input",
        (room * FRAME_BYTES) as f64 / 1e3,
        ((2 + INSTANCES) * MAX_BATCH * INPUT_BYTES) as f64 / 1e3
    );
    held &= tell(
        "every drop counted",
        f64::from(u8::from(conserved)),
        1.0..1.5,
        &format!("1 = yes; {dropped} of {received} dropped"),
    );
    held &= tell("shares of equal feeds, most to least", most as f64 / least.max(1) as f64, 0.0..1.05, "1.05");
    held &= tell(
        "served of the feed of a higher priority",
        first.results as f64 / first.received.max(1) as f64,
        0.99..1.01,
        "0.99 or more",
    );
    let bound = DEADLINE + 2 * longest_run;
    held &= tell(
        "latest of what was served, ms",
        slowest.as_secs_f64() * 1e3,
        0.0..bound.as_secs_f64() * 1e3,
        &format!("deadline and two runs at p99, {bound:.0?}"),
    );
    held &= tell("back to normal, s", recovered.as_secs_f64(), 0.0..1.0, "1");
    println!("overload: {}", if held { "HELD" } else { "MISSED" });
    Ok(held)
}

struct Figures {
    received: u64,
    results: u64,
    dropped: u64,
}

impl Figures {
    fn of(camera: &Camera) -> Self {
        let stats = camera.stats();
        let of = |name| stats.get(name).unwrap_or_default();
        Self { received: of("received"), results: of("results"), dropped: of("dropped") }
    }

    fn since(self, before: &Self) -> Self {
        Self {
            received: self.received - before.received,
            results: self.results - before.results,
            dropped: self.dropped - before.dropped,
        }
    }
}

/// Frames a second when there are always some.
fn capacity() -> Fallible<f64> {
    let feed = |number| Camera::start(&format!("measured-{number}"), 1000, false, "processor-id=loaded leaky=no");
    let feeds: Vec<_> = (0..EQUAL).map(feed).collect::<Fallible<_>>()?;
    thread::sleep(Duration::from_secs(1));
    let results = || feeds.iter().map(|camera| camera.count("results")).sum::<u64>();
    let (before, begun) = (results(), Instant::now());
    thread::sleep(Duration::from_secs(4));
    Ok((results() - before) as f64 / begun.elapsed().as_secs_f64())
}

/// From the end of the load until the last moment at which the feed dropped a frame or was later than the deadline.
fn wait_for_calm(camera: &Camera, ended: Instant) -> Duration {
    let (mut dropped, mut last_trouble) = (camera.count("dropped"), ended);
    while ended.elapsed() < Duration::from_secs(5) {
        let now = camera.count("dropped");
        let late = camera.take().latencies.iter().any(|latency| *latency > DEADLINE / 4);
        if now > dropped || late {
            (dropped, last_trouble) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(10));
    }
    last_trouble - ended
}

/// How long a run takes, at the 99th percentile.
fn run_time(camera: &Camera) -> Duration {
    let latency = camera.stats().get::<gst::Structure>("latency");
    let inference = latency.and_then(|latency| latency.get::<gst::Structure>("inference"));
    Duration::from_nanos(inference.ok().and_then(|inference| inference.get("p99").ok()).unwrap_or(0u64))
}

fn tell(what: &str, figure: f64, range: std::ops::Range<f64>, goal: &str) -> bool {
    let good = range.contains(&figure);
    println!("  {what:42} {figure:10.2}  (goal: {goal})  {}", if good { "pass" } else { "MISS" });
    good
}
