//! The runtime itself: which feeds and processors there are, and who is bound to whom.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use glib::object::ObjectExt;
use parking_lot::Mutex;

use super::{
    CAT, Error, ErrorCode,
    clock::{self, Time},
    config::RuntimeConfig,
    counters::DropCause,
    feed::{Feed, FeedConfig},
    health::{Event, Health, Severity},
    monitor::Monitor,
    object::NvRuntime,
    output::Output,
    pool::Pool,
    processor::{Processor, ProcessorConfig},
    startup,
    timers::{Repeating, Timers},
};

/// A handle of the one runtime of the process; it lives as long as somebody holds one.
#[derive(Clone, Debug)]
pub struct Runtime(pub(super) Arc<Inner>);

pub(super) struct Inner {
    started: Time,
    pub(super) pool: Arc<Pool>,
    pub(super) health: Arc<Health>,
    pub(super) output: Arc<Output>,
    registry: Mutex<Registry>,
    detached_threads: AtomicU64,
    monitor: Monitor,
    pub(super) timers: Timers,
    /// The runtime as other languages see it, while anybody holds it.
    pub(super) object: Mutex<glib::WeakRef<NvRuntime>>,
}

struct Registry {
    config: RuntimeConfig,
    feeds: BTreeMap<u64, Arc<Feed>>,
    processors: HashMap<String, Slot>,
}

/// Who has a processor id.
enum Slot {
    /// Its model is being loaded, or it is being stopped.
    Busy,
    Ready(Arc<Processor>),
}

static CURRENT: Mutex<Weak<Inner>> = Mutex::new(Weak::new());

impl Runtime {
    /// The runtime of this process.
    pub fn get() -> Self {
        let mut current = CURRENT.lock();
        if let Some(inner) = current.upgrade() {
            return Self(inner);
        }
        let pool = Arc::new(Pool::new());
        let config = RuntimeConfig::from_environment();
        let inner = Arc::new_cyclic(|inner| Inner {
            started: clock::now(),
            health: Health::new(pool.clone(), config.health_capacity as usize),
            output: Output::new(pool.clone(), config.output_capacity as usize),
            pool,
            registry: Mutex::new(Registry { config, feeds: BTreeMap::new(), processors: HashMap::new() }),
            detached_threads: AtomicU64::new(0),
            monitor: Monitor::new(inner.clone()),
            timers: Timers::default(),
            object: Mutex::new(glib::WeakRef::new()),
        });
        *current = Arc::downgrade(&inner);
        Self(inner)
    }

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

    /// Threads that were left behind so far.
    pub fn detached_threads(&self) -> u64 {
        self.0.detached_threads.load(Ordering::Relaxed)
    }

    /// All results of all feeds.
    pub fn output(&self) -> &Arc<Output> {
        &self.0.output
    }

    /// Has `job` done on the pool each `interval` nanoseconds, as long as what is returned is kept. A job that takes
    /// longer is not done twice at a time.
    pub fn every(&self, interval: Time, job: impl Fn() + Send + Sync + 'static) -> Arc<Repeating> {
        self.0.monitor.start();
        self.0.timers.every(interval, clock::now(), job)
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

    /// Takes one of the places for feeds, and binds the feed to its processor now or when there is one.
    pub fn add_feed(&self, config: FeedConfig) -> Result<OwnedFeed, Error> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let (feed, processor) = {
            let mut registry = self.0.registry.lock();
            let max = registry.config.max_feeds;
            if registry.feeds.len() >= max as usize {
                return Err(Error {
                    code: ErrorCode::FeedLimitExceeded,
                    message: format!(
                        "all {max} places for feeds are taken: stop a feed, or raise `max-feeds` of `nvhealth` (or NV_MAX_FEEDS)"
                    ),
                    max: Some(max),
                });
            }
            let id = IDS.fetch_add(1, Ordering::Relaxed);
            self.0.health.know_feed(id, config.origin.clone());
            let (pool, health, output) = (self.0.pool.clone(), self.0.health.clone(), self.0.output.clone());
            let feed = Arc::new(Feed::new(id, config, pool, health, output));
            registry.feeds.insert(id, feed.clone());
            let processor = registry.processors.get(feed.processor_id()).and_then(Slot::ready).cloned();
            (feed, processor)
        };
        self.0.monitor.start();
        self.0.health.emit(|| Event::new("feed-added", Severity::Info).of_feed(feed.id(), feed.name()));
        match processor {
            Some(processor) => self.bind(&feed, &processor),
            None => {
                gst::info!(CAT, "feed {} waits for processor '{}'", feed.name(), feed.processor_id());
                self.0.health.emit(|| Event::new("feed-pending", Severity::Info).of_feed(feed.id(), feed.name()));
            }
        }
        Ok(OwnedFeed { runtime: self.clone(), feed })
    }

