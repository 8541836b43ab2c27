//! Where a feed's results leave: the bus, the signal, the file. Called from the runtime's pool.

use std::{sync::Arc, time::Instant};

use glib::{prelude::*, subclass::SignalId, subclass::prelude::*};
use gst::prelude::*;
use once_cell::sync::{Lazy, OnceCell};
use parking_lot::Mutex;

use super::{
    NvFeed,
    argument::Argument,
    imp::CAT,
    location::{Location, Written},
    throttle::Throttle,
};
use crate::runtime::{
    DropCause, Error, ErrorCode, Event, Failure, Feed, FeedListener, Findings, Frame, FrameResult, Outcome, Runtime,
    Severity, SourceCheck, StopReason, interpreter,
};

pub const RESULT_SIGNAL: &str = "result";
static RESULT: Lazy<Option<SignalId>> = Lazy::new(|| SignalId::lookup(RESULT_SIGNAL, NvFeed::static_type()));

pub struct Outlet {
    element: glib::WeakRef<NvFeed>,
    runtime: Runtime,
    /// Set as soon as there is one.
    feed: OnceCell<Arc<Feed>>,
    location: Option<Location>,
    failure: Failure,
    source: SourceCheck,
    /// Frames that the model could not answer. A leaf.
    failures: Mutex<Throttle>,
}

impl Outlet {
    pub fn new(element: &NvFeed, runtime: Runtime, location: Option<Location>) -> Self {
        Self {
            element: element.downgrade(),
            runtime,
            feed: OnceCell::new(),
            location,
            failure: Failure::default(),
            source: SourceCheck::default(),
            failures: Mutex::default(),
        }
    }

    pub fn set_feed(&self, feed: Arc<Feed>) {
        // There is one feed for each outlet.
        _ = self.feed.set(feed);
    }

    /// Results that could not be written to `location`.
    pub fn location_lost(&self) -> u64 {
        self.location.as_ref().map_or(0, Location::lost)
    }

    /// What upstream is to get, where the feed cannot go on.
    pub fn failure(&self) -> Option<gst::FlowError> {
        self.failure.flow()
    }

    /// Posts the error, unless one was posted already; the feed's place is free. Returns what upstream is to get.
    pub fn fail(&self, error: &Error) -> gst::FlowError {
        self.failure.post(|| {
            self.retire(StopReason::Error(error.message.clone()));
            if let Some(element) = self.element.upgrade() {
                error.post(&element);
            }
        })
    }

    /// The stream has ended: the feed's place is free.
    pub fn retire(&self, reason: StopReason) {
        if let Some(feed) = self.feed.get() {
            self.runtime.retire(feed, reason);
        }
    }

    /// The stream goes on, perhaps after its end: the feed takes a place again.
    pub fn rejoin(&self) {
        if let Some(feed) = self.feed.get()
            && self.failure.flow().is_none()
            && let Err(error) = self.runtime.rejoin(feed)
        {
            _ = self.fail(&error);
        }
    }

    /// Warns of a source that is not encrypted, or refuses it, as `rtsp-security` says.
    pub fn check_source(&self, element: &NvFeed, pad: &gst::Pad) -> Result<(), Error> {
        let Some(feed) = self.feed.get() else { return Ok(()) };
        self.source.check(element, pad, feed, self.runtime.health()).inspect_err(|error| _ = self.fail(error))
    }

    fn tell_result(&self, element: &NvFeed, frame: &Frame, findings: Findings) {
        let Some(feed) = self.feed.get() else { return };
        let result = FrameResult::new(feed.id(), feed.name(), frame, findings);
        let signal = RESULT.filter(|&signal| glib::signal::signal_has_handler_pending(element, signal, None, true));
        let message = element.imp().posts_messages();
        let structure = || Arc::unwrap_or_clone(result.shared_structure());
        let emit = |signal, structure| {
            if interpreter::takes_calls() {
                element.emit::<()>(signal, &[&Argument::new(structure)]);
            }
        };
        let post = |structure| {
            _ = element.post_message(gst::message::Element::builder(structure).src(element).build());
        };
        match (signal, message) {
            (Some(signal), true) => {
                let structure = structure();
                emit(signal, structure.clone());
                post(structure);
            }
            (Some(signal), false) => emit(signal, structure()),
            (None, true) => post(structure()),
            (None, false) => {}
        }
        if let Some(location) = &self.location {
            match result.to_json() {
                Ok(line) => self.write(element, feed, location, &line),
                Err(error) => gst::error!(CAT, obj = element, "a result is no JSON: {error}"),
            }
        }
    }

    fn write(&self, element: &NvFeed, feed: &Feed, location: &Location, line: &str) {
        match location.write(line) {
            Written::Whole => {}
            Written::Recovered => {
                gst::info!(CAT, obj = element, "results are written to {} again", location.path().display());
                self.runtime.health().settle(Some(feed.id()), None);
            }
            Written::Lost { error, first } => {
                let detail = format!("cannot write results to {}: {error}", location.path().display());
                if first {
                    gst::element_warning!(
                        element,
                        gst::ResourceError::Write,
                        ("{detail}: they are lost until it can be written again, and the feed goes on")
                    );
                }
                self.runtime.health().emit(|| {
                    Event::new("sink-error", Severity::Error)
                        .of_feed(feed.id(), feed.name())
                        .sum("count", 1)
                        .text("detail", &detail)
                });
            }
        }
    }

    fn tell_failure(&self, element: &NvFeed, error: &Error) {
        // Such a frame says that all that follow are wrong as well: its caps do not describe it.
        if error.code == ErrorCode::InvalidConfig {
            _ = self.fail(error);
            return;
        }
        if let Some(count) = self.failures.lock().happened(Instant::now()) {
            error.post_warning(element, &format!("no result for {count} frames: {error}"));
        }
    }

    fn tell_drop(&self, element: &NvFeed, frame: &Frame) {
        let Some(feed) = self.feed.get() else { return };
        let qos = feed.qos();
        let message = gst::message::Qos::builder(qos.live)
            .running_time(frame.running_time)
            .stream_time(frame.stream_time)
            .timestamp(frame.pts)
            .duration(frame.duration)
            .stats(gst::format::Buffers::from_u64(qos.processed), gst::format::Buffers::from_u64(qos.dropped))
            .src(element)
            .build();
        _ = element.post_message(message);
    }
}

impl FeedListener for Outlet {
    fn deliver(&self, frame: Frame, outcome: Outcome) {
        let Some(element) = self.element.upgrade() else { return };
        match &outcome {
            Outcome::Result(_) | Outcome::Collected(_) => {
                if let Some(findings) = outcome.findings() {
                    self.tell_result(&element, &frame, findings);
                }
            }
            Outcome::Dropped(_) => self.tell_drop(&element, &frame),
            Outcome::Failed(error) => self.tell_failure(&element, error),
        }
    }

    fn wants_results(&self) -> bool {
        let Some(element) = self.element.upgrade() else { return false };
        self.location.is_some()
            || element.imp().posts_messages()
            || RESULT.is_some_and(|signal| glib::signal::signal_has_handler_pending(&element, signal, None, true))
    }

    fn dropped(&self, frame: Frame, _cause: DropCause) {
        if let Some(element) = self.element.upgrade() {
            self.tell_drop(&element, &frame);
        }
    }

    fn failed(&self, error: Error) {
        _ = self.fail(&error);
    }

    /// Nothing comes after this element, so nobody waits for it.
    fn latency_changed(&self) {}

    fn ended(&self) {
        if let Some(element) = self.element.upgrade() {
            element.imp().end_stream();
        }
    }
}
