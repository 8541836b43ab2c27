//! An elastic pool for work that may block: signal handlers, bus posts, files.
//!
//! A few threads serve everybody as long as nobody blocks. While a job waits there is a thread that is free: when the
//! others are all busy and a job has waited for [`PATIENCE`], it takes the job, and another is started for the next. So
//! a job that blocks holds its own thread and nobody else's. A thread with nothing to do for [`IDLE`] ends.

use std::{
    cell::Cell,
    collections::{HashMap, VecDeque},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle, ThreadId},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{CAT, threads::Detached};

/// So many threads may be busy before a job has to wait.
const BASE_THREADS: usize = 2;
const PATIENCE: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_secs(2);
/// How long a job is waited for at least when the pool is closed: one that has just begun is not stuck.
const GRACE: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce() + Send>;

/// Ends its threads when it is dropped; jobs that are queued by then are still done.
pub struct Pool {
    shared: Arc<Shared>,
    label: Arc<str>,
}

struct Shared {
    /// A leaf: no other lock is taken while it is held.
    state: Mutex<State>,
    work: Condvar,
    /// A thread ended, or took a job.
    changed: Condvar,
    detached: Arc<Detached>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Queued>,
    threads: HashMap<ThreadId, JoinHandle<()>>,
    busy: Vec<Busy>,
    next_job: u64,
    /// When there was hardly a thread to spare.
    scarce: Option<Instant>,
    closed: bool,
    /// Threads that ended after the pool was closed.
    ended: Vec<JoinHandle<()>>,
}

impl State {
    /// Threads in no job.
    fn spare(&self) -> usize {
        self.threads.len().saturating_sub(self.busy.len())
    }

    /// The last one stays while others are in jobs, which may block: perhaps no other is to be had then.
    fn is_last_spare(&self) -> bool {
        !self.busy.is_empty() && self.spare() == 1
    }
}

struct Queued {
    since: Instant,
    label: Arc<str>,
    job: Job,
}

struct Busy {
    thread: ThreadId,
    job: u64,
    began: Instant,
    label: Arc<str>,
    left_behind: bool,
}

/// A job that did not end in time.
pub struct Stuck {
    job: u64,
    label: Arc<str>,
}

