//! A feed: one video stream inside the runtime.
//!
//! The element's streaming thread [`submit`](Feed::submit)s frames; instances of the processor take them and settle
//! them; they come out in order, either to a [`FeedListener`] on the pool (`nvfeed`) or to whoever calls
//! [`Feed::next`] (a linked `nvbatch`).

mod collect;
mod crop;
mod ending;
mod frame;
mod intake;
mod items;
mod report;
mod state;
mod story;
mod tracks;
mod work;

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{
    CAT, Error, ErrorCode,
    agenda::Agenda,
    clock::{self, Time},
    counters::{DropCause, FeedCounters, Timing},
    health::Health,
    lane::{Given, Lane},
    origin::Origin,
    output::{self, Output},
    pool::Pool,
    processor::Processor,
    redact,
    settings::{FeedSettings, Leaky, RtspSecurity},
};
pub(super) use frame::ItemId;
pub use frame::{
    Collected, Delivery, FeedListener, Findings, Frame, FrameCaps, FrameTimes, Inferred, Outcome, Rejected,
};
pub use items::{Answer, Item, Items};
use report::Arrival;
use state::{Stage, State};
pub(in crate::runtime) use story::Story;
use tracks::Tracks;
use work::KeptPreprocessor;

pub struct FeedConfig {
    pub name: String,
    /// Empty: the feed only collects what is on its frames.
    pub processor_id: String,
    pub settings: FeedSettings,
    /// Frames and events come out again, in order, through [`Feed::next`].
    pub passes_frames: bool,
    /// Called with nothing locked.
    pub listener: Weak<dyn FeedListener>,
    /// The pipeline that the feed's element is in.
    pub origin: Origin,
}

/// What a feed needs of its runtime.
pub(super) struct Services {
    pub pool: Arc<Pool>,
    pub agenda: Arc<Agenda>,
    pub health: Arc<Health>,
    pub output: Arc<Output>,
}

pub struct Feed {
    id: u64,
    /// What a processor knows it by: a managed feed is another one there after each restart.
    key: u64,
    /// The runtime made its pipeline; the place outlives this feed.
    is_managed: bool,
    origin: Origin,
    name: String,
    processor_id: Arc<str>,
    passes_frames: bool,
    listener: Weak<dyn FeedListener>,
    pool: Arc<Pool>,
    agenda: Arc<Agenda>,
    health: Arc<Health>,
    output: Arc<Output>,
    /// Held from a change of the feed as a whole until that is told. Before every other lock.
    story: Mutex<Story>,
    /// Taken with no other state held, and nothing else is taken while it is held.
    state: Mutex<State>,
    /// For whoever brings frames: there is room, or none is needed any more.
    room: Condvar,
    /// For whoever asks for what is due: there is something.
    due: Condvar,
    /// For whoever waits until nothing is inside: something has left.
    left: Condvar,
    /// Preprocessors that nobody uses at the moment. A leaf.
    preprocessors: Mutex<Vec<KeptPreprocessor>>,
    /// What its jobs are called where they do not end.
    label: Arc<str>,
}

/// What a QoS message tells beside the frame that was dropped.
#[derive(Debug, Clone, Copy)]
pub struct Qos {
    pub live: bool,
    /// Frames whose result is out.
    pub processed: u64,
    pub dropped: u64,
}

/// How a feed is doing, from the outside.
#[derive(Debug, Clone)]
pub struct FeedSnapshot {
    pub id: u64,
    pub name: String,
    pub processor_id: Arc<str>,
    pub attached: bool,
    pub counters: FeedCounters,
    pub queued: usize,
    pub queue_capacity: usize,
    pub in_flight: usize,
    /// Since the last frame came in, in nanoseconds.
    pub last_frame_age: Option<Time>,
}

impl Feed {
    pub(super) fn new(id: u64, config: FeedConfig, services: Services) -> Self {
        static KEYS: AtomicU64 = AtomicU64::new(1);
        let Services { pool, agenda, health, output } = services;
        let collects = config.processor_id.is_empty();
        // It is told and logged in many places.
        let name = redact::text(&config.name);
        Self {
            id,
            key: KEYS.fetch_add(1, Ordering::Relaxed),
            is_managed: false,
            origin: config.origin,
            label: format!("feed '{name}'").into(),
            name,
            processor_id: config.processor_id.into(),
            passes_frames: config.passes_frames,
            listener: config.listener,
            pool,
            agenda,
            health,
            output,
            story: Mutex::default(),
            state: Mutex::new(State::new(config.settings, collects)),
            room: Condvar::new(),
            due: Condvar::new(),
            left: Condvar::new(),
            preprocessors: Mutex::new(Vec::new()),
        }
    }

