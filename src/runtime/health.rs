//! Health: what happens in the runtime, told to whoever listens.
//!
//! Events that can repeat are [coalesced](super::coalesce). While nobody listens nothing is built.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;

pub use super::{
    broadcast::Subscription,
    event::{Event, Field, HealthEvent, Severity},
};
use super::{
    broadcast::{Broadcast, Sent},
    clock::{self, Time},
    coalesce::Coalescer,
    figures::RingSnapshot,
    origin::{Origin, Origins},
    pool::Pool,
};

pub struct Health {
    events: Arc<Broadcast<HealthEvent>>,
    /// A leaf.
    coalescer: Mutex<Coalescer>,
    /// A leaf.
    origins: Mutex<Origins>,
}

static SEQ: AtomicU64 = AtomicU64::new(1);

impl Health {
    pub(super) fn new(pool: Arc<Pool>, capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            events: Broadcast::new(pool, capacity),
            coalescer: Mutex::default(),
            origins: Mutex::default(),
        })
    }

    /// Events that may wait for one subscriber.
    pub(super) fn set_capacity(&self, capacity: usize) {
        self.events.set_capacity(capacity);
    }

    pub(super) fn rings(&self) -> RingSnapshot {
        RingSnapshot { lag: self.events.lag(), lost: self.events.lost() }
    }

    /// `callback` is called from the pool, in order, while `wants` says that somebody listens.
    pub fn subscribe(
        &self,
        wants: impl Fn() -> bool + Send + Sync + 'static,
        callback: impl Fn(&HealthEvent) + Send + Sync + 'static,
    ) -> Subscription<HealthEvent> {
        self.events.subscribe(wants, move |event, lost| callback(&HealthEvent { lost, ..event.clone() }))
    }

    /// Tells every subscriber, soon, or what can repeat within a second. Never blocks; builds nothing where nobody
    /// listens.
    pub fn emit(&self, event: impl FnOnce() -> Event) {
        if !self.events.is_wanted() {
            return;
        }
        let mut event = event();
        event.origins = self.origins.lock().of(&event);
        if Coalescer::is_for(&event) {
            let due = self.coalescer.lock().happened(event, clock::now());
            due.into_iter().for_each(|event| self.tell(event));
        } else {
            // What came before the change is told before it.
            self.settle(event.feed.as_ref().map(|(id, _)| *id), event.processor.as_deref());
            self.tell(event);
        }
    }

    /// Where events of this feed come from, from now on.
    pub(super) fn know_feed(&self, id: u64, origin: Origin) {
        self.origins.lock().feeds.insert(id, origin);
    }

    pub(super) fn forget_feed(&self, id: u64) {
        self.origins.lock().feeds.remove(&id);
    }

    /// As [`Health::know_feed`].
    pub(super) fn know_processor(&self, id: Arc<str>, origin: Origin) {
        self.origins.lock().processors.insert(id, origin);
    }

    pub(super) fn forget_processor(&self, id: &str) {
        self.origins.lock().processors.remove(id);
    }

    /// Tells what is kept of this feed or this processor: it goes well again, or is about to end.
    pub fn settle(&self, feed: Option<u64>, processor: Option<&str>) {
        let kept = {
            let mut coalescer = self.coalescer.lock();
            if coalescer.is_empty() {
                return;
            }
            coalescer.settle(feed, processor)
        };
        kept.into_iter().for_each(|event| self.tell(event));
    }

    /// Tells what was kept for a second. Called by the monitor.
    pub(super) fn tick(&self, now: Time) {
        let due = self.coalescer.lock().due(now);
        due.into_iter().for_each(|event| self.tell(event));
    }

    fn tell(&self, event: Event) {
        if is_about_health(&event) {
            return self.tell_of_own_losses(event);
        }
        let event = Arc::new(event);
        let Sent { lost, .. } = self.events.send(|| numbered(event));
        if lost > 0 {
            let due = self.coalescer.lock().happened(Event::output_lagged("health", lost), clock::now());
            due.into_iter().for_each(|event| self.tell_of_own_losses(event));
        }
    }

    /// Pushes nothing out of a full ring: it would be a loss to tell of again.
    fn tell_of_own_losses(&self, event: Event) {
        let event = Arc::new(event);
        let sent = self.events.send_where_there_is_room(|| numbered(event.clone()));
        if sent.taken == 0 {
            self.coalescer.lock().put_back(Arc::unwrap_or_clone(event), clock::now());
        }
    }
}

fn numbered(event: Arc<Event>) -> HealthEvent {
    HealthEvent { seq: SEQ.fetch_add(1, Ordering::Relaxed), time: clock::wall_clock(), lost: 0, event }
}

fn is_about_health(event: &Event) -> bool {
    event.name == "output-lagged" && event.fields.contains(&("ring", Field::Text("health".into())))
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    const FAR: Duration = Duration::from_secs(60);

    fn lost(event: &HealthEvent) -> u64 {
        let of = |(name, field): &(&str, Field)| match field {
            Field::Sum(lost) if *name == "messages-lost" => Some(*lost),
            _ => None,
        };
        event.event.fields.iter().find_map(of).unwrap_or(0)
    }

    #[test]
    fn who_blocks_alone_is_told_of_all_that_it_lost() {
        let health = Health::new(Arc::new(Pool::new()), 3);
        let (open, gate) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let gate = Mutex::new(gate);
        let _subscription = health.subscribe(
            || true,
            move |event| {
                tell.send(event.clone()).unwrap();
                _ = gate.lock().recv();
            },
        );
        let change = || Event::new("feed-added", Severity::Info);
        health.emit(change);
        told.recv_timeout(FAR).unwrap();
        (0..50).for_each(|_| health.emit(change));
        drop(open);
        let first = told.recv_timeout(FAR).unwrap();
        for _ in 0..2 {
            assert_eq!(told.recv_timeout(FAR).unwrap().lost, 0);
        }
        // There was room for nobody to hear of it until now.
        health.tick(clock::now() + 2_000_000_000);
        let report = told.recv_timeout(FAR).unwrap();
        assert_eq!((report.event.name, lost(&report), health.rings().lost), ("output-lagged", 47, 47));
        // Reports that found no room have numbers as well.
        assert!(first.lost >= 47 && report.lost == 0, "{first:?} {report:?}");
    }

    #[test]
    fn what_was_kept_is_told_before_the_change() {
        let health = Health::new(Arc::new(Pool::new()), 100);
        let (tell, told) = mpsc::channel();
        let _subscription = health.subscribe(|| true, move |event| tell.send(event.clone()).unwrap());
        let drop = || Event::new("backpressure-drop", Severity::Warning).of_feed(7, "f").sum("frames", 1);
        (0..10).for_each(|_| health.emit(drop));
        health.emit(|| Event::new("feed-recovered", Severity::Info).of_feed(7, "f"));
        let told: Vec<_> = (0..3).map(|_| told.recv_timeout(FAR).unwrap()).collect();
        let names: Vec<_> = told.iter().map(|event| event.event.name).collect();
        assert_eq!(names, ["backpressure-drop", "backpressure-drop", "feed-recovered"]);
        assert_eq!(told[1].event.fields, [("frames", Field::Sum(9))]);
        assert!(told.windows(2).all(|pair| pair[0].seq < pair[1].seq && pair[0].time <= pair[1].time));
    }
}
