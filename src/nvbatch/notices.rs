//! What a linked `nvbatch` posts on its bus.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use gst::prelude::*;
use parking_lot::Mutex;

use crate::runtime::{DropCause, Error, Failure, Feed, FeedListener, Frame, Health, Outcome, SourceCheck};

pub struct Notices {
    element: glib::WeakRef<super::NvBatch>,
    source: SourceCheck,
    live: AtomicBool,
    dropped: AtomicU64,
    failure: Failure,
    warnings: OncePerSecond,
    latencies: OncePerSecond,
}

impl Notices {
    pub fn new(element: &super::NvBatch) -> Self {
        Self {
            element: element.downgrade(),
            source: SourceCheck::default(),
            live: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            failure: Failure::default(),
            warnings: OncePerSecond::default(),
            latencies: OncePerSecond::default(),
        }
    }

    pub fn set_live(&self, live: bool) {
        self.live.store(live, Ordering::Relaxed);
    }

    /// The stream cannot go on. Posted once, whoever notices first. Returns what upstream is to get.
    pub fn failed(&self, error: &Error) -> gst::FlowError {
        self.failure.post(|| {
            if let Some(element) = self.element.upgrade() {
                error.post(&element);
            }
        })
    }

    /// Warns of a source that is not encrypted, or refuses it, as `rtsp-security` says.
    pub fn check_source(&self, pad: &gst::Pad, feed: &Feed, health: &Health) -> Result<(), Error> {
        match self.element.upgrade() {
            Some(element) => self.source.check(&element, pad, feed, health),
            None => Ok(()),
        }
    }

    /// One frame has no result; the stream goes on.
    pub fn frame_failed(&self, error: &Error) {
        if self.warnings.allows()
            && let Some(element) = self.element.upgrade()
        {
            gst::element_warning!(element, gst::StreamError::Failed, ("{error}"), details: error.details());
        }
    }

    /// Something is most likely not as it was meant; the stream goes on.
    #[cfg(feature = "v1_28")]
    pub fn warn(&self, error: &Error) {
        if let Some(element) = self.element.upgrade() {
            error.post_warning(&element, &error.message);
        }
    }

    pub fn frame_dropped(&self, frame: &Frame) {
        let Some(element) = self.element.upgrade() else { return };
        let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        let processed = (frame.number + 1).saturating_sub(dropped);
        let qos = gst::message::Qos::builder(self.live.load(Ordering::Relaxed))
            .src(&element)
            .running_time(frame.running_time)
            .stream_time(frame.stream_time)
            .timestamp(frame.pts)
            .duration(frame.duration)
            .stats(gst::format::Buffers::from_u64(processed), gst::format::Buffers::from_u64(dropped));
        post(&element, qos.build());
    }

    /// The latency grew beyond what was answered. Posted at most once a second.
    pub fn latency_grew(&self) {
        if self.latencies.allows() {
            self.latency_changed();
        }
    }

    /// Downstream refused what came, and upstream will not call again to learn of it.
    pub fn flow_failed(&self, flow: gst::FlowError) {
        _ = self.failure.post(|| {
            if let Some(element) = self.element.upgrade() {
                gst::element_error!(
                    element,
                    gst::StreamError::Failed,
                    ("Internal data stream error."),
                    ["streaming stopped, reason {flow:?}"]
                );
            }
        });
    }
}

impl FeedListener for Notices {
    /// Not called: frames leave with their results through [`crate::runtime::Feed::next`].
    fn deliver(&self, _frame: Frame, _outcome: Outcome) {}

    fn wants_results(&self) -> bool {
        true
    }

    fn dropped(&self, frame: Frame, _cause: DropCause) {
        self.frame_dropped(&frame);
    }

    fn failed(&self, error: Error) {
        _ = self.failed(&error);
    }

    fn latency_changed(&self) {
        if let Some(element) = self.element.upgrade() {
            post(&element, gst::message::Latency::builder().src(&element).build());
        }
    }
}

fn post(element: &super::NvBatch, message: gst::Message) {
    if element.post_message(message).is_err() {
        gst::log!(super::imp::CAT, obj = element, "no bus to post on");
    }
}

/// Lets the first of a second through.
#[derive(Default)]
struct OncePerSecond {
    /// A leaf.
    last: Mutex<Option<Instant>>,
}

impl OncePerSecond {
    fn allows(&self) -> bool {
        let now = Instant::now();
        let mut last = self.last.lock();
        let allowed = last.is_none_or(|last| now.duration_since(last) >= Duration::from_secs(1));
        if allowed {
            *last = Some(now);
        }
        allowed
    }
}