    /// A place whose feed is still to come, see [`Feed::following`].
    pub(super) fn reserved(id: u64, config: FeedConfig, services: Services) -> Self {
        let mut feed = Self::new(id, config, services);
        feed.is_managed = true;
        feed.state.get_mut().stage = Stage::Ended;
        feed
    }

    /// The next life of a feed that has ended: the same place, and its figures go on.
    pub(super) fn following(last: &Self, config: FeedConfig) -> Self {
        let services = Services {
            pool: last.pool.clone(),
            agenda: last.agenda.clone(),
            health: last.health.clone(),
            output: last.output.clone(),
        };
        let mut feed = Self::new(last.id, config, services);
        feed.is_managed = true;
        feed.story.get_mut().follow(&last.story());
        feed.state.get_mut().follow(&last.state.lock());
        feed
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn key(&self) -> u64 {
        self.key
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn is_managed(&self) -> bool {
        self.is_managed
    }

    /// A restart was decided on.
    pub(super) fn count_restart(&self) -> u64 {
        let mut state = self.state.lock();
        state.counters.restarts += 1;
        state.interrupted_run = true;
        state.counters.restarts
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn processor_id(&self) -> &str {
        &self.processor_id
    }

    pub fn set_settings(&self, settings: FeedSettings) {
        let processor = {
            let mut state = self.state.lock();
            state.settings = settings.clone();
            self.wake_all();
            state.processor.clone()
        };
        self.agenda.soon(self.id);
        if let Some(processor) = processor {
            processor.set_priority(self.key, settings.priority);
            self.take_turn(Some(processor));
        }
    }

    /// Whether upstream is live, which decides what `leaky=auto` means.
    pub fn set_live(&self, live: bool) {
        self.state.lock().live = live;
    }

    /// Whether the pipeline plays: a feed that is paused does not stall.
    pub fn set_playing(&self, playing: bool) {
        let mut state = self.state.lock();
        state.paused = !playing;
        state.quiet_since = clock::now();
    }

    /// The next thing that is due; waits for it. `None` when flushing. Who asks again is done with what it got before.
    pub fn next(&self) -> Option<Delivery> {
        let mut state = self.state.lock();
        state.exit = Some(thread::current().id());
        self.has_left(&mut state);
        loop {
            if state.flushing {
                return None;
            }
            if let Some((given, turn)) = state.give() {
                state.handed_out = true;
                self.make_use_of_room(&state);
                drop(state);
                self.take_turn(turn);
                return Some(match given {
                    Given::Frame(frame, mut outcome) => {
                        self.given_out(&frame, &mut outcome);
                        Delivery::Frame(frame, Some(outcome))
                    }
                    Given::Passing(item) => item,
                });
            }
            self.due.wait(&mut state);
        }
    }

    /// Whoever asked is done with what it got, and does not ask again.
    pub fn given_up(&self) {
        self.has_left(&mut self.state.lock());
    }

    /// What was handed out is in nobody's hands any more.
    fn has_left(&self, state: &mut MutexGuard<State>) {
        state.handed_out = false;
        self.left.notify_all();
        if std::mem::take(&mut state.left_behind) {
            MutexGuard::unlocked(state, || self.pool.detached().reap_of(Some((self.id, &self.name)), &self.label));
        }
    }

    /// While interrupted nobody waits in [`Feed::submit`] and [`Feed::drain`].
    pub fn set_interrupted(&self, interrupted: bool) {
        self.state.lock().interrupted = interrupted;
        self.wake_all();
    }

    /// Binds the feed to its processor. False where the feed has ended meanwhile.
    pub(super) fn attach(&self, processor: &Arc<Processor>) -> bool {
        let waiting = {
            let mut state = self.state.lock();
            if state.stage != Stage::Open || state.error.is_some() {
                return false;
            }
            state.processor = Some(processor.clone());
            // Another model may say something else.
            state.tracks.clear();
            state.lane.queued() > 0 || state.dividing.is_some()
        };
        if waiting {
            self.take_turn(Some(processor.clone()));
        }
        self.tell_latency_changed();
        true
    }

    /// The feed waits for another processor from now on, if it is this one that it is bound to.
    pub(super) fn detach_from(&self, processor: &Arc<Processor>) {
        {
            let mut state = self.state.lock();
            if state.processor.as_ref().is_some_and(|bound| Arc::ptr_eq(bound, processor)) {
                state.pending_since = clock::now();
                state.processor = None;
            }
        }
        self.agenda.soon(self.id);
        processor.detach(self.key);
    }

    pub(super) fn detach(&self) {
        let processor = self.state.lock().processor.take();
        self.agenda.soon(self.id);
        if let Some(processor) = processor {
            processor.detach(self.key);
        }
    }

    /// The feed takes part again after it left: from now on it waits for a processor.
    pub(super) fn wait_again(&self) {
        self.state.lock().pending_since = clock::now();
        self.agenda.soon(self.id);
    }

    /// When [`pending`](Self::pending) or [`report_stall`](Self::report_stall) can have something to tell. Where that comes
    /// to be earlier, it is on the agenda.
    pub(super) fn late_from(&self) -> Time {
        self.state.lock().late_from()
    }

    /// Since when the feed waits for a processor, and how long it wants to.
    pub(super) fn pending(&self) -> Option<(Time, Time)> {
        let state = self.state.lock();
        (!state.collects && state.processor.is_none() && state.error.is_none() && state.stage == Stage::Open)
            .then_some((state.pending_since, state.settings.attach_timeout))
    }

    /// Whoever changes what the feed is part of, or how it is doing as a whole, does so and tells it while this is held.
    pub(super) fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock()
    }

    /// Becomes `Some(age)` once when no frame came for `stall-timeout`.
    fn newly_stalled(&self, now: Time) -> Option<Time> {
        let mut state = self.state.lock();
        let age = state.silence(now)?;
        (!std::mem::replace(&mut state.stalled, true)).then_some(age)
    }

    /// How long no frame came, where that is longer than `stall-timeout` and the feed is open.
    pub(super) fn silence(&self, now: Time) -> Option<Time> {
        let state = self.state.lock();
        state.silence(now).filter(|_| state.stage == Stage::Open)
    }

    pub fn rtsp_security(&self) -> RtspSecurity {
        self.state.lock().settings.rtsp_security
    }

    pub fn priority(&self) -> i32 {
        self.state.lock().settings.priority
    }

    pub fn processor(&self) -> Option<Arc<Processor>> {
        self.state.lock().processor.clone()
    }

    pub fn qos(&self) -> Qos {
        let state = self.state.lock();
        Qos { live: state.live, processed: state.counters.results, dropped: state.counters.dropped_in_all() }
    }

    pub fn snapshot(&self) -> FeedSnapshot {
        let state = self.state.lock();
        let snapshot = FeedSnapshot {
            id: self.id,
            name: self.name.clone(),
            processor_id: self.processor_id.clone(),
            attached: state.processor.is_some(),
            counters: state.counters.clone(),
            queued: state.lane.queued(),
            queue_capacity: state.queue_capacity(),
            in_flight: state.lane.in_flight(),
            last_frame_age: state.last_frame.map(|last| clock::now().saturating_sub(last)),
        };
        drop(state);
        debug_assert!(snapshot.is_conserved(), "a frame is lost: {snapshot:?}");
        snapshot
    }

    /// Something was taken out.
    fn make_use_of_room(&self, state: &State) {
        if state.is_worth_waking(self.passes_frames) {
            self.room.notify_all();
        }
    }

    fn wake_all(&self) {
        for waiters in [&self.room, &self.due, &self.left] {
            waiters.notify_all();
        }
    }

    fn take_turn(&self, processor: Option<Arc<Processor>>) {
        if let Some(processor) = processor {
            let waiting = self.state.lock().work_left();
            processor.give_turn(self.key, waiting);
        }
    }

    /// Everybody who listens to the runtime's results gets this one as well, if it is of the frame and not of its objects.
    fn given_out(&self, frame: &Frame, outcome: &mut Outcome) {
        if let Some(findings) = outcome.findings() {
            self.report_lag(frame.arrival);
            if frame.items.is_some() {
                return;
            }
            if let Some(told) = output::send(&self.output, &self.health, (self.id, &self.name), frame, findings) {
                outcome.keep_told(told);
            }
        }
    }

    fn tell_dropped(&self, frame: Frame, cause: DropCause) {
        if let Some(listener) = self.listener.upgrade() {
            listener.dropped(frame, cause);
        }
    }

    fn tell_latency_changed(&self) {
        let listener = self.listener.clone();
        self.pool.run_as(&self.label, move || {
            if let Some(listener) = listener.upgrade() {
                listener.latency_changed();
            }
        });
    }
}

/// Wherever a feed runs in a build with assertions, its frames are accounted for at every snapshot, and at its end.
#[cfg(debug_assertions)]
impl Drop for Feed {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let snapshot = self.snapshot();
            assert_eq!(snapshot.queued + snapshot.in_flight, 0, "a frame is left: {snapshot:?}");
        }
    }
}
