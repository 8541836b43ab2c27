//! The process as a house that has to be empty at the end of each test.

use std::{
    fs,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use gstnextvision::runtime::{HealthEvent, Runtime, Subscription};
use parking_lot::{Mutex, MutexGuard};

use crate::common::{Started, init, model, stats, wait_for};

/// Nothing takes that long: who waits longer waits for ever.
pub const FAR: Duration = Duration::from_secs(60);

/// One test at a time. At its end no thread, no feed and no processor is left.
pub struct House {
    _alone: MutexGuard<'static, ()>,
}

impl House {
    pub fn enter() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        init();
        Self { _alone: ALONE.lock() }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if !thread::panicking() {
            wait_until("no thread of ours is left", || our_threads("nv-").is_empty());
            let runtime = Runtime::get();
            assert!(runtime.feeds().is_empty() && runtime.processors().is_empty());
        }
    }
}

/// Looks again and again: nobody tells when a thread of the system has gone.
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + FAR;
    while !is_so() {
        assert!(Instant::now() < until, "waited in vain until {what}: {:?}", our_threads(""));
        thread::yield_now();
    }
}

/// The names of threads of this process that begin so.
pub fn our_threads(prefix: &str) -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).filter(|name| name.starts_with(prefix)).collect()
}

/// What the thread of that name has computed so far.
pub fn cpu_time(name: &str) -> Duration {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    let ticks = stats.filter_map(|stat| {
        let (begin, end) = stat.rsplit_once(')')?;
        // The 14th field of all: time in user mode, in hundredths of a second.
        begin.ends_with(name).then(|| end.split_whitespace().nth(11)?.parse::<u64>().ok()).flatten()
    });
    Duration::from_millis(10 * ticks.max().unwrap_or(0))
}

/// Shuts the runtime down on a thread of its own, so that one that hangs is noticed.
pub fn shut_down(runtime: &Runtime) -> bool {
    let (tell, told) = mpsc::channel();
    let runtime = runtime.clone();
    thread::spawn(move || {
        let clean = runtime.shutdown();
        // What was waited for is gone, with the handle as well.
        drop(runtime);
        tell.send(clean).unwrap();
    });
    told.recv_timeout(FAR).expect("a shutdown ends")
}

/// An `nvbatch` in no pipeline that owns a processor.
pub fn processor(id: &str, name: &str, more: &str) -> Started {
    Started::playing(&format!(
        "nvbatch processor-id={id} model={} decoder=tensors instances=1 max-batch-size=1 {more}",
        model(name)
    ))
}

/// The feed named `f` of a pipeline has ended, with every frame accounted for. Returns its figures.
pub fn ended(pipeline: &Started) -> gst::Structure {
    let stats = stats(&pipeline.child("f"));
    for inside in ["queued", "in-flight"] {
        assert_eq!(stats.get::<u64>(inside), Ok(0), "{stats}");
    }
    stats
}

/// The next message of one of these types; only that one may come.
pub fn wait_for_end(pipeline: &Started) {
    let message = wait_for(&pipeline.bus, &[gst::MessageType::Eos, gst::MessageType::Error]);
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
}

/// Health events as they come: name and, where there is one, text of the field.
pub struct Events {
    events: mpsc::Receiver<gst::Structure>,
    _subscription: Subscription<HealthEvent>,
}

impl Events {
    pub fn of(runtime: &Runtime) -> Self {
        let (tell, events) = mpsc::channel();
        let tell = Mutex::new(tell);
        let subscription = runtime.health().subscribe(|| true, move |event| _ = tell.lock().send(event.to_structure()));
        Self { events, _subscription: subscription }
    }

    /// The next event of that name; those before it are passed over.
    pub fn next(&self, name: &str) -> gst::Structure {
        let mut others = Vec::new();
        loop {
            let Ok(event) = self.events.recv_timeout(FAR) else { panic!("{name} does not come, but {others:#?}") };
            if event.get::<&str>("event") == Ok(name) {
                return event;
            }
            others.push(event);
        }
    }
}
