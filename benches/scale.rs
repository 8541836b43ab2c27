//! What many small, slow, live feeds cost: 1, 16, 256 and 1,000 of them share the same number of frames a second.

mod common;

use std::time::{Duration, Instant};

use common::{Fed, Pace, cpu_seconds, frame, median, resident_mb, start, stop, tell, threads, tiny_model};

const FEEDS: [usize; 4] = [1, 16, 256, 1000];
const SIDE: u32 = 64;
/// In all.
const RATE: f64 = 1000.0;
/// Frames of each feed before anything counts: its rhythm is known then.
const WARM_UP: usize = 3;
const MEASURE: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;
/// Feeds that are added and removed to see what that costs.
const EXTRA: usize = 100;

#[derive(Default)]
struct Figures {
    /// Microseconds of CPU a frame.
    cost: Vec<f64>,
    threads: usize,
    /// Microseconds, of each extra feed.
    added: Vec<f64>,
    removed: Vec<f64>,
    lost: u64,
}

fn main() {
    common::init();
    let owner = start(&format!(
        "nvbatch processor-id=bench decoder=tensors model={} instances=2 intra-op-threads=1 max-batch-size=8 \
         queue-capacity=64000",
        tiny_model().display()
    ));
    println!("{RATE:.0} frames/s of {SIDE}x{SIDE} over all feeds, {ROUNDS} rounds of {} s in turns", MEASURE.as_secs());
    let memory = memory_of_a_feed();
    let mut figures: Vec<Figures> = FEEDS.iter().map(|_| Figures::default()).collect();
    for _ in 0..ROUNDS {
        for (&feeds, figures) in FEEDS.iter().zip(&mut figures) {
            round(feeds, figures);
        }
    }
    println!("\n  feeds   us of CPU a frame   threads of ours   us to add   us to remove   frames lost");
    for (feeds, figures) in FEEDS.iter().zip(&mut figures) {
        println!(
            "  {feeds:5}   {:17.1}   {:15}   {:9.0}   {:12.0}   {:11}",
            median(&mut figures.cost),
            figures.threads,
            median(&mut figures.added),
            median(&mut figures.removed),
            figures.lost
        );
    }
    println!();
    let [one, sixteen, _, thousand] = &mut figures[..] else { return };
    let mut ratios: Vec<f64> = thousand.cost.iter().zip(&sixteen.cost).map(|(many, few)| many / few).collect();
    tell("cost of a frame at 1,000 feeds over that at 16", median(&mut ratios), "x", 1.15);
    tell("memory of a feed at 1,000, GStreamer's element and pads included", memory, "KB", 64.0);
    tell("threads at 1,000 feeds over those at 16", thousand.threads as f64 - sixteen.threads as f64, "", 0.0);
    tell(
        "adding a feed at 1,000 over adding one at 1",
        median(&mut thousand.added) / median(&mut one.added),
        "x",
        1.15,
    );
    let ratio = median(&mut thousand.removed) / median(&mut one.removed);
    tell("removing a feed at 1,000 over removing one at 1", ratio, "x", 1.15);
    stop(&owner);
}

fn round(count: usize, figures: &mut Figures) {
    let frame = frame(SIDE);
    let mut feeds: Vec<Fed> = (0..count).map(|_| Fed::new("bench", SIDE, "downstream", &frame)).collect();
    let mut pace = Pace::new(RATE);
    pace.push(&mut feeds, warm_up(count), |_| ());
    let (before, cpu) = (results(&feeds), cpu_seconds());
    let pushed = pace.push(&mut feeds, MEASURE, |_| ());
    let served = results(&feeds) - before;
    figures.cost.push((cpu_seconds() - cpu) * 1e6 / served as f64);
    figures.threads = figures.threads.max(threads());
    // Some are on their way still.
    std::thread::sleep(Duration::from_millis(100));
    figures.lost += pushed.saturating_sub(results(&feeds) - before);

    for _ in 0..EXTRA {
        let begun = Instant::now();
        let extra = Fed::new("bench", SIDE, "downstream", &frame);
        figures.added.push(begun.elapsed().as_secs_f64() * 1e6);
        let begun = Instant::now();
        drop(extra);
        figures.removed.push(begun.elapsed().as_secs_f64() * 1e6);
    }
}

/// Kilobytes that each of a thousand feeds adds that have passed frames. First of all: memory that was given back once is
/// used again.
fn memory_of_a_feed() -> f64 {
    const FEEDS: usize = 1000;
    let frame = frame(SIDE);
    let mut first = [Fed::new("bench", SIDE, "downstream", &frame)];
    Pace::new(RATE).push(&mut first, warm_up(1), |_| ());
    let resident = resident_mb();
    let mut feeds: Vec<Fed> = (0..FEEDS).map(|_| Fed::new("bench", SIDE, "downstream", &frame)).collect();
    Pace::new(RATE).push(&mut feeds, warm_up(FEEDS), |_| ());
    (resident_mb() - resident) * 1e3 / FEEDS as f64
}

fn warm_up(feeds: usize) -> Duration {
    Duration::from_secs_f64((WARM_UP * feeds) as f64 / RATE).max(Duration::from_millis(700))
}

fn results(feeds: &[Fed]) -> u64 {
    feeds.iter().map(Fed::results).sum()
}
