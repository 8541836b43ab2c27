//! One video: its pipeline, how it is doing, and the frame of it that makes a picture.

use std::{
    error::Error,
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
    middle: Arc<Mutex<Middle>>,
}

/// The frame in the middle of the clip, and what was found in it.
#[derive(Default)]
struct Middle {
    /// `None` until the length of the clip is known.
    time: Option<gst::ClockTime>,
    frame: Option<gst::Buffer>,
    objects: Option<Vec<gst::Structure>>,
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

        let middle = Arc::<Mutex<Middle>>::default();
        pad.add_probe(gst::PadProbeType::BUFFER, {
            let middle = middle.clone();
            move |_, info| {
                if let Some(buffer) = info.buffer() {
                    lock(&middle).came_in(buffer);
                }
                gst::PadProbeReturn::Ok
            }
        });
        element.connect("result", false, {
            let middle = middle.clone();
            move |arguments| {
                if let Some(Ok(result)) = arguments.get(1).map(|value| value.get::<gst::Structure>()) {
                    lock(&middle).has_result(&result);
                }
                None
            }
        });
        Ok(Self { name: name(clip), pipeline, element, started: Instant::now(), played: Mutex::default(), middle })
    }

    /// Has the picture taken from the middle of the clip, whose length is known once the pipeline is PAUSED.
    pub fn prepare_picture(&self) {
        let length = self.pipeline.0.query_duration::<gst::ClockTime>();
        lock(&self.middle).time = length.map(|length| length / 2);
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
        let middle = lock(&self.middle);
        let (Some(frame), Some(objects)) = (&middle.frame, &middle.objects) else {
            return Err(format!("no result for the frame in the middle of {}", self.name).into());
        };
        let caps = self.caps().ok_or_else(|| format!("{} has no format", self.name))?;
        let sample = gst::Sample::builder().buffer(frame).caps(&caps).build();
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

impl Middle {
    fn came_in(&mut self, buffer: &gst::Buffer) {
        if self.frame.is_none() && self.time.is_some_and(|middle| buffer.pts() >= Some(middle)) {
            self.frame = Some(buffer.clone());
        }
    }

    fn has_result(&mut self, result: &gst::Structure) {
        let time = result.get::<u64>("pts").map(gst::ClockTime::from_nseconds);
        if time.is_ok() && time.ok() == self.frame.as_ref().and_then(|frame| frame.pts()) {
            let objects = result.get::<gst::Array>("objects");
            self.objects = objects.ok().map(|objects| objects.iter().flat_map(|object| object.get()).collect());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
