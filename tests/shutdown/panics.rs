//! A callback that panics takes nobody along.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
    mpsc,
};

use gst::prelude::*;
use gstnextvision::nvfeed::NvFeed;
use gstnextvision::runtime::{
    DropCause, Error, FeedConfig, FeedListener, FeedSettings, Frame, FrameTimes, Origin, Outcome, Runtime,
};

use crate::{
    common::{Started, count, owner},
    house::{Events, FAR, House, ended, shut_down, wait_for_end},
};

/// Panics at every other result.
struct Nervous {
    calls: AtomicU64,
    tell: parking_lot::Mutex<mpsc::Sender<u64>>,
}

impl FeedListener for Nervous {
    fn deliver(&self, frame: Frame, _outcome: Outcome) {
        if self.calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            panic!("told to, at frame {}", frame.number);
        }
        self.tell.lock().send(frame.number).unwrap();
    }

    fn wants_results(&self) -> bool {
        true
    }

    fn dropped(&self, _frame: Frame, _cause: DropCause) {}
    fn failed(&self, _error: Error) {}
    fn latency_changed(&self) {}
}

#[test]
fn a_handler_that_panics_gets_the_next_result() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let _owner = owner("p");
    let (tell, told) = mpsc::channel();
    let nervous = Arc::new(Nervous { calls: AtomicU64::new(0), tell: tell.into() });
    let listener: Arc<dyn FeedListener> = nervous.clone();
    let feed = runtime
        .add_feed(FeedConfig {
            name: "nervous".into(),
            processor_id: "p".into(),
            settings: FeedSettings::default(),
            passes_frames: false,
            listener: Arc::downgrade(&listener),
            origin: Origin::default(),
        })
        .unwrap();
    feed.set_caps(gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, 64, 64).build().unwrap());
    for _ in 0..10 {
        feed.submit(gst::Buffer::from_mut_slice(vec![0u8; 64 * 64 * 3]), FrameTimes::default()).unwrap();
    }
    let numbers: Vec<_> = (0..5).map(|_| told.recv_timeout(FAR).unwrap()).collect();
    assert_eq!(numbers, [1, 3, 5, 7, 9]);
    assert_eq!(runtime.feed_count(), 1);
    assert!(feed.drain().is_continue());
    let snapshot = feed.snapshot();
    assert!(snapshot.is_conserved() && snapshot.counters.results == 10, "{snapshot:?}");
    assert!(shut_down(&runtime));
}

#[test]
fn a_handler_of_the_signal_that_panics_gets_the_next_result() {
    let _house = House::enter();
    let _owner = owner("p");
    let pipeline = Started::new("videotestsrc num-buffers=10 ! nvfeed name=f processor-id=p");
    let (tell, told) = mpsc::channel();
    let tell = parking_lot::Mutex::new(tell);
    pipeline.child("f").downcast::<NvFeed>().unwrap().connect_result(move |feed, result| {
        tell.lock().send((feed.name(), count(result, "frame"))).unwrap();
        panic!("told to");
    });
    pipeline.element.set_state(gst::State::Playing).unwrap();
    wait_for_end(&pipeline);
    let numbers: Vec<_> = told.try_iter().map(|(feed, number)| (feed == "f", number)).collect();
    assert_eq!(numbers, Vec::from_iter((0..10).map(|number| (true, number))));
    assert_eq!(count(&ended(&pipeline), "results"), 10);
}

#[test]
fn a_health_callback_that_panics_is_told_the_next_event() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let (tell, told) = mpsc::channel();
    let tell = parking_lot::Mutex::new(tell);
    let _nervous = runtime.health().subscribe(
        || true,
        move |event| {
            tell.lock().send(event.event.name).unwrap();
            panic!("told to");
        },
    );
    let events = Events::of(&runtime);
    drop(owner("p"));
    drop(owner("p"));
    for name in ["processor-ready", "processor-removed"].repeat(2) {
        events.next(name);
        assert_eq!(told.recv_timeout(FAR), Ok(name));
    }
}
