//! The life of one managed feed: runs of its pipeline, one after the other, until it ends for good.
//!
//! Everything that may block, such as a change of state, is done by one job of the pool at a time, in the order in which
//! it was asked for. So a feed whose source hangs holds one thread of the pool and nobody else. Whoever removes such a
//! feed waits for a while, then gives its place back and leaves the job behind.

mod job;

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::{
    backoff::Backoff,
    config::ManagedFeedConfig,
    pipeline::{End, Failure},
};
use crate::runtime::{Error, ErrorCode, Event, Feed, FeedConfig, OwnedFeed, Runtime, StopReason, clock::Time};

/// A camera may take longer to begin than to go on: first it is asked for UDP, then for TCP.
const FIRST_FRAME_PATIENCE: Time = 30_000_000_000;

pub struct Supervisor {
    runtime: Runtime,
    id: u64,
    name: String,
    config: ManagedFeedConfig,
    /// A leaf.
    state: Mutex<State>,
    /// The feed has ended, its place is given back.
    over: Condvar,
}

/// What the job has to do.
enum Task {
    Start,
    Ended { run: u64, end: End },
    Set(gst::State, mpsc::Sender<()>),
    Stop,
}

struct State {
    tasks: VecDeque<Task>,
    /// `None` while a job of the pool has it.
    work: Option<Work>,
    /// PLAYING or PAUSED, as was asked for last.
    wanted: gst::State,
    /// The run that may take the feed's place.
    run: u64,
    feed: Arc<Feed>,
    /// The run that the feed is of.
    feed_run: u64,
    /// Frames of the feed when it began.
    feed_frames: u64,
    /// The last run that was ended because nothing came.
    silent_run: u64,
    restart_at: Option<Time>,
    /// The feed was told to stop, or ended by itself: nothing more can be asked of it.
    ending: Option<StopReason>,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Held,
    /// Somebody is about to give it back.
    Leaving,
    GivenBack,
}

/// What only the job touches.
struct Work {
    run: Option<Run>,
    runs: u64,
    target: gst::State,
    backoff: Backoff,
    /// The feed has ended for good.
    over: bool,
}

struct Run {
    pipeline: gst::Pipeline,
    started: Time,
    /// Frames of the feed when this run began.
    frames: u64,
    /// And when its last turn of a loop did.
    frames_of_turn: u64,
}