thread_local! {
    static ON_POOL: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread is one of a pool.
pub fn is_this_thread() -> bool {
    ON_POOL.get()
}

impl Pool {
    pub fn new() -> Self {
        let shared = Shared {
            state: Mutex::new(State::default()),
            work: Condvar::new(),
            changed: Condvar::new(),
            detached: Arc::default(),
        };
        Self { shared: Arc::new(shared), label: "a callback".into() }
    }

    /// Where threads that are left behind are counted.
    pub fn detached(&self) -> &Arc<Detached> {
        &self.shared.detached
    }

    /// Does `job` on some thread, soon, also when closed. Never blocks.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        self.run_as(&self.label, job);
    }

    /// As [`Pool::run`]; `label` says for people what is done.
    pub fn run_as(&self, label: &Arc<str>, job: impl FnOnce() + Send + 'static) {
        let mut state = self.shared.state.lock();
        state.jobs.push_back(Queued { since: Instant::now(), label: label.clone(), job: Box::new(job) });
        if state.threads.len() == state.busy.len() {
            self.shared.start_thread_if_possible(&mut state);
        } else {
            self.shared.work.notify_one();
        }
    }

    /// Sees to it that there is a thread, for whoever is about to need one and can still be told that there is none.
    pub fn prepare(&self) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        if state.threads.is_empty() { self.shared.start_thread(&mut state) } else { Ok(()) }
    }

    /// One more thread, before a job that may block for long: others still find one when no more are to be had then.
    /// Those that turn out to be surplus end soon.
    pub fn grow(&self) -> io::Result<()> {
        self.shared.start_thread(&mut self.shared.state.lock())
    }

    /// Starts a thread for jobs that wait because none was to be had before. Called by the monitor.
    pub fn try_again(&self) {
        let mut state = self.shared.state.lock();
        if !state.jobs.is_empty() && state.threads.len() == state.busy.len() {
            self.shared.start_thread_if_possible(&mut state);
        }
    }

    /// From now on threads end as soon as there is nothing to do. Waits until all but the calling one have ended;
    /// from `until` on no longer for those that are in a job, unless that has just begun. Returns those jobs.
    pub fn close(&self, until: Instant) -> Vec<Stuck> {
        let this = thread::current().id();
        let mut state = self.shared.state.lock();
        state.closed = true;
        self.shared.work.notify_all();
        loop {
            let threads = state.threads.keys().filter(|&&thread| thread != this).count();
            let busy = || state.busy.iter().filter(|busy| busy.thread != this);
            if threads > busy().count() {
                self.shared.changed.wait(&mut state);
                continue;
            }
            let waited_for = busy().map(|busy| until.max(busy.began + GRACE)).max();
            match waited_for {
                Some(latest) if Instant::now() < latest => _ = self.shared.changed.wait_until(&mut state, latest),
                _ => break,
            }
        }
        let is_stuck = |busy: &&Busy| busy.thread != this && !busy.left_behind;
        let stuck = |busy: &Busy| Stuck { job: busy.job, label: busy.label.clone() };
        let stuck = state.busy.iter().filter(is_stuck).map(stuck).collect();
        let ended = std::mem::take(&mut state.ended);
        drop(state);
        for thread in ended {
            // What panics in a job is caught there.
            _ = thread.join();
        }
        stuck
    }

    /// Counts and reports jobs that are not waited for any more.
    pub fn leave_behind(&self, stuck: Vec<Stuck>) {
        for Stuck { job, label } in stuck {
            // Told first, so that nobody hears of its end before.
            self.shared.detached.leave(&label);
            let still_there = {
                let mut state = self.shared.state.lock();
                let busy = state.busy.iter_mut().find(|busy| busy.job == job);
                busy.map(|busy| busy.left_behind = true).is_some()
            };
            if !still_there {
                self.shared.detached.reap(&label);
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    /// The lock is held so that the new thread, should it end at once, finds its handle.
    fn start_thread(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let shared = self.clone();
        let handle = thread::Builder::new().name("nv-pool".into()).spawn(move || shared.serve())?;
        state.threads.insert(handle.thread().id(), handle);
        Ok(())
    }

    /// Where it is not, whoever is busy takes the job when done, or the monitor tries again.
    fn start_thread_if_possible(self: &Arc<Self>, state: &mut State) {
        if let Err(error) = self.start_thread(state) {
            gst::error!(CAT, "cannot start a pool thread: {error}");
        }
    }

    /// Whether a thread that finds no job may end. Waits for one.
    fn is_idle(&self, state: &mut MutexGuard<State>) -> bool {
        // Threads are woken in turn: as long as there is some work, none of them would be idle for long.
        let is_surplus = state.spare() > BASE_THREADS && state.scarce.is_none_or(|scarce| scarce.elapsed() >= IDLE);
        is_surplus || self.work.wait_for(state, IDLE).timed_out()
    }

    fn serve(self: Arc<Self>) {
        ON_POOL.set(true);
        let this = thread::current().id();
        let mut state = self.state.lock();
        loop {
            let Some(queued) = state.jobs.front() else {
                // The wait lets go of the lock: whatever ended it, there may be a job by now, which is nobody else's.
                let idle = state.closed || self.is_idle(&mut state);
                if idle && state.jobs.is_empty() && (state.closed || !state.is_last_spare()) {
                    break;
                }
                continue;
            };
            let patience_ends = queued.since + PATIENCE;
            if state.busy.len() >= BASE_THREADS && Instant::now() < patience_ends {
                self.work.wait_until(&mut state, patience_ends);
                continue;
            }
            let Some(Queued { label, job, .. }) = state.jobs.pop_front() else { continue };
            let number = state.next_job;
            state.next_job += 1;
            state.busy.push(Busy { thread: this, job: number, began: Instant::now(), label, left_behind: false });
            if state.spare() <= 1 {
                state.scarce = Some(Instant::now());
            }
            if state.spare() == 0 && !state.jobs.is_empty() {
                self.start_thread_if_possible(&mut state);
            }
            self.changed.notify_all();
            drop(state);
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                gst::error!(CAT, "a callback panicked");
            }
            state = self.state.lock();
            let index = state.busy.iter().position(|busy| busy.job == number);
            let done = index.map(|index| state.busy.swap_remove(index));
            if let Some(Busy { label, left_behind: true, .. }) = done {
                drop(state);
                self.detached.reap(&label);
                state = self.state.lock();
            }
        }
        let handle = state.threads.remove(&this);
        if state.closed {
            state.ended.extend(handle);
        }
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

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
        assert!(pool.close(far()).is_empty());
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
        assert!(pool.close(far()).is_empty());
    }

    #[test]
    fn a_closed_pool_leaves_no_thread_and_still_works() {
        let pool = Pool::new();
        for _ in 0..3 {
            let (done, wait) = mpsc::channel();
            pool.run(move || done.send(()).unwrap());
            wait.recv().unwrap();
            assert!(pool.close(far()).is_empty());
            assert!(pool.shared.state.lock().threads.is_empty());
        }
    }

    /// One that comes right behind the close finds a thread that is about to end.
    #[test]
    fn a_job_that_comes_while_the_pool_is_closed_is_done() {
        let pool = Pool::new();
        let (done, wait) = mpsc::channel();
        let tell = done.clone();
        pool.run(move || tell.send("first").unwrap());
        assert_eq!(wait.recv(), Ok("first"));
        {
            let mut state = pool.shared.state.lock();
            while !state.busy.is_empty() {
                MutexGuard::unlocked(&mut state, thread::yield_now);
            }
            state.closed = true;
            pool.shared.work.notify_all();
            let job = move || done.send("second").unwrap();
            state.jobs.push_back(Queued { since: Instant::now(), label: "late".into(), job: Box::new(job) });
        }
        assert_eq!(wait.recv_timeout(Duration::from_secs(60)), Ok("second"));
        assert!(pool.close(far()).is_empty());
    }

    #[test]
    fn a_job_that_does_not_end_is_left_behind_and_holds_nobody_up() {
        let pool = Pool::new();
        let (open, gate) = mpsc::channel::<()>();
        let (begun, wait) = mpsc::channel();
        pool.run_as(&"stuck".into(), move || {
            begun.send(()).unwrap();
            _ = gate.recv();
        });
        wait.recv().unwrap();
        let stuck = pool.close(Instant::now());
        assert_eq!(stuck.iter().map(|stuck| &*stuck.label).collect::<Vec<_>>(), ["stuck"]);
        pool.leave_behind(stuck);
        let (done, wait) = mpsc::channel();
        pool.run(move || done.send(()).unwrap());
        wait.recv().unwrap();
        assert!(pool.close(Instant::now()).iter().all(|stuck| &*stuck.label != "stuck"), "left behind once");
        drop(open);
        assert!(pool.close(far()).is_empty());
        assert_eq!((pool.detached().total(), pool.detached().reaped()), (1, 1));
    }

    #[test]
    fn a_job_can_close_its_own_pool() {
        let pool = Arc::new(Pool::new());
        let (done, wait) = mpsc::channel();
        let inside = pool.clone();
        pool.run(move || done.send(inside.close(far()).is_empty()).unwrap());
        assert!(wait.recv().unwrap());
        assert!(pool.close(far()).is_empty());
    }
}
