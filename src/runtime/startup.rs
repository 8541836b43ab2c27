//! Bringing a processor up: loading its model, choosing what was left open, starting its instances.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use once_cell::sync::OnceCell;
use parking_lot::{Condvar, Mutex};

use super::{
    CAT, Error, ErrorCode,
    health::Health,
    instance,
    limits::{Limits, ProcessorConfig},
    panics,
    processor::Processor,
    threads::{Detached, Worker},
    tuning::{self, Choice},
};
use crate::inference::{Model, Session};

type Loaded = Result<(Arc<Processor>, Vec<Session>), Error>;

/// A processor on its way up. Loading a model cannot be interrupted, but it can be given up: what is loaded later is
/// dropped by the thread that loaded it.
pub struct Startup {
    /// A leaf.
    stage: Mutex<Stage>,
    changed: Condvar,
    thread: OnceCell<Worker>,
    batch_join_timeout: Duration,
}

enum Stage {
    Loading,
    Loaded(Box<Loaded>),
    /// Nobody waits for it any more.
    GivenUp,
    /// Whoever asked for the processor has got it or an error.
    Over,
}

impl Startup {
    pub fn new(config: &ProcessorConfig) -> Arc<Self> {
        Arc::new(Self {
            stage: Mutex::new(Stage::Loading),
            changed: Condvar::new(),
            thread: OnceCell::new(),
            batch_join_timeout: Duration::from_nanos(config.batch_join_timeout),
        })
    }

    pub fn batch_join_timeout(&self) -> Duration {
        self.batch_join_timeout
    }

    /// Returns when the processor is ready, or with an error when it cannot be, at the latest after `startup-timeout`.
    /// A model that is still loading by then is dropped when it has loaded.
    pub fn run(
        self: &Arc<Self>,
        config: ProcessorConfig,
        health: &Arc<Health>,
        detached: &Arc<Detached>,
    ) -> Result<Arc<Processor>, Error> {
        let timeout = Duration::from_nanos(config.startup_timeout);
        let id = config.id.clone();
        let label = format!("the load of processor '{id}'");
        let load = {
            let (startup, health, detached) = (self.clone(), health.clone(), detached.clone());
            move || {
                let loaded = panics::caught(|| load(&config, &startup)).map(|(model, sessions, limits)| {
                    (Processor::new(&config.id, model, limits, health, detached), sessions)
                });
                startup.loaded(loaded);
            }
        };
        let thread = Worker::start("nv-startup".into(), label, detached, load)
            .map_err(|error| Error::no_thread("a thread to load a model", &error))?;
        let thread = self.thread.get_or_init(|| thread);
        let loaded = match self.wait(Instant::now() + timeout) {
            Wait::Loaded(loaded) => loaded,
            Wait::GivenUp => return Err(Error::shutdown_in_progress()),
            Wait::TimedOut => {
                thread.join(Instant::now());
                return Err(Error::new(
                    ErrorCode::ProcessorStartupTimeout,
                    format!(
                        "processor '{id}' was not ready within {:.1} s: raise `startup-timeout` or use a smaller model",
                        timeout.as_secs_f64()
                    ),
                ));
            }
        };
        // It has nothing left to do.
        thread.join(Instant::now() + timeout);
        let (processor, sessions) = (*loaded)?;
        for (index, session) in sessions.into_iter().enumerate() {
            if let Err(error) = instance::start(&processor, index, session) {
                processor.stop();
                processor.join(Instant::now() + self.batch_join_timeout, super::DropCause::Flushed);
                return Err(error);
            }
        }
        Ok(processor)
    }

    fn wait(&self, until: Instant) -> Wait {
        let mut stage = self.stage.lock();
        loop {
            match std::mem::replace(&mut *stage, Stage::Loading) {
                Stage::Loaded(loaded) => return Wait::Loaded(loaded),
                given_up @ (Stage::GivenUp | Stage::Over) => {
                    *stage = given_up;
                    return Wait::GivenUp;
                }
                Stage::Loading => (),
            }
            if self.changed.wait_until(&mut stage, until).timed_out() && matches!(*stage, Stage::Loading) {
                *stage = Stage::GivenUp;
                return Wait::TimedOut;
            }
        }
    }

    /// What comes too late goes as it came, on this thread.
    fn loaded(&self, loaded: Loaded) {
        {
            let mut stage = self.stage.lock();
            if matches!(*stage, Stage::Loading) {
                *stage = Stage::Loaded(Box::new(loaded));
                self.changed.notify_all();
                return;
            }
        }
        drop(loaded);
    }

    /// Nobody wants the processor any more: whoever waits for it gets an error now.
    pub fn give_up(&self) {
        let loaded = {
            let mut stage = self.stage.lock();
            if matches!(*stage, Stage::Over) {
                return;
            }
            self.changed.notify_all();
            std::mem::replace(&mut *stage, Stage::GivenUp)
        };
        drop(loaded);
    }

    /// Whoever asked for the processor is done, and what it made is registered or undone.
    pub fn over(&self) {
        *self.stage.lock() = Stage::Over;
        self.changed.notify_all();
    }

    /// Waits until it is over and its thread has ended, or `until`.
    pub fn join(&self, until: Instant) {
        {
            let mut stage = self.stage.lock();
            while !matches!(*stage, Stage::Over) && !self.changed.wait_until(&mut stage, until).timed_out() {}
        }
        if let Some(thread) = self.thread.get() {
            thread.join(until);
        }
    }

    fn check(&self) -> Result<(), Error> {
        match *self.stage.lock() {
            Stage::GivenUp | Stage::Over => Err(Error::shutdown_in_progress()),
            Stage::Loading | Stage::Loaded(_) => Ok(()),
        }
    }
}

enum Wait {
    Loaded(Box<Loaded>),
    GivenUp,
    TimedOut,
}

fn load(config: &ProcessorConfig, startup: &Startup) -> Result<(Model, Vec<Session>, Limits), Error> {
    let begun = Instant::now();
    let model = Model::load(&config.model)?;
    let Choice { setting, source, sessions } = tuning::choose(config, &model, &|| startup.check())?;
    let limits = Limits::new(config, model.description().input.batch, setting, source);
    gst::info!(
        CAT,
        "processor '{}' is ready after {:.2} s: {} instances of {} threads, batches of up to {}",
        config.id,
        begun.elapsed().as_secs_f64(),
        limits.instances,
        limits.intra_op_threads,
        limits.max_batch
    );
    Ok((model, sessions, limits))
}
