//! Sixteen live feeds share a processor, and something happens to one of them or beside them. The others' results a
//! second and latency, held against the undisturbed time just before.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use gst::prelude::*;
use gstnextvision::runtime::Runtime;

use crate::{
    Fallible,
    cameras::{Camera, percentile},
    processor::Processor,
    setting,
};

const FEEDS: usize = 16;
const RATE: u32 = 30;
/// Things happen to these two; the others are watched.
const FIRST: usize = 0;
const LINKED: usize = 1;
const SETTLE: Duration = Duration::from_secs(1);
const RESTARTS: usize = 100;

struct House {
    cameras: Vec<Camera>,
    failing: Vec<Camera>,
    _failing: Processor,
    blocked: Arc<AtomicBool>,
}

/// What the feeds that nothing happens to got over a time.
struct Served {
    /// Results a second of each.
    rate: f64,
    p99: Duration,
    /// Feeds that had a frame in a run that hung: something did happen to them, so they are left out.
    hit: usize,
}

struct Disturbance {
    name: &'static str,
    /// How long it is watched.
    seconds: f64,
    happen: fn(&House) -> Fallible<()>,
    end: fn(&House) -> Fallible<()>,
}

pub fn run() -> Fallible<bool> {
    let seconds = setting("SECONDS", 10.0)?;
    let rounds = setting("ROUNDS", 3)?;
    let only = setting("ONLY", String::new())?;
    let _shared = Processor::load("shared", "slow", "instances=3 max-batch-size=8 response-timeout=1000000000")?;
    let failing = Processor::load("failing", "bad-run", "instances=1 max-batch-size=4")?;
    let blocked = Arc::<AtomicBool>::default();
    let gate = blocked.clone();
    let _subscriber = Runtime::get().output().subscribe(
        || true,
        move |_, _| {
            while gate.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
            }
        },
    );
    let camera = |number| Camera::start(&format!("camera-{number}"), RATE, number == LINKED, "processor-id=shared");
    let house = House {
        cameras: (0..FEEDS).map(camera).collect::<Fallible<_>>()?,
        failing: (0..2)
            .map(|number| Camera::start(&format!("failing-{number}"), RATE, false, "processor-id=failing"))
            .collect::<Fallible<_>>()?,
        _failing: failing,
        blocked,
    };

    println!(
        "{FEEDS} live feeds at {RATE} frames/s; {} of them watched; {rounds} rounds of {seconds} s undisturbed and then \
         disturbed; the median round",
        FEEDS - 2
    );
    println!("{:42} {:>18} {:>18}   goal: 1 %, 10 % or 2 ms", "", "results/s a feed", "p99 latency");
    let mut held = true;
    for disturbance in disturbances(seconds).into_iter().filter(|one| one.name.contains(&only)) {
        let mut pairs = Vec::new();
        for _ in 0..if disturbance.seconds > seconds { 1 } else { rounds } {
            thread::sleep(SETTLE);
            let before = house.watch(disturbance.seconds, || Ok(()))?;
            let during = house.watch(disturbance.seconds, || (disturbance.happen)(&house))?;
            (disturbance.end)(&house)?;
            pairs.push((before, during));
        }
        held &= tell(disturbance.name, &mut pairs);
        if let Some(lost) = house.cameras.iter().find(|camera| !camera.is_conserved()) {
            println!("  a frame has disappeared: {}", lost.stats());
            held = false;
        }
    }
    println!("isolation: {}", if held { "HELD" } else { "MISSED" });
    Ok(held)
}

fn disturbances(seconds: f64) -> [Disturbance; 8] {
    fn nothing(_: &House) -> Fallible<()> {
        Ok(())
    }
    [
        // What the machine alone does.
        Disturbance { name: "nothing happens", seconds, happen: nothing, end: nothing },
        Disturbance {
            name: "a feed stops sending",
            seconds,
            happen: |house| house.cameras[FIRST].set("valve", "drop", true),
            end: |house| house.cameras[FIRST].set("valve", "drop", false),
        },
        Disturbance {
            name: "a sink of a linked feed blocks for 30 s",
            seconds: seconds.max(30.0),
            happen: |house| house.block(),
            end: nothing,
        },
        Disturbance {
            name: "a subscriber blocks",
            seconds,
            happen: |house| house.block_subscriber(true),
            end: |house| house.block_subscriber(false),
        },
        Disturbance {
            name: "a pipeline goes to NULL and back 100 times",
            seconds,
            happen: |house| {
                for _ in 0..RESTARTS {
                    house.cameras[FIRST].pipeline.set_state(gst::State::Null)?;
                    house.cameras[FIRST].pipeline.set_state(gst::State::Playing)?;
                    _ = house.cameras[FIRST].pipeline.state(gst::ClockTime::from_seconds(1));
                }
                Ok(())
            },
            end: nothing,
        },
        Disturbance {
            name: "a second model is loaded",
            seconds,
            happen: |_| Processor::load("second", "echo-yolo", "").map(drop),
            end: nothing,
        },
        Disturbance {
            name: "every batch of another processor fails",
            seconds,
            happen: |house| house.fail(0xff),
            end: |house| house.fail(0),
        },
        Disturbance { name: "an instance hangs", seconds, happen: |house| house.hang(), end: nothing },
    ]
}

