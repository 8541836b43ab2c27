//! What share of the library's own rate comes out of feeds: both in one process, in short turns. A machine that is
//! faster or slower from one second to the next, as virtual ones are, is so for both.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use gst::prelude::*;
use parking_lot::{Condvar, Mutex};

use super::{library, nvfeed, streams::Streams, usage};
use crate::job::{Job, Share};

/// Library, feeds, feeds, library: so many times.
const ROUNDS: usize = 3;
/// Parts of the window that a turn takes.
const TURNS: u32 = 3;
/// From one to the other, before anything is counted and after: runs that were under way end, caches fill.
const CHANGE: Duration = Duration::from_millis(60);

pub fn run(job: &Job) -> Vec<Share> {
    let setting = job.setting.expect("a setting");
    let model = library::load(job, setting.threads);
    let gate = Gate::default();
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..setting.instances {
            scope.spawn(|| {
                let (mut session, input) = library::warm(&model, setting.batch);
                while gate.pass() {
                    library::run_once(&mut session, &input, setting.batch);
                    done.fetch_add(setting.batch as u64, Ordering::Relaxed);
                }
            });
        }
        let shares = with_feeds(job, &gate, || done.load(Ordering::Relaxed));
        gate.set(State::Over);
        shares
    })
}

fn with_feeds(job: &Job, gate: &Gate, library_done: impl Fn() -> u64) -> Vec<Share> {
    let owner = nvfeed::owner(job);
    let streams = Streams::new(job, nvfeed::FEED);
    let feeds = streams.elements("feed");
    let feeds_done = || feeds.iter().map(nvfeed::results).sum();
    streams.set_playing(true);
    thread::sleep(Duration::from_secs_f64(job.warm_up));
    streams.set_playing(false);

    let length = Duration::from_secs_f64(job.window) / TURNS;
    let library = || turn(length, |on| gate.set(if on { State::Open } else { State::Shut }), &library_done);
    let feeds = || turn(length, |on| streams.set_playing(on), &feeds_done);
    let round = |_| {
        let (before, first, second, after) = (library(), feeds(), feeds(), library());
        Share {
            rate: (first.rate + second.rate) / (before.rate + after.rate),
            cpu: (first.cpu + second.cpu) / (before.cpu + after.cpu),
        }
    };
    let shares = (0..ROUNDS).map(round).collect();
    streams.complain();
    drop(streams);
    owner.set_state(gst::State::Null).expect("the processor stops");
    shares
}

struct Turn {
    /// Frames a second.
    rate: f64,
    /// CPU seconds a frame.
    cpu: f64,
}

fn turn(length: Duration, set_running: impl Fn(bool), done: &impl Fn() -> u64) -> Turn {
    set_running(true);
    thread::sleep(CHANGE);
    let (before, cpu_before, begun) = (done(), usage::cpu_seconds(), Instant::now());
    thread::sleep(length);
    let frames = (done() - before) as f64;
    let turn = Turn { rate: frames / begun.elapsed().as_secs_f64(), cpu: (usage::cpu_seconds() - cpu_before) / frames };
    set_running(false);
    thread::sleep(CHANGE);
    turn
}

/// Lets the library's threads run, or not.
#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum State {
    #[default]
    Shut,
    Open,
    Over,
}

impl Gate {
    fn set(&self, state: State) {
        *self.state.lock() = state;
        self.changed.notify_all();
    }

    /// Waits while it is shut; false when all is over.
    fn pass(&self) -> bool {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| *state == State::Shut);
        *state == State::Open
    }
}
