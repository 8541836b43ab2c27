//! A processor: one loaded model, its batch former and its instances.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{
    batch::{BatchBuffer, Place},
    clock::{self, Time},
    counters::DropCause,
    feed::{Feed, ItemId, Outcome},
    former::{Decision, Former, Reservation, Rules},
    health::Health,
    histogram::Histogram,
    limits::Limits,
    panics,
    runs::Runs,
    threads::{Detached, Worker},
    watch::{Wake, Watch},
};
use crate::inference::{BatchDim, ExecutionProvider, Model, ModelDescription, Placement};

/// A frame, or an item of one, that lies in a batch.
pub(super) struct Written {
    pub feed: Arc<Feed>,
    pub id: ItemId,
    pub placement: Placement,
    pub arrival: Time,
    pub preprocess: Time,
}

type BatchFormer = Former<Arc<Feed>, Written, Arc<BatchBuffer>>;

/// What an instance does next.
pub(super) enum Work {
    Write(Reservation<Arc<Feed>, Arc<BatchBuffer>>),
    Run(Arc<BatchBuffer>),
    Stop,
}

pub struct Processor {
    /// Unlike the id, never used again.
    uid: u64,
    id: Arc<str>,
    description: Arc<ModelDescription>,
    pub(super) model: Model,
    limits: Limits,
    pub(super) health: Arc<Health>,
    pub(super) detached: Arc<Detached>,
    /// Streams write the next batch while all instances run: there are cores left for that, or a run costs the same however
    /// few frames are in it. Else who is woken for that takes the core from a run, and instances write their batches themselves.
    streams_always_write: bool,
    /// Taken with nothing else held, and nothing else is taken while it is held.
    state: Mutex<State>,
    /// There may be work for an instance.
    work: Condvar,
    /// For the instance that watches over the forming batch.
    watch: Condvar,
    /// Somebody finished writing into a batch.
    written: Condvar,
    /// Frames that each feed may have waiting.
    queue_share: AtomicUsize,
    /// A leaf.
    counters: Mutex<ProcessorCounters>,
    /// What is inside the model.
    pub(super) runs: Runs,
    /// The threads of the instances. A leaf.
    instances: Mutex<Vec<Arc<Worker>>>,
}

struct State {
    former: BatchFormer,
    /// Memory for batches, kept.
    buffers: Vec<Arc<BatchBuffer>>,
    buffers_made: usize,
    /// Instances that have a batch.
    running: usize,
    /// Instances that wait for something to do.
    asleep: usize,
    watch: Watch,
    stopping: bool,
    /// Nobody runs a batch any more: why frames are dropped that are still written.
    abandoned: Option<DropCause>,
}

/// A processor's figures. They only grow.
#[derive(Debug, Clone, Default)]
pub struct ProcessorCounters {
    pub batches: u64,
    pub results: u64,
    pub errors: u64,
    pub timed_out: u64,
    /// Batches of 1, 2, ... frames.
    pub batch_sizes: Vec<u64>,
    pub formation: Histogram,
    pub inference: Histogram,
    /// Failed batches since the last good one.
    pub consecutive_errors: u64,
}

/// How a processor is doing, from the outside.
#[derive(Debug, Clone)]
pub struct ProcessorSnapshot {
    pub id: Arc<str>,
    pub counters: ProcessorCounters,
    pub limits: Limits,
    pub feeds: usize,
    /// Frames in the forming batch.
    pub pending: usize,
}

