//! The end of a stream, and what stops it before.

use std::sync::mpsc;

use gst::prelude::*;
use gstnextvision::runtime::Runtime;

use crate::common::{LONG, Started, count, decoded, next_result, owner, stats, wait_for_eos};

#[test]
fn the_end_is_told_after_the_last_result() {
    let _owner = owner("end");
    let folder = tempfile::tempdir().unwrap();
    for (number, source) in (0..).zip([decoded("gate"), "videotestsrc num-buffers=150".into()]) {
        let file = folder.path().join(format!("{number}.jsonl"));
        let pipeline =
            Started::playing(&format!("{source} ! nvfeed name=f processor-id=end location={}", file.display()));
        let frames: Vec<_> = std::iter::from_fn(|| next_result(&pipeline.bus)).map(|r| count(&r, "frame")).collect();
        // All of them were on the bus before the end, in order, and in the file.
        assert_eq!(frames, (0..150).collect::<Vec<_>>());
        assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 150);
        assert!(pipeline.bus.pop_filtered(&[gst::MessageType::Element]).is_none());
        assert_eq!(count(&stats(&pipeline.child("f")), "results"), 150);
    }
}

/// Back and forth faster than the streaming thread wakes up.
fn pause_and_play(pipeline: &Started) {
    let arrive = |state| {
        assert_eq!(pipeline.element.state(LONG).0, Ok(gst::StateChangeSuccess::Success), "{state:?}");
    };
    // GStreamer itself may hang where a change is asked for before PLAYING is reached.
    arrive(gst::State::Playing);
    for state in [gst::State::Paused, gst::State::Playing].repeat(20) {
        pipeline.set_state(state).unwrap();
        arrive(state);
    }
}

#[test]
fn pausing_while_the_end_is_pending_neither_tells_nor_loses_it() {
    let pipeline = Started::new("videotestsrc num-buffers=2 ! nvfeed name=f processor-id=pending-end");
    let (tell, told) = mpsc::channel();
    let pad = pipeline.child("f").static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
            _ = tell.send(());
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    told.recv().unwrap();
    pause_and_play(&pipeline);
    assert!(pipeline.bus.pop_filtered(&[gst::MessageType::Eos]).is_none());
    let _owner = owner("pending-end");
    assert_eq!(std::iter::from_fn(|| next_result(&pipeline.bus)).count(), 2);
    stats(&pipeline.child("f"));
}

#[test]
fn pausing_while_upstream_waits_for_room_is_done_at_once() {
    let pipeline = Started::playing("videotestsrc ! nvfeed name=f processor-id=pause-full max-queued=1");
    pause_and_play(&pipeline);
    let _owner = owner("pause-full");
    assert!(next_result(&pipeline.bus).is_some());
    assert_eq!(count(&stats(&pipeline.child("f")), "dropped"), 0);
}

/// Told of each frame that reaches the feed.
fn watch_frames(pipeline: &Started) -> mpsc::Receiver<()> {
    let (tell, told) = mpsc::channel();
    pipeline.child("f").static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        _ = tell.send(());
        gst::PadProbeReturn::Ok
    });
    told
}

fn feeds_named(name: &str) -> usize {
    Runtime::get().feeds().iter().filter(|feed| feed.name() == name).count()
}

#[test]
fn stopping_in_the_middle_loses_no_place_and_can_be_undone() {
    let _owner = owner("stop");
    let linked = "nvbatch name=f processor-id=stop feed-name=stopped ! fakesink";
    for sink in ["nvfeed name=f processor-id=stop feed-name=stopped", linked] {
        let pipeline = Started::new(&format!("videotestsrc num-buffers=150 ! {sink}"));
        let frames = watch_frames(&pipeline);
        for round in 0..20 {
            pipeline.set_state(gst::State::Playing).unwrap();
            // Further into the stream each time.
            assert_eq!(frames.iter().take(1 + 5 * round).count(), 1 + 5 * round);
            stats(&pipeline.child("f"));
            pipeline.set_state(gst::State::Null).unwrap();
            assert_eq!(feeds_named("stopped"), 0);
            while frames.try_recv().is_ok() {}
        }
        assert!(pipeline.bus.pop_filtered(&[gst::MessageType::Error]).is_none());
        pipeline.set_state(gst::State::Playing).unwrap();
        wait_for_eos(&pipeline.bus);
        assert_eq!(count(&stats(&pipeline.child("f")), "results"), 150);
    }
}

#[test]
fn a_decoder_stops_in_the_middle_of_its_clip() {
    let _owner = owner("stop-clip");
    let linked = "nvbatch name=f processor-id=stop-clip feed-name=clip ! fakesink";
    for sink in ["nvfeed name=f processor-id=stop-clip feed-name=clip", linked] {
        for round in 0..20 {
            // A new one each time: qtdemux is not linked again by a pipeline that was parsed from text.
            let pipeline = Started::new(&format!("{} ! {sink}", decoded("lift")));
            let frames = watch_frames(&pipeline);
            pipeline.set_state(gst::State::Playing).unwrap();
            assert_eq!(frames.iter().take(1 + 5 * round).count(), 1 + 5 * round);
            stats(&pipeline.child("f"));
            drop(pipeline);
            assert_eq!(feeds_named("clip"), 0);
        }
    }
}
