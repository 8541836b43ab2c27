//! How a feed is flushed, fails, is shut down and ends.

use std::{
    ops::ControlFlow,
    sync::Arc,
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use parking_lot::MutexGuard;

use super::{CAT, Delivery, DropCause, Error, Feed, ItemId, Outcome, State, state::Stage};

/// How long a flush or the end of a feed waits for a handler that is just being called.
const HANDLER_PATIENCE: Duration = Duration::from_secs(1);

impl Feed {
    /// Waits until everything that came in is out. Breaks with the reason where that cannot be waited for.
    pub fn drain(&self) -> ControlFlow<Option<Error>> {
        let mut state = self.state.lock();
        loop {
            if let Some(error) = &state.error {
                return ControlFlow::Break(Some(error.clone()));
            }
            if state.flushing || state.interrupted {
                return ControlFlow::Break(None);
            }
            if state.stage == Stage::Ended || state.lane.is_empty() && !state.is_giving() {
                return ControlFlow::Continue(());
            }
            self.left.wait(&mut state);
        }
    }

    /// Everything that is inside is dropped, and nothing is taken until [`Feed::flush_stop`]. Returns the events that
    /// were dropped.
    pub fn flush_start(&self) -> Vec<gst::Event> {
        self.clear(DropCause::Flushed)
    }

    /// When this returns nothing from before the flush comes out any more.
    pub fn flush_stop(&self) {
        let mut state = self.state.lock();
        self.wait_for_handler(&mut state);
        state.flushing = false;
        state.begins = true;
        if state.stage != Stage::Open && self.passes_frames {
            // The one that was to come out was flushed.
            state.lane.pass(Delivery::Event(gst::event::Eos::new()));
            self.wake_all();
        }
    }

    /// The feed cannot go on.
    pub(in crate::runtime) fn fail(self: &Arc<Self>, error: Error) {
        {
            let mut state = self.state.lock();
            if state.error.is_some() {
                return;
            }
            state.error = Some(error.clone());
            let (frames, passing) = state.lane.clear();
            state.counters.errors += frames as u64;
            // Downstream still learns that the stream ends.
            passing.into_iter().for_each(|item| state.lane.pass(item));
            self.wake_all();
        }
        let listener = self.listener.clone();
        self.pool.run(move || {
            if let Some(listener) = listener.upgrade() {
                listener.failed(error);
            }
        });
    }

    /// No frame is taken any more, and the runtime does not take the feed again.
    pub(in crate::runtime) fn close(&self) {
        self.state.lock().stage = Stage::Ended;
        self.wake_all();
    }

    pub(in crate::runtime) fn is_closed(&self) -> bool {
        self.state.lock().stage != Stage::Open
    }

    /// The end of the feed. The registry has forgotten it by then. No handler is called any more when this returns.
    pub(in crate::runtime) fn end(&self) {
        let stopped = {
            let mut state = self.state.lock();
            state.stage = Stage::Ended;
            state.stopped
        };
        self.clear(if stopped { DropCause::Shutdown } else { DropCause::Flushed });
        self.detach();
        self.preprocessors.lock().clear();
        let left_behind = {
            let mut state = self.state.lock();
            self.wait_for_handler(&mut state);
            // Whoever got the last frame does not ask again: a shutdown at this moment would wait for it.
            state.handed_out = false;
            self.left.notify_all();
            std::mem::take(&mut state.left_behind)
        };
        if left_behind {
            self.pool.detached().reap_of(Some((self.id, &self.name)), &self.label);
        }
    }

    /// Whether the runtime was shut down, and the stream ends with the frames that were taken by then.
    pub fn was_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// Begins the end, for a shutdown: nothing is taken any more, frames that wait are dropped, those in work go on, and
    /// the stream ends after them. Where the end is `held` it is not told before [`Feed::release`].
    pub(in crate::runtime) fn stop(self: &Arc<Self>, held: bool) {
        let (dropped, divided) = {
            let mut state = self.state.lock();
            if state.stage != Stage::Open {
                return;
            }
            state.stage = Stage::Stopping;
            state.stopped = true;
            state.end_held = held;
            let dropped: Vec<_> = std::iter::from_fn(|| state.lane.remove_oldest_queued()).collect();
            state.counters.drop_frames(DropCause::Shutdown, dropped.len() as u64);
            if self.passes_frames {
                state.lane.pass(Delivery::Event(gst::event::Eos::new()));
            }
            self.wake_all();
            (dropped, state.dividing.take())
        };
        if let Some(lane_number) = divided {
            // Nobody takes the rest of its items.
            self.settle(ItemId { lane_number, item: None }, Outcome::Dropped(DropCause::Shutdown));
        }
        if !dropped.is_empty() {
            let feed = self.clone();
            self.pool.run_as(&self.label, move || {
                dropped.into_iter().for_each(|frame| feed.tell_dropped(frame, DropCause::Shutdown));
            });
        }
        self.tell_end_if_due();
    }

    /// Waits until everything is out, or `until`. True where it is.
    pub(in crate::runtime) fn join(&self, until: Instant) -> bool {
        let mut state = self.state.lock();
        while !self.is_quiet(&state) {
            if self.left.wait_until(&mut state, until).timed_out() {
                return self.is_quiet(&state);
            }
        }
        true
    }

    fn is_quiet(&self, state: &State) -> bool {
        // Where downstream takes nothing any more nobody asks for what is left.
        let nobody_asks = self.passes_frames && (state.interrupted || state.flushing);
        (state.lane.is_empty() || nobody_asks) && !state.is_giving()
    }

    /// What is still inside is dropped; whoever is still giving out is left behind.
    pub(in crate::runtime) fn finish(self: &Arc<Self>) {
        let left_behind = {
            let mut state = self.state.lock();
            state.stage = Stage::Ended;
            let (frames, passing) = state.lane.clear();
            state.counters.drop_frames(DropCause::Shutdown, frames as u64);
            passing.into_iter().for_each(|item| state.lane.pass(item));
            state.left_behind = state.handed_out;
            self.wake_all();
            state.left_behind
        };
        self.detach();
        self.preprocessors.lock().clear();
        if left_behind {
            self.pool.detached().leave_of(Some((self.id, &self.name)), &self.label);
        }
        self.tell_end_if_due();
    }

    /// The end may be told now, when it is there.
    pub(in crate::runtime) fn release(self: &Arc<Self>) {
        self.state.lock().end_held = false;
        self.detach();
        self.tell_end_if_due();
    }

    /// Tells the end again, to a listener that could not make use of it before.
    pub fn tell_end_again(self: &Arc<Self>) {
        self.state.lock().end_told = false;
        self.tell_end_if_due();
    }

    /// For a feed that passes frames on the end is an event behind them.
    pub(super) fn tell_end_if_due(self: &Arc<Self>) {
        {
            let mut state = self.state.lock();
            let is_out = state.stage == Stage::Ended || state.lane.is_empty() && !state.is_giving();
            let due = state.stopped && is_out && !state.end_held && !self.passes_frames;
            if !due || std::mem::replace(&mut state.end_told, true) {
                return;
            }
        }
        let listener = self.listener.clone();
        self.pool.run_as(&self.label, move || {
            if let Some(listener) = listener.upgrade() {
                listener.ended();
            }
        });
    }

    /// Whether frames of the feed come in or go out on that thread.
    pub(in crate::runtime) fn runs_on(&self, thread: ThreadId) -> bool {
        let state = self.state.lock();
        [state.entry, state.exit, state.delivering].contains(&Some(thread))
    }

    fn clear(&self, cause: DropCause) -> Vec<gst::Event> {
        let mut state = self.state.lock();
        state.flushing = true;
        let (frames, passing) = state.lane.clear();
        state.tracks.clear();
        state.counters.drop_frames(cause, frames as u64);
        self.wake_all();
        let event = |item| match item {
            Delivery::Event(event) => Some(event),
            Delivery::Frame(..) => None,
        };
        passing.into_iter().filter_map(event).collect()
    }

    fn wait_for_handler(&self, state: &mut MutexGuard<State>) {
        // A handler may flush or stop its own feed, and one that blocks cannot be waited for.
        let this = thread::current().id();
        while state.delivering.is_some_and(|thread| thread != this) {
            if self.left.wait_for(state, HANDLER_PATIENCE).timed_out() {
                gst::warning!(CAT, "feed {}: a handler of a result does not return; not waited for", self.name);
                break;
            }
        }
    }
}
