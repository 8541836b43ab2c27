//! Frames that are dropped, and results that are late.

use std::sync::{Mutex, mpsc};

use gst::prelude::*;
use gstnextvision::runtime::Severity::{Error, Info, Warning};

use crate::{
    common::{Started, count, next_result, owner, stats},
    watch::{FAR, Watch, number},
};

const LIVE: &str = "videotestsrc is-live=true num-buffers=40 ! video/x-raw,width=64,height=64,framerate=200/1";

/// A live feed whose first result is not taken before the event has come.
fn held(name: &'static str, processor: &str, properties: &str, event: &str) {
    let watch = Watch::feed(name);
    let _owner = Started::playing(&format!(
        "nvbatch processor-id={name} model={} decoder=tensors instances=1 max-batch-size=1 {processor}",
        crate::common::model("mean")
    ));
    let pipeline = Started::new(&format!(
        "{LIVE} ! nvfeed name=f feed-name={name} processor-id={name} message=false {properties}"
    ));
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    pipeline.child("f").connect("result", false, move |_| {
        _ = gate.lock().unwrap().recv();
        None
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let first = watch.wait_for(event, Warning);
    drop(open);
    while next_result(&pipeline.bus).is_some() {}
    let cause = match event {
        "backpressure-drop" => "dropped-backpressure",
        "batch-rejected" => "dropped-rejected",
        _ => "dropped-in-flight",
    };
    let dropped = count(&stats(&pipeline.child("f")), cause);
    drop(pipeline);
    // Whatever was kept is told with the end of the feed: nothing is lost in sum.
    let rest = dropped - number(&first, "frames");
    watch.wait_for_sum(event, Warning, "frames", rest);
}

#[test]
fn a_processor_without_room_rejects() {
    held("rejected", "queue-capacity=1", "max-queued=8", "batch-rejected");
}

#[test]
fn a_feed_with_enough_in_flight_drops() {
    held("in-flight", "", "max-in-flight=1 max-queued=1", "in-flight-exceeded");
}

#[test]
fn a_full_queue_drops() {
    held("full", "", "max-queued=1", "backpressure-drop");
}

#[test]
fn frames_past_their_deadline_expire() {
    let watch = Watch::feed("expired");
    let pipeline = Started::playing(
        "videotestsrc num-buffers=3 ! nvfeed name=f feed-name=expired processor-id=expired deadline=1 max-queued=4",
    );
    watch.wait_for("feed-started", Info);
    let _owner = owner("expired");
    assert!(next_result(&pipeline.bus).is_none());
    assert_eq!(count(&stats(&pipeline.child("f")), "dropped-expired"), 3);
    drop(pipeline);
    watch.wait_for_sum("frame-expired", Warning, "frames", 3);
}

#[test]
fn a_result_that_comes_late_lags() {
    let watch = Watch::feed("lag");
    let pipeline = Started::new(
        "videotestsrc is-live=true ! video/x-raw,width=64,height=64,framerate=20/1 \
         ! nvfeed name=f feed-name=lag processor-id=lag leaky=upstream message=false",
    );
    let (tell, told) = mpsc::channel();
    let sink = pipeline.child("f").static_pad("sink").unwrap();
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let pts = info.buffer().and_then(|buffer| buffer.pts());
        _ = tell.send(pts.unwrap_or_default());
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    // The stream is its own clock: the frames that wait are this much older than the newest.
    while told.recv_timeout(FAR).unwrap() < 2 * gst::ClockTime::SECOND {}
    let _owner = owner("lag");
    let lag = watch.wait_for("frame-lag", Warning);
    assert!(number(&lag, "age") > 1_000_000_000 && number(&lag, "frames") > 0, "{lag:?}");
    stats(&pipeline.child("f"));
}

#[test]
fn results_that_cannot_be_written_are_told_to_the_last() {
    let watch = Watch::feed("unwritten");
    let _owner = owner("unwritten");
    let pipeline = Started::playing(
        "videotestsrc num-buffers=30 ! nvfeed name=f feed-name=unwritten processor-id=unwritten location=/dev/full",
    );
    while next_result(&pipeline.bus).is_some() {}
    assert_eq!(count(&stats(&pipeline.child("f")), "location-lost"), 30);
    drop(pipeline);
    watch.wait_for_sum("sink-error", Error, "count", 30);
    watch.wait_for("feed-stopped", Info);
}
