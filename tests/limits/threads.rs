//! No thread to be had: `ulimit -u`.

use std::{fs, sync::mpsc, thread, time::Duration};

use gst::prelude::*;
use gstnextvision::runtime::{CustomPipelinePolicy, ErrorCode, ManagedFeedConfig, Runtime};

use super::{
    Limited, bound_by_limit_of_threads,
    common::{Started, count, init, model, next_result, owner, stats, wait_for_error},
    process, succeeds,
};

/// Nothing here takes that long: who waits longer waits for ever.
const FAR: Duration = Duration::from_secs(60);

fn bound(case: &str) {
    let mut process = process(case);
    bound_by_limit_of_threads(&mut process);
    succeeds(&mut process);
}

#[test]
fn whoever_needs_a_thread_is_told_and_the_others_go_on() {
    bound("no threads");
}

#[test]
fn the_first_of_a_process_is_told_as_well() {
    bound("no threads at first");
}

#[test]
fn every_thread_of_a_start_may_be_the_one_that_is_missing() {
    bound("few threads");
}

/// `None`, with a word about it, where the system binds nobody.
fn no_more_threads() -> Option<Limited> {
    let limited = Limited::to(libc::RLIMIT_NPROC, 1);
    match thread::Builder::new().spawn(|| ()) {
        Ok(_) => {
            println!("skipped: the system gives threads beyond `ulimit -u`");
            None
        }
        Err(_) => Some(limited),
    }
}

fn assert_told(element: &Started) {
    let (code, message) = wait_for_error(&element.bus);
    assert_eq!(code, "thread-spawn-failed", "{message}");
    assert!(message.contains("ulimit -u"), "{message}");
}

pub fn nobody_gets_one() {
    let _owner = owner("threads");
    let bystander = Started::playing(
        "videotestsrc ! nvfeed name=f processor-id=threads \
         videotestsrc ! nvbatch processor-id=threads ! fakesink name=linked signal-handoffs=true",
    );
    let (tell, told) = mpsc::sync_channel(1);
    bystander.child("linked").connect("handoff", false, move |_| {
        _ = tell.try_send(());
        None
    });
    let goes_on = || {
        assert!((0..20).all(|_| next_result(&bystander.bus).is_some()));
        (0..20).for_each(|_| told.recv_timeout(FAR).expect("the linked one goes on"));
    };
    goes_on();

    let runtime = Runtime::get();
    runtime.configure(|config| config.custom_pipeline_policy = CustomPipelinePolicy::AllowTrusted).unwrap();
    let (tell, events) = mpsc::channel();
    let _events = runtime.health().subscribe(|| true, move |told| _ = tell.send(told.event.name));
    let wait_for = |name| while events.recv_timeout(FAR).unwrap_or_else(|_| panic!("no {name}")) != name {};
    let managed = |source: &str| {
        let feed = format!("feed, processor-id=threads, restart-delay=1000000, pipeline=\"{source}\"");
        runtime.add_managed_feed(ManagedFeedConfig::from_structure(&feed.parse::<gst::Structure>().unwrap()).unwrap())
    };
    // It fails after its frame, and is started again at once.
    let restarted = managed("videotestsrc num-buffers=1 ! identity error-after=1").unwrap();
    wait_for("feed-restarting");

    let refused = Started::new(&format!("nvbatch processor-id=refused decoder=tensors model={}", model("mean")));
    {
        let Some(_limited) = no_more_threads() else { return };
        assert!(refused.set_state(gst::State::Ready).is_err());
        assert_told(&refused);
        let error = managed("videotestsrc").unwrap_err();
        assert_eq!((error.code, error.message.contains("ulimit -u")), (ErrorCode::ThreadSpawnFailed, true), "{error}");
        goes_on();
    }
    runtime.remove_feed(restarted).unwrap();
    refused.set_state(gst::State::Null).unwrap();
    refused.set_state(gst::State::Ready).unwrap();
    let added = managed("videotestsrc").unwrap();
    wait_for("feed-attached");
    goes_on();
    runtime.remove_feed(added).unwrap();
    let stats = stats(&bystander.child("f"));
    assert_eq!(count(&stats, "errors"), 0, "{stats}");
    assert!(runtime.snapshot().feeds.values().all(|feed| feed.is_conserved()));
}

pub fn not_even_the_first() {
    init();
    let elements = [
        (
            gst::State::Ready,
            Started::new(&format!("nvbatch processor-id=first decoder=tensors model={}", model("mean"))),
        ),
        (gst::State::Ready, Started::new("nvhealth interval=1000000000")),
        (gst::State::Paused, Started::new("nvfeed processor-id=first")),
    ];
    {
        let Some(_limited) = no_more_threads() else { return };
        for (state, element) in &elements {
            assert!(element.set_state(*state).is_err(), "{}", element.element.name());
            assert_told(element);
            element.set_state(gst::State::Null).unwrap();
        }
    }
    for (state, element) in &elements {
        element.set_state(*state).unwrap_or_else(|_| panic!("{:?}", wait_for_error(&element.bus)));
    }
    let stream = Started::playing("videotestsrc num-buffers=5 ! nvfeed processor-id=first");
    while next_result(&stream.bus).is_some() {}
}

/// The first run gets no thread, the next one a single one, and so on until there are enough.
pub fn one_more_each_time() {
    init();
    if fs::metadata("/proc/self").is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) != 0) {
        println!("skipped: only root can become a user who has no other threads");
        return;
    }
    drop(no_more_threads());
    let processor = Started::new(&format!(
        "nvbatch processor-id=few decoder=tensors instances=2 intra-op-threads=3 max-batch-size=2 model={}",
        model("mean")
    ));
    let mut refusals = 0;
    for threads in 1.. {
        assert!(threads < 100, "still not enough");
        let _limited = Limited::to(libc::RLIMIT_NPROC, threads);
        if processor.set_state(gst::State::Ready).is_ok() {
            break;
        }
        assert_told(&processor);
        processor.set_state(gst::State::Null).unwrap();
        refusals += 1;
    }
    // The monitor, the pool, the load, the library, two threads of each session, two instances.
    assert!(refusals >= 8, "{refusals}");
    let stream = Started::playing("videotestsrc num-buffers=5 ! nvfeed processor-id=few");
    while next_result(&stream.bus).is_some() {}
}