impl Processor {
    pub(super) fn new(
        id: &str,
        model: Model,
        limits: Limits,
        health: Arc<Health>,
        detached: Arc<Detached>,
    ) -> Arc<Self> {
        static UIDS: AtomicU64 = AtomicU64::new(1);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let fixed_run = matches!(model.description().input.batch, BatchDim::Fixed(2..));
        let streams_always_write = fixed_run || model.provider() != ExecutionProvider::Cpu || limits.threads() < cores;
        let Limits { max_batch, max_latency, instances, .. } = limits;
        let sharers = if streams_always_write { 1 } else { instances };
        Arc::new(Self {
            uid: UIDS.fetch_add(1, Ordering::Relaxed),
            id: id.into(),
            description: Arc::new(model.description().clone()),
            streams_always_write,
            model,
            limits,
            health,
            detached,
            state: Mutex::new(State {
                former: Former::new(Rules { max_batch, max_latency, sharers, fixed_run }),
                buffers: Vec::new(),
                buffers_made: 0,
                running: 0,
                asleep: 0,
                watch: Watch::default(),
                stopping: false,
                abandoned: None,
            }),
            work: Condvar::new(),
            watch: Condvar::new(),
            written: Condvar::new(),
            queue_share: AtomicUsize::new(usize::MAX),
            counters: Mutex::new(ProcessorCounters {
                batch_sizes: vec![0; limits.max_batch],
                ..ProcessorCounters::default()
            }),
            runs: Runs::new(limits.instances),
            instances: Mutex::default(),
        })
    }

    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    pub fn description(&self) -> &Arc<ModelDescription> {
        &self.description
    }

