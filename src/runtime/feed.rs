//! A feed: one video stream inside the runtime.
//!
//! The element's streaming thread [`submit`](Feed::submit)s frames; instances of the processor take them and settle
//! them; they come out in order, either to a [`FeedListener`] on the pool (`nvfeed`) or to whoever calls
//! [`Feed::next`] (a linked `nvbatch`).

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{
    CAT, Error, ErrorCode,
    clock::{self, Time},
    counters::{DropCause, FeedCounters, Timing},
    lane::{Given, Lane},
    pool::Pool,
    processor::Processor,
    settings::{FeedSettings, Leaky, RtspSecurity},
};
use crate::inference::{DecodeParams, InputSpec, ModelDescription, Output, Placement, Preprocessor};

/// How long a flush or the end of a feed waits for a handler that is just being called.
const HANDLER_PATIENCE: Duration = Duration::from_secs(1);

/// One frame on its way through a feed.
#[derive(Debug, Clone)]
pub struct Frame {
    /// `None` once nobody needs the pixels any more.
    pub buffer: Option<gst::Buffer>,
    pub caps: Arc<FrameCaps>,
    /// Number of the frame in its feed, from 0, counting every frame that came in.
    pub number: u64,
    pub pts: Option<gst::ClockTime>,
    pub duration: Option<gst::ClockTime>,
    pub running_time: Option<gst::ClockTime>,
    pub stream_time: Option<gst::ClockTime>,
    pub arrival: Time,
}

/// The caps that a frame came under.
#[derive(Debug)]
pub struct FrameCaps {
    pub info: gst_video::VideoInfo,
    /// From 1, one more with each change.
    generation: u64,
}

/// What became of a frame that was taken.
#[derive(Debug, Clone)]
pub enum Outcome {
    Result(Box<Inferred>),
    /// Only frames that were in work already; those that never got so far are told by [`FeedListener::dropped`].
    Dropped(DropCause),
    Failed(Error),
}

#[derive(Debug, Clone)]
pub struct Inferred {
    pub model: Arc<ModelDescription>,
    pub processor_id: Arc<str>,
    pub output: Output,
    pub timing: Timing,
}

/// What comes out of a feed.
pub enum Delivery {
    /// `None`: the frame was passed over by `interval`; only where the feed passes frames on.
    Frame(Frame, Option<Outcome>),
    Event(gst::Event),
}

/// Who is told of a feed's doings. Called from the pool unless said otherwise; may block.
pub trait FeedListener: Send + Sync {
    /// In order, one at a time. Only for feeds that do not pass frames on.
    fn deliver(&self, frame: Frame, outcome: Outcome);
    /// False lets results be counted without anybody being called.
    fn wants_results(&self) -> bool;
    /// A frame was dropped before it was taken; called from the thread that submits, or from the pool.
    fn dropped(&self, frame: Frame, cause: DropCause);
    /// The feed cannot go on; every `submit` returns the same error from now on.
    fn failed(&self, error: Error);
    /// The processor that the feed is bound to changed, and with it the latency.
    fn latency_changed(&self);
}

/// Why a frame was not taken.
#[derive(Debug)]
pub enum Rejected {
    Flushing,
    /// [`Feed::set_interrupted`] was called while the frame waited for room; it may be submitted again.
    Interrupted(gst::Buffer),
    Failed(Error),
}

/// Times of a frame that only the element knows.
#[derive(Debug, Clone, Copy, Default)]
pub struct FrameTimes {
    pub running_time: Option<gst::ClockTime>,
    pub stream_time: Option<gst::ClockTime>,
}

pub struct FeedConfig {
    pub name: String,
    pub processor_id: String,
    pub settings: FeedSettings,
    /// Frames and events come out again, in order, through [`Feed::next`].
    pub passes_frames: bool,
    /// Called with nothing locked.
    pub listener: Weak<dyn FeedListener>,
}

pub struct Feed {
    id: u64,
    name: String,
    processor_id: Arc<str>,
    passes_frames: bool,
    listener: Weak<dyn FeedListener>,
    pool: Arc<Pool>,
    /// Taken with nothing else held, and nothing else is taken while it is held.
    state: Mutex<State>,
    /// Something changed for whoever waits: room, a result to give out, an end.
    changed: Condvar,
    /// Preprocessors that nobody uses at the moment. A leaf.
    preprocessors: Mutex<Vec<KeptPreprocessor>>,
    ended: AtomicBool,
}

