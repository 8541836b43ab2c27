//! What does not return is left behind, counted, told, and reaped when it ends.

use std::{
    ffi::CString,
    fs::OpenOptions,
    io::{Read, Write},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    thread,
    time::Duration,
};

use gst::prelude::*;
use gstnextvision::runtime::{DropCause, Runtime};

use crate::{
    common::{Started, count, element, model, next_result, owner, stats, wait_for_error},
    house::{Events, House, cpu_time, ended, our_threads, processor, shut_down, wait_for_end, wait_until},
};

/// 20 ms: what hangs here hangs for seconds.
const SOON: u64 = 20_000_000;

fn label(event: &gst::Structure) -> String {
    event.get("label").unwrap()
}

/// Waits for the event about `feed 'f'`. On a busy machine a health callback may not end in so short a time either.
fn wait_for_feed(events: &Events, name: &str) {
    while label(&events.next(name)) != "feed 'f'" {}
}

#[test]
fn an_instance_that_hangs_in_the_model() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let events = Events::of(&runtime);
    let _owner = processor("p", "slow", &format!("batch-join-timeout={SOON}"));
    let pipeline = Started::playing("videotestsrc pattern=white ! nvfeed name=f processor-id=p");
    let feed = runtime.feeds().pop().unwrap();
    wait_until("a frame is in the model", || feed.snapshot().in_flight > 0);
    assert!(!shut_down(&runtime));
    assert!(runtime.feeds().is_empty() && runtime.processors().is_empty());
    wait_for_end(&pipeline);
    assert!(count(&ended(&pipeline), "dropped-shutdown") > 0);
    assert_eq!((runtime.detached().total(), runtime.detached().alive()), (1, 1));
    assert!(label(&events.next("thread-detached")).contains("'p'"));
    assert_eq!(count(&events.next("shutdown-complete"), "detached-threads"), 1);
    assert!(label(&events.next("thread-reaped")).contains("'p'"));
    assert_eq!((runtime.detached().total(), runtime.detached().alive()), (1, 0));
}

#[test]
fn an_owner_stops_while_its_instance_hangs() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let events = Events::of(&runtime);
    let hanging = processor("p", "slow", &format!("batch-join-timeout={SOON}"));
    let pipeline = Started::playing("videotestsrc pattern=white ! nvfeed name=f processor-id=p");
    let feed = runtime.feeds().pop().unwrap();
    wait_until("a frame is in the model", || feed.snapshot().in_flight > 0);
    drop(hanging);
    events.next("thread-detached");
    // The frames do not wait for it, and the next owner goes on.
    wait_until("nothing is in flight", || feed.snapshot().in_flight == 0);
    let _next = owner("p");
    next_result(&pipeline.bus).unwrap();
    assert!(count(&stats(&pipeline.child("f")), "dropped-timed-out") > 0);
    events.next("thread-reaped");
    assert!(shut_down(&runtime));
}

#[test]
fn a_hung_run_is_told_and_the_other_instance_goes_on() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let events = Events::of(&runtime);
    let _owner = Started::playing(&format!(
        "nvbatch processor-id=p model={} decoder=tensors instances=2 max-batch-size=1 response-timeout={SOON} \
         batch-join-timeout=60000000000",
        model("slow")
    ));
    let white = Started::playing("videotestsrc num-buffers=1 pattern=white ! nvfeed name=f processor-id=p");
    assert_eq!(count(&events.next("batch-timeout"), "frames"), 1);
    // The run goes on for seconds; so does the other instance.
    let black = Started::playing("videotestsrc num-buffers=20 pattern=black ! nvfeed name=f processor-id=p");
    assert_eq!(std::iter::from_fn(|| next_result(&black.bus)).count(), 20);
    wait_for_end(&white);
    assert_eq!(count(&ended(&white), "dropped-timed-out"), 1);
    assert!(shut_down(&runtime));
}

/// Waits until `startup` is loading; returns what becomes of its state change.
fn loading(description: &str) -> (thread::JoinHandle<Result<gst::StateChangeSuccess, gst::StateChangeError>>, Started) {
    let started = Started::new(description);
    let element = started.element.clone();
    let change = thread::spawn(move || element.set_state(gst::State::Ready));
    // What comes before the first run takes a few milliseconds.
    wait_until("the model runs to warm up", || cpu_time("nv-startup") > Duration::from_millis(200));
    (change, started)
}

#[test]
fn a_load_that_is_waited_for_is_undone() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let description = format!("nvbatch processor-id=p model={} instances=1 max-batch-size=1", model("slow-start"));
    let (change, started) = loading(&description);
    assert!(shut_down(&runtime));
    assert_eq!(runtime.detached().total(), 0);
    // The system lists a thread for a moment after it was joined.
    wait_until("the thread is gone", || our_threads("nv-startup").is_empty());
    assert!(change.join().unwrap().is_err());
    assert_eq!(wait_for_error(&started.bus).0, "shutdown-in-progress");
}

