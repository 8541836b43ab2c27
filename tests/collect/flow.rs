//! A collecting feed and the stream: order, flush, seek, leaks, limits, the end.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use gst::prelude::*;
use gstnextvision::runtime::Runtime;

use super::{fed, push, results};
use crate::common::{LONG, Started, count, end_stream, next_result, stats};

#[test]
fn nothing_is_waited_for() {
    let pipeline = fed("attach-timeout=1", |_| ());
    // With a processor that is missing this would be the end of it after a nanosecond.
    for seconds in 0..50 {
        push(&pipeline, seconds);
        assert_eq!(next_result(&pipeline.bus).unwrap().get::<u64>("frame").unwrap(), seconds);
    }
    let runtime = Runtime::get();
    let id: u64 = pipeline.child("feed").property("feed-id");
    assert!(runtime.feed(id).unwrap().processor().is_none());
    end_stream(&pipeline.child("in"));
    assert!(next_result(&pipeline.bus).is_none());
}

#[test]
fn frames_between_are_skipped() {
    let pipeline = fed("interval=3", |_| ());
    (0..10).for_each(|seconds| push(&pipeline, seconds));
    end_stream(&pipeline.child("in"));
    let frames: Vec<u64> = results(&pipeline).iter().map(|result| result.get("frame").unwrap()).collect();
    assert_eq!(frames, [0, 3, 6, 9]);
    let stats = stats(&pipeline.child("feed"));
    assert_eq!((count(&stats, "skipped"), count(&stats, "results")), (6, 4));
}

fn wait_until_received(feed: &gst::Element, frames: u64) {
    let begun = Instant::now();
    while count(&stats(feed), "received") < frames {
        assert!(begun.elapsed() < Duration::from(LONG), "frames do not come in");
        std::thread::yield_now();
    }
}

/// A handler that says when it is called, and then waits.
fn blocked(pipeline: &Started) -> (mpsc::Receiver<u64>, mpsc::Sender<()>) {
    let (calls, called) = mpsc::channel();
    let (go_on, wait) = mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    pipeline.child("feed").connect("result", false, move |values| {
        let result = values[1].get::<gst::Structure>().unwrap();
        _ = calls.send(result.get("frame").unwrap());
        _ = wait.lock().unwrap().recv_timeout(LONG.into());
        None
    });
    (called, go_on)
}

#[test]
fn who_handles_results_slowly_leaks_or_holds_up_as_was_asked_for() {
    for (leaky, last) in [("upstream", 5), ("downstream", 9)] {
        let pipeline = fed(&format!("message=false leaky={leaky} max-in-flight=2 max-queued=3"), |_| ());
        let (called, go_on) = blocked(&pipeline);
        push(&pipeline, 0);
        assert_eq!(called.recv_timeout(LONG.into()).unwrap(), 0);
        (1..10).for_each(|seconds| push(&pipeline, seconds));
        let feed = pipeline.child("feed");
        wait_until_received(&feed, 10);
        (0..10).for_each(|_| go_on.send(()).unwrap());
        end_stream(&pipeline.child("in"));
        crate::common::wait_for_eos(&pipeline.bus);
        let frames: Vec<u64> = called.try_iter().collect();
        assert_eq!(frames.last(), Some(&last), "{leaky}: {frames:?}");
        let stats = stats(&feed);
        assert_eq!(count(&stats, "results") + count(&stats, "dropped"), 10, "{stats}");
        assert!(count(&stats, "dropped-in-flight") + count(&stats, "dropped-backpressure") > 0, "{stats}");
    }
}

#[test]
fn nothing_from_before_a_flush_comes_after_it() {
    let pipeline = fed("message=false", |_| ());
    let (called, go_on) = blocked(&pipeline);
    (0..5).for_each(|seconds| push(&pipeline, seconds));
    assert_eq!(called.recv_timeout(LONG.into()).unwrap(), 0);
    let feed = pipeline.child("feed");
    wait_until_received(&feed, 5);
    let pad = feed.static_pad("sink").unwrap();
    assert!(pad.send_event(gst::event::FlushStart::new()));
    drop(go_on);
    assert!(pad.send_event(gst::event::FlushStop::new(true)));
    assert_eq!(called.try_iter().count(), 0);
    let stats = stats(&feed);
    assert_eq!((count(&stats, "results"), count(&stats, "dropped-flushed")), (1, 4));
}

#[test]
fn a_seek_goes_on_with_the_frames_from_there() {
    let pipeline = Started::new(&format!("{} ! nvfeed name=feed processor-id=\"\"", crate::common::decoded("gate")));
    pipeline.set_state(gst::State::Paused).unwrap();
    assert!(pipeline.element.state(LONG).0.is_ok());
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    pipeline.element.seek_simple(flags, gst::ClockTime::from_seconds(1)).unwrap();
    assert!(pipeline.element.state(LONG).0.is_ok());
    pipeline.set_state(gst::State::Playing).unwrap();
    let results = results(&pipeline);
    let from = |result: &gst::Structure| result.get::<u64>("running-time");
    assert!(results.len() > 10);
    let times: Vec<u64> = results.iter().filter_map(|result| from(result).ok()).collect();
    assert!(times.is_sorted());
    stats(&pipeline.child("feed"));
}

#[test]
fn all_results_of_the_process_hold_those_that_were_collected() {
    let pipeline = fed("message=false feed-name=heard-by-all", |_| ());
    let runtime: glib::Object = pipeline.child("feed").property("runtime");
    let (sender, heard) = mpsc::channel();
    let id = runtime.connect("output", false, move |values| {
        let result = values[1].get::<gst::Structure>().unwrap();
        if result.get::<&str>("feed-name") == Ok("heard-by-all") {
            _ = sender.send(result.get::<u64>("frame").unwrap());
        }
        None
    });
    (0..3).for_each(|seconds| push(&pipeline, seconds));
    for frame in 0..3 {
        assert_eq!(heard.recv_timeout(LONG.into()), Ok(frame));
    }
    runtime.disconnect(id);
}
