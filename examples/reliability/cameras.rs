//! Live feeds at a rate of their own, and what came of them over a time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use gst::prelude::*;

use crate::Fallible;

/// One live stream, through an `nvfeed` or a linked `nvbatch` before a `fakesink`.
pub struct Camera {
    pub pipeline: gst::Pipeline,
    pub feed: gst::Element,
    seen: Arc<Mutex<Seen>>,
}

/// Results since the last call of [`Camera::take`].
#[derive(Default)]
pub struct Seen {
    pub results: u64,
    /// From the frame's way into the feed to its way out, for each.
    pub latencies: Vec<Duration>,
    entered: HashMap<gst::ClockTime, Instant>,
}

pub const BLACK: u32 = 0xff00_0000;

impl Camera {
    /// `more` are properties of the feed.
    pub fn start(name: &str, rate: u32, linked: bool, more: &str) -> Fallible<Self> {
        let (element, tail) =
            if linked { ("nvbatch", "! fakesink name=out sync=false") } else { ("nvfeed message=false", "") };
        let line = format!(
            "videotestsrc name=source is-live=true pattern=solid-color foreground-color={BLACK} \
             ! video/x-raw,format=RGB,width=64,height=64,framerate={rate}/1 ! valve name=valve \
             ! {element} name=feed feed-name={name} {more} {tail}"
        );
        let pipeline = gst::parse::launch(&line)?.downcast::<gst::Pipeline>().map_err(|_| "not a pipeline")?;
        let feed = pipeline.by_name("feed").ok_or("no feed")?;
        let camera = Self { pipeline, feed, seen: Arc::default() };
        camera.watch(linked);
        camera.pipeline.set_state(gst::State::Playing)?;
        Ok(camera)
    }

    pub fn take(&self) -> Seen {
        let mut seen = lock(&self.seen);
        let entered = std::mem::take(&mut seen.entered);
        std::mem::replace(&mut *seen, Seen { entered, ..Seen::default() })
    }

    pub fn child(&self, name: &str) -> Option<gst::Element> {
        self.pipeline.by_name(name)
    }

    /// The colour of frames from the next one on, as a grey.
    pub fn set_grey(&self, grey: u32) {
        if let Some(source) = self.child("source") {
            source.set_property("foreground-color", BLACK | grey << 16 | grey << 8 | grey);
        }
    }

    pub fn stats(&self) -> gst::Structure {
        let stats: gst::Structure = self.feed.property("stats");
        stats.get("feed").unwrap_or(stats)
    }

    pub fn count(&self, name: &str) -> u64 {
        self.stats().get(name).unwrap_or_default()
    }

    /// Whether every frame that came in is accounted for.
    pub fn is_conserved(&self) -> bool {
        let stats = self.stats();
        let of = |name| stats.get::<u64>(name).unwrap_or_default();
        of("received") == ["skipped", "results", "dropped", "errors", "in-flight", "queued"].map(of).iter().sum::<u64>()
    }

    fn watch(&self, linked: bool) {
        let seen = self.seen.clone();
        if let Some(pad) = self.feed.static_pad("sink") {
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                if let Some(pts) = info.buffer().and_then(|buffer| buffer.pts()) {
                    let mut seen = lock(&seen);
                    // Those that were dropped never leave.
                    seen.entered.retain(|_, entered| entered.elapsed() < Duration::from_secs(60));
                    seen.entered.insert(pts, Instant::now());
                }
                gst::PadProbeReturn::Ok
            });
        }
        let seen = self.seen.clone();
        if linked {
            if let Some(pad) = self.feed.static_pad("src") {
                pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                    left(&seen, info.buffer().and_then(|buffer| buffer.pts()));
                    gst::PadProbeReturn::Ok
                });
            }
        } else {
            self.feed.connect("result", false, move |values| {
                let result = values.get(1).and_then(|value| value.get::<gst::Structure>().ok());
                left(&seen, result.and_then(|result| result.get::<u64>("pts").ok()).map(gst::ClockTime::from_nseconds));
                None
            });
        }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        // Nobody is left to be told.
        _ = self.pipeline.set_state(gst::State::Null);
        self.pipeline.bus().inspect(|bus| bus.set_flushing(true));
    }
}

fn left(seen: &Mutex<Seen>, pts: Option<gst::ClockTime>) {
    let mut seen = lock(seen);
    seen.results += 1;
    let entered = pts.and_then(|pts| seen.entered.remove(&pts));
    seen.latencies.extend(entered.map(|entered| entered.elapsed()));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The value that so many of a hundred are below.
pub fn percentile(latencies: &mut [Duration], percent: usize) -> Duration {
    latencies.sort_unstable();
    latencies.get((latencies.len() * percent / 100).min(latencies.len().saturating_sub(1))).copied().unwrap_or_default()
}
