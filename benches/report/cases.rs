//! What is measured: a model, a source, and numbers of feeds.

use std::path::PathBuf;

use crate::{
    job::{Format, Job, Source, Task},
    ways::checkout,
};

/// Seconds at least before anything is counted: queues are full by then, and sources have found their pace.
const WARM_UP: f64 = 0.7;

pub struct Case {
    pub id: &'static str,
    pub title: &'static str,
    /// File name in `benches/models`.
    pub model: &'static str,
    /// Width and height of the model's input.
    pub side: u32,
    pub source: Source,
    pub feeds: &'static [usize],
    /// How much longer than others it is measured: few frames want more time.
    pub times: f64,
}

const SMALL_RGB: Source = Source { format: Format::Rgb, width: 224, height: 224, live: None };
const FULL_HD: Source = Source { format: Format::Nv12, width: 1920, height: 1080, live: None };

pub const CASES: &[Case] = &[
    Case {
        id: "small",
        title: "MobileNetV3-small, 224x224 RGB",
        model: "mobilenetv3-small.onnx",
        side: 224,
        source: SMALL_RGB,
        feeds: &[1, 4, 8, 16],
        times: 1.0,
    },
    Case {
        id: "nothing",
        title: "A mean over the image: next to nothing, 224x224 RGB",
        model: "mean.onnx",
        side: 224,
        source: SMALL_RGB,
        feeds: &[8],
        times: 1.0,
    },
    Case {
        id: "full-hd",
        title: "MobileNetV3-small, 1080p NV12",
        model: "mobilenetv3-small.onnx",
        side: 224,
        source: FULL_HD,
        feeds: &[1, 4, 16],
        times: 1.0,
    },
    Case {
        id: "yolo",
        title: "A YOLOv8n at 640x640, 1080p NV12",
        model: "yolov8n.onnx",
        side: 640,
        source: FULL_HD,
        feeds: &[4],
        times: 3.0,
    },
    Case {
        id: "live",
        title: "MobileNetV3-small, 224x224 RGB, live at 30 frames/s each",
        model: "mobilenetv3-small.onnx",
        side: 224,
        source: Source { live: Some(30), ..SMALL_RGB },
        feeds: &[1, 8, 16],
        times: 2.0,
    },
];

impl Case {
    pub fn model(&self) -> PathBuf {
        checkout().join("benches/models").join(self.model)
    }

    pub fn is_live(&self) -> bool {
        self.source.live.is_some()
    }

    pub fn job(&self, feeds: usize, window: f64) -> Job {
        Job {
            task: Task::Feeds,
            mode: String::new(),
            model: self.model().display().to_string(),
            side: self.side,
            source: self.source,
            feeds,
            warm_up: WARM_UP.max(window * self.times / 3.0),
            window: window * self.times,
            starts: Vec::new(),
            frames: None,
            setting: None,
        }
    }

    /// When feeds start: live ones one frame's time after the other, and up to another one later, as `round` has it.
    /// Cameras do not wait for each other. Started in a loop, they bring their frames together or apart by how long
    /// that loop takes, which differs from way to way, and latency is that then.
    pub fn starts(&self, feeds: usize, round: usize) -> Vec<f64> {
        let Some(rate) = self.source.live else { return Vec::new() };
        let mut random = fastrand::Rng::with_seed(round as u64);
        (0..feeds).map(|feed| (feed as f64 + random.f64()) / f64::from(rate)).collect()
    }
}