    /// What the owner should know about the model though it works.
    pub fn warnings(&self) -> &[String] {
        self.model.warnings()
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub fn snapshot(&self) -> ProcessorSnapshot {
        let (feeds, pending) = {
            let state = self.state.lock();
            (state.former.members(), state.former.pending())
        };
        let counters = self.counters.lock().clone();
        ProcessorSnapshot { id: self.id.clone(), counters, limits: self.limits, feeds, pending }
    }

    /// Longest that a frame is expected to be inside: the wait for its batch, and two runs (one that is under way and its own).
    pub fn latency(&self) -> Time {
        self.limits.max_latency + 2 * self.counters.lock().inference.quantile(0.95)
    }

    /// Frames of one feed that may wait, of one whose stream waits for room or one that drops frames.
    pub(super) fn queue_share(&self, stream_waits: bool) -> usize {
        let least = if stream_waits { self.limits.least_share } else { 1 };
        self.queue_share.load(Ordering::Relaxed).max(least)
    }

    /// So many frames of one feed keep every instance busy while the next batch forms, and as many may be done and wait
    /// for an earlier one: results come out in order.
    pub(super) fn in_flight_limit(&self) -> usize {
        2 * (self.limits.instances + 1) * self.limits.max_batch
    }

    /// False where the feed has ended meanwhile.
    pub(super) fn attach(self: &Arc<Self>, feed: &Arc<Feed>) -> bool {
        {
            let mut state = self.state.lock();
            state.former.attach(feed.key(), feed.clone(), feed.priority());
            self.share_queue(&state);
        }
        let attached = feed.attach(self);
        if !attached {
            self.detach(feed.key());
        }
        attached
    }

    /// Called by the feed.
    pub(super) fn detach(&self, feed: u64) {
        let mut state = self.state.lock();
        state.former.detach(feed);
        self.share_queue(&state);
    }

    pub(super) fn set_priority(&self, feed: u64, priority: i32) {
        self.state.lock().former.set_priority(feed, priority);
    }

    /// A frame with `items` came in, and its feed has so many `waiting`: the thread that brought it also writes as many, the
    /// next in turn, if it has a core for that.
    pub(super) fn frame_arrived(&self, feed: u64, arrival: Time, items: usize, waiting: usize) {
        let reservation = {
            let mut state = self.state.lock();
            state.former.arrived(feed, arrival, waiting);
            self.reserve_on_free_core(&mut state)
        };
        let Some(reservation) = reservation else { return };
        self.write(reservation);
        for _ in 1..items {
            let Some(reservation) = self.reserve_on_free_core(&mut self.state.lock()) else { return };
            self.write(reservation);
        }
    }

    /// Fills the forming batch with frames that wait, as far as there is room.
    pub(super) fn help(&self) {
        for _ in 0..self.limits.max_batch {
            let Some(reservation) = self.reserve(&mut self.state.lock()) else { return };
            self.write(reservation);
        }
    }

    /// The feed has so many frames waiting that can be taken now.
    pub(super) fn give_turn(&self, feed: u64, waiting: usize) {
        self.state.lock().former.give_turn(feed, waiting);
        self.wake(Wake::Any);
    }

    /// What instance number `instance` does next; waits for it. The frames of a batch and their places are added to `frames`.
    pub(super) fn next_work(&self, instance: usize, frames: &mut Vec<(usize, Written)>) -> Work {
        let mut state = self.state.lock();
        loop {
            if !state.stopping
                && !state.former.has_whole()
                && let Some(reservation) = self.reserve(&mut state)
            {
                return Work::Write(reservation);
            }
            match self.decide(&state) {
                Decision::Take => {
                    let Some(id) = state.former.seal() else { continue };
                    if !self.streams_always_write && state.former.has_turns() {
                        // The share of others: of one that sleeps, or of the next that is free.
                        self.wake(Wake::Any);
                    } else if let Some(feed) = state.former.whose_turn() {
                        // There is room again, and this instance is about to be busy: who waits for room fills it.
                        MutexGuard::unlocked(&mut state, || feed.nudge());
                    }
                    loop {
                        if let Some(buffer) = state.former.complete(id, frames) {
                            state.running += 1;
                            return Work::Run(buffer);
                        }
                        // Whoever still writes is not blocked by anything: preprocessing is arithmetic.
                        self.written.wait(&mut state);
                    }
                }
                Decision::Idle | Decision::WaitUntil(_) if let Some(reservation) = self.reserve(&mut state) => {
                    // What was left for others, while there is nothing better to do.
                    return Work::Write(reservation);
                }
                Decision::Idle if state.stopping && state.former.is_empty() => {
                    // The others may have gone to sleep while this one still held the last batch.
                    self.work.notify_all();
                    return Work::Stop;
                }
                Decision::Idle => self.sleep(&mut state, |state| self.work.wait(state)),
                Decision::WaitUntil(time) => self.sleep(&mut state, |state| self.watch_until(time, instance, state)),
            }
        }
    }

    fn sleep<'a>(&self, state: &mut MutexGuard<'a, State>, wait: impl FnOnce(&mut MutexGuard<'a, State>)) {
        state.asleep += 1;
        wait(state);
        state.asleep -= 1;
    }

    fn decide(&self, state: &State) -> Decision {
        if state.stopping && state.former.pending() > 0 {
            return Decision::Take;
        }
        state.former.decide(clock::now(), self.limits.instances - state.running)
    }

    /// Waits until `time` or until something changes; where another instance does so already, for work of its own.
    fn watch_until(&self, time: Time, instance: usize, state: &mut MutexGuard<'_, State>) {
        if state.watch.begin(instance, time) {
            self.watch.wait_until(state, clock::instant(time));
            state.watch.end(instance);
        } else {
            self.work.wait(state);
        }
    }

    /// Preprocesses the frame that a place was reserved for.
    pub(super) fn write(&self, reservation: Reservation<Arc<Feed>, Arc<BatchBuffer>>) {
        let feed = reservation.feed.clone();
        let Some(started) = feed.start_next() else {
            return self.end_writing(|state| state.former.give_turn_back(reservation));
        };
        if started.left > 0 {
            self.give_turn(feed.key(), started.left);
        }
        let taken = clock::now();
        let written = {
            // SAFETY: the former hands out each place of a batch once, until it is given back.
            let mut place = unsafe { Place::new(reservation.buffer.clone(), reservation.place) };
            panics::caught(|| feed.preprocess(self.uid, &self.description.input, &started, &mut place))
        };
        match written {
            Ok(placement) => {
                let frame = Written {
                    id: started.id,
                    placement,
                    arrival: started.arrival,
                    preprocess: clock::now() - taken,
                    feed,
                };
                let refused = self.end_writing(|state| match state.abandoned {
                    None => {
                        state.former.commit(reservation, frame, started.arrival);
                        None
                    }
                    Some(cause) => {
                        state.former.give_back(reservation);
                        Some((frame, cause))
                    }
                });
                if let Some((frame, cause)) = refused {
                    frame.feed.settle(frame.id, Outcome::Dropped(cause));
                }
            }
            Err(error) => {
                self.end_writing(|state| state.former.give_back(reservation));
                feed.settle(started.id, Outcome::Failed(error));
            }
        }
    }

    /// Ends the writing into a place as `end` has it, and wakes who has something to do then.
    fn end_writing<R>(&self, end: impl FnOnce(&mut State) -> R) -> R {
        let (ended, wake) = {
            let mut state = self.state.lock();
            let ended = end(&mut state);
            let decision = self.decide(&state);
            // While stopping, whoever sleeps is to see whether this was the last one.
            let is_work_for_any = state.former.has_turns() || state.stopping;
            (ended, state.watch.whom_to_wake(decision, is_work_for_any))
        };
        self.wake(wake);
        self.written.notify_all();
        ended
    }

    fn wake(&self, wake: Wake) {
        match wake {
            Wake::Nobody => (),
            Wake::Any if self.work.notify_one() => (),
            // Only the one that watches has nothing else to do.
            Wake::Any | Wake::Watching => _ = self.watch.notify_one(),
        }
    }

    /// An instance is done with its batch, of which it ran so many frames in so much time.
    pub(super) fn recycle(&self, buffer: Arc<BatchBuffer>, frames: usize, time: Time) {
        let mut state = self.state.lock();
        if frames > 0 {
            state.former.ran(frames, time);
        }
        state.buffers.push(buffer);
        state.running -= 1;
    }

    pub(super) fn counters(&self) -> parking_lot::MutexGuard<'_, ProcessorCounters> {
        self.counters.lock()
    }