    fn remove_feed(&self, feed: &Feed) {
        if self.0.registry.lock().feeds.remove(&feed.id()).is_some() {
            feed.end(DropCause::Flushed);
            self.0.health.emit(|| {
                Event::new("feed-stopped", Severity::Info).of_feed(feed.id(), feed.name()).text("reason", "requested")
            });
            self.0.health.forget_feed(feed.id());
        }
    }

    /// Loads a model and starts its instances; may take long, and nothing else waits meanwhile.
    pub fn add_processor(&self, config: ProcessorConfig) -> Result<OwnedProcessor, Error> {
        let id = config.id.clone();
        {
            let mut registry = self.0.registry.lock();
            if registry.processors.contains_key(&id) {
                return Err(Error::new(
                    ErrorCode::DuplicateProcessorId,
                    format!(
                        "processor '{id}' has an owner already: choose another `processor-id`, or leave `model` unset to share it"
                    ),
                ));
            }
            registry.processors.insert(id.clone(), Slot::Busy);
        }
        self.0.monitor.start();
        let origin = config.origin.clone();
        let begun = clock::now();
        let processor = match startup::start(config, &self.0.health) {
            Ok(processor) => processor,
            Err(error) => {
                self.0.registry.lock().processors.remove(&id);
                return Err(error);
            }
        };
        let waiting: Vec<_> = {
            let mut registry = self.0.registry.lock();
            registry.processors.insert(id.clone(), Slot::Ready(processor.clone()));
            registry.feeds.values().filter(|feed| feed.processor_id() == id).cloned().collect()
        };
        self.0.health.know_processor(processor.id().clone(), origin);
        self.0.health.emit(|| {
            Event::new("processor-ready", Severity::Info)
                .of_processor(processor.id())
                .duration("startup-time", clock::now() - begun)
                .count("instances", processor.limits().instances as u64)
                .count("max-batch-size", processor.limits().max_batch as u64)
        });
        for feed in waiting {
            self.bind(&feed, &processor);
        }
        Ok(OwnedProcessor { runtime: self.clone(), processor })
    }

    fn remove_processor(&self, processor: &Arc<Processor>) {
        let id = &**processor.id();
        let bound: Vec<_> = {
            let mut registry = self.0.registry.lock();
            registry.processors.insert(id.to_owned(), Slot::Busy);
            registry.feeds.values().filter(|feed| feed.processor_id() == id).cloned().collect()
        };
        for feed in &bound {
            feed.detach_from(processor);
            self.0.health.emit(|| {
                Event::new("processor-lost", Severity::Warning)
                    .of_feed(feed.id(), feed.name())
                    .of_processor(processor.id())
            });
            self.0.health.emit(|| Event::new("feed-pending", Severity::Info).of_feed(feed.id(), feed.name()));
        }
        let left = processor.stop();
        if left > 0 {
            gst::warning!(CAT, "processor '{id}': {left} instances do not return from the model; left behind");
            self.0.detached_threads.fetch_add(left as u64, Ordering::Relaxed);
            self.0.health.emit(|| {
                Event::new("thread-detached", Severity::Error).of_processor(processor.id()).text("label", "instance")
            });
        }
        self.0.registry.lock().processors.remove(id);
        self.0.health.emit(|| Event::new("processor-removed", Severity::Info).of_processor(processor.id()));
        self.0.health.forget_processor(id);
    }

    fn bind(&self, feed: &Arc<Feed>, processor: &Arc<Processor>) {
        processor.attach(feed);
        let is_there = self.processor(processor.id()).is_some_and(|there| Arc::ptr_eq(&there, processor));
        if !is_there {
            // It was removed meanwhile, and its feeds were told before this one was bound.
            feed.detach_from(processor);
            return;
        }
        gst::debug!(CAT, "feed {} is bound to processor '{}'", feed.name(), processor.id());
        self.0.health.emit(|| {
            Event::new("feed-attached", Severity::Info).of_feed(feed.id(), feed.name()).of_processor(processor.id())
        });
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.monitor.stop();
    }
}

impl Slot {
    fn ready(&self) -> Option<&Arc<Processor>> {
        match self {
            Self::Ready(processor) => Some(processor),
            Self::Busy => None,
        }
    }
}

/// A feed in the hands of its owner: ended, and its place given back, when dropped.
pub struct OwnedFeed {
    runtime: Runtime,
    feed: Arc<Feed>,
}

impl std::ops::Deref for OwnedFeed {
    type Target = Arc<Feed>;

    fn deref(&self) -> &Self::Target {
        &self.feed
    }
}

impl Drop for OwnedFeed {
    fn drop(&mut self) {
        self.runtime.remove_feed(&self.feed);
    }
}

/// A processor in the hands of its owner: stopped and forgotten when dropped.
pub struct OwnedProcessor {
    runtime: Runtime,
    processor: Arc<Processor>,
}

impl std::ops::Deref for OwnedProcessor {
    type Target = Arc<Processor>;

    fn deref(&self) -> &Self::Target {
        &self.processor
    }
}

impl Drop for OwnedProcessor {
    fn drop(&mut self) {
        self.runtime.remove_processor(&self.processor);
    }
}
