//! One video: its pipeline, how it is doing, and the frame of it that makes a picture.

use std::{
    collections::BTreeMap,
    error::Error,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use gst::prelude::*;

use crate::{RESULTS, Running, picture};

pub struct Feed {
    pub name: String,
    pub pipeline: Running,
    element: gst::Element,
    started: Instant,
    /// How long the video played, once it is over.
    played: Mutex<Option<Duration>>,
    frames: Arc<Mutex<Frames>>,
}

/// Frames on their way to a picture, by their time.
#[derive(Default)]
struct Frames {
    /// The part of the clip from which the picture is taken.
    wanted: Range<gst::ClockTime>,
    /// Those whose result is not there yet.
    waiting: BTreeMap<gst::ClockTime, gst::Buffer>,
    /// The one with the most objects so far.
    best: Option<(gst::Buffer, Vec<gst::Structure>)>,
}

/// How a feed is doing.
pub struct Progress {
    pub size: String,
    pub frames: u64,
    pub frames_per_second: f64,
    pub objects: u64,
    /// From a frame's arrival to its result, in nanoseconds: half of the frames, and 95 % of them, took no longer.
    pub latency: (u64, u64),
}

/// The chain of elements for a clip, as `gst-launch-1.0` takes it.
pub fn description(clip: &Path) -> String {
    format!(
        "filesrc location={} ! qtdemux ! h264parse ! avdec_h264 ! nvfeed feed-name={} processor-id=shapes threshold=0.5 sync=true message=false location={RESULTS}",
        clip.display(),
        name(clip),
    )
}

fn name(clip: &Path) -> String {
    clip.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

impl Feed {
    pub fn new(clip: &Path, bus: &gst::Bus) -> Result<Self, Box<dyn Error>> {
        let pipeline = Running(gst::parse::launch(&description(clip))?);
        pipeline.0.set_bus(Some(bus));
        let bin = pipeline.0.downcast_ref::<gst::Bin>().ok_or("a chain of elements is not a pipeline")?;
        let element = bin.iterate_sinks().into_iter().flatten().next().ok_or("the pipeline has no end")?;
        let pad = element.static_pad("sink").ok_or("the end of the pipeline has no pad")?;

        let frames = Arc::<Mutex<Frames>>::default();
        pad.add_probe(gst::PadProbeType::BUFFER, {
            let frames = frames.clone();
            move |_, info| {
                if let Some(buffer) = info.buffer() {
                    lock(&frames).came_in(buffer);
                }
                gst::PadProbeReturn::Ok
            }
        });
        element.connect("result", false, {
            let frames = frames.clone();
            move |arguments| {
                if let Some(Ok(result)) = arguments.get(1).map(|value| value.get::<gst::Structure>()) {
                    lock(&frames).has_result(&result);
                }
                None
            }
        });
        Ok(Self { name: name(clip), pipeline, element, started: Instant::now(), played: Mutex::default(), frames })
    }

    /// Has the picture taken from the middle third of the clip, whose length is known once the pipeline is PAUSED.
    pub fn prepare_picture(&self) {
        let length = self.pipeline.0.query_duration::<gst::ClockTime>().unwrap_or_default();
        lock(&self.frames).wanted = length / 3..length / 3 * 2;
    }

    /// The video plays from now on.
    pub fn begin(&mut self) {
        self.started = Instant::now();
    }

    /// The video is over.
    pub fn end(&self) {
        lock(&self.played).get_or_insert(self.started.elapsed());
    }

    pub fn progress(&self) -> Progress {
        let stats = self.element.property::<gst::Structure>("stats");
        let count = |name| stats.get::<u64>(name).unwrap_or_default();
        let total = stats.get::<gst::Structure>("latency").and_then(|latency| latency.get::<gst::Structure>("total"));
        let quantile = |name| total.as_ref().ok().and_then(|total| total.get::<u64>(name).ok()).unwrap_or_default();
        let frames = count("results");
        let played = lock(&self.played).unwrap_or_else(|| self.started.elapsed());
        Progress {
            size: self.size(),
            frames,
            frames_per_second: frames as f64 / played.as_secs_f64(),
            objects: count("objects"),
            latency: (quantile("p50"), quantile("p95")),
        }
    }

    /// The picture as the content of a PNG file.
    pub fn picture(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        let frames = lock(&self.frames);
        let (buffer, objects) = frames.best.as_ref().ok_or_else(|| format!("no frame of {} came by", self.name))?;
        let caps = self.caps().ok_or_else(|| format!("{} has no format", self.name))?;
        let sample = gst::Sample::builder().buffer(buffer).caps(&caps).build();
        picture::annotated(&sample, objects)
    }

    fn caps(&self) -> Option<gst::Caps> {
        self.element.static_pad("sink")?.current_caps()
    }

    fn size(&self) -> String {
        let caps = self.caps();
        let info = caps.and_then(|caps| gst_video::VideoInfo::from_caps(&caps).ok());
        info.map(|info| format!("{}x{}", info.width(), info.height())).unwrap_or_default()
    }
}

impl Frames {
    fn came_in(&mut self, buffer: &gst::Buffer) {
        if let Some(time) = buffer.pts().filter(|time| self.wanted.contains(time)) {
            self.waiting.insert(time, buffer.clone());
        }
    }

    fn has_result(&mut self, result: &gst::Structure) {
        let time = result.get::<u64>("pts").map(gst::ClockTime::from_nseconds);
        let Some(buffer) = time.ok().and_then(|time| self.waiting.remove(&time)) else { return };
        let objects = result.get::<gst::Array>("objects");
        let objects: Vec<_> =
            objects.iter().flat_map(|objects| objects.iter()).flat_map(|object| object.get()).collect();
        if self.best.as_ref().is_none_or(|(_, most)| objects.len() > most.len()) {
            self.best = Some((buffer, objects));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
