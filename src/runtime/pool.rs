//! An elastic pool for work that may block: signal handlers, bus posts, files.
//!
//! A few threads serve everybody as long as nobody blocks. There is always one spare thread while there is work: when
//! the others are all busy and a job has waited for [`PATIENCE`], the spare takes it and starts the next spare. So a job
//! that blocks holds its own thread and nobody else's. A thread with nothing to do for [`IDLE`] ends.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::CAT;

/// So many threads may be busy before a job has to wait.
const BASE_THREADS: usize = 2;
const PATIENCE: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_secs(2);

type Job = Box<dyn FnOnce() + Send>;

/// Ends its threads when it is dropped; jobs that are queued by then are still done.
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    /// A leaf: no other lock is taken while it is held.
    state: Mutex<State>,
    work: Condvar,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<(Instant, Job)>,
    threads: usize,
    busy: usize,
    closed: bool,
}

impl Pool {
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State::default()),
                work: Condvar::new(),
                ended: Condvar::new(),
            }),
        }
    }

    /// Does `job` on some thread, soon. Never blocks.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        let needs_thread = {
            let mut state = self.shared.state.lock();
            state.jobs.push_back((Instant::now(), Box::new(job)));
            let first = state.threads == 0;
            state.threads += usize::from(first);
            first
        };
        if needs_thread { self.shared.start_thread() } else { _ = self.shared.work.notify_one() }
    }

    /// Waits until every thread has ended or `timeout` is over; true if they have.
    #[cfg(test)]
    pub fn close(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut state = self.shared.state.lock();
        state.closed = true;
        self.shared.work.notify_all();
        while state.threads > 0 {
            if self.shared.ended.wait_until(&mut state, until).timed_out() {
                return state.threads == 0;
            }
        }
        true
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    /// The thread was counted already.
    fn start_thread(self: &Arc<Self>) {
        let shared = self.clone();
        let started = thread::Builder::new().name("nv-pool".into()).spawn(move || shared.serve());
        if let Err(error) = started {
            // Whoever is busy takes the job when done, and the next job tries again.
            gst::error!(CAT, "cannot start a pool thread: {error}");
            self.state.lock().threads -= 1;
        }
    }

    fn serve(self: Arc<Self>) {
        let mut state = self.state.lock();
        loop {
            let Some((queued, _)) = state.jobs.front() else {
                if state.closed || self.work.wait_for(&mut state, IDLE).timed_out() && state.jobs.is_empty() {
                    break;
                }
                continue;
            };
            let patience_ends = *queued + PATIENCE;
            if state.busy >= BASE_THREADS && Instant::now() < patience_ends {
                self.work.wait_until(&mut state, patience_ends);
                continue;
            }
            let Some((_, job)) = state.jobs.pop_front() else { continue };
            state.busy += 1;
            let needs_spare = state.threads == state.busy;
            state.threads += usize::from(needs_spare);
            drop(state);
            if needs_spare {
                self.start_thread();
            }
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                gst::error!(CAT, "a callback panicked");
            }
            state = self.state.lock();
            state.busy -= 1;
        }
        state.threads -= 1;
        if state.threads == 0 {
            self.ended.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn blocked_jobs_hold_nobody_up() {
        let pool = Pool::new();
        let mut gates = Vec::new();
        for _ in 0..20 {
            let (open, gate) = mpsc::channel::<()>();
            gates.push(open);
            pool.run(move || _ = gate.recv());
        }
        let (done, wait) = mpsc::channel();
        pool.run(move || done.send(()).unwrap());
        wait.recv().unwrap();
        drop(gates);
        assert!(pool.close(Duration::from_secs(60)));
    }

    #[test]
    fn many_short_jobs_need_few_threads() {
        let pool = Pool::new();
        let (done, wait) = mpsc::channel();
        for _ in 0..1000 {
            let done = done.clone();
            pool.run(move || done.send(thread::current().id()).unwrap());
        }
        let mut threads: Vec<_> = wait.iter().take(1000).collect();
        threads.sort_by_key(|id| format!("{id:?}"));
        threads.dedup();
        assert!(threads.len() < 100, "{} threads for a thousand short jobs", threads.len());
    }

    #[test]
    fn a_panic_ends_one_job_only() {
        let pool = Pool::new();
        let (done, wait) = mpsc::channel();
        pool.run(|| panic!("told to"));
        pool.run(move || done.send(()).unwrap());
        wait.recv().unwrap();
        assert!(pool.close(Duration::from_secs(60)));
    }
}
