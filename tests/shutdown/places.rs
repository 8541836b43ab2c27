//! Places for feeds: exactly so many, and each comes back.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use gst::prelude::*;
use gstnextvision::runtime::Runtime;

use crate::{
    common::{Started, Tolerated, count, decoded, element, launch, model, next_result, owner, wait_for_error},
    house::{House, ended, shut_down, wait_for_end, wait_until},
};

fn limit(max: u32) -> Runtime {
    let runtime = Runtime::get();
    runtime.configure(|config| config.max_feeds = max).unwrap();
    runtime
}

#[test]
fn never_one_too_many_and_never_one_too_few() {
    const THREADS: usize = 16;
    const PLACES: usize = 5;
    let _house = House::enter();
    let runtime = limit(PLACES as u32);
    let got = AtomicUsize::new(0);
    let together = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let (feed, bus) = element("nvfeed");
                for _ in 0..200 {
                    together.wait();
                    let refused = feed.set_state(gst::State::Paused).is_err();
                    if refused {
                        assert_eq!(wait_for_error(&bus).0, "feed-limit-exceeded");
                    } else {
                        got.fetch_add(1, Ordering::Relaxed);
                    }
                    if together.wait().is_leader() {
                        assert_eq!(got.swap(0, Ordering::Relaxed), PLACES);
                        assert_eq!(runtime.feed_count(), PLACES);
                    }
                    together.wait();
                    feed.set_state(gst::State::Ready).unwrap();
                }
                feed.set_state(gst::State::Null).unwrap();
            });
        }
    });
    assert_eq!(runtime.feed_count(), 0);
}

#[test]
fn an_ended_stream_gives_its_place_back_in_playing_and_takes_one_for_a_seek() {
    let _house = House::enter();
    for sink in ["nvfeed name=f processor-id=p", "nvbatch name=f processor-id=p ! fakesink"] {
        let runtime = limit(1);
        let _owner = owner("p");
        let play = || {
            let pipeline = Started::playing(&format!("{} ! {sink}", decoded("gate")));
            wait_for_end(&pipeline);
            wait_until("the place is free", || runtime.feed_count() == 0);
            assert_eq!(count(&ended(&pipeline), "results"), 150);
            pipeline
        };
        let rewind = |pipeline: &Started| pipeline.element.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO);
        let first = play();
        rewind(&first).unwrap();
        wait_for_end(&first);
        wait_until("the place is free", || runtime.feed_count() == 0);
        assert_eq!(count(&ended(&first), "results"), 300);
        // While another feed has the place there is none for a seek.
        let second = play();
        rewind(&first).unwrap();
        wait_until("the place is taken", || runtime.feed_count() == 1);
        rewind(&second).ok();
        assert_eq!(wait_for_error(&second.bus).0, "feed-limit-exceeded");
        drop((first, second));
        assert!(shut_down(&runtime));
    }
}

#[test]
fn a_stream_that_fails_gives_its_place_back() {
    let _house = House::enter();
    let runtime = limit(1);
    let failing = Started::playing("videotestsrc ! nvfeed name=f processor-id=none attach-timeout=0");
    assert_eq!(wait_for_error(&failing.bus).0, "processor-missing");
    wait_until("the place is free", || runtime.feed_count() == 0);
    let _owner = owner("p");
    let next = Started::playing("videotestsrc num-buffers=1 ! nvfeed name=f processor-id=p");
    assert!(next_result(&next.bus).is_some());
}

#[test]
fn a_pipeline_that_is_dropped_without_being_stopped_gives_its_place_back() {
    let _house = House::enter();
    let _tolerated = Tolerated::criticals();
    let runtime = limit(1);
    // Without a source: GStreamer itself crashes where a thread of its own outlives its element, or has only just begun.
    for (description, last) in
        [("identity name=in ! nvfeed", "in"), ("identity name=in ! nvbatch ! fakesink name=out", "out")]
    {
        for _ in 0..20 {
            let pipeline = launch(description).downcast::<gst::Pipeline>().unwrap();
            let pad = |element| pipeline.by_name(element).unwrap().static_pad("sink").unwrap();
            pipeline.set_state(gst::State::Playing).unwrap();
            assert_eq!(runtime.feed_count(), 1);
            assert!(pad("in").send_event(gst::event::StreamStart::new("video")));
            wait_until("it has gone through", || pad(last).sticky_event::<gst::event::StreamStart>(0).is_some());
            // Messages refer to their elements.
            pipeline.bus().unwrap().set_flushing(true);
            drop(pipeline);
            assert_eq!(runtime.feed_count(), 0);
        }
    }
    let (owner, bus) = element(&format!("nvbatch processor-id=p model={}", model("mean")));
    owner.set_state(gst::State::Ready).unwrap();
    assert_eq!(runtime.processors().len(), 1);
    bus.set_flushing(true);
    drop((owner, bus));
    assert!(runtime.processors().is_empty());
}
