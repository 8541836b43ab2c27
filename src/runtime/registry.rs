//! The runtime itself: which feeds and processors there are, and who is bound to whom.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
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
    managed::ManagedFeeds,
    monitor::Monitor,
    object::NvRuntime,
    owners::{OwnedFeed, OwnedProcessor},
    pool::Pool,
    processor::{Processor, ProcessorConfig},
    shutdown::Shutdown,
    startup::Startup,
    stop_reason::StopReason,
    threads::Detached,
};

/// A handle of the one runtime of the process; it lives as long as somebody holds one.
#[derive(Clone, Debug)]
pub struct Runtime(pub(super) Arc<Inner>);

pub(super) struct Inner {
    started: Time,
    pub(super) pool: Arc<Pool>,
    pub(super) health: Arc<Health>,
    pub(super) registry: Mutex<Registry>,
    pub(super) monitor: Monitor,
    pub(super) managed: ManagedFeeds,
    pub(super) shutdown: Shutdown,
    /// Elements in READY or above.
    pub(super) elements: AtomicUsize,
    /// The runtime as other languages see it, while anybody holds it.
    pub(super) object: Mutex<glib::WeakRef<NvRuntime>>,
}

pub(super) struct Registry {
    config: RuntimeConfig,
    feeds: BTreeMap<u64, Arc<Feed>>,
    processors: HashMap<String, Slot>,
    /// Nothing is taken any more.
    closed: bool,
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
        let registry = Registry { config, feeds: BTreeMap::new(), processors: HashMap::new(), closed: false };
        Arc::new_cyclic(|inner| Self {
            started: clock::now(),
            health,
            monitor: Monitor::new(inner.clone(), pool.detached().clone()),
            pool,
            registry: Mutex::new(registry),
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

    /// Takes one of the places for feeds, and binds the feed to its processor now or when there is one.
    pub fn add_feed(&self, config: FeedConfig) -> Result<OwnedFeed, Error> {
        let (feed, processor) = self.take_place(|id| Feed::new(id, config, self.0.pool.clone()))?;
        self.bind_or_wait(&feed, processor);
        Ok(OwnedFeed { runtime: self.clone(), feed })
    }

    /// Takes a place for a feed that starts later, as often as need be: see [`Runtime::start_reserved_feed`]. The place
    /// is kept until [`Runtime::give_place_back`].
    pub(super) fn reserve_feed(&self, config: impl FnOnce(u64) -> FeedConfig) -> Result<Arc<Feed>, Error> {
        self.take_place(|id| Feed::reserved(id, config(id), self.0.pool.clone())).map(|(feed, _)| feed)
    }

    /// Puts a new feed into a reserved place. The one that was there before has ended when this returns.
    pub(super) fn start_reserved_feed(&self, last: &Arc<Feed>, config: FeedConfig) -> Result<OwnedFeed, Error> {
        last.end();
        let (feed, processor) = {
            let mut registry = self.0.registry.lock();
            if !registry.feeds.contains_key(&last.id()) {
                return Err(Error::feed_not_found(last.id()));
            }
            let feed = Arc::new(Feed::following(last, config));
            (feed.clone(), registry.admit(&feed))
        };
        self.bind_or_wait(&feed, processor);
        Ok(OwnedFeed { runtime: self.clone(), feed })
    }

    /// Ends whatever feed is in the reserved place.
    pub(super) fn give_place_back(&self, id: u64) {
        let feed = self.0.registry.lock().feeds.remove(&id);
        if let Some(feed) = feed {
            feed.end();
        }
    }

    fn take_place(&self, feed: impl FnOnce(u64) -> Feed) -> Result<(Arc<Feed>, Option<Arc<Processor>>), Error> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let (feed, processor) = {
            let mut registry = self.0.registry.lock();
            registry.check_place()?;
            let feed = Arc::new(feed(IDS.fetch_add(1, Ordering::Relaxed)));
            (feed.clone(), registry.admit(&feed))
        };
        self.announce(&feed);
        Ok((feed, processor))
    }

    /// The feed's stream has ended: its place is free for another, its figures stay. See [`Runtime::rejoin`]. The place of
    /// a managed feed is its supervisor's.
    pub fn retire(&self, feed: &Arc<Feed>, reason: StopReason) {
        if !feed.is_managed() && self.0.registry.lock().feeds.remove(&feed.id()).is_some() {
            feed.detach();
            // The end that a shutdown brings about looks to the element as any other.
            self.tell_stopped(feed, if feed.was_stopped() { StopReason::Shutdown } else { reason });
        }
    }

    /// The stream of a feed that was retired goes on: it takes a place again. Nothing happens where it has one.
    pub fn rejoin(&self, feed: &Arc<Feed>) -> Result<(), Error> {
        let processor = {
            let mut registry = self.0.registry.lock();
            if feed.is_managed() || registry.feeds.contains_key(&feed.id()) || feed.is_closed() {
                return Ok(());
            }
            registry.check_place()?;
            feed.wait_again();
            registry.admit(feed)
        };
        self.announce(feed);
        self.bind_or_wait(feed, processor);
        Ok(())
    }

    fn announce(&self, feed: &Feed) {
        self.0.monitor.start();
        self.0.health.emit(|| Event::new("feed-added", Severity::Info).of_feed(feed.id(), feed.name()));
    }

    fn bind_or_wait(&self, feed: &Arc<Feed>, processor: Option<Arc<Processor>>) {
        match processor {
            Some(processor) => self.bind(feed, &processor),
            None => {
                gst::info!(CAT, "feed {} waits for processor '{}'", feed.name(), feed.processor_id());
                self.0.health.emit(|| Event::new("feed-pending", Severity::Info).of_feed(feed.id(), feed.name()));
            }
        }
    }

    pub(super) fn end_feed(&self, feed: &Arc<Feed>) {
        let had_place = {
            let mut registry = self.0.registry.lock();
            // Under the lock, so that it does not take a place again.
            feed.close();
            !feed.is_managed() && registry.feeds.remove(&feed.id()).is_some()
        };
        feed.end();
        if had_place {
            self.tell_stopped(feed, StopReason::Requested);
        }
    }

    pub(super) fn tell_stopped(&self, feed: &Feed, reason: StopReason) {
        self.0.health.emit(|| reason.into_event().of_feed(feed.id(), feed.name()));
    }

    /// Loads a model and starts its instances; may take long, and nothing else waits meanwhile.
    pub fn add_processor(&self, config: ProcessorConfig) -> Result<OwnedProcessor, Error> {
        let id = config.id.clone();
        let startup = Startup::new(&config);
        {
            let mut registry = self.0.registry.lock();
            if registry.closed {
                return Err(Error::shutdown_in_progress());
            }
            if registry.processors.contains_key(&id) {
                return Err(Error::new(
                    ErrorCode::DuplicateProcessorId,
                    format!(
                        "processor '{id}' has an owner already: choose another `processor-id`, or leave `model` unset to share it"
                    ),
                ));
            }
            registry.processors.insert(id.clone(), Slot::Starting(startup.clone()));
        }
        let begun = clock::now();
        let started = startup.run(config, &self.0.health, self.0.pool.detached());
        let registered = started.and_then(|processor| self.register(processor));
        if registered.is_err() {
            self.0.registry.lock().processors.remove(&id);
        }
        startup.over();
        let (processor, waiting) = registered?;
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

    /// Makes a processor known; returns the feeds that wait for it. One that comes too late is undone.
    fn register(&self, processor: Arc<Processor>) -> Result<(Arc<Processor>, Vec<Arc<Feed>>), Error> {
        {
            let mut registry = self.0.registry.lock();
            if !registry.closed {
                let id = &**processor.id();
                registry.processors.insert(id.to_owned(), Slot::Ready(processor.clone()));
                let waiting = registry.feeds_of(id);
                return Ok((processor, waiting));
            }
        }
        processor.stop();
        processor.join(Instant::now() + processor.batch_join_timeout(), DropCause::Shutdown);
        Err(Error::shutdown_in_progress())
    }

    pub(super) fn remove_processor(&self, processor: &Arc<Processor>) {
        let id = &**processor.id();
        let bound = {
            let mut registry = self.0.registry.lock();
            match registry.processors.get_mut(id) {
                Some(slot) => *slot = Slot::Stopping(processor.clone()),
                // It went with the runtime's shutdown.
                None => return,
            }
            registry.feeds_of(id)
        };
        for feed in &bound {
            feed.detach_from(processor);
            self.0.health.emit(|| {
                Event::new("processor-lost", Severity::Warning)
                    .of_feed(feed.id(), feed.name())
                    .of_processor(processor.id())
            });
        }
        processor.stop();
        processor.join(Instant::now() + processor.batch_join_timeout(), DropCause::TimedOut);
        self.forget_processor(processor.id());
    }

    pub(super) fn forget_processor(&self, id: &Arc<str>) {
        if self.0.registry.lock().processors.remove(&**id).is_some() {
            self.0.health.emit(|| Event::new("processor-removed", Severity::Info).of_processor(id));
        }
    }

    /// Takes nothing any more from now on; returns all that is there.
    pub(super) fn close_registry(&self) -> (Vec<Arc<Feed>>, Vec<Slot>) {
        let mut registry = self.0.registry.lock();
        registry.closed = true;
        (registry.feeds.values().cloned().collect(), registry.processors.values().cloned().collect())
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

impl Registry {
    /// Whether there is room for one more feed.
    fn check_place(&self) -> Result<(), Error> {
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

    /// Gives the feed its place; returns its processor where that is there.
    fn admit(&mut self, feed: &Arc<Feed>) -> Option<Arc<Processor>> {
        self.feeds.insert(feed.id(), feed.clone());
        self.processors.get(feed.processor_id()).and_then(Slot::ready).cloned()
    }

    fn feeds_of(&self, processor: &str) -> Vec<Arc<Feed>> {
        self.feeds.values().filter(|feed| feed.processor_id() == processor).cloned().collect()
    }
}

impl Slot {
    fn ready(&self) -> Option<&Arc<Processor>> {
        match self {
            Self::Ready(processor) => Some(processor),
            Self::Starting(_) | Self::Stopping(_) => None,
        }
    }
}
