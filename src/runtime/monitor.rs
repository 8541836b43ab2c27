//! One thread that looks at everything that must happen without anybody's doing: a feed that waits too long for its
//! processor, a feed without frames, a run that does not end. No timer for each feed, no thread for each feed.

use std::{
    io,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::{
    CAT, Error, ErrorCode,
    clock::{self, Time},
    health::{Event, Severity},
    registry::{Inner, Runtime},
    stop_reason::StopReason,
    threads::{Detached, Worker},
};

/// How late what it looks for may be noticed.
const PERIOD: Duration = Duration::from_millis(50);

/// A round that comes so late was kept from coming, as was all else: the process was stopped, or the machine is.
const STANDSTILL: Time = 1_000_000_000;
/// Nobody is called late for so long after a standstill: whoever was about to be in time still is.
const RECOVERY: Time = 1_000_000_000;

pub struct Monitor {
    runtime: Weak<Inner>,
    detached: Arc<Detached>,
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Mutex<Option<Worker>>,
}

impl Monitor {
    pub fn new(runtime: Weak<Inner>, detached: Arc<Detached>) -> Self {
        Self { runtime, detached, stop: Arc::default(), thread: Mutex::default() }
    }

    /// Starts the thread where it does not run yet, unless it was stopped.
    pub fn start(&self) -> io::Result<()> {
        let mut thread = self.thread.lock();
        if thread.is_none() && !*self.stop.0.lock() {
            let (runtime, stop) = (self.runtime.clone(), self.stop.clone());
            let watch = move || watch(&runtime, &stop);
            *thread = Some(Worker::start("nv-monitor".into(), "the monitor".into(), &self.detached, watch)?);
        }
        Ok(())
    }

    /// Ends the thread for good; waits for it unless it is the calling one.
    pub fn stop(&self, until: Instant) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            thread.join(until);
        }
    }
}

fn watch(runtime: &Weak<Inner>, (stop, stopped): &(Mutex<bool>, Condvar)) {
    let mut punctuality = Punctuality::new(clock::now());
    loop {
        {
            let mut stop = stop.lock();
            if !*stop {
                stopped.wait_for(&mut stop, PERIOD);
            }
            if *stop {
                return;
            }
        }
        let Some(inner) = runtime.upgrade() else { return };
        let (runtime, now) = (Runtime(inner), clock::now());
        runtime.0.pool.try_again();
        if punctuality.may_judge(now) {
            look_who_is_late(&runtime, now);
        }
        runtime.health().tick(now);
        runtime.0.timers.tick(now, &runtime.0.pool);
    }
}

/// When rounds come.
struct Punctuality {
    last: Time,
    lenient_until: Time,
}

impl Punctuality {
    fn new(now: Time) -> Self {
        Self { last: now, lenient_until: now }
    }

    /// Whether what is late in the round of now is so by its own fault.
    fn may_judge(&mut self, now: Time) -> bool {
        if now.saturating_sub(self.last) > STANDSTILL {
            self.lenient_until = now.saturating_add(RECOVERY);
        }
        self.last = now;
        now >= self.lenient_until
    }
}

fn look_who_is_late(runtime: &Runtime, now: Time) {
    for feed in runtime.0.agenda.due(now).into_iter().filter_map(|id| runtime.feed(id)) {
        if let Some((since, timeout)) = feed.pending()
            && now.saturating_sub(since) >= timeout
        {
            let id = feed.processor_id();
            let error = Error::new(
                ErrorCode::ProcessorMissing,
                format!(
                    "feed '{}' found no processor '{id}' within {:.1} s: declare one with `nvbatch processor-id={id} model=...`, or raise `attach-timeout`",
                    feed.name(),
                    timeout as f64 / 1e9
                ),
            );
            feed.fail(error.clone());
            runtime.retire(&feed, StopReason::Error(error.message));
        }
        feed.report_stall(now);
        runtime.0.agenda.next(feed.late_from(), feed.id());
    }
    runtime.0.managed.tick(now);
    for processor in runtime.processors() {
        let frames = processor.give_up_on_late_runs(now);
        if frames > 0 {
            gst::warning!(CAT, "processor '{}': no answer for {frames} frames", processor.id());
            runtime.health().emit(|| {
                Event::new("batch-timeout", Severity::Error).of_processor(processor.id()).sum("frames", frames)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_late_after_a_standstill() {
        let mut rounds = Punctuality::new(0);
        let second = 1_000_000_000;
        assert!(rounds.may_judge(50_000_000) && rounds.may_judge(second));
        // Ten seconds of nothing.
        assert!(!rounds.may_judge(11 * second) && !rounds.may_judge(12 * second - 1));
        assert!(rounds.may_judge(12 * second));
    }
}