struct State {
    settings: FeedSettings,
    live: bool,
    caps: Option<Arc<FrameCaps>>,
    lane: Lane<Frame, Outcome, Delivery>,
    counters: FeedCounters,
    last_frame: Option<Time>,
    processor: Option<Arc<Processor>>,
    /// Since when no processor is there.
    pending_since: Time,
    error: Option<Error>,
    flushing: bool,
    interrupted: bool,
    /// A job of the pool that delivers is queued or running.
    delivery_scheduled: bool,
    delivering: Option<ThreadId>,
    /// What [`Feed::next`] gave last is still in the hands of who asked.
    handed_out: bool,
    stalled: bool,
}

struct KeptPreprocessor {
    generation: u64,
    processor: u64,
    preprocessor: Preprocessor,
}

/// A frame that is being taken into a batch.
pub struct Started {
    pub lane_number: u64,
    pub buffer: gst::Buffer,
    pub caps: Arc<FrameCaps>,
    pub arrival: Time,
    /// The feed has more that could be taken.
    pub more: bool,
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
    pub(super) fn new(id: u64, config: FeedConfig, pool: Arc<Pool>) -> Self {
        Self {
            id,
            name: config.name,
            processor_id: config.processor_id.into(),
            passes_frames: config.passes_frames,
            listener: config.listener,
            pool,
            state: Mutex::new(State {
                settings: config.settings,
                live: false,
                caps: None,
                lane: Lane::default(),
                counters: FeedCounters::default(),
                last_frame: None,
                processor: None,
                pending_since: clock::now(),
                error: None,
                flushing: false,
                interrupted: false,
                delivery_scheduled: false,
                delivering: None,
                handed_out: false,
                stalled: false,
            }),
            changed: Condvar::new(),
            preprocessors: Mutex::new(Vec::new()),
            ended: AtomicBool::new(false),
        }
    }

