//! Whether the automatic setting is as fast as the best fixed one. All run in turns, through the plugin.

mod common;

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use common::{bench_model, count, median, start, stats, stop};

const FEEDS: usize = 8;
const WARM_UP: Duration = Duration::from_millis(300);
const MEASURE: Duration = Duration::from_millis(800);
const ROUNDS: usize = 7;
/// After the first round only those that may still be the best go on.
const NEAR: f64 = 0.85;
const GOAL: f64 = 0.95;

struct Way {
    properties: String,
    rates: Vec<f64>,
}

fn main() {
    common::init();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} cores, {FEEDS} feeds, median of {ROUNDS} rounds of {} ms", MEASURE.as_millis());
    for model in ["mobilenetv3-small.onnx", "mean.onnx", "resnet18.onnx"] {
        compare(&bench_model(model), cores);
    }
}

fn compare(model: &Path, cores: usize) {
    println!("\n{}", model.file_stem().unwrap_or_default().display());
    let mut ways = fixed(cores);
    let mut automatic = Vec::new();
    for round in 0..ROUNDS {
        for way in &mut ways {
            way.rates.push(rate(model, &way.properties).0);
        }
        let (rate, chosen) = rate(model, "");
        automatic.push(rate);
        println!("  round {round}: automatic {rate:8.0} frames/s, {chosen}");
        if round == 0 {
            let best = ways.iter().map(|way| way.rates[0]).fold(0.0, f64::max);
            ways.retain(|way| way.rates[0] > best * NEAR);
        }
    }
    for way in &mut ways {
        // The order of the rounds stays in `rates`.
        way.rates.push(median(&mut way.rates.clone()));
    }
    ways.sort_by(|a, b| b.rates[ROUNDS].total_cmp(&a.rates[ROUNDS]));
    for way in ways.iter().take(4) {
        println!("  {:8.0} frames/s  {}", way.rates[ROUNDS], way.properties);
    }
    let best = &ways[0];
    let mut ratios: Vec<f64> = automatic.iter().zip(&best.rates).map(|(automatic, best)| automatic / best).collect();
    let ratio = median(&mut ratios);
    let verdict = if ratio >= GOAL { "pass" } else { "FAIL" };
    let (least, most) = (ratios[0], ratios[ROUNDS - 1]);
    println!("  automatic / best fixed: {ratio:.2} ({least:.2} to {most:.2}); goal {GOAL:.2}  {verdict}");
}

fn fixed(cores: usize) -> Vec<Way> {
    let mut ways: Vec<_> = (1..=cores).rev().map(|instances| (instances, 1)).collect();
    ways.extend([(cores / 2, 2), (1, cores)]);
    ways.retain(|&(instances, _)| instances > 0);
    ways.dedup();
    let of_way = |(instances, threads)| {
        [1, 2, 4, 8, 16].map(|batch| Way {
            properties: format!("instances={instances} intra-op-threads={threads} max-batch-size={batch}"),
            rates: Vec::new(),
        })
    };
    ways.into_iter().flat_map(of_way).collect()
}

/// Frames a second, and what was chosen.
fn rate(model: &Path, properties: &str) -> (f64, String) {
    let owner = start(&format!("nvbatch processor-id=bench decoder=tensors model={} {properties}", model.display()));
    let feeds: Vec<gst::Element> = (0..FEEDS)
        .map(|_| {
            start(
                "videotestsrc pattern=black ! video/x-raw,format=RGB,width=224,height=224 \
                 ! nvfeed processor-id=bench message=false leaky=no",
            )
        })
        .collect();
    thread::sleep(WARM_UP);
    let results = || count(&stats(&owner), "results");
    let (before, begun) = (results(), Instant::now());
    thread::sleep(MEASURE);
    let rate = (results() - before) as f64 / begun.elapsed().as_secs_f64();
    let stats = stats(&owner);
    let [instances, threads, batch] =
        ["instances", "intra-op-threads", "max-batch-size"].map(|name| count(&stats, name));
    feeds.iter().chain([&owner]).for_each(stop);
    (rate, format!("{instances} x {threads}, batch {batch}"))
}