    /// Gives up on frames whose run takes longer than `response-timeout`; returns how many.
    pub(super) fn give_up_on_late_runs(&self, now: Time) -> u64 {
        let late = self.runs.late(now, self.limits.response_timeout);
        let timed_out =
            late.into_iter().filter(|(feed, id)| feed.settle(*id, Outcome::Dropped(DropCause::TimedOut))).count()
                as u64;
        self.counters.lock().timed_out += timed_out;
        timed_out
    }

    pub(super) fn instance_started(&self, instance: Worker) {
        self.instances.lock().push(Arc::new(instance));
    }

    /// Lets the instances finish what lies in batches and end.
    pub(super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.work.notify_all();
        self.watch.notify_all();
    }

    /// Waits until the instances have ended, or `until`. Those that have not are left behind, and the frames that they
    /// have, or that wait for them, are dropped for `cause`.
    pub(super) fn join(&self, until: Instant, cause: DropCause) {
        let instances = self.instances.lock().clone();
        let stuck = instances.iter().filter(|instance| !instance.join(until)).count();
        if stuck > 0 {
            self.abandon(cause);
        }
    }

    pub(super) fn batch_join_timeout(&self) -> Duration {
        Duration::from_nanos(self.limits.batch_join_timeout)
    }

    fn abandon(&self, cause: DropCause) {
        let waiting = {
            let mut state = self.state.lock();
            state.abandoned = Some(cause);
            state.former.take_ready()
        };
        let running = self.runs.abandon().into_iter();
        let waiting = waiting.into_iter().map(|frame| (frame.feed, frame.id));
        for (feed, id) in running.chain(waiting) {
            feed.settle(id, Outcome::Dropped(cause));
        }
    }

    fn reserve(&self, state: &mut State) -> Option<Reservation<Arc<Feed>, Arc<BatchBuffer>>> {
        if state.stopping {
            return None;
        }
        let State { former, buffers, buffers_made, .. } = state;
        former.reserve(|| {
            buffers.pop().or_else(|| {
                // One for each instance, one that is ready for the next free one, and one that forms meanwhile.
                if *buffers_made > self.limits.instances + 1 {
                    return None;
                }
                let buffer = BatchBuffer::new(self.description.input.frame_bytes(), self.limits.batch_room)?;
                *buffers_made += 1;
                Some(Arc::new(buffer))
            })
        })
    }

    /// A place for a frame, unless to write it there takes the core from an instance. The instance writes it itself then, when
    /// it comes to it: what the model reads is in the cache of its core, and what waits is smaller than what it becomes.
    fn reserve_on_free_core(&self, state: &mut State) -> Option<Reservation<Arc<Feed>, Arc<BatchBuffer>>> {
        if self.streams_always_write || state.asleep > 0 { self.reserve(state) } else { None }
    }

    fn share_queue(&self, state: &State) {
        let feeds = state.former.members().max(1);
        self.queue_share.store(self.limits.queue_capacity / feeds, Ordering::Relaxed);
    }
}
