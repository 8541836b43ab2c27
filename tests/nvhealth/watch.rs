//! What the runtime tells of one feed or one processor.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use gstnextvision::runtime::{Event, Field, HealthEvent, Runtime, Severity, Subscription};

/// Nothing here takes that long: who waits longer waits for ever.
pub const FAR: Duration = Duration::from_secs(60);

pub struct Watch {
    told: mpsc::Receiver<HealthEvent>,
    _subscription: Subscription<HealthEvent>,
    _runtime: Runtime,
}

impl Watch {
    /// Of the feed of that name.
    pub fn feed(name: &'static str) -> Self {
        Self::of(move |event| event.feed.as_ref().is_some_and(|(_, feed)| feed == name))
    }

    pub fn processor(id: &'static str) -> Self {
        Self::of(move |event| event.processor.as_deref() == Some(id))
    }

    fn of(concerns: impl Fn(&Event) -> bool + Send + Sync + 'static) -> Self {
        let runtime = Runtime::get();
        let (tell, told) = mpsc::channel();
        let subscription = runtime.health().subscribe(
            || true,
            move |event| {
                // One that lost something on a machine that is too busy passes it on as well, to be named below.
                if event.lost > 0 || concerns(&event.event) {
                    _ = tell.send(event.clone());
                }
            },
        );
        Self { told, _subscription: subscription, _runtime: runtime }
    }

    /// The next event of that name; others are passed over.
    pub fn wait_for(&self, name: &str, severity: Severity) -> Arc<Event> {
        loop {
            let told = self.told.recv_timeout(FAR).unwrap_or_else(|_| panic!("no {name}"));
            assert_eq!(told.lost, 0, "{told:?}: this subscriber never blocks");
            assert!(told.seq > 0 && told.time > 0);
            if told.event.name == name {
                assert_eq!(told.event.severity, severity, "{told:?}");
                return told.event;
            }
        }
    }

    /// Adds up a field of the events of that name until it is `sum`; never more.
    pub fn wait_for_sum(&self, name: &str, severity: Severity, field: &str, sum: u64) {
        let mut told = 0;
        while told < sum {
            told += number(&self.wait_for(name, severity), field);
        }
        assert_eq!(told, sum, "{name}");
    }
}

pub fn number(event: &Event, wanted: &str) -> u64 {
    match event.fields.iter().find(|(name, _)| *name == wanted) {
        Some((_, Field::Count(value) | Field::Duration(value) | Field::Sum(value) | Field::Longest(value))) => *value,
        _ => panic!("no {wanted} in {event:?}"),
    }
}

pub fn text<'a>(event: &'a Event, wanted: &str) -> &'a str {
    match event.fields.iter().find(|(name, _)| *name == wanted) {
        Some((_, Field::Text(text))) => text,
        _ => panic!("no {wanted} in {event:?}"),
    }
}
