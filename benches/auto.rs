//! Whether the automatic setting is as fast as the best fixed one: each that several starts choose. Both are in one process
//! and run in short turns, as a virtual machine is faster or slower from one second to the next. The best one is found
//! before, by other turns than those that it is compared in: the best of several equal ones is the luckiest, and would win
//! against itself. Models can be named: `cargo bench --bench auto -- resnet18`.

mod common;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use common::{bench_model, count, median, start, stats, stop};
use gst::prelude::*;

const MODELS: [&str; 3] = ["mobilenetv3-small", "mean", "resnet18"];
const FEEDS: usize = 8;
/// How long a turn lasts at least.
const TURN: Duration = Duration::from_millis(1_000);
/// Before that, for all ways alike: the other way's weights have taken the caches, and some runs of small batches take too
/// short a time to bring their own back.
const WARM_UP: Duration = Duration::from_millis(300);
/// Batches that end in a turn at least: some settings run one for half a second.
const BATCHES: u64 = 8;
/// From one turn to the next at least.
const STILL: Duration = Duration::from_millis(60);
/// How exactly the end of a batch is seen.
const LOOK: Duration = Duration::from_millis(1);
/// All are looked at so many times, but for those that are far behind after two; of the best so many are looked at again.
const LOOKS: usize = 3;
const NEAR: f64 = 0.75;
const FINALISTS: usize = 4;
const FINALS: usize = 11;
/// The automatic setting is chosen anew so many times, and each one that was chosen compared in so many rounds of four
/// turns.
const STARTS: usize = 6;
const ROUNDS: usize = 15;
const GOAL: f64 = 0.95;

fn main() {
    common::init();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} cores, {FEEDS} feeds, turns of {} ms", TURN.as_millis());
    let named: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let models = if named.is_empty() { MODELS.map(String::from).to_vec() } else { named };
    for model in models {
        compare(&bench_model(&format!("{model}.onnx")), cores);
    }
}

fn compare(model: &Path, cores: usize) {
    println!("\n{}", model.file_stem().unwrap_or_default().display());
    let best = Way::start(model, &best_fixed(model, cores));
    let mut chosen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..STARTS {
        *chosen.entry(Way::start(model, "").setting()).or_default() += 1;
    }
    for (setting, times) in chosen {
        let automatic = Way::start(model, &setting);
        let mut ratios: Vec<_> = (0..ROUNDS)
            .map(|_| {
                let [before, first, second, after] = [&best, &automatic, &automatic, &best].map(Way::turn);
                (first + second) / (before + after)
            })
            .collect();
        let ratio = median(&mut ratios);
        let verdict = if ratio >= GOAL { "pass" } else { "FAIL" };
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        println!(
            "  chosen {times} of {STARTS} times: {setting}; {ratio:.2} ({least:.2} to {most:.2}) of the best fixed one; \
             goal {GOAL:.2}  {verdict}"
        );
    }
}

/// The properties of the fastest way.
fn best_fixed(model: &Path, cores: usize) -> String {
    let mut ways: Vec<_> = fixed(cores).into_iter().map(|properties| (0.0, properties)).collect();
    for look in 1..=LOOKS {
        for (rate, properties) in &mut ways {
            *rate = Way::start(model, properties).turn().max(*rate);
        }
        // The first may have met seconds in which the machine was half as fast.
        if look > 1 {
            let fastest = ways.iter().map(|(rate, _)| *rate).fold(0.0, f64::max);
            ways.retain(|(rate, _)| *rate > fastest * NEAR);
        }
    }
    ways.sort_by(|a, b| b.0.total_cmp(&a.0));
    ways.truncate(FINALISTS);
    let finalists: Vec<_> = ways.iter().map(|(_, properties)| Way::start(model, properties)).collect();
    let mut rates = vec![Vec::new(); finalists.len()];
    for _ in 0..FINALS {
        for (way, rates) in finalists.iter().zip(&mut rates) {
            rates.push(way.turn());
        }
    }
    let mut finals: Vec<_> =
        rates.iter_mut().zip(ways).map(|(rates, (_, properties))| (median(rates), properties)).collect();
    finals.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (rate, properties) in &finals {
        println!("  {rate:8.1} frames/s  {properties}");
    }
    finals.swap_remove(0).1
}

fn fixed(cores: usize) -> Vec<String> {
    let mut ways: Vec<_> = (1..=cores).rev().map(|instances| (instances, 1)).collect();
    ways.extend([(cores / 2, 2), (1, cores)]);
    ways.retain(|&(instances, _)| instances > 0);
    ways.dedup();
    let batches = |(instances, threads)| {
        [1, 2, 4, 8, 16].map(|batch| format!("instances={instances} intra-op-threads={threads} max-batch-size={batch}"))
    };
    ways.into_iter().flat_map(batches).collect()
}

/// A processor and its feeds, which stand still but for their turns.
struct Way {
    owner: gst::Element,
    feeds: Vec<gst::Element>,
}

impl Way {
    fn start(model: &Path, properties: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let id = NUMBER.fetch_add(1, Ordering::Relaxed);
        let owner = start(&format!("nvbatch processor-id={id} decoder=tensors model={} {properties}", model.display()));
        let line = format!(
            "videotestsrc pattern=black ! video/x-raw,format=RGB,width=224,height=224 \
             ! nvfeed processor-id={id} message=false leaky=no"
        );
        let feed = |_| gst::parse::launch(&line).expect("a feed's line");
        Self { owner, feeds: (0..FEEDS).map(feed).collect() }
    }

    /// Frames a second, from the end of one batch to that of another.
    fn turn(&self) -> f64 {
        self.set_feeds(gst::State::Playing);
        let (cold, started) = (self.done(), Instant::now());
        let before =
            self.batch_end(|batches| batches > cold.batches + 2 * cold.instances && started.elapsed() >= WARM_UP);
        let begun = Instant::now();
        let after = self.batch_end(|batches| batches >= before.batches + BATCHES && begun.elapsed() >= TURN);
        let rate = (after.results - before.results) as f64 / begun.elapsed().as_secs_f64();
        self.set_feeds(gst::State::Paused);
        self.become_still();
        rate
    }

    fn set_feeds(&self, state: gst::State) {
        for feed in &self.feeds {
            feed.set_state(state).expect("a feed changes its state");
        }
    }

    /// Waits for the end of a batch when `enough` have ended.
    fn batch_end(&self, enough: impl Fn(u64) -> bool) -> Done {
        let mut before = self.done().batches;
        loop {
            thread::sleep(LOOK);
            let done = self.done();
            if done.batches > before && enough(done.batches) {
                return done;
            }
            before = done.batches;
        }
    }

    /// Until runs that were under way have ended: they would take the next one's cores.
    fn become_still(&self) {
        let runs: gst::Structure = stats(&self.owner).get("inference").expect("figures of runs");
        thread::sleep(Duration::from_nanos(count(&runs, "p99")).max(STILL));
    }

    /// As properties.
    fn setting(&self) -> String {
        let stats = stats(&self.owner);
        let names = ["instances", "intra-op-threads", "max-batch-size"];
        names.map(|name| format!("{name}={}", count(&stats, name))).join(" ")
    }

    fn done(&self) -> Done {
        let stats = stats(&self.owner);
        let [batches, results, instances] = ["batches", "results", "instances"].map(|name| count(&stats, name));
        Done { batches, results, instances }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.feeds.iter().chain([&self.owner]).for_each(stop);
    }
}

struct Done {
    batches: u64,
    results: u64,
    instances: u64,
}