    pub fn id(&self) -> u64 {
        self.id
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
            self.changed.notify_all();
            state.processor.clone()
        };
        if let Some(processor) = processor {
            processor.set_priority(self.id, settings.priority);
            processor.give_turn(self.id);
        }
    }

    /// Whether upstream is live, which decides what `leaky=auto` means.
    pub fn set_live(&self, live: bool) {
        self.state.lock().live = live;
    }

    /// The caps of the frames that follow.
    pub fn set_caps(&self, info: gst_video::VideoInfo) {
        let mut state = self.state.lock();
        let generation = state.caps.as_ref().map_or(1, |caps| caps.generation + 1);
        state.caps = Some(Arc::new(FrameCaps { info, generation }));
    }

    /// Takes a frame. Waits for room where the feed is not leaky.
    pub fn submit(&self, buffer: gst::Buffer, times: FrameTimes) -> Result<(), Rejected> {
        let arrival = clock::now();
        let mut state = self.state.lock();
        let passed_over = state.counters.received % u64::from(state.settings.interval.max(1)) != 0;
        let mut dropped = None;
        loop {
            if state.flushing {
                return Err(Rejected::Flushing);
            }
            if let Some(error) = &state.error {
                return Err(Rejected::Failed(error.clone()));
            }
            let Some(cause) = state.no_room(passed_over, self.passes_frames) else { break };
            match state.leaky() {
                Leaky::Downstream if !passed_over && state.lane.queued() > 0 => {
                    dropped = state.lane.remove_oldest_queued().map(|frame| (frame, cause));
                    state.counters.drop_frames(cause, 1);
                    break;
                }
                Leaky::Downstream | Leaky::Upstream => {
                    let frame = state.new_frame(buffer, times, arrival)?;
                    state.counters.drop_frames(cause, 1);
                    drop(state);
                    self.tell_dropped(frame, cause);
                    return Ok(());
                }
                Leaky::No | Leaky::Auto => {
                    if state.interrupted {
                        return Err(Rejected::Interrupted(buffer));
                    }
                    self.changed.wait(&mut state);
                }
            }
        }
        let frame = state.new_frame(buffer, times, arrival)?;
        if passed_over {
            state.counters.skipped += 1;
            if self.passes_frames {
                state.lane.pass(Delivery::Frame(frame, None));
                self.changed.notify_all();
            }
            return Ok(());
        }
        state.lane.queue(frame);
        let processor = state.processor.clone();
        drop(state);
        if let Some((frame, cause)) = dropped {
            self.tell_dropped(frame, cause);
        }
        if let Some(processor) = processor {
            processor.frame_arrived(self.id, arrival);
        }
        Ok(())
    }

    /// An event that keeps its place between the frames, for a feed that passes them on.
    pub fn pass_event(&self, event: gst::Event) -> bool {
        let mut state = self.state.lock();
        if state.flushing {
            return false;
        }
        state.lane.pass(Delivery::Event(event));
        self.changed.notify_all();
        true
    }

    /// The next thing that is due; waits for it. `None` when flushing. Who asks again is done with what it got before.
    pub fn next(&self) -> Option<Delivery> {
        let mut state = self.state.lock();
        state.handed_out = false;
        self.changed.notify_all();
        loop {
            if state.flushing {
                return None;
            }
            if let Some((given, turn)) = state.give() {
                state.handed_out = true;
                self.changed.notify_all();
                drop(state);
                self.take_turn(turn);
                return Some(match given {
                    Given::Frame(frame, outcome) => Delivery::Frame(frame, Some(outcome)),
                    Given::Passing(item) => item,
                });
            }
            self.changed.wait(&mut state);
        }
    }

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
            let being_given = state.handed_out || state.delivering.is_some() || state.delivery_scheduled;
            if state.lane.is_empty() && !being_given {
                return ControlFlow::Continue(());
            }
            self.changed.wait(&mut state);
        }
    }

    /// While interrupted nobody waits in [`Feed::submit`] and [`Feed::drain`].
    pub fn set_interrupted(&self, interrupted: bool) {
        self.state.lock().interrupted = interrupted;
        self.changed.notify_all();
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
    }

    fn wait_for_handler(&self, state: &mut MutexGuard<State>) {
        // A handler may flush or stop its own feed, and one that blocks cannot be waited for.
        let this = thread::current().id();
        while state.delivering.is_some_and(|thread| thread != this) {
            if self.changed.wait_for(state, HANDLER_PATIENCE).timed_out() {
                gst::warning!(CAT, "feed {}: a handler of a result does not return; not waited for", self.name);
                break;
            }
        }
    }

    /// The feed cannot go on.
    pub(super) fn fail(self: &Arc<Self>, error: Error) {
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
            self.changed.notify_all();
        }
        let listener = self.listener.clone();
        self.pool.run(move || {
            if let Some(listener) = listener.upgrade() {
                listener.failed(error);
            }
        });
    }

    /// The end of the feed. The registry has forgotten it by then. No handler is called any more when this returns.
    pub(super) fn end(&self, cause: DropCause) {
        self.ended.store(true, Ordering::Release);
        self.clear(cause);
        self.detach();
        self.preprocessors.lock().clear();
        self.wait_for_handler(&mut self.state.lock());
    }

    /// Binds the feed to its processor. False where the feed has ended meanwhile.
    pub(super) fn attach(&self, processor: &Arc<Processor>) -> bool {
        let waiting = {
            let mut state = self.state.lock();
            if self.ended.load(Ordering::Acquire) || state.error.is_some() {
                return false;
            }
            state.processor = Some(processor.clone());
            state.lane.queued() > 0
        };
        if waiting {
            processor.give_turn(self.id);
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
        processor.detach(self.id);
    }

    fn detach(&self) {
        let processor = self.state.lock().processor.take();
        if let Some(processor) = processor {
            processor.detach(self.id);
        }
    }

    /// Since when the feed waits for a processor, and how long it wants to.
    pub(super) fn pending(&self) -> Option<(Time, Time)> {
        let state = self.state.lock();
        (state.processor.is_none() && state.error.is_none())
            .then_some((state.pending_since, state.settings.attach_timeout))
    }

    /// Becomes `Some(age)` once when no frame came for `stall-timeout`.
    pub(super) fn newly_stalled(&self, now: Time) -> Option<Time> {
        let mut state = self.state.lock();
        let age = now.saturating_sub(state.last_frame?);
        let stalled = state.settings.stall_timeout > 0 && age >= state.settings.stall_timeout;
        (stalled && !std::mem::replace(&mut state.stalled, stalled)).then_some(age)
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
        FeedSnapshot {
            id: self.id,
            name: self.name.clone(),
            processor_id: self.processor_id.clone(),
            attached: state.processor.is_some(),
            counters: state.counters.clone(),
            queued: state.lane.queued(),
            queue_capacity: state.queue_capacity(),
            in_flight: state.lane.in_flight(),
            last_frame_age: state.last_frame.map(|last| clock::now().saturating_sub(last)),
        }
    }

    /// Takes the oldest waiting frame into work, unless there is none or the feed has enough in flight.
    pub(super) fn start_next(self: &Arc<Self>) -> Option<Started> {
        let now = clock::now();
        let mut expired = Vec::new();
        let started = {
            let mut state = self.state.lock();
            while state.lane.oldest_queued().is_some_and(|frame| state.is_expired(frame, now)) {
                expired.extend(state.lane.remove_oldest_queued());
                state.counters.drop_frames(DropCause::Expired, 1);
            }
            if state.lane.in_flight() >= state.max_in_flight() {
                None
            } else {
                let passes_frames = self.passes_frames;
                let started = state.lane.start(|frame| {
                    // A frame that does not come out again gives its memory back as soon as it is read.
                    let buffer = if passes_frames { frame.buffer.clone() } else { frame.buffer.take() };
                    (buffer, frame.caps.clone(), frame.arrival)
                });
                state.counters.submitted += u64::from(started.is_some());
                let more = state.lane.queued() > 0 && state.lane.in_flight() < state.max_in_flight();
                started.and_then(|(lane_number, (buffer, caps, arrival))| {
                    Some(Started { lane_number, buffer: buffer?, caps, arrival, more })
                })
            }
        };
        self.changed.notify_all();
        if !expired.is_empty() {
            let feed = self.clone();
            self.pool.run(move || expired.into_iter().for_each(|frame| feed.tell_dropped(frame, DropCause::Expired)));
        }
        started
    }

    /// Writes a frame as the model wants it.
    pub(super) fn preprocess(
        &self,
        processor: u64,
        input: &InputSpec,
        started: &Started,
        place: &mut [u8],
    ) -> Result<Placement, Error> {
        let generation = started.caps.generation;
        let kept = {
            let mut kept = self.preprocessors.lock();
            let fits = |kept: &KeptPreprocessor| kept.generation == generation && kept.processor == processor;
            match kept.iter().position(fits) {
                Some(index) => Some(kept.swap_remove(index)),
                None => {
                    kept.clear();
                    None
                }
            }
        };
        let mut kept = match kept {
            Some(kept) => kept,
            None => {
                let preprocessor = Preprocessor::new(&started.caps.info, input)?;
                KeptPreprocessor { generation, processor, preprocessor }
            }
        };
        kept.preprocessor.write(&started.buffer, place)?;
        let placement = kept.preprocessor.placement();
        self.preprocessors.lock().push(kept);
        Ok(placement)
    }

    /// Whether a frame in work is still wanted, and how it is to be decoded.
    pub(super) fn admit(self: &Arc<Self>, lane_number: u64, now: Time) -> Option<DecodeParams> {
        {
            let state = self.state.lock();
            let frame = state.lane.in_work(lane_number)?;
            if !state.is_expired(frame, now) {
                return Some(state.settings.decode);
            }
        }
        self.settle(lane_number, Outcome::Dropped(DropCause::Expired));
        None
    }

    /// Tells what became of a frame in work. False where nobody waits for it any more.
    pub(super) fn settle(self: &Arc<Self>, lane_number: u64, outcome: Outcome) -> bool {
        let wanted = self.listener.upgrade().is_some_and(|listener| listener.wants_results());
        let mut state = self.state.lock();
        if !state.lane.settle(lane_number, outcome) {
            return false;
        }
        if self.passes_frames {
            self.changed.notify_all();
        } else if !state.delivery_scheduled && state.lane.can_give() {
            let mut turn = None;
            if !wanted {
                // Nobody is to be called: results are only counted, here and now.
                while let Some(Outcome::Result(_)) = state.lane.next_outcome() {
                    turn = state.give().and_then(|(_, turn)| turn);
                }
                self.changed.notify_all();
            }
            state.delivery_scheduled = state.lane.can_give();
            let deliver = state.delivery_scheduled;
            drop(state);
            self.take_turn(turn);
            if deliver {
                let feed = self.clone();
                self.pool.run(move || feed.deliver());
            }
        }
        true
    }

    /// Gives out everything that is due, one after the other.
    fn deliver(self: Arc<Self>) {
        let delivering = Delivering { feed: &self };
        let mut state = self.state.lock();
        while let Some((given, turn)) = state.give() {
            state.delivering = Some(thread::current().id());
            self.changed.notify_all();
            drop(state);
            self.take_turn(turn);
            if let (Given::Frame(frame, outcome), Some(listener)) = (given, self.listener.upgrade()) {
                listener.deliver(frame, outcome);
            }
            state = self.state.lock();
            state.delivering = None;
        }
        std::mem::forget(delivering);
        state.delivery_scheduled = false;
        self.changed.notify_all();
    }

    fn take_turn(&self, processor: Option<Arc<Processor>>) {
        if let Some(processor) = processor {
            processor.give_turn(self.id);
        }
    }

    fn clear(&self, cause: DropCause) -> Vec<gst::Event> {
        let mut state = self.state.lock();
        state.flushing = true;
        let (frames, passing) = state.lane.clear();
        state.counters.drop_frames(cause, frames as u64);
        self.changed.notify_all();
        let event = |item| match item {
            Delivery::Event(event) => Some(event),
            Delivery::Frame(..) => None,
        };
        passing.into_iter().filter_map(event).collect()
    }

    fn tell_dropped(&self, frame: Frame, cause: DropCause) {
        if let Some(listener) = self.listener.upgrade() {
            listener.dropped(frame, cause);
        }
    }

    fn tell_latency_changed(&self) {
        let listener = self.listener.clone();
        self.pool.run(move || {
            if let Some(listener) = listener.upgrade() {
                listener.latency_changed();
            }
        });
    }
}

