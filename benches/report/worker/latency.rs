//! How long frames are inside: from the pad where they come in to their result.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use gst::prelude::*;
use parking_lot::Mutex;

use crate::job::Latency;

/// All frames of all feeds, since `start`.
#[derive(Default)]
pub struct Latencies {
    running: AtomicBool,
    millis: Mutex<Vec<f64>>,
}

impl Latencies {
    pub fn start(&self) {
        self.running.store(true, Ordering::Relaxed);
    }

    pub fn summary(&self) -> Option<Latency> {
        let mut millis = self.millis.lock();
        millis.sort_by(f64::total_cmp);
        let at = |share: f64| millis.get(((millis.len() as f64 * share) as usize).min(millis.len().checked_sub(1)?));
        Some(Latency { p50_ms: *at(0.5)?, p99_ms: *at(0.99)? })
    }
}

/// The frames of one feed that are inside, oldest first.
#[derive(Default)]
pub struct Inside(Mutex<VecDeque<(gst::ClockTime, Instant)>>);

impl Inside {
    /// Notes each frame that comes through `pad`.
    pub fn watch(pad: &gst::Pad) -> Arc<Self> {
        let inside = Arc::new(Self::default());
        let entered = inside.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(pts) = info.buffer().and_then(|buffer| buffer.pts()) {
                entered.0.lock().push_back((pts, Instant::now()));
            }
            gst::PadProbeReturn::Ok
        });
        inside
    }

    /// The frame of that time has its result. Those before it that have none were dropped.
    pub fn leave(&self, pts: gst::ClockTime, latencies: &Latencies) {
        let mut inside = self.0.lock();
        while let Some((entered, at)) = inside.pop_front() {
            if entered == pts {
                if latencies.running.load(Ordering::Relaxed) {
                    latencies.millis.lock().push(at.elapsed().as_secs_f64() * 1e3);
                }
                return;
            }
        }
    }
}
