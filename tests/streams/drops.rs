//! Live sources that bring more than is taken away.

use std::sync::{Mutex, mpsc};

use gst::prelude::*;

use crate::common::{Started, count, next_result, owner, stats, wait_for};

const LIVE: &str = "videotestsrc is-live=true num-buffers=60 ! video/x-raw,width=64,height=64,framerate=200/1";

fn wait_for_drop(pipeline: &Started) {
    let message = wait_for(&pipeline.bus, &[gst::MessageType::Qos, gst::MessageType::Error, gst::MessageType::Eos]);
    let gst::MessageView::Qos(qos) = message.view() else { panic!("{message:?}") };
    let (live, running_time, ..) = qos.get();
    assert!(live && running_time.is_some(), "{qos:?}");
    assert!(qos.stats().1.value() > 0, "{qos:?}");
}

#[test]
fn a_feed_whose_results_are_not_taken_drops_frames_and_ends() {
    for leaky in ["auto", "downstream", "upstream"] {
        let id = format!("drops-{leaky}");
        let _owner = owner(&id);
        let pipeline = Started::new(&format!(
            "{LIVE} ! nvfeed name=f processor-id={id} leaky={leaky} max-queued=1 max-in-flight=2 message=false"
        ));
        let feed = pipeline.child("f");
        let (open, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        feed.connect("result", false, move |_| {
            // Waits until the sender is gone.
            _ = gate.lock().unwrap().recv();
            None
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        wait_for_drop(&pipeline);
        stats(&feed);
        drop(open);
        while next_result(&pipeline.bus).is_some() {}
        let stats = stats(&feed);
        assert_eq!((count(&stats, "received"), count(&stats, "errors")), (60, 0), "{stats}");
        assert!(count(&stats, "dropped-in-flight") > 0 && count(&stats, "results") >= 3, "{stats}");
        assert_eq!((count(&stats, "queued"), count(&stats, "in-flight")), (0, 0), "{stats}");
    }
}

#[test]
fn a_linked_nvbatch_drops_when_downstream_does_not_take() {
    let _owner = owner("drops-linked");
    let pipeline = Started::playing(&format!(
        "{LIVE} ! nvbatch name=f processor-id=drops-linked max-queued=1 max-in-flight=2 ! appsink name=out max-buffers=1 sync=false"
    ));
    wait_for_drop(&pipeline);
    let out = pipeline.child("out");
    let pull = || out.emit_by_name::<Option<gst::Sample>>("pull-sample", &[]);
    let frames: Vec<_> = std::iter::from_fn(pull).map(|sample| sample.buffer_owned().unwrap()).collect();
    assert!(frames.is_sorted_by_key(|frame| frame.pts()));
    assert!(frames.iter().skip(1).any(|frame| frame.flags().contains(gst::BufferFlags::DISCONT)));
    assert!(next_result(&pipeline.bus).is_none());
    let stats = stats(&pipeline.child("f"));
    assert_eq!((count(&stats, "received"), count(&stats, "results")), (60, frames.len() as u64), "{stats}");
    assert!(count(&stats, "dropped") > 0, "{stats}");
}

#[test]
fn a_live_feed_without_a_processor_ends_all_the_same_when_one_comes() {
    let pipeline = Started::playing(&format!("{LIVE} ! nvfeed name=f processor-id=drops-late leaky=downstream"));
    wait_for_drop(&pipeline);
    let _owner = owner("drops-late");
    while next_result(&pipeline.bus).is_some() {}
    let stats = stats(&pipeline.child("f"));
    assert_eq!(count(&stats, "received"), 60);
    assert!(count(&stats, "results") > 0 && count(&stats, "dropped-backpressure") > 0, "{stats}");
}