/// A handler that panics must not leave the feed waiting for it for ever.
struct Delivering<'a> {
    feed: &'a Arc<Feed>,
}

impl Drop for Delivering<'_> {
    fn drop(&mut self) {
        let more = {
            let mut state = self.feed.state.lock();
            state.delivering = None;
            state.delivery_scheduled = state.lane.can_give();
            self.feed.changed.notify_all();
            state.delivery_scheduled
        };
        if more {
            let feed = self.feed.clone();
            self.feed.pool.run(move || feed.deliver());
        }
    }
}

impl State {
    fn leaky(&self) -> Leaky {
        match self.settings.leaky {
            Leaky::Auto if self.live => Leaky::Downstream,
            Leaky::Auto => Leaky::No,
            set => set,
        }
    }

    /// Frames that may wait: the feed's own limit, and its share of the processor's.
    fn queue_capacity(&self) -> usize {
        let share = self.processor.as_ref().map_or(usize::MAX, |processor| processor.queue_share());
        self.settings.max_queued().min(share)
    }

    fn max_in_flight(&self) -> usize {
        match (self.settings.max_in_flight, &self.processor) {
            (0, Some(processor)) => processor.in_flight_limit(),
            (0, None) => 1,
            (set, _) => set as usize,
        }
    }

    /// Why there is no room for another frame, if there is none.
    fn no_room(&self, passed_over: bool, passes_frames: bool) -> Option<DropCause> {
        let lane_full = passes_frames && self.lane.len() >= self.max_in_flight() + self.settings.max_queued();
        if passed_over {
            return lane_full.then_some(DropCause::Backpressure);
        }
        let queue_full = self.lane.queued() >= self.queue_capacity();
        if !queue_full && !lane_full {
            None
        } else if self.lane.in_flight() >= self.max_in_flight() && self.settings.max_in_flight > 0 {
            Some(DropCause::InFlight)
        } else if self.lane.queued() < self.settings.max_queued() && !lane_full {
            Some(DropCause::Rejected)
        } else {
            Some(DropCause::Backpressure)
        }
    }

