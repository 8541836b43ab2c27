//! What happens to feeds.

use gst::prelude::*;
use gstnextvision::runtime::Severity::{Error, Info, Warning};

use crate::{
    common::{Started, count, decoded, end_stream, next_result, owner, push_frame, stats, wait_for_error},
    watch::{Watch, number, text},
};

const GREY: &str = "video/x-raw,format=GRAY8,width=64,height=64,framerate=10/1";

fn fed_by_hand(properties: &str) -> (Started, gst::Element, gst::Caps) {
    let pipeline = Started::playing(&format!("appsrc name=in format=time ! nvfeed name=f {properties}"));
    let source = pipeline.child("in");
    (pipeline, source, GREY.parse().unwrap())
}

#[test]
fn the_life_of_a_feed() {
    let watch = Watch::feed("life");
    let (pipeline, source, caps) = fed_by_hand("feed-name=life processor-id=life");
    watch.wait_for("feed-added", Info);
    watch.wait_for("feed-pending", Info);
    push_frame(&source, &caps, 64 * 64, 0);
    let decision = watch.wait_for("decode-decision", Info);
    assert_eq!(text(&decision, "outcome"), "unknown");
    watch.wait_for("feed-started", Info);
    for _ in 0..2 {
        let owner = owner("life");
        let attached = watch.wait_for("feed-attached", Info);
        assert_eq!(attached.processor.as_deref(), Some("life"));
        drop(owner);
        watch.wait_for("processor-lost", Warning);
        watch.wait_for("feed-pending", Info);
    }
    stats(&pipeline.child("f"));
    drop(pipeline);
    assert_eq!(text(&watch.wait_for("feed-stopped", Info), "reason"), "requested");
}

#[test]
fn a_feed_stops_with_its_stream_and_goes_on_with_it() {
    let watch = Watch::feed("whole");
    let _owner = owner("whole");
    let pipeline = Started::playing("videotestsrc num-buffers=3 ! nvfeed feed-name=whole processor-id=whole");
    while next_result(&pipeline.bus).is_some() {}
    assert_eq!(text(&watch.wait_for("feed-stopped", Info), "reason"), "eos");
    let start = gst::ClockTime::ZERO;
    pipeline.element.seek_simple(gst::SeekFlags::FLUSH, start).unwrap();
    watch.wait_for("feed-added", Info);
    assert_eq!(text(&watch.wait_for("feed-stopped", Info), "reason"), "eos");
}

#[test]
fn a_feed_that_fails_says_why_it_stopped() {
    let watch = Watch::feed("orphan");
    let pipeline = Started::playing("videotestsrc ! nvfeed feed-name=orphan processor-id=nobodys attach-timeout=1");
    assert_eq!(wait_for_error(&pipeline.bus).0, "processor-missing");
    let stopped = watch.wait_for("feed-stopped", Error);
    assert_eq!(text(&stopped, "reason"), "error");
    assert!(text(&stopped, "detail").contains("nobodys"), "{stopped:?}");
}

#[test]
fn the_decoder_is_told_once() {
    let watch = Watch::feed("decoded");
    let _owner = owner("decoded");
    let chain = decoded("gate");
    let pipeline = Started::playing(&format!("{chain} ! videoconvert ! nvfeed feed-name=decoded processor-id=decoded"));
    let decision = watch.wait_for("decode-decision", Info);
    assert_eq!((text(&decision, "outcome"), text(&decision, "detail")), ("software", "avdec_h264"));
    drop(pipeline);
}

#[test]
fn a_feed_stalls_and_recovers() {
    let _owner = owner("stall");
    let watch = Watch::feed("stall");
    let (pipeline, source, caps) = fed_by_hand("feed-name=stall processor-id=stall stall-timeout=1");
    for frame in 0..2 {
        let stalled = watch.wait_for("feed-stalled", Warning);
        assert!(number(&stalled, "age") > 0);
        push_frame(&source, &caps, 64 * 64, frame);
        watch.wait_for("feed-recovered", Info);
    }
    watch.wait_for("feed-stalled", Warning);
    end_stream(&source);
    while next_result(&pipeline.bus).is_some() {}
    assert_eq!(count(&stats(&pipeline.child("f")), "results"), 2);
}

#[test]
fn a_gap_in_the_stream_is_a_discontinuity_and_its_beginning_is_none() {
    let _owner = owner("gap");
    let watch = Watch::feed("gap");
    let (pipeline, source, caps) = fed_by_hand("feed-name=gap processor-id=gap");
    for (second, discont) in [(0, true), (1, false), (2, true), (3, true)] {
        let mut buffer = gst::Buffer::with_size(64 * 64).unwrap();
        let frame = buffer.make_mut();
        frame.set_pts(second * gst::ClockTime::SECOND);
        if discont {
            frame.set_flags(gst::BufferFlags::DISCONT);
        }
        let sample = gst::Sample::builder().buffer(&buffer).caps(&caps);
        let sample = sample.segment(&gst::FormattedSegment::<gst::ClockTime>::new()).build();
        assert_eq!(source.emit_by_name::<gst::FlowReturn>("push-sample", &[&sample]), gst::FlowReturn::Ok);
    }
    end_stream(&source);
    while next_result(&pipeline.bus).is_some() {}
    drop(pipeline);
    watch.wait_for_sum("discontinuity", Warning, "count", 2);
}

#[test]
fn a_source_in_the_clear_is_told_without_its_secrets() {
    let watch = Watch::feed("clear");
    let _owner = owner("clear");
    let pipeline = Started::new(
        "fakesrc name=camera num-buffers=1 sizetype=fixed sizemax=4096 format=time \
         ! capsfilter name=caps ! nvfeed feed-name=clear processor-id=clear",
    );
    let camera = gst::ElementFactory::make("filesrc").property("location", "rtsp://user:secret@cam/1?token=abc");
    // Stands for a camera: linked upstream, and never started.
    let camera = camera.build().unwrap();
    let funnel = gst::ElementFactory::make("funnel").build().unwrap();
    let (source, filter) = (pipeline.child("camera"), pipeline.child("caps"));
    filter.set_property("caps", GREY.parse::<gst::Caps>().unwrap());
    let bin: &gst::Bin = pipeline.element.downcast_ref().unwrap();
    source.unlink(&filter);
    bin.add_many([&camera, &funnel]).unwrap();
    gst::Element::link_many([&source, &funnel, &filter]).unwrap();
    camera.link(&funnel).unwrap();
    camera.set_locked_state(true);
    pipeline.set_state(gst::State::Playing).unwrap();
    let told = watch.wait_for("insecure-source", Warning);
    assert_eq!(text(&told, "redacted-uri"), "rtsp://***@cam/1?token=***");
}
