//! What is done again and again: the monitor has the time, the pool does the work.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;

use super::{clock::Time, pool::Pool};

#[derive(Default)]
pub(super) struct Timers {
    /// A leaf.
    kept: Mutex<Vec<Weak<Repeating>>>,
}

/// A job that is done again and again until this is dropped.
pub struct Repeating {
    interval: Time,
    /// A leaf.
    next: Mutex<Time>,
    running: AtomicBool,
    job: Box<dyn Fn() + Send + Sync>,
}

impl Timers {
    pub fn every(&self, interval: Time, now: Time, job: impl Fn() + Send + Sync + 'static) -> Arc<Repeating> {
        let repeating = Arc::new(Repeating {
            interval,
            next: Mutex::new(now.saturating_add(interval)),
            running: AtomicBool::new(false),
            job: Box::new(job),
        });
        self.kept.lock().push(Arc::downgrade(&repeating));
        repeating
    }

    /// Has done what is due.
    pub fn tick(&self, now: Time, pool: &Pool) {
        for due in self.due(now) {
            pool.run(move || {
                let _ended = Ended(&due.running);
                (due.job)();
            });
        }
    }

    fn due(&self, now: Time) -> Vec<Arc<Repeating>> {
        let mut due = Vec::new();
        self.kept.lock().retain(|repeating| {
            let repeating = repeating.upgrade();
            due.extend(repeating.iter().filter(|repeating| repeating.is_due(now)).cloned());
            repeating.is_some()
        });
        due
    }
}

impl Repeating {
    /// Where it is, the next time is one interval after this one was to be; those that were missed are not made up for.
    fn is_due(&self, now: Time) -> bool {
        let mut next = self.next.lock();
        if now < *next {
            return false;
        }
        let missed = (now - *next) / self.interval.max(1);
        *next = next.saturating_add(self.interval.saturating_mul(missed + 1)).max(now + 1);
        !self.running.swap(true, Ordering::AcqRel)
    }
}

/// Also where the job panics.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_each_interval_and_not_while_it_still_runs() {
        let timers = Timers::default();
        let kept = timers.every(100, 1000, || ());
        let due = |now| !timers.due(now).is_empty();
        assert!(!due(1099) && due(1100));
        assert!(!due(1250), "it has not ended");
        drop(Ended(&kept.running));
        assert!(!due(1299) && due(1305));
        drop(Ended(&kept.running));
        // Two were missed.
        assert!(due(1620) && !due(1699));
        drop(Ended(&kept.running));
        assert!(due(1700));
        drop(kept);
        assert!(!due(9999) && timers.kept.lock().is_empty());
    }
}
