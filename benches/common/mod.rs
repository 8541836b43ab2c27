//! What the benchmarks share.
#![allow(dead_code)]

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use gst::prelude::*;
use gst_check::Harness;

/// Before anything else runs: what is measured must be the work of this run.
pub fn init() {
    // SAFETY: the process has one thread yet.
    unsafe {
        std::env::set_var("NV_SETTINGS_CACHE", "off");
        std::env::set_var("NV_MAX_FEEDS", "4096");
    }
    gst::init().expect("GStreamer starts");
    gstnextvision::plugin_register_static().expect("the plugin registers");
}

pub fn bench_model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/models").join(name)
}

/// 64x64 RGB in, the mean of each channel out: as near to nothing as a model can be.
pub fn tiny_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/mean.onnx")
}

pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// 0 where there are none.
pub fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * q).round() as usize).copied().unwrap_or_default()
}

/// One line: a figure, its goal, and whether it is reached.
pub fn tell(what: &str, figure: f64, unit: &str, goal: f64) {
    let verdict = if figure <= goal { "pass" } else { "FAIL" };
    println!("  {what:<64} {figure:10.3} {unit:<6} goal {goal:.3}  {verdict}");
}

pub fn start(line: &str) -> gst::Element {
    let element = gst::parse::launch(line).expect("a pipeline's line");
    element.set_state(gst::State::Playing).expect("it starts");
    element
}

pub fn stop(element: &gst::Element) {
    element.set_state(gst::State::Null).expect("it stops");
}

pub fn stats(element: &gst::Element) -> gst::Structure {
    element.property("stats")
}

pub fn count(stats: &gst::StructureRef, name: &str) -> u64 {
    stats.get(name).expect("a count")
}

/// Enough that nothing is dropped where the machine is busy for a moment.
const MAX_QUEUED: u32 = 64;

/// A feed whose frames are pushed by hand: no thread of its own.
pub struct Fed {
    pub element: gst::Element,
    harness: Harness,
    frame: gst::Buffer,
}

/// A frame for any number of feeds: what a decoder brings was written just now, and is in the cache however many there
/// are.
pub fn frame(side: u32) -> gst::Buffer {
    let mut frame = gst::Buffer::from_mut_slice(vec![128; (side * side * 3) as usize]);
    frame.make_mut().set_pts(gst::ClockTime::ZERO);
    frame
}

impl Fed {
    pub fn new(processor: &str, side: u32, leaky: &str, frame: &gst::Buffer) -> Self {
        let element = gst::ElementFactory::make("nvfeed")
            .property("processor-id", processor)
            .property("message", false)
            .property_from_str("leaky", leaky)
            .property("max-queued", MAX_QUEUED)
            .build()
            .expect("a feed");
        let mut harness = Harness::with_element(&element, Some("sink"), None);
        harness.set_src_caps_str(&format!("video/x-raw,format=RGB,width={side},height={side},framerate=30/1"));
        harness.play();
        Self { element, harness, frame: frame.clone() }
    }

    pub fn push(&mut self) {
        self.harness.push(self.frame.clone()).expect("the feed takes frames");
    }

    pub fn results(&self) -> u64 {
        count(&stats(&self.element), "results")
    }
}

/// Pushes frames into feeds in a circle, so many a second in all, and goes on where it stopped: each feed keeps its rhythm.
pub struct Pace {
    rate: f64,
    begun: Instant,
    pushed: u64,
}

impl Pace {
    pub fn new(rate: f64) -> Self {
        Self { rate, begun: Instant::now(), pushed: 0 }
    }

    /// For so long from now on; returns how many frames were pushed.
    pub fn push(&mut self, feeds: &mut [Fed], time: Duration, mut before_push: impl FnMut(usize)) -> u64 {
        let (before, end) = (self.pushed, self.begun.elapsed() + time);
        while self.begun.elapsed() < end {
            let due = (self.begun.elapsed().as_secs_f64() * self.rate) as u64;
            while self.pushed < due {
                let index = (self.pushed % feeds.len() as u64) as usize;
                before_push(index);
                feeds[index].push();
                self.pushed += 1;
            }
            let next = Duration::from_secs_f64((self.pushed + 1) as f64 / self.rate);
            std::thread::sleep(next.saturating_sub(self.begun.elapsed()));
        }
        self.pushed - before
    }
}

/// Of the whole process, in seconds.
pub fn cpu_seconds() -> f64 {
    // SAFETY: a struct of integers, which the call fills.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

pub fn resident_mb() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: f64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096.0 / 1e6
}

/// Threads of ours.
pub fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("nv-")).count()
}
