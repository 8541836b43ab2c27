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
    /// The feed was reported as stalled, or restarted, and that it goes on is to be told.
    pub recovers: bool,
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
        if arrival.recovers {
            let _story = self.story();
            // Not before this is told is there another stall to tell.
            if self.state.lock().recover() {
                gst::info!(CAT, "feed {}: frames come again", self.name);
                self.health.emit(|| self.event("feed-recovered", Severity::Info));
            }
        }
        if arrival.gap {
            self.health.emit(|| self.event("discontinuity", Severity::Warning));
        }
    }

    /// Tells, once, where no frame came for `stall-timeout`.
    pub(in crate::runtime) fn report_stall(&self, now: Time) {
        let story = self.story();
        if story.is_there
            && let Some(age) = self.newly_stalled(now)
        {
            gst::warning!(CAT, "feed {}: no frame for {:.1} s", self.name, age as f64 / 1e9);
            self.health.emit(|| self.event("feed-stalled", Severity::Warning).duration("age", age));
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

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Weak, mpsc},
        time::Duration,
    };

    use super::*;
    use crate::runtime::{
        FeedConfig, FeedListener, FeedSettings, Frame, Health, Origin, Outcome, Output, Rejected,
        feed::{FrameTimes, Services},
        pool::Pool,
    };

    const SECOND: Time = 1_000_000_000;

    struct Nobody;

    impl FeedListener for Nobody {
        fn deliver(&self, _frame: Frame, _outcome: Outcome) {}
        fn wants_results(&self) -> bool {
            false
        }
        fn dropped(&self, _frame: Frame, _cause: DropCause) {}
        fn failed(&self, _error: crate::runtime::Error) {}
        fn latency_changed(&self) {}
    }

    /// Ended when dropped, as its owner would.
    struct TestFeed(Arc<Feed>);

    impl std::ops::Deref for TestFeed {
        type Target = Feed;

        fn deref(&self) -> &Feed {
            &self.0
        }
    }

    impl Drop for TestFeed {
        fn drop(&mut self) {
            self.0.end();
        }
    }

    fn feed(settings: FeedSettings) -> TestFeed {
        gst::init().unwrap();
        let pool = Arc::new(Pool::new());
        let listener: Weak<Nobody> = Weak::new();
        let config = FeedConfig {
            name: "f".into(),
            processor_id: "p".into(),
            settings,
            passes_frames: false,
            listener,
            origin: Origin::default(),
        };
        let feed = Feed::new(
            1,
            config,
            Services {
                health: Health::new(pool.clone(), 16),
                output: Output::new(pool.clone(), 1),
                agenda: Arc::default(),
                pool,
            },
        );
        feed.set_caps(gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, 8, 8).build().unwrap());
        TestFeed(Arc::new(feed))
    }

    fn frame() -> gst::Buffer {
        gst::Buffer::with_size(64).unwrap()
    }

    #[test]
    fn a_feed_stalls_once_after_its_timeout_and_again_after_it_recovered() {
        let feed = feed(FeedSettings { stall_timeout: 5 * SECOND, max_queued: 9, ..FeedSettings::default() });
        let stalls_in = |seconds: u64| feed.newly_stalled(clock::now() + seconds * SECOND).is_some();
        assert!(!stalls_in(4) && stalls_in(6) && !stalls_in(7), "before its first frame as well");
        let arrival = feed.take(frame(), FrameTimes::default()).unwrap();
        assert_eq!(arrival, Arrival { first: true, recovers: true, gap: false });
        assert!(!stalls_in(60), "it is still to be told that it recovered");
        feed.report_arrival(arrival);
        let arrival = feed.take(frame(), FrameTimes::default()).unwrap();
        assert_eq!(arrival, Arrival::default());
        assert!(!stalls_in(4) && stalls_in(6));
    }

    #[test]
    fn stalls_and_their_ends_are_told_in_turn() {
        let feed = feed(FeedSettings { stall_timeout: 1, max_queued: 9, ..FeedSettings::default() });
        let (tell, told) = mpsc::channel();
        let _subscription = feed.health.subscribe(|| true, move |told| tell.send(told.event.name).unwrap());
        let stall = || feed.report_stall(clock::now() + SECOND);
        stall();
        feed.story().is_there = true;
        for _ in 0..2 {
            stall();
            let arrival = feed.take(frame(), FrameTimes::default()).unwrap();
            stall();
            feed.report_arrival(arrival);
        }
        feed.story().is_there = false;
        stall();
        feed.health.emit(|| feed.event("the end", Severity::Info));
        let told: Vec<_> = (0..6).map(|_| told.recv_timeout(Duration::from_secs(60)).unwrap()).collect();
        let expected = ["feed-stalled", "feed-started", "feed-recovered", "feed-stalled", "feed-recovered", "the end"];
        assert_eq!(told, expected, "none before it is there, none twice, none after it is gone");
    }

    #[test]
    fn the_monitor_looks_again_when_something_can_be_late() {
        let settings = |stall_timeout, attach_timeout| FeedSettings {
            stall_timeout,
            attach_timeout,
            max_queued: 9,
            ..FeedSettings::default()
        };
        let feed = feed(settings(9 * SECOND, 30 * SECOND));
        let look = || {
            let now = clock::now();
            let is_due = !feed.agenda.due(now).is_empty();
            feed.agenda.next(feed.late_from(), feed.id);
            (is_due, feed.late_from().saturating_sub(now).div_ceil(SECOND))
        };
        assert_eq!(look(), (false, 9), "it stalls");
        feed.set_settings(settings(9 * SECOND, 3 * SECOND));
        assert_eq!(look(), (true, 3), "it gives up");
        feed.set_settings(settings(0, 30 * SECOND));
        assert_eq!(look(), (true, 30));
        assert!(!look().0);
        feed.detach();
        assert!(look().0 && !look().0);
        feed.wait_again();
        assert!(look().0);
    }

    #[test]
    fn who_is_paused_at_the_end_or_not_watched_does_not_stall() {
        let feed = feed(FeedSettings { stall_timeout: 5 * SECOND, max_queued: 9, ..FeedSettings::default() });
        let stalls = || feed.newly_stalled(clock::now() + 60 * SECOND).is_some();
        feed.set_playing(false);
        assert!(!stalls());
        feed.set_playing(true);
        feed.end_of_stream();
        assert!(!stalls());
        feed.begin_segment();
        feed.set_settings(FeedSettings { stall_timeout: 0, ..FeedSettings::default() });
        assert!(!stalls());
        feed.set_settings(FeedSettings { stall_timeout: 5 * SECOND, ..FeedSettings::default() });
        assert!(stalls());
    }

    #[test]
    fn a_gap_counts_in_the_middle_of_a_segment_only() {
        let feed = feed(FeedSettings { max_queued: 9, ..FeedSettings::default() });
        let gap = || {
            let mut buffer = frame();
            buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
            feed.take(buffer, FrameTimes::default()).unwrap().gap
        };
        assert!(!gap() && gap());
        feed.begin_segment();
        assert!(!gap());
        feed.flush_start();
        assert!(matches!(feed.take(frame(), FrameTimes::default()), Err(Rejected::Flushing)));
        feed.flush_stop();
        assert!(!gap() && gap());
    }
}
