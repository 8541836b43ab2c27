//! What a worker is asked, and what it answers: one JSON object in the environment, one on standard output.

use serde::{Deserialize, Serialize};

/// The variable that makes a worker of a program of the benchmark.
pub const VARIABLE: &str = "NV_BENCH_JOB";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// What to measure: `feeds`, `library`, `share`, `search`, `alone` or `converter`.
    pub task: Task,
    /// How a peer is to do it, where it has several ways of its own.
    pub mode: String,
    /// Path of the ONNX model.
    pub model: String,
    /// Width and height of the model's input in pixels, for those who have to be told.
    pub side: u32,
    pub source: Source,
    pub feeds: usize,
    /// Seconds after the begin at which each feed starts, in order; without, they start at once.
    pub starts: Vec<f64>,
    /// Seconds before the window, and in it.
    pub warm_up: f64,
    pub window: f64,
    /// Frames that each source brings before it ends; without, it runs on until the window is over. With it the
    /// window is from the first frame to the last.
    pub frames: Option<u64>,
    /// For `library` and `share`.
    pub setting: Option<Setting>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    Feeds,
    Library,
    Share,
    Search,
    Alone,
    Converter,
}

/// Black pictures from `videotestsrc`, which makes far more of them than anybody takes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Source {
    pub format: Format,
    pub width: u32,
    pub height: u32,
    /// Live, at this many frames a second; without, as fast as they are taken.
    pub live: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Format {
    Rgb,
    Nv12,
}

/// One way of running the library by itself. What `search` answers: the best one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Setting {
    pub instances: usize,
    pub threads: usize,
    pub batch: usize,
}

/// What `feeds` and `library` answer. Counts are those of the window, of all feeds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// Results that came out.
    pub frames: u64,
    pub seconds: f64,
    /// Of all threads of the process, in user and kernel mode; the sources have their share in it.
    pub cpu_seconds: f64,
    /// The most memory that the process ever had resident, in 10^6 bytes.
    pub peak_mb: f64,
    /// Of live sources: from the frame's entry to its result.
    pub latency: Option<Latency>,
    /// Version of ONNX Runtime, where the worker can tell.
    pub library: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Latency {
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Figures {
    pub fn rate(&self) -> f64 {
        self.frames as f64 / self.seconds
    }

    /// CPU seconds that 1,000 frames cost.
    pub fn cpu_per_thousand(&self) -> f64 {
        self.cpu_seconds * 1000.0 / self.frames as f64
    }
}

/// What `share` answers, several times: feeds over the library alone, in the same seconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Share {
    /// Of frames a second.
    pub rate: f64,
    /// Of CPU seconds a frame.
    pub cpu: f64,
}

/// What `alone` answers: what one run of one frame by one thread takes while nothing else runs, without a pause, and 33 ms
/// after the one before, when others have had the caches.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Alone {
    pub inference_ms: f64,
    pub paced_inference_ms: f64,
}

/// What `converter` answers: from 1080p NV12 to 640 wide.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Conversion {
    /// Our preprocessing, to the model's floats.
    pub ours_ms: f64,
    /// GStreamer's converter, to RGB and no further.
    pub converter_ms: f64,
}