#[test]
fn a_load_that_takes_too_long_is_left_behind() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let events = Events::of(&runtime);
    let description = format!(
        "nvbatch processor-id=p model={} instances=1 max-batch-size=1 batch-join-timeout={SOON}",
        model("slow-start")
    );
    let (change, started) = loading(&description);
    // Its id is taken; nothing else waits for it.
    let (second, bus) = element(&description);
    assert!(second.set_state(gst::State::Ready).is_err());
    assert_eq!(wait_for_error(&bus).0, "duplicate-processor-id");
    {
        let _other = owner("q");
        let others = Started::playing("videotestsrc num-buffers=5 ! nvfeed processor-id=q");
        assert_eq!(std::iter::from_fn(|| next_result(&others.bus)).count(), 5);
    }
    assert!(!shut_down(&runtime));
    assert!(change.join().unwrap().is_err());
    assert_eq!(wait_for_error(&started.bus).0, "shutdown-in-progress");
    assert!(label(&events.next("thread-detached")).contains("load of processor 'p'"));
    events.next("thread-reaped");
    assert!(runtime.processors().is_empty());
}

#[test]
fn a_load_beyond_its_timeout_frees_the_id_and_is_reaped() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let events = Events::of(&runtime);
    let (slow, bus) = element(&format!(
        "nvbatch processor-id=p model={} instances=1 max-batch-size=1 startup-timeout={SOON}",
        model("slow-start")
    ));
    assert!(slow.set_state(gst::State::Ready).is_err());
    assert_eq!(wait_for_error(&bus).0, "processor-startup-timeout");
    drop(owner("p"));
    events.next("thread-detached");
    events.next("thread-reaped");
}

#[test]
fn a_file_that_nobody_reads() {
    let _house = House::enter();
    let runtime = Runtime::get();
    runtime.configure(|config| config.feed_join_timeout = SOON).unwrap();
    let events = Events::of(&runtime);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: a plain system call on a string that ends with a zero.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let open = |options: &mut OpenOptions| options.custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    let mut reader = open(OpenOptions::new().read(true));
    let mut writer = open(OpenOptions::new().write(true));
    // Full before the feed writes its first line.
    while writer.write(&[b' '; 4096]).is_ok() {}
    while writer.write(b" ").is_ok() {}
    let _owner = owner("p");
    let pipeline =
        Started::playing(&format!("videotestsrc ! nvfeed name=f processor-id=p location={}", path.display()));
    // The message is posted before the line is written.
    next_result(&pipeline.bus).unwrap();
    assert!(!shut_down(&runtime));
    while next_result(&pipeline.bus).is_some() {}
    ended(&pipeline);
    wait_for_feed(&events, "thread-detached");
    assert!(runtime.detached().alive() > 0);
    drop(writer);
    let mut bytes = [0; 4096];
    while reader.read(&mut bytes).is_ok_and(|read| read > 0) {}
    wait_for_feed(&events, "thread-reaped");
}

/// Each takes its whole timeout; one after the other they would take two minutes.
#[test]
fn many_feeds_that_hang_take_as_long_as_one() {
    let _house = House::enter();
    let runtime = Runtime::get();
    runtime.configure(|config| config.feed_join_timeout = 2_000_000_000).unwrap();
    let _owner = owner("p");
    let gate = std::sync::Arc::new(parking_lot::Mutex::new(()));
    let closed = gate.lock();
    let pipelines: Vec<_> = (0..64)
        .map(|_| {
            let pipeline = Started::new("videotestsrc num-buffers=3 ! nvfeed name=f processor-id=p message=false");
            let gate = gate.clone();
            pipeline.child("f").connect("result", false, move |_| {
                drop(gate.lock());
                None
            });
            pipeline.set_state(gst::State::Playing).unwrap();
            pipeline
        })
        .collect();
    let feeds = runtime.feeds();
    wait_until("each has a result", || feeds.iter().all(|feed| feed.snapshot().counters.results > 0));
    assert!(!shut_down(&runtime));
    assert_eq!(runtime.detached().total(), 64);
    for pipeline in &pipelines {
        wait_for_end(pipeline);
        ended(pipeline);
    }
    drop(closed);
    wait_until("all are reaped", || runtime.detached().alive() == 0);
    assert!(feeds.iter().all(|feed| feed.snapshot().is_conserved()));
    assert!(feeds.iter().any(|feed| feed.snapshot().counters.dropped(DropCause::Shutdown) > 0));
}

/// Downstream takes nothing: the thread of the source pad hangs in its push.
#[test]
fn a_stream_that_nobody_takes() {
    let _house = House::enter();
    let runtime = Runtime::get();
    runtime.configure(|config| config.feed_join_timeout = SOON).unwrap();
    let events = Events::of(&runtime);
    let _owner = owner("p");
    let pipeline = Started::new("videotestsrc ! nvbatch name=f processor-id=p ! fakesink");
    pipeline.set_state(gst::State::Paused).unwrap();
    pipeline.element.state(crate::common::LONG).0.unwrap();
    assert!(!shut_down(&runtime));
    ended(&pipeline);
    wait_for_feed(&events, "thread-detached");
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_for_feed(&events, "thread-reaped");
    wait_for_end(&pipeline);
}
