//! The runtime itself: its parts, its limits, and which feeds and processors there are.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use glib::object::ObjectExt;
use parking_lot::Mutex;

use super::{
    Error, ErrorCode,
    agenda::Agenda,
    clock::{self, Time},
    config::RuntimeConfig,
    feed::Feed,
    health::Health,
    managed::ManagedFeeds,
    monitor::Monitor,
    object::NvRuntime,
    output::Output,
    pool::Pool,
    processor::Processor,
    shutdown::Shutdown,
    startup::Startup,
    threads::Detached,
    timers::{Repeating, Timers},
};

/// A handle of the one runtime of the process; it lives as long as somebody holds one.
#[derive(Clone, Debug)]
pub struct Runtime(pub(super) Arc<Inner>);

pub(super) struct Inner {
    started: Time,
    pub(super) pool: Arc<Pool>,
    pub(super) agenda: Arc<Agenda>,
    pub(super) health: Arc<Health>,
    pub(super) output: Arc<Output>,
    pub(super) registry: Mutex<Registry>,
    pub(super) monitor: Monitor,
    pub(super) timers: Timers,
    pub(super) managed: ManagedFeeds,
    pub(super) shutdown: Shutdown,
    /// Elements in READY or above.
    pub(super) elements: AtomicUsize,
    /// The runtime as other languages see it, while anybody holds it.
    pub(super) object: Mutex<glib::WeakRef<NvRuntime>>,
}

pub(super) struct Registry {
    config: RuntimeConfig,
    pub(super) feeds: BTreeMap<u64, Arc<Feed>>,
    pub(super) processors: HashMap<String, Slot>,
    /// Nothing is taken any more.
    pub(super) closed: bool,
}

/// Who has a processor id.
#[derive(Clone)]
pub(super) enum Slot {
    /// Its model is being loaded.
    Starting(Arc<Startup>),
    Ready(Arc<Processor>),
    /// Its owner is stopping it.
    Stopping(Arc<Processor>),
}

impl Inner {
    /// How long its thread is waited for at the end; it never blocks.
    pub(super) const MONITOR_PATIENCE: Duration = Duration::from_secs(1);

    pub(super) fn new() -> Arc<Self> {
        let pool = Arc::new(Pool::new());
        let config = RuntimeConfig::from_environment();
        let health = Health::new(pool.clone(), config.health_capacity as usize);
        pool.detached().report_to(&health);
        let output = Output::new(pool.clone(), config.output_capacity as usize);
        let registry = Registry { config, feeds: BTreeMap::new(), processors: HashMap::new(), closed: false };
        Arc::new_cyclic(|inner| Self {
            started: clock::now(),
            agenda: Arc::default(),
            health,
            output,
            monitor: Monitor::new(inner.clone(), pool.detached().clone()),
            pool,
            registry: Mutex::new(registry),
            timers: Timers::default(),
            managed: ManagedFeeds::default(),
            shutdown: Shutdown::default(),
            elements: AtomicUsize::new(0),
            object: Mutex::new(glib::WeakRef::new()),
        })
    }
}

impl Runtime {
    /// Nanoseconds since it was made.
    pub fn uptime(&self) -> Time {
        clock::now() - self.0.started
    }

    /// The runtime as an object with properties and signals; the same one for everybody who asks.
    pub fn object(&self) -> NvRuntime {
        let mut kept = self.0.object.lock();
        kept.upgrade().unwrap_or_else(|| {
            let object = NvRuntime::new(self.clone());
            *kept = object.downgrade();
            object
        })
    }

    pub fn health(&self) -> &Arc<Health> {
        &self.0.health
    }

    /// Threads of ours that did not end in time; the count only grows.
    pub fn detached(&self) -> &Detached {
        self.0.pool.detached()
    }

    /// All results of all feeds.
    pub fn output(&self) -> &Arc<Output> {
        &self.0.output
    }

    /// Has `job` done on the pool each `interval` nanoseconds, as long as what is returned is kept. A job that takes
    /// longer is not done twice at a time.
    ///
    /// Errors: `thread-spawn-failed`.
    pub fn every(&self, interval: Time, job: impl Fn() + Send + Sync + 'static) -> Result<Arc<Repeating>, Error> {
        self.prepare_threads()?;
        Ok(self.0.timers.every(interval, clock::now(), job))
    }

    /// What everything else stands on: the monitor, and a thread of the pool.
    pub(super) fn prepare_threads(&self) -> Result<(), Error> {
        self.0.monitor.start().map_err(|error| Error::no_thread("the monitor of the runtime", &error))?;
        self.0.pool.prepare().map_err(|error| Error::no_thread("a thread for callbacks", &error))
    }

    pub fn feed_count(&self) -> usize {
        self.0.registry.lock().feeds.len()
    }

    pub fn config(&self) -> RuntimeConfig {
        self.0.registry.lock().config.clone()
    }

    /// Changes the limits as `change` says; those that cannot be are all left as they were. A lower limit takes no
    /// place from a feed that has one.
    pub fn configure(&self, change: impl FnOnce(&mut RuntimeConfig)) -> Result<(), Error> {
        let mut registry = self.0.registry.lock();
        let mut config = registry.config.clone();
        change(&mut config);
        config.check()?;
        self.0.health.set_capacity(config.health_capacity as usize);
        self.0.output.set_capacity(config.output_capacity as usize);
        registry.config = config;
        Ok(())
    }

    pub fn feeds(&self) -> Vec<Arc<Feed>> {
        self.0.registry.lock().feeds.values().cloned().collect()
    }

    pub fn processors(&self) -> Vec<Arc<Processor>> {
        self.0.registry.lock().processors.values().filter_map(Slot::ready).cloned().collect()
    }

    pub fn processor(&self, id: &str) -> Option<Arc<Processor>> {
        self.0.registry.lock().processors.get(id).and_then(Slot::ready).cloned()
    }

    pub fn feed(&self, id: u64) -> Option<Arc<Feed>> {
        self.0.registry.lock().feeds.get(&id).cloned()
    }

    /// Takes nothing any more from now on; returns all that is there.
    pub(super) fn close_registry(&self) -> (Vec<Arc<Feed>>, Vec<Slot>) {
        let mut registry = self.0.registry.lock();
        registry.closed = true;
        (registry.feeds.values().cloned().collect(), registry.processors.values().cloned().collect())
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}

impl Registry {
    /// Whether there is room for one more feed.
    pub(super) fn check_place(&self) -> Result<(), Error> {
        let max = self.config.max_feeds;
        if self.closed {
            return Err(Error::shutdown_in_progress());
        }
        if self.feeds.len() < max as usize {
            return Ok(());
        }
        Err(Error {
            code: ErrorCode::FeedLimitExceeded,
            message: format!(
                "all {max} places for feeds are taken: stop a feed, or raise `max-feeds` of `nvhealth` (or NV_MAX_FEEDS)"
            ),
            max: Some(max),
        })
    }

    pub(super) fn feeds_of(&self, processor: &str) -> Vec<Arc<Feed>> {
        self.feeds.values().filter(|feed| feed.processor_id() == processor).cloned().collect()
    }
}

impl Slot {
    pub(super) fn ready(&self) -> Option<&Arc<Processor>> {
        match self {
            Self::Ready(processor) => Some(processor),
            Self::Starting(_) | Self::Stopping(_) => None,
        }
    }
}