impl Supervisor {
    pub fn new(runtime: Runtime, feed: Arc<Feed>, config: ManagedFeedConfig) -> Arc<Self> {
        let backoff = Backoff::new(config.restarts.clone(), config.source.reconnects());
        Arc::new(Self {
            runtime,
            id: feed.id(),
            name: feed.name().to_owned(),
            config,
            state: Mutex::new(State {
                tasks: VecDeque::new(),
                work: Some(Work { run: None, runs: 0, target: gst::State::Playing, backoff, over: false }),
                wanted: gst::State::Playing,
                run: 0,
                feed,
                feed_run: 0,
                feed_frames: 0,
                silent_run: 0,
                restart_at: None,
                ending: None,
                place: Place::Held,
            }),
            over: Condvar::new(),
        })
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    pub fn start(self: &Arc<Self>) {
        self.ask(|state| state.tasks.push_back(Task::Start));
    }

    /// Starts the next run if it is time for it; ends one whose source says nothing.
    pub fn tick(self: &Arc<Self>, now: Time) {
        if self.config.source.reconnects() {
            self.end_silent_run(now);
        }
        if self.state.lock().restart_at.is_some_and(|at| at <= now) {
            self.ask(|state| {
                if state.restart_at.take().is_some() {
                    state.tasks.push_back(Task::Start);
                }
            });
        }
    }

    /// A camera that is connected and sends nothing may do so for ever: only a new connection helps.
    fn end_silent_run(self: &Arc<Self>, now: Time) {
        let (feed, run, frames) = {
            let state = self.state.lock();
            if state.feed_run == state.silent_run {
                return;
            }
            (state.feed.clone(), state.feed_run, state.feed_frames)
        };
        let Some(age) = feed.silence(now) else { return };
        if age < FIRST_FRAME_PATIENCE && feed.snapshot().counters.received == frames {
            return;
        }
        let detail = format!("no frame came for {:.1} s", age as f64 / 1e9);
        self.ask(|state| {
            state.silent_run = run;
            let end = End::Failed(Failure { detail, lasting: false });
            state.tasks.push_back(Task::Ended { run, end });
        });
    }

    /// PLAYING or PAUSED. Returns when the pipeline has it, or after `patience`: a source that hangs gets it later.
    pub fn set(self: &Arc<Self>, wanted: gst::State, patience: Duration) -> Result<(), Error> {
        let (done, is_done) = mpsc::channel();
        self.ask(|state| {
            if state.ending.is_some() {
                return Err(Error::feed_not_found(self.id));
            }
            if state.wanted == wanted {
                let (code, message) = match wanted {
                    gst::State::Paused => (ErrorCode::AlreadyPaused, "is paused already: resume it with resume-feed"),
                    _ => (ErrorCode::NotPaused, "is not paused: pause it with pause-feed first"),
                };
                return Err(Error::new(code, format!("feed {} ({}) {message}", self.id, self.name)));
            }
            state.wanted = wanted;
            state.tasks.push_back(Task::Set(wanted, done));
            Ok(())
        })?;
        // Where the feed ends meanwhile, nobody answers.
        _ = is_done.recv_timeout(patience);
        Ok(())
    }

    /// Tells the feed to end. False where it was told already, or ended by itself.
    pub fn stop(self: &Arc<Self>, reason: StopReason) -> bool {
        if reason == StopReason::Shutdown {
            // Frames in work still get their results; the others are dropped by the shutdown.
            self.feed().stop(false);
        }
        self.ask(|state| {
            let first = state.ending.is_none();
            if first {
                state.ending = Some(reason);
                state.restart_at = None;
                state.tasks.push_front(Task::Stop);
            }
            first
        })
    }

    /// Waits for the end of a feed that was told to stop. One that has not ended by then is left behind: its place is
    /// given back all the same. False in that case.
    pub fn join(&self, until: Instant) -> bool {
        {
            let mut state = self.state.lock();
            while state.place != Place::GivenBack && !self.over.wait_until(&mut state, until).timed_out() {}
        }
        if !self.give_place_back() {
            return true;
        }
        self.runtime.detached().leave_of(Some((self.id, &self.name)), &self.label());
        false
    }

    /// An `nvfeed` of the given run takes the feed's place.
    pub fn open(&self, run: u64, config: FeedConfig) -> Result<OwnedFeed, Error> {
        let last = {
            let state = self.state.lock();
            if state.run != run || state.ending.is_some() {
                return Err(Error::feed_not_found(self.id));
            }
            state.feed.clone()
        };
        let feed = self.runtime.start_reserved_feed(&last, config)?;
        let frames = feed.snapshot().counters.received;
        let mut state = self.state.lock();
        state.feed = feed.clone();
        state.feed_run = run;
        state.feed_frames = frames;
        drop(state);
        Ok(feed)
    }

    /// Changes the state, and sees to it that a job does what there is to do then.
    fn ask<R>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> R) -> R {
        let (answer, work) = {
            let mut state = self.state.lock();
            let answer = change(&mut state);
            let work = if state.tasks.is_empty() { None } else { state.work.take() };
            (answer, work)
        };
        if let Some(work) = work {
            let supervisor = self.clone();
            self.runtime.0.pool.run(move || supervisor.work_off(work));
        }
        answer
    }

    /// True for the one who does it.
    fn give_place_back(&self) -> bool {
        let reason = {
            let mut state = self.state.lock();
            if state.place != Place::Held {
                return false;
            }
            state.place = Place::Leaving;
            state.ending.get_or_insert(StopReason::Requested).clone()
        };
        self.runtime.0.managed.forget(self.id);
        self.runtime.give_place_back(self.id, reason);
        self.state.lock().place = Place::GivenBack;
        self.over.notify_all();
        true
    }

    /// As it is at the moment; its figures are those of all runs.
    fn feed(&self) -> Arc<Feed> {
        self.state.lock().feed.clone()
    }

    fn label(&self) -> String {
        format!("feed '{}'", self.name)
    }

    fn emit(&self, event: impl FnOnce() -> Event) {
        self.runtime.health().emit(|| event().of_feed(self.id, &self.name));
    }
}
