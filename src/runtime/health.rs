//! Health: what happens in the runtime, told to whoever listens.
//!
//! Each subscriber has a bounded ring of its own and is called from the pool; one that falls behind loses the oldest
//! and slows nobody. While nobody listens nothing is built.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use super::{CAT, clock, pool::Pool};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Info,
    Warning,
    Error,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Event {
    pub name: &'static str,
    pub severity: Severity,
    pub feed: Option<(u64, String)>,
    pub processor: Option<Arc<str>>,
    pub fields: Vec<(&'static str, Field)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    Count(u64),
    /// Nanoseconds.
    Duration(u64),
    Text(String),
}

impl Event {
    pub fn new(name: &'static str, severity: Severity) -> Self {
        Self { name, severity, feed: None, processor: None, fields: Vec::new() }
    }

    pub fn of_feed(mut self, id: u64, name: &str) -> Self {
        self.feed = Some((id, name.into()));
        self
    }

    pub fn of_processor(mut self, id: &Arc<str>) -> Self {
        self.processor = Some(id.clone());
        self
    }

    pub fn count(mut self, name: &'static str, count: u64) -> Self {
        self.fields.push((name, Field::Count(count)));
        self
    }

    pub fn duration(mut self, name: &'static str, nanoseconds: u64) -> Self {
        self.fields.push((name, Field::Duration(nanoseconds)));
        self
    }

    pub fn text(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.fields.push((name, Field::Text(text.into())));
        self
    }

    pub(super) fn batch_error(processor: &Arc<str>, batch_size: usize, detail: &str) -> Self {
        Self::new("batch-error", Severity::Error)
            .of_processor(processor)
            .count("batch-size", batch_size as u64)
            .text("detail", detail)
    }
}

/// An event as it is told: numbered and dated.
#[derive(Debug, Clone)]
pub struct HealthEvent {
    /// One count a process: a gap is a loss.
    pub seq: u64,
    /// Nanoseconds since the epoch.
    pub time: u64,
    pub event: Event,
}

impl HealthEvent {
    /// The `nv-health` structure.
    pub fn to_structure(&self) -> gst::Structure {
        let event = &self.event;
        let mut structure = gst::Structure::builder("nv-health")
            .field("event", event.name)
            .field("severity", event.severity.as_str())
            .field("seq", self.seq)
            .field("time", self.time);
        if let Some((id, name)) = &event.feed {
            structure = structure.field("feed-id", id).field("feed-name", name);
        }
        if let Some(processor) = &event.processor {
            structure = structure.field("processor-id", &**processor);
        }
        for (name, field) in &event.fields {
            structure = match field {
                Field::Count(value) | Field::Duration(value) => structure.field(*name, value),
                Field::Text(text) => structure.field(*name, text),
            };
        }
        structure.build()
    }
}

type Callback = Box<dyn Fn(&HealthEvent) + Send + Sync>;
type Wants = Box<dyn Fn() -> bool + Send + Sync>;

/// Ends the subscription when dropped.
pub struct Subscription {
    subscriber: Arc<Subscriber>,
    health: Weak<Health>,
}

struct Subscriber {
    /// Whether anybody is behind it at the moment; asked from any thread, must not block.
    wants: Wants,
    callback: Callback,
    /// A leaf.
    ring: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    events: VecDeque<HealthEvent>,
    scheduled: bool,
    ended: bool,
}

pub struct Health {
    pool: Arc<Pool>,
    /// A leaf.
    subscribers: Mutex<Vec<Arc<Subscriber>>>,
    /// How many there are, to be read without the lock.
    listening: AtomicUsize,
    capacity: AtomicUsize,
}

static SEQ: AtomicU64 = AtomicU64::new(1);

impl Health {
    pub(super) fn new(pool: Arc<Pool>, capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            pool,
            subscribers: Mutex::new(Vec::new()),
            listening: AtomicUsize::new(0),
            capacity: AtomicUsize::new(capacity),
        })
    }

    /// Events that may wait for one subscriber.
    pub(super) fn set_capacity(&self, capacity: usize) {
        self.capacity.store(capacity, Ordering::Relaxed);
    }

    /// `callback` is called from the pool, in order, while `wants` says that somebody listens.
    pub fn subscribe(
        self: &Arc<Self>,
        wants: impl Fn() -> bool + Send + Sync + 'static,
        callback: impl Fn(&HealthEvent) + Send + Sync + 'static,
    ) -> Subscription {
        let (wants, callback) = (Box::new(wants), Box::new(callback));
        let subscriber = Arc::new(Subscriber { wants, callback, ring: Mutex::default() });
        let mut subscribers = self.subscribers.lock();
        subscribers.push(subscriber.clone());
        self.listening.store(subscribers.len(), Ordering::Release);
        Subscription { subscriber, health: Arc::downgrade(self) }
    }

    /// Tells every subscriber, soon. Never blocks; builds nothing where nobody listens.
    pub fn emit(&self, event: impl FnOnce() -> Event) {
        if self.listening.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut subscribers = self.subscribers.lock().clone();
        subscribers.retain(|subscriber| (subscriber.wants)());
        if subscribers.is_empty() {
            return;
        }
        let event = event();
        let told = HealthEvent { seq: SEQ.fetch_add(1, Ordering::Relaxed), time: clock::wall_clock(), event };
        let capacity = self.capacity.load(Ordering::Relaxed);
        for subscriber in subscribers {
            let schedule = {
                let mut ring = subscriber.ring.lock();
                if ring.events.len() >= capacity {
                    ring.events.pop_front();
                }
                ring.events.push_back(told.clone());
                !std::mem::replace(&mut ring.scheduled, true)
            };
            if schedule {
                self.pool.run(move || subscriber.deliver());
            }
        }
    }
}

impl Subscriber {
    fn deliver(&self) {
        loop {
            let event = {
                let mut ring = self.ring.lock();
                match ring.events.pop_front() {
                    Some(event) if !ring.ended => event,
                    _ => {
                        ring.scheduled = false;
                        return;
                    }
                }
            };
            // One that panics is called again for the next.
            if catch_unwind(AssertUnwindSafe(|| (self.callback)(&event))).is_err() {
                gst::error!(CAT, "a health callback panicked");
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.subscriber.ring.lock().ended = true;
        if let Some(health) = self.health.upgrade() {
            let mut subscribers = health.subscribers.lock();
            subscribers.retain(|subscriber| !Arc::ptr_eq(subscriber, &self.subscriber));
            health.listening.store(subscribers.len(), Ordering::Release);
        }
    }
}
