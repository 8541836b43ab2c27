//! Managed feeds: what becomes of them, and of the places, frames and threads that they had.

#[path = "../common/mod.rs"]
mod common;
mod fields;
mod hanging;
mod life;
mod many;
mod restarts;

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, mpsc},
    time::Duration,
};

use common::{Started, init, owner};
use gstnextvision::runtime::{
    CustomPipelinePolicy, Error, Event, Field, HealthEvent, ManagedFeedConfig, Runtime, RuntimeConfig, Subscription,
};

/// Nothing here takes that long: who waits longer waits for ever.
const FAR: Duration = Duration::from_secs(60);
/// Frames of `gate` and `yard`.
const CLIP_FRAMES: usize = 150;

/// The runtime with one processor and all its health events, for one test at a time: limits are the process's.
struct Bench {
    runtime: Runtime,
    events: mpsc::Receiver<Arc<Event>>,
    processor: &'static str,
    folder: tempfile::TempDir,
    _subscription: Subscription<HealthEvent>,
    _owner: Started,
    _alone: MutexGuard<'static, ()>,
}

impl Bench {
    fn new(processor: &'static str) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        init();
        let runtime = Runtime::get();
        runtime
            .configure(|config| {
                *config = RuntimeConfig {
                    max_feeds: 1000,
                    health_capacity: 100_000,
                    custom_pipeline_policy: CustomPipelinePolicy::AllowTrusted,
                    ..RuntimeConfig::default()
                }
            })
            .unwrap();
        let (tell, events) = mpsc::channel();
        let subscription = runtime.health().subscribe(|| true, move |told| _ = tell.send(told.event.clone()));
        let folder = tempfile::tempdir().unwrap();
        let owner = owner(processor);
        Self { runtime, events, processor, folder, _subscription: subscription, _owner: owner, _alone: alone }
    }

    /// Adds a feed by fields as `gst-launch-1.0` would write them.
    fn add(&self, fields: &str) -> u64 {
        self.try_add(fields).unwrap_or_else(|error| panic!("{fields}: {error}"))
    }

    fn try_add(&self, fields: &str) -> Result<u64, Error> {
        try_add(&self.runtime, &format!("processor-id={}, {fields}", self.processor))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A named pipe that results come through, and its reader.
    fn results(&self, name: &str) -> (PathBuf, Lines<BufReader<fs::File>>) {
        let path = self.path(name);
        make_pipe(&path);
        // Open for writing as well, so that it opens at once and stays open when the feed ends.
        let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        (path, BufReader::new(file).lines())
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

    fn assert_conserved(&self) {
        for feed in self.runtime.feeds() {
            let figures = feed.snapshot();
            assert!(figures.is_conserved(), "{figures:?}");
        }
    }

    /// Nothing is left of any feed.
    fn assert_empty(&self) {
        assert_eq!(self.runtime.feed_count(), 0);
    }
}

fn try_add(runtime: &Runtime, fields: &str) -> Result<u64, Error> {
    let structure: gst::Structure = format!("feed, {fields}").parse().unwrap();
    runtime.add_managed_feed(ManagedFeedConfig::from_structure(&structure)?)
}

fn make_pipe(path: &Path) {
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the name is a C string that lives during the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
}

fn clip(name: &str) -> String {
    format!("file://{}/tests/clips/{name}.mp4", env!("CARGO_MANIFEST_DIR"))
}

fn text(event: &Event, name: &str) -> String {
    match event.fields.iter().find(|(field, _)| *field == name) {
        Some((_, Field::Text(text))) => text.clone(),
        other => panic!("{name} of {event:?}: {other:?}"),
    }
}

fn count(event: &Event, name: &str) -> u64 {
    match event.fields.iter().find(|(field, _)| *field == name) {
        Some((_, Field::Count(count) | Field::Duration(count))) => *count,
        other => panic!("{name} of {event:?}: {other:?}"),
    }
}
