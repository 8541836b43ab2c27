//! The coordinated end of everything: feeds, processors, threads.

use std::{sync::Arc, thread, time::Instant};

use parking_lot::{Condvar, Mutex};

use super::{
    counters::DropCause,
    feed::Feed,
    health::{Event, Severity},
    pool,
    processor::Processor,
    registry::{Inner, Runtime, Slot},
    startup::Startup,
    stop_reason::StopReason,
};

#[derive(Default)]
pub(super) struct Shutdown {
    /// A leaf.
    progress: Mutex<Progress>,
    done: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Progress {
    #[default]
    NotYet,
    Running,
    Done {
        clean: bool,
    },
}

/// What a shutdown waits for.
enum Ending {
    Feed(Arc<Feed>),
    Processor(Arc<Processor>),
    Startup(Arc<Startup>),
}

impl Inner {
    pub(super) fn was_shut_down(&self) -> bool {
        matches!(*self.shutdown.progress.lock(), Progress::Done { .. })
    }
}

impl Runtime {
    /// Ends all feeds and processors, from any thread. Returns when they have ended, or their timeouts are over: true
    /// where no thread of ours is left.
    ///
    /// Whoever calls while another thread is at it waits for the same answer. A thread that the other one waits for, such
    /// as one that calls a handler or brings frames, gets false at once: not ended yet. Where such a thread is the first
    /// to call, its own feed ends when it returns, and is not waited for.
    pub fn shutdown(&self) -> bool {
        let is_waited_for = self.waits_for_this_thread();
        {
            let mut progress = self.0.shutdown.progress.lock();
            loop {
                match *progress {
                    Progress::NotYet => break *progress = Progress::Running,
                    Progress::Done { clean } => return clean,
                    Progress::Running if is_waited_for => return false,
                    Progress::Running => self.0.shutdown.done.wait(&mut progress),
                }
            }
        }
        let clean = self.end_everything();
        *self.0.shutdown.progress.lock() = Progress::Done { clean };
        self.0.shutdown.done.notify_all();
        clean
    }

    fn waits_for_this_thread(&self) -> bool {
        let this = thread::current().id();
        pool::is_this_thread() || self.feeds().iter().any(|feed| feed.runs_on(this))
    }

    fn end_everything(&self) -> bool {
        let this = thread::current().id();
        self.0.health.emit(|| Event::new("shutdown-started", Severity::Info));
        let (feeds, slots) = self.close_registry();
        let begun = Instant::now();
        let feeds_until = begun + self.feed_join_timeout();
        let managed = self.0.managed.close();
        // Supervisors see to the managed ones.
        let feeds = feeds.into_iter().filter(|feed| !feed.is_managed());
        let (own, others): (Vec<_>, Vec<_>) = feeds.partition(|feed| feed.runs_on(this));
        // Feeds first, so that none waits for an answer that will not come.
        own.iter().for_each(|feed| feed.stop(true));
        others.iter().for_each(|feed| feed.stop(false));
        for slot in &slots {
            match slot {
                Slot::Starting(startup) => startup.give_up(),
                Slot::Ready(processor) | Slot::Stopping(processor) => processor.stop(),
            }
        }
        let mut endings: Vec<_> = others.into_iter().map(|feed| (feeds_until, Ending::Feed(feed))).collect();
        endings.extend(slots.into_iter().map(|slot| match slot {
            Slot::Starting(startup) => (begun + startup.batch_join_timeout(), Ending::Startup(startup)),
            Slot::Ready(processor) | Slot::Stopping(processor) => {
                (begun + processor.batch_join_timeout(), Ending::Processor(processor))
            }
        }));
        // All end side by side; who may take the longest is looked at last.
        endings.sort_by_key(|(until, _)| *until);
        for (until, ending) in endings {
            self.wait_for(&ending, until);
        }
        managed.join(feeds_until);
        for feed in &own {
            self.retire(feed, StopReason::Shutdown);
        }
        self.0.monitor.stop(Instant::now() + Inner::MONITOR_PATIENCE);
        self.0.pool.leave_behind(self.0.pool.close(feeds_until));
        let detached = self.detached().alive();
        self.0.health.emit(|| {
            let severity = if detached == 0 { Severity::Info } else { Severity::Warning };
            Event::new("shutdown-complete", severity).count("detached-threads", detached)
        });
        // The last event is told.
        drop(self.0.pool.close(Instant::now()));
        own.iter().for_each(|feed| feed.release());
        detached == 0
    }

    fn wait_for(&self, ending: &Ending, until: Instant) {
        match ending {
            Ending::Feed(feed) => {
                feed.join(until);
                feed.finish();
                self.retire(feed, StopReason::Shutdown);
            }
            Ending::Processor(processor) => {
                processor.join(until, DropCause::Shutdown);
                self.forget_processor(processor.id());
            }
            Ending::Startup(startup) => startup.join(until),
        }
    }
}