    fn is_expired(&self, frame: &Frame, now: Time) -> bool {
        self.settings.deadline > 0 && now.saturating_sub(frame.arrival) > self.settings.deadline
    }

    /// Counts a frame as received.
    fn new_frame(&mut self, buffer: gst::Buffer, times: FrameTimes, arrival: Time) -> Result<Frame, Rejected> {
        let Some(caps) = self.caps.clone() else {
            return Err(Rejected::Failed(Error::new(
                ErrorCode::InvalidConfig,
                "a frame came before its caps: put a `capsfilter` or a decoder that sends caps before this element",
            )));
        };
        let number = self.counters.received;
        self.counters.received += 1;
        self.last_frame = Some(arrival);
        self.stalled = false;
        Ok(Frame {
            pts: buffer.pts(),
            duration: buffer.duration(),
            buffer: Some(buffer),
            caps,
            number,
            running_time: times.running_time,
            stream_time: times.stream_time,
            arrival,
        })
    }

    /// The next thing that is due, counted, and the processor where that lets a waiting frame be taken.
    fn give(&mut self) -> Option<(Given<Frame, Outcome, Delivery>, Option<Arc<Processor>>)> {
        let was_full = self.lane.in_flight() >= self.max_in_flight();
        let given = self.lane.give()?;
        if let Given::Frame(_, outcome) = &given {
            match outcome {
                Outcome::Result(inferred) => {
                    self.counters.results += 1;
                    self.counters.objects += inferred.output.objects.as_ref().map_or(0, |objects| objects.len() as u64);
                    self.counters.record(&inferred.timing);
                }
                Outcome::Dropped(cause) => self.counters.drop_frames(*cause, 1),
                Outcome::Failed(_) => self.counters.errors += 1,
            }
        }
        let turn = (was_full && self.lane.queued() > 0).then(|| self.processor.clone()).flatten();
        Some((given, turn))
    }
}
