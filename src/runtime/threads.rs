//! Threads of ours that are waited for with a limit, and what becomes of those that do not end in time.

use std::{
    io,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use once_cell::sync::OnceCell;
use parking_lot::{Condvar, Mutex};

use super::{
    CAT,
    health::{Event, Health, Severity},
};

/// Threads that were left behind: nobody waits for them any more. Both counts only grow.
#[derive(Default)]
pub struct Detached {
    left: AtomicU64,
    reaped: AtomicU64,
    health: OnceCell<Weak<Health>>,
}

impl Detached {
    /// From now on events are told there.
    pub fn report_to(&self, health: &Arc<Health>) {
        // Set once, when a runtime is made.
        _ = self.health.set(Arc::downgrade(health));
    }

    pub fn leave(&self, label: &str) {
        self.leave_of(None, label);
    }

    /// As [`Detached::leave`], of a feed with its id and name.
    pub fn leave_of(&self, feed: Option<(u64, &str)>, label: &str) {
        self.left.fetch_add(1, Ordering::Relaxed);
        gst::warning!(CAT, "{label} does not return and is left behind");
        self.tell("thread-detached", Severity::Error, feed, label);
    }

    /// One that was left behind has ended after all.
    pub fn reap(&self, label: &str) {
        self.reap_of(None, label);
    }

    /// As [`Detached::reap`], of a feed with its id and name.
    pub fn reap_of(&self, feed: Option<(u64, &str)>, label: &str) {
        self.reaped.fetch_add(1, Ordering::Relaxed);
        gst::info!(CAT, "{label} was left behind and has ended");
        self.tell("thread-reaped", Severity::Info, feed, label);
    }

    /// All that were ever left behind.
    pub fn total(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    /// Those of them that have ended.
    pub fn reaped(&self) -> u64 {
        self.reaped.load(Ordering::Relaxed)
    }

    /// Those that have not.
    pub fn alive(&self) -> u64 {
        let reaped = self.reaped();
        self.total().saturating_sub(reaped)
    }

    fn tell(&self, name: &'static str, severity: Severity, feed: Option<(u64, &str)>, label: &str) {
        if let Some(health) = self.health.get().and_then(Weak::upgrade) {
            health.emit(|| {
                let event = Event::new(name, severity).text("label", label);
                feed.into_iter().fold(event, |event, (id, name)| event.of_feed(id, name))
            });
        }
    }
}

/// A thread that can be waited for with a limit.
pub struct Worker {
    /// For people: what it is doing.
    label: String,
    shared: Arc<Shared>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    /// A leaf.
    stage: Mutex<Stage>,
    ended: Condvar,
    detached: Arc<Detached>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    LeftBehind,
    Ended,
}

impl Worker {
    /// Starts a thread called `name`, of which 15 bytes are seen.
    pub fn start(
        name: String,
        label: String,
        detached: &Arc<Detached>,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let shared =
            Arc::new(Shared { stage: Mutex::new(Stage::Running), ended: Condvar::new(), detached: detached.clone() });
        let end = End { shared: shared.clone(), label: label.clone() };
        let handle = thread::Builder::new().name(name).spawn(move || {
            let _end = end;
            work();
        })?;
        Ok(Self { label, shared, handle: Mutex::new(Some(handle)) })
    }

    /// Waits for its end until `until`, then leaves it behind. True where it has ended, or is the thread that asks.
    pub fn join(&self, until: Instant) -> bool {
        let is_this = |handle: &JoinHandle<()>| handle.thread().id() == thread::current().id();
        if self.handle.lock().as_ref().is_some_and(is_this) {
            return true;
        }
        let stage = {
            let mut stage = self.shared.stage.lock();
            while *stage == Stage::Running && !self.shared.ended.wait_until(&mut stage, until).timed_out() {}
            *stage
        };
        match stage {
            Stage::LeftBehind => return false,
            Stage::Running if !self.leave() => return false,
            Stage::Running | Stage::Ended => (),
        }
        let handle = self.handle.lock().take();
        if handle.is_some_and(|handle| handle.join().is_err()) {
            gst::error!(CAT, "{} panicked", self.label);
        }
        true
    }

    /// True where it ended meanwhile.
    fn leave(&self) -> bool {
        // Told first, so that nobody hears of its end before.
        self.shared.detached.leave(&self.label);
        let ended = {
            let mut stage = self.shared.stage.lock();
            let ended = *stage == Stage::Ended;
            if !ended {
                *stage = Stage::LeftBehind;
            }
            ended
        };
        if ended {
            self.shared.detached.reap(&self.label);
        }
        ended
    }
}

/// Tells the end of a worker, also by a panic.
struct End {
    shared: Arc<Shared>,
    label: String,
}

impl Drop for End {
    fn drop(&mut self) {
        let before = std::mem::replace(&mut *self.shared.stage.lock(), Stage::Ended);
        self.shared.ended.notify_all();
        if before == Stage::LeftBehind {
            self.shared.detached.reap(&self.label);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    const FAR: Duration = Duration::from_secs(60);

    #[test]
    fn a_worker_that_ends_is_joined_and_one_that_panics_as_well() {
        let detached = Arc::default();
        let good = Worker::start("good".into(), "good".into(), &detached, || ()).unwrap();
        let bad = Worker::start("bad".into(), "bad".into(), &detached, || panic!("told to")).unwrap();
        for _ in 0..2 {
            assert!(good.join(Instant::now() + FAR) && bad.join(Instant::now() + FAR));
        }
        assert_eq!((detached.total(), detached.reaped()), (0, 0));
    }

    #[test]
    fn a_worker_that_does_not_end_is_left_behind_once_and_reaped() {
        let detached = Arc::default();
        let (open, gate) = mpsc::channel::<()>();
        let stuck = Worker::start("stuck".into(), "stuck".into(), &detached, move || _ = gate.recv()).unwrap();
        assert!(!stuck.join(Instant::now()) && !stuck.join(Instant::now()));
        assert_eq!((detached.total(), detached.reaped()), (1, 0));
        let handle = stuck.handle.lock().take().unwrap();
        drop(open);
        handle.join().unwrap();
        assert_eq!((detached.total(), detached.reaped()), (1, 1));
    }
}