impl House {
    /// What the watched feeds get while something happens at the beginning of a time, or for as long as it takes.
    fn watch(&self, seconds: f64, happen: impl FnOnce() -> Fallible<()>) -> Fallible<Served> {
        let watched = || self.cameras.iter().skip(2);
        watched().for_each(|camera| drop(camera.take()));
        let timed_out = |camera: &Camera| camera.count("dropped-timed-out");
        let before: Vec<_> = watched().map(timed_out).collect();
        let begun = Instant::now();
        happen()?;
        thread::sleep(Duration::from_secs_f64(seconds).saturating_sub(begun.elapsed()));
        let elapsed = begun.elapsed().as_secs_f64();
        let (whole, hit): (Vec<_>, Vec<_>) =
            watched().zip(before).partition(|&(camera, before)| timed_out(camera) == before);
        let seen: Vec<_> = whole.iter().map(|(camera, _)| camera.take()).collect();
        let results: u64 = seen.iter().map(|seen| seen.results).sum();
        let rate = results as f64 / elapsed / whole.len().max(1) as f64;
        let mut latencies: Vec<_> = seen.into_iter().flat_map(|seen| seen.latencies).collect();
        Ok(Served { rate, p99: percentile(&mut latencies, 99), hit: hit.len() })
    }

    /// Nothing passes the sink of the linked feed any more, for as long as the time that is watched.
    fn block(&self) -> Fallible<()> {
        let pad = self.cameras[LINKED].child("out").and_then(|sink| sink.static_pad("sink")).ok_or("no sink")?;
        let once = AtomicBool::new(false);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            if !once.swap(true, Ordering::Relaxed) {
                thread::sleep(Duration::from_secs(30));
            }
            gst::PadProbeReturn::Remove
        });
        Ok(())
    }

    fn block_subscriber(&self, block: bool) -> Fallible<()> {
        self.blocked.store(block, Ordering::Relaxed);
        Ok(())
    }

    /// White frames make a batch of the other processor fail.
    fn fail(&self, grey: u32) -> Fallible<()> {
        self.failing.iter().for_each(|camera| camera.set_grey(grey));
        Ok(())
    }

    /// One white frame: the run of its batch takes seconds.
    fn hang(&self) -> Fallible<()> {
        let pad = self.cameras[FIRST].feed.static_pad("sink").ok_or("no pad")?;
        pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
            if let Some(buffer) = info.buffer_mut()
                && let Ok(mut map) = buffer.make_mut().map_writable()
            {
                map.fill(0xff);
            }
            gst::PadProbeReturn::Remove
        });
        Ok(())
    }
}

impl Camera {
    fn set(&self, element: &str, property: &str, value: bool) -> Fallible<()> {
        self.child(element).ok_or("no such element")?.set_property(property, value);
        Ok(())
    }
}

/// Prints the median of the rounds; whether it is within the goals.
fn tell(name: &str, pairs: &mut [(Served, Served)]) -> bool {
    pairs.sort_by(|a, b| (a.1.rate / a.0.rate).total_cmp(&(b.1.rate / b.0.rate)));
    let (before, during) = &pairs[pairs.len() / 2];
    let rate = during.rate / before.rate;
    let mut more: Vec<_> =
        pairs.iter().map(|(before, during)| during.p99.as_secs_f64() - before.p99.as_secs_f64()).collect();
    more.sort_by(f64::total_cmp);
    let more = more[more.len() / 2];
    let good_rate = (rate - 1.0).abs() <= 0.01;
    let good_latency = more <= f64::max(0.1 * before.p99.as_secs_f64(), 0.002);
    let judged = |good| if good { "pass" } else { "MISS" };
    println!(
        "{name:42} {:6.2} to {:6.2} {:+6.2} % {} {:6.2} ms {:+7.2} ms {}",
        before.rate,
        during.rate,
        100.0 * (rate - 1.0),
        judged(good_rate),
        1e3 * before.p99.as_secs_f64(),
        1e3 * more,
        judged(good_latency)
    );
    if during.hit > 0 {
        println!("  {} more had a frame in that run", during.hit);
    }
    good_rate && good_latency
}
