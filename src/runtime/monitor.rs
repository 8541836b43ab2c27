//! One thread that looks at everything that must happen without anybody's doing: a feed that waits too long for its
//! processor, a feed without frames, a run that does not end. No timer for each feed, no thread for each feed.

use std::{
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use once_cell::sync::OnceCell;
use parking_lot::{Condvar, Mutex};

use super::{
    CAT, Error, ErrorCode, clock,
    health::{Event, Severity},
    registry::{Inner, Runtime},
};

/// How late what it looks for may be noticed.
const PERIOD: Duration = Duration::from_millis(50);

pub struct Monitor {
    runtime: Weak<Inner>,
    stop: Arc<(Mutex<bool>, Condvar)>,
    started: OnceCell<()>,
}

impl Monitor {
    pub fn new(runtime: Weak<Inner>) -> Self {
        Self { runtime, stop: Arc::default(), started: OnceCell::new() }
    }

    /// Starts the thread where it does not run yet.
    pub fn start(&self) {
        let started = self.started.get_or_try_init(|| {
            let (runtime, stop) = (self.runtime.clone(), self.stop.clone());
            thread::Builder::new().name("nv-monitor".into()).spawn(move || watch(&runtime, &stop)).map(drop)
        });
        if let Err(error) = started {
            gst::error!(CAT, "cannot start the monitor: {error}; no timeout of a feed is kept");
        }
    }

    pub fn stop(&self) {
        *self.stop.0.lock() = true;
        self.stop.1.notify_all();
    }
}

fn watch(runtime: &Weak<Inner>, (stop, stopped): &(Mutex<bool>, Condvar)) {
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
        look_around(&Runtime(inner));
    }
}

fn look_around(runtime: &Runtime) {
    let now = clock::now();
    for feed in runtime.feeds() {
        if let Some((since, timeout)) = feed.pending()
            && now.saturating_sub(since) >= timeout
        {
            let id = feed.processor_id();
            feed.fail(Error::new(
                ErrorCode::ProcessorMissing,
                format!(
                    "feed '{}' found no processor '{id}' within {:.1} s: declare one with `nvbatch processor-id={id} model=...`, or raise `attach-timeout`",
                    feed.name(),
                    timeout as f64 / 1e9
                ),
            ));
        }
        if let Some(age) = feed.newly_stalled(now) {
            gst::warning!(CAT, "feed {}: no frame for {:.1} s", feed.name(), age as f64 / 1e9);
            runtime.health().emit(|| feed.event("feed-stalled", Severity::Warning).duration("age", age));
        }
    }
    runtime.health().tick(now);
    runtime.0.timers.tick(now, &runtime.0.pool);
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
