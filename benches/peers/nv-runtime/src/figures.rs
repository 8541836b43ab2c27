//! Results as they come, and what the process used for them.

use std::{
    error::Error,
    fs,
    mem::MaybeUninit,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use nv_core::timestamp::WallTs;
use serde_json::{Value, json};

/// Longest wait for the first result.
const FIRST: Duration = Duration::from_secs(10);

#[derive(Default)]
pub struct Results {
    frames: AtomicU64,
    running: AtomicBool,
    millis: Mutex<Vec<f64>>,
}

impl Results {
    /// A result of the frame that the crate took over at `entered`.
    pub fn add(&self, entered: WallTs) {
        self.frames.fetch_add(1, Relaxed);
        if self.running.load(Relaxed) {
            let millis = (WallTs::now().as_micros() - entered.as_micros()) as f64 / 1e3;
            self.millis.lock().expect("nobody panics with it").push(millis);
        }
    }

    pub fn start(&self) {
        self.running.store(true, Relaxed);
    }

    pub fn frames(&self) -> u64 {
        self.frames.load(Relaxed)
    }

    /// When the last result came that was followed by so much silence. The first one may take longer.
    pub fn wait_until_silent(&self, silence: Duration) -> Instant {
        let (mut last, mut seen) = (Instant::now(), 0);
        while last.elapsed() < if seen == 0 { FIRST } else { silence } {
            thread::sleep(Duration::from_millis(10));
            if self.frames() != seen {
                (last, seen) = (Instant::now(), self.frames());
            }
        }
        last
    }
}

pub fn json(results: &Results, before: u64, window: Duration, used: f64, live: bool) -> Result<Value, Box<dyn Error>> {
    let frames = results.frames() - before;
    let cpu_seconds = cpu_seconds() - used;
    let mut millis = results.millis.lock().expect("nobody panics with it").clone();
    millis.sort_by(f64::total_cmp);
    let latency = (live && !millis.is_empty())
        .then(|| json!({"p50_ms": millis[millis.len() / 2], "p99_ms": millis[millis.len() * 99 / 100]}));
    Ok(json!({
        "frames": frames,
        "seconds": window.as_secs_f64(),
        "cpu_seconds": cpu_seconds,
        "peak_mb": peak_mb()?,
        "latency": latency,
        "library": null,
    }))
}

/// Seconds of CPU of all threads so far.
pub fn cpu_seconds() -> f64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to memory of that type; all zeros is a value of it.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// The most resident memory so far, in 10^6 bytes.
fn peak_mb() -> Result<f64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0 / 1e6)
}
