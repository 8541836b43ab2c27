//! What a feed tells about itself as health events. Called with nothing locked.

use super::{CAT, DropCause, Feed, State, Time, clock};
use crate::runtime::event::{Event, Severity};

/// A result may come out so much later than its frame came in, beyond the processor's latency, where the feed has no
/// `deadline`.
const TOLERATED_LAG: Time = 1_000_000_000;

/// What a frame that came in says about its stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Arrival {
    pub first: bool,
    /// The feed was reported as stalled.
    pub recovered: bool,
    /// Upstream says that something is missing before it.
    pub gap: bool,
}

impl Feed {
    pub(in crate::runtime) fn event(&self, name: &'static str, severity: Severity) -> Event {
        Event::new(name, severity).of_feed(self.id, &self.name)
    }

    pub(super) fn report_arrival(&self, arrival: Arrival) {
        if arrival == Arrival::default() {
            return;
        }
        if arrival.first {
            self.health.emit(|| self.event("feed-started", Severity::Info));
        }
        if arrival.recovered {
            gst::info!(CAT, "feed {}: frames come again", self.name);
            self.health.emit(|| self.event("feed-recovered", Severity::Info));
        }
        if arrival.gap {
            self.health.emit(|| self.event("discontinuity", Severity::Info));
        }
    }

    /// Frames that were dropped. Flushes and ends are no event of their own, and an answer that did not come is one of the processor.
    pub(super) fn report_dropped(&self, cause: DropCause, frames: u64) {
        let name = match cause {
            DropCause::Backpressure => "backpressure-drop",
            DropCause::Expired => "frame-expired",
            DropCause::Rejected => "batch-rejected",
            DropCause::InFlight => "in-flight-exceeded",
            DropCause::TimedOut | DropCause::Flushed | DropCause::Shutdown => return,
        };
        self.health.emit(|| {
            let event = self.event(name, Severity::Warning).sum("frames", frames);
            let of_processor = matches!(cause, DropCause::Rejected | DropCause::InFlight);
            if of_processor { event.of_processor(&self.processor_id) } else { event }
        });
    }

    /// A result is given out: tells where it comes much too late.
    pub(super) fn report_lag(&self, arrival: Time) {
        let age = clock::now().saturating_sub(arrival);
        let (allowed, processor) = {
            let state = self.state.lock();
            if !state.may_lag(arrival) {
                return;
            }
            (state.tolerated_wait(), state.processor.clone())
        };
        if age > allowed.saturating_add(processor.map_or(0, |processor| processor.latency())) {
            self.health.emit(|| self.event("frame-lag", Severity::Warning).longest("age", age).sum("frames", 1));
        }
    }
}

impl State {
    /// How long a frame may wait beside what the processor takes before its result lags.
    fn tolerated_wait(&self) -> Time {
        match self.settings.deadline {
            0 => TOLERATED_LAG,
            deadline => deadline,
        }
    }

    /// Whether the result of a frame lags, unless the processor takes that long.
    pub fn may_lag(&self, arrival: Time) -> bool {
        clock::now().saturating_sub(arrival) > self.tolerated_wait()
    }
}
