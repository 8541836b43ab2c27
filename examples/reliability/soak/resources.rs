//! What the process holds, sampled over time.

use std::{
    fmt, fs, thread,
    time::{Duration, Instant},
};

use super::line::{self, Line};

/// Until caches, pools and arenas have got to their size.
const WARM_UP: f64 = 0.25;
/// Feeds come and go over minutes: what a shorter time shows is how many there were.
const ENOUGH: Duration = Duration::from_secs(600);
const MEGABYTE: f64 = 1024.0 * 1024.0;

#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// Resident memory in bytes.
    resident: u64,
    /// What malloc has given out, in bytes: resident memory has holes between besides.
    allocated: u64,
    descriptors: u64,
    threads: u64,
}

/// Samples by time in seconds.
#[derive(Default)]
pub struct Resources(Vec<(f64, Sample)>);

/// One kind: its name, how it is read, its unit, and the growth in an hour that is not put down to chance any more.
struct Kind {
    name: &'static str,
    of: fn(&Sample) -> f64,
    unit: &'static str,
    goal: f64,
}

const KINDS: [Kind; 4] = [
    Kind { name: "resident memory", of: |sample| sample.resident as f64 / MEGABYTE, unit: "MiB", goal: 4.0 },
    Kind { name: "allocated memory", of: |sample| sample.allocated as f64 / MEGABYTE, unit: "MiB", goal: 2.0 },
    Kind { name: "descriptors", of: |sample| sample.descriptors as f64, unit: "", goal: 2.0 },
    Kind { name: "threads", of: |sample| sample.threads as f64, unit: "", goal: 2.0 },
];

impl Sample {
    pub fn now() -> Self {
        let page = 4096;
        let pages = fs::read_to_string("/proc/self/statm").ok().and_then(|statm| statm.split(' ').nth(1)?.parse().ok());
        let entries = |folder| fs::read_dir(folder).map_or(0, |entries| entries.count() as u64);
        // SAFETY: it only reads the allocator's own books.
        let heap = unsafe { libc::mallinfo2() };
        Self {
            resident: pages.unwrap_or(0u64) * page,
            allocated: (heap.uordblks + heap.hblkhd) as u64,
            descriptors: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [resident, allocated] = [self.resident, self.allocated].map(|bytes| bytes as f64 / MEGABYTE);
        write!(f, "{resident:.1} MiB ({allocated:.1} in use), {} fds, {} threads", self.descriptors, self.threads)
    }
}

impl Resources {
    pub fn add(&mut self, time: Duration) {
        self.0.push((time.as_secs_f64(), Sample::now()));
    }

    pub fn last(&self) -> Sample {
        self.0.last().map(|(_, sample)| *sample).unwrap_or_default()
    }

    /// Prints the slopes; whether none of them grows.
    pub fn judge(&self, length: Duration) -> bool {
        let begin = length.as_secs_f64() * WARM_UP;
        let kept: Vec<_> = self.0.iter().filter(|(time, _)| *time >= begin).collect();
        println!("growth in an hour, by a line through {} samples after {begin:.0} s of warm-up:", kept.len());
        let mut steady = true;
        for Kind { name, of, unit, goal } in KINDS {
            let points: Vec<_> = kept.iter().map(|(time, sample)| (time / 3600.0, of(sample))).collect();
            let values = points.iter().map(|point| point.1);
            let (least, most) = (values.clone().fold(f64::MAX, f64::min), values.fold(f64::MIN, f64::max));
            let Some(Line { slope, uncertainty }) = line::fit(&points) else {
                println!("  {name}: too few samples");
                continue;
            };
            let verdict = match () {
                () if length < ENOUGH || slope - uncertainty <= goal && slope + uncertainty > goal => {
                    "too short to tell"
                }
                () if slope - uncertainty > goal => "GROWS",
                () => "steady",
            };
            steady &= verdict != "GROWS";
            println!(
                "  {name:17}{slope:+10.2} ± {uncertainty:.2} {unit} (goal {goal} {unit}; {least:.1} to {most:.1}): {verdict}"
            );
        }
        steady
    }
}

/// More threads and descriptors than there were before the runtime was.
pub struct Left {
    threads: u64,
    descriptors: u64,
    names: Vec<String>,
}

impl Left {
    pub fn is_nothing(&self) -> bool {
        self.threads == 0 && self.descriptors == 0
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} threads {:?}, {} descriptors", self.threads, self.names, self.descriptors)
    }
}

/// Waits until all is given back, for at most half a minute. ONNX Runtime's own threads stay, and GLib's pools keep
/// some of theirs for their next work.
pub fn what_is_left(before: &Sample) -> Left {
    let begun = Instant::now();
    loop {
        let names: Vec<_> = thread_names().into_iter().filter(|name| name.starts_with("nv-")).collect();
        let descriptors = Sample::now().descriptors.saturating_sub(before.descriptors + MAIN_LOOP_DESCRIPTORS);
        let left = Left { threads: names.len() as u64, descriptors, names };
        if left.is_nothing() || begun.elapsed() > Duration::from_secs(30) {
            return left;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// GStreamer's clock and GLib's worker open some on first use, once a process.
const MAIN_LOOP_DESCRIPTORS: u64 = 8;

fn thread_names() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}
