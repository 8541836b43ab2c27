//! Real RTSP: cameras of a server in a process of its own, with what may happen to them and between.
//!
//! Nothing that our plugin says in any of these tests, at whatever log level, may have a password of theirs in it:
//! see `ear`.

#[path = "../common/mod.rs"]
mod common;

mod camera;
mod changes;
mod ear;
mod encrypted;
mod faults;
mod leaks;
mod login;
mod own_pipelines;
mod proxy;
mod spellings;
mod streams;

use std::{
    sync::{Arc, Mutex, MutexGuard, mpsc},
    time::Duration,
};

use common::{Started, init, owner};
use ear::Ear;
use gstnextvision::runtime::{
    CustomPipelinePolicy, Event, Feed, Field, HealthEvent, ManagedFeedConfig, Runtime, RuntimeConfig, Subscription,
};

/// Nothing here takes that long: who waits longer waits for ever.
const FAR: Duration = Duration::from_secs(60);

/// A result, as far as these tests look at it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    feed: u64,
    width: u32,
    height: u32,
}

/// The runtime with one processor, for one test at a time: limits are the process's.
struct Bench {
    runtime: Runtime,
    events: mpsc::Receiver<Arc<Event>>,
    results: mpsc::Receiver<Seen>,
    processor: &'static str,
    _heard: (Subscription<HealthEvent>, Subscription<Arc<gst::Structure>>),
    _owner: Started,
    _ear: Ear,
    _alone: MutexGuard<'static, ()>,
}

impl Bench {
    fn new(processor: &'static str) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        init();
        let ear = Ear::open();
        let runtime = Runtime::get();
        let wide_open = RuntimeConfig {
            max_feeds: 1000,
            health_capacity: 100_000,
            output_capacity: 100_000,
            custom_pipeline_policy: CustomPipelinePolicy::AllowTrusted,
            ..RuntimeConfig::default()
        };
        runtime.configure(|config| *config = wide_open).unwrap();
        let ((tell_event, events), (tell_result, results)) = (mpsc::channel(), mpsc::channel());
        let health = runtime.health().subscribe(
            || true,
            move |told| {
                ear::hear(&format!("{:?} {}", told.event, told.to_structure()));
                _ = tell_event.send(told.event.clone());
            },
        );
        let output = runtime.output().subscribe(
            || true,
            move |result, _| {
                ear::hear(&result.to_string());
                let get = |name| result.get::<u32>(name).unwrap();
                let seen = Seen { feed: result.get("feed-id").unwrap(), width: get("width"), height: get("height") };
                _ = tell_result.send(seen);
            },
        );
        let owner = owner(processor);
        Self { runtime, events, results, processor, _heard: (health, output), _owner: owner, _ear: ear, _alone: alone }
    }

    /// A managed feed that starts again at once, and for ever.
    fn add(&self, uri: &str, fields: &str) -> u64 {
        let feed: gst::Structure = format!(
            "feed, uri=\"{uri}\", processor-id={}, restart-delay=(int)1000000, max-restart-delay=(int)50000000, {fields}",
            self.processor
        )
        .parse()
        .unwrap();
        self.runtime.add_managed_feed(ManagedFeedConfig::from_structure(&feed).unwrap()).unwrap()
    }

    /// The next event of that name and feed, those before it forgotten.
    fn wait(&self, name: &str, id: u64) -> Arc<Event> {
        loop {
            let event = self.events.recv_timeout(FAR).unwrap_or_else(|_| panic!("no {name} of feed {id}"));
            if event.name == name && event.feed.as_ref().is_some_and(|(feed, _)| *feed == id) {
                return event;
            }
        }
    }

    /// The next result of that feed that is as wanted.
    fn wait_for_result(&self, id: u64, wanted: impl Fn(Seen) -> bool) -> Seen {
        loop {
            let seen = self.results.recv_timeout(FAR).unwrap_or_else(|_| panic!("no such result of feed {id}"));
            if seen.feed == id && wanted(seen) {
                return seen;
            }
        }
    }

    fn wait_for_results(&self, id: u64, count: usize) {
        (0..count).for_each(|_| _ = self.wait_for_result(id, |_| true));
    }

    /// Of the run that a managed feed is in.
    fn feed(&self, id: u64) -> Arc<Feed> {
        self.runtime.feed(id).unwrap()
    }

    fn restarts(&self, id: u64) -> u64 {
        self.feed(id).snapshot().counters.restarts
    }

    /// Ends it; every frame that came in is accounted for then.
    fn remove(&self, id: u64) {
        let feed = self.feed(id);
        self.runtime.remove_feed(id).unwrap();
        assert_settled(&feed);
        assert!(self.runtime.feed(id).is_none());
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let diagnostics: gst::Structure = glib::prelude::ObjectExt::property(&self.runtime.object(), "diagnostics");
        ear::hear(&diagnostics.to_string());
        for feed in self.runtime.feeds() {
            assert!(std::thread::panicking() || feed.snapshot().is_conserved());
        }
    }
}

/// All frames of a feed that has ended have their results or were counted as dropped.
fn assert_settled(feed: &Feed) {
    let figures = feed.snapshot();
    assert!(figures.is_conserved(), "{figures:?}");
    assert_eq!((figures.queued, figures.in_flight), (0, 0), "{figures:?}");
}

fn text(event: &Event, name: &str) -> String {
    match event.fields.iter().find(|(field, _)| *field == name) {
        Some((_, Field::Text(text))) => text.clone(),
        other => panic!("{name} of {event:?}: {other:?}"),
    }
}

fn count(event: &Event, name: &str) -> u64 {
    match event.fields.iter().find(|(field, _)| *field == name) {
        Some((_, Field::Count(count))) => *count,
        other => panic!("{name} of {event:?}: {other:?}"),
    }
}
