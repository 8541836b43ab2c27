//! A chain of models against the library alone: a detector, and a classifier on five objects of each frame.
//!
//! `cargo bench --bench chain`. The ceiling of a model is the best rate of ONNX Runtime with inputs that are ready, searched
//! for as in the report. A frame costs the machine at least one frame of the one and five of the other, so the rate
//! of both together is at most `1 / (1 / detector + 5 / classifier)`. All are measured in turn; the ceilings before and
//! after the chain, so that a round in which the machine did not stay the same is seen. CPU time is told beside, and the
//! verdict goes by the lesser of both: a machine that others use too flatters the chain, which has more threads than the
//! library alone, in rate, and hardly in CPU time.

mod common;
#[allow(dead_code)]
#[path = "report/job.rs"]
mod job;
#[path = "report/worker/library.rs"]
mod library;
#[allow(dead_code)]
#[path = "report/worker/usage.rs"]
mod usage;

use std::{
    thread,
    time::{Duration, Instant},
};

use common::{count, quantile, start, stats, stop};
use job::{Figures, Format, Job, Setting, Source, Task};

const FEEDS: usize = 8;
const OBJECTS: u64 = 5;
const ROUNDS: usize = 7;
const WARM_UP: Duration = Duration::from_millis(500);
const WINDOW: Duration = Duration::from_millis(1500);
const GOAL: f64 = 0.85;

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");
const DETECTOR: &str = "models/shapes.onnx";
const CLASSIFIER: &str = "models/shapes-cls.onnx";

fn main() {
    common::init();
    let [detector, classifier] = [DETECTOR, CLASSIFIER].map(|model| {
        let job = library_alone(model);
        let setting = library::search(&job);
        let Setting { instances, threads, batch } = setting;
        println!("{model}: ONNX Runtime alone is best with {instances} x {threads}, batch {batch}");
        Job { setting: Some(setting), ..job }
    });
    println!("{FEEDS} feeds, {OBJECTS} objects a frame, {ROUNDS} rounds of {} ms", WINDOW.as_millis());
    let [mut rates, mut costs] = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        let alone = || Cost::of_both(&library::run(&detector), &library::run(&classifier));
        let (before, chain, after) = (alone(), chain(), alone());
        let of_both = |figure: fn(&Cost) -> f64| (figure(&before) + figure(&after)) / 2.0;
        let (seconds, cpu) = (of_both(|cost| cost.seconds), of_both(|cost| cost.cpu));
        println!(
            "  round {round}: alone {:.2} and {:.2} ms a frame, the chain {:.2}; of CPU alone {:.2} ms, the chain {:.2}",
            before.seconds * 1e3,
            after.seconds * 1e3,
            chain.seconds * 1e3,
            cpu * 1e3,
            chain.cpu * 1e3
        );
        rates.push(seconds / chain.seconds);
        costs.push(cpu / chain.cpu);
    }
    let least = quantile(&mut rates, 0.5).min(quantile(&mut costs, 0.5));
    println!("  rate of the chain / of both ceilings:   {}", spread(&mut rates));
    println!("  CPU time of both alone / of the chain:  {}", spread(&mut costs));
    println!("  {least:.2}; goal {GOAL:.2}  {}", if least >= GOAL { "pass" } else { "FAIL" });
}

fn spread(ratios: &mut [f64]) -> String {
    let [least, ratio, most] = [0.0, 0.5, 1.0].map(|share| quantile(ratios, share));
    format!("{ratio:.2} ({least:.2} to {most:.2})")
}

/// Seconds that a frame takes, by the clock and of all cores.
struct Cost {
    seconds: f64,
    cpu: f64,
}

impl Cost {
    fn of_both(detector: &Figures, classifier: &Figures) -> Self {
        let sum = |of: fn(&Figures) -> f64| {
            of(detector) / detector.frames as f64 + OBJECTS as f64 * of(classifier) / classifier.frames as f64
        };
        Self { seconds: sum(|figures| figures.seconds), cpu: sum(|figures| figures.cpu_seconds) }
    }
}

fn library_alone(model: &str) -> Job {
    Job {
        task: Task::Library,
        mode: String::new(),
        model: format!("{FOLDER}/{model}"),
        // Of the sources nobody asks here.
        side: 0,
        source: Source { format: Format::Rgb, width: 0, height: 0, live: None },
        feeds: 0,
        starts: Vec::new(),
        warm_up: 0.0,
        window: WINDOW.as_secs_f64() / 2.0,
        frames: None,
        setting: None,
    }
}

fn chain() -> Cost {
    let owner = |id, model| start(&format!("nvbatch processor-id={id} model={FOLDER}/{model}"));
    let owners = [owner("detector", DETECTOR), owner("classifier", CLASSIFIER)];
    // One decoded picture over and over costs next to nothing.
    let line = format!(
        "filesrc location={FOLDER}/tests/clips/dock.mp4 ! qtdemux ! h264parse ! avdec_h264 ! imagefreeze \
         ! nvbatch processor-id=detector leaky=no max-detections={OBJECTS} \
         ! nvbatch name=last processor-id=classifier leaky=no region=objects ! nvfeed processor-id=\"\" message=false"
    );
    let feeds: Vec<gst::Element> = (0..FEEDS).map(|_| start(&line)).collect();
    thread::sleep(WARM_UP);
    let done = || owners.each_ref().map(|owner| count(&stats(owner), "results"));
    let (before, begun, cpu_before) = (done(), Instant::now(), usage::cpu_seconds());
    thread::sleep(WINDOW);
    let (after, seconds, cpu) = (done(), begun.elapsed().as_secs_f64(), usage::cpu_seconds() - cpu_before);
    let [frames, objects] = [0, 1].map(|model| (after[model] - before[model]) as f64);
    feeds.iter().chain(&owners).for_each(stop);
    // Of the frames between both models there may be more or less at the end.
    let each = objects / frames;
    assert!((each / OBJECTS as f64 - 1.0).abs() < 0.2, "{each} objects a frame");
    Cost { seconds: seconds / frames, cpu: cpu / frames }
}
