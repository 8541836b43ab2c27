//! What works, waits or fails where no model is loaded.

use std::{sync::mpsc, thread};

use gst::prelude::*;
use gst_check::Harness;
use gstnextvision::runtime::Runtime;

use super::{PATIENCE, TestPipeline, init};

const CAPS: &str = "video/x-raw,format=RGB,width=8,height=8,framerate=30/1";
const FRAME_BYTES: usize = 8 * 8 * 3;

/// An `nvbatch` whose processor never comes, in PLAYING, without a stream yet.
fn waiting() -> (gst::Element, Harness) {
    let element = gst::ElementFactory::make("nvbatch")
        .property("processor-id", "nobody")
        .property("attach-timeout", u64::MAX)
        .build()
        .unwrap();
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.play();
    (element, harness)
}

fn frame(number: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::with_size(FRAME_BYTES).unwrap();
    let frame = buffer.make_mut();
    frame.set_pts(number * gst::ClockTime::SECOND / 30);
    frame.set_duration(gst::ClockTime::SECOND / 30);
    buffer
}

fn event_types(harness: &mut Harness, count: usize) -> Vec<gst::EventType> {
    (0..count).map(|_| harness.pull_event().unwrap().type_()).collect()
}

#[test]
fn properties_are_those_of_the_contract() {
    let _turn = init();
    let element = gst::ElementFactory::make("nvbatch").name("cam").build().unwrap();
    assert_eq!(element.property::<String>("processor-id"), "default");
    assert_eq!(element.property::<Option<String>>("model"), None);
    assert_eq!(element.property::<String>("feed-name"), "cam");
    assert_eq!(element.property::<u64>("feed-id"), 0);
    assert_eq!(element.property::<u64>("max-latency"), 20_000_000);
    assert_eq!(element.property::<u64>("response-timeout"), 5_000_000_000);
    assert_eq!(element.property::<u64>("startup-timeout"), 30_000_000_000);
    assert_eq!(element.property::<u64>("batch-join-timeout"), 10_000_000_000);
    assert_eq!(element.property::<u64>("attach-timeout"), 10_000_000_000);
    assert_eq!(element.property::<f32>("threshold"), 0.25);
    assert_eq!(element.property::<u32>("interval"), 1);
    for zero in ["instances", "intra-op-threads", "max-batch-size", "queue-capacity", "max-queued", "max-in-flight"] {
        assert_eq!(element.property::<u32>(zero), 0, "{zero}");
    }
    for choice in ["decoder", "execution-provider", "leaky"] {
        element.set_property_from_str(choice, "auto");
    }
    assert_eq!(element.property::<gst::Structure>("stats").name(), "nv-processor-stats");
}

#[test]
fn what_names_the_processor_is_settled_from_paused_on_and_feed_properties_are_not() {
    let _turn = init();
    let (element, harness) = waiting();
    element.set_property("processor-id", "another");
    element.set_property("feed-name", "another");
    assert_eq!(element.property::<String>("processor-id"), "nobody");
    assert_ne!(element.property::<String>("feed-name"), "another");
    element.set_property("threshold", 0.5f32);
    assert_eq!(element.property::<f32>("threshold"), 0.5);
    drop(harness);
    element.set_property("processor-id", "another");
    assert_eq!(element.property::<String>("processor-id"), "another");
}

#[test]
fn unlinked_it_takes_no_place_and_the_rest_of_the_pipeline_ends() {
    let _turn = init();
    let pipeline = TestPipeline::new("nvbatch name=declared  videotestsrc num-buffers=5 ! fakesink");
    assert_eq!(pipeline.run(), Ok(()));
    assert_eq!(pipeline.element("declared").property::<u64>("feed-id"), 0);
}

#[test]
fn an_id_that_nobody_declares_is_an_error_after_the_timeout() {
    let _turn = init();
    let pipeline = TestPipeline::new("videotestsrc ! nvbatch processor-id=nobody attach-timeout=0 ! fakesink");
    assert_eq!(pipeline.run(), Err("processor-missing".into()));
}

#[test]
fn an_empty_id_is_refused() {
    let _turn = init();
    let pipeline = TestPipeline::new("nvbatch name=b  fakesrc ! fakesink");
    pipeline.element("b").set_property("processor-id", "");
    assert_eq!(pipeline.run(), Err("invalid-config".into()));
}

#[test]
fn no_place_left_is_refused_and_a_place_given_back_can_be_taken() {
    let _turn = init();
    let runtime = Runtime::get();
    let before = runtime.config().max_feeds;
    runtime.configure(|config| config.max_feeds = 1).unwrap();
    let first = TestPipeline::new("videotestsrc ! nvbatch processor-id=nobody ! fakesink");
    first.0.set_state(gst::State::Paused).unwrap();
    assert_eq!(runtime.feed_count(), 1);
    let second = TestPipeline::new("videotestsrc ! nvbatch processor-id=nobody ! fakesink");
    assert_eq!(second.run(), Err("feed-limit-exceeded".into()));
    second.0.set_state(gst::State::Null).unwrap();
    first.0.set_state(gst::State::Ready).unwrap();
    assert_eq!(runtime.feed_count(), 0);
    assert!(second.0.set_state(gst::State::Paused).is_ok());
    runtime.configure(|config| config.max_feeds = before).unwrap();
}

#[test]
fn what_is_linked_while_playing_takes_its_place_then() {
    let _turn = init();
    let pipeline = TestPipeline::new("nvbatch name=b processor-id=nobody ! fakesink async=false");
    pipeline.0.set_state(gst::State::Playing).unwrap();
    let element = pipeline.element("b");
    assert_eq!(element.property::<u64>("feed-id"), 0);
    let source = gst::ElementFactory::make("appsrc").name("s").build().unwrap();
    pipeline.0.add(&source).unwrap();
    source.link(&element).unwrap();
    source.sync_state_with_parent().unwrap();
    pipeline.feed("end-of-stream", &[]);
    pipeline.message(&[gst::MessageType::Eos]);
    assert_ne!(element.property::<u64>("feed-id"), 0);
}

#[test]
fn events_keep_their_order_and_need_no_processor() {
    let _turn = init();
    let (element, mut harness) = waiting();
    harness.set_src_caps_str(CAPS);
    let tags = gst::TagList::new();
    assert!(harness.push_event(gst::event::Tag::new(tags)));
    assert!(harness.push_event(gst::event::Gap::new(gst::ClockTime::ZERO, gst::ClockTime::SECOND)));
    assert!(harness.push_event(gst::event::Eos::new()));
    use gst::EventType::{Caps, Eos, Gap, Segment, StreamStart, Tag};
    assert_eq!(event_types(&mut harness, 6), [StreamStart, Caps, Segment, Tag, Gap, Eos]);
    assert_ne!(element.property::<u64>("feed-id"), 0);
}

#[test]
fn a_serialized_query_comes_after_the_events_before_it() {
    let _turn = init();
    let (element, mut harness) = waiting();
    harness.set_src_caps_str(CAPS);
    let mut query = gst::query::Drain::new();
    let source = element.static_pad("sink").unwrap().peer().unwrap();
    source.peer_query(query.query_mut());
    assert_eq!(harness.events_in_queue(), 3, "all that was sent is out");
}

#[test]
fn a_flush_frees_who_waits_for_room_and_the_stream_goes_on() {
    let _turn = init();
    let (element, mut harness) = waiting();
    element.set_property_from_str("leaky", "no");
    harness.set_src_caps_str(CAPS);
    assert_eq!(event_types(&mut harness, 3).len(), 3);
    let source = element.static_pad("sink").unwrap().peer().unwrap();
    let sending = source.clone();
    let (tell, told) = mpsc::channel();
    let sender = thread::spawn(move || {
        (0..).find_map(|number| {
            tell.send(number).unwrap();
            sending.push(frame(number)).err()
        })
    });
    // It has to come so far; whether it waits already does not matter.
    assert!((0..=2).eq(told.iter().take(3)));
    assert!(source.push_event(gst::event::FlushStart::new()));
    assert_eq!(sender.join().unwrap(), Some(gst::FlowError::Flushing));
    assert!(source.push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(source.push_event(gst::event::Segment::new(&segment)));
    assert_eq!(source.push(frame(0)), Ok(gst::FlowSuccess::Ok));
    use gst::EventType::{FlushStart, FlushStop, Segment};
    assert_eq!(event_types(&mut harness, 3), [FlushStart, FlushStop, Segment]);
    assert_eq!(harness.buffers_in_queue(), 0, "no result, no frame");
}

#[test]
fn sticky_events_outlive_a_flush() {
    let _turn = init();
    let (element, mut harness) = waiting();
    harness.set_src_caps_str(CAPS);
    assert_eq!(event_types(&mut harness, 3).len(), 3);
    let source = element.static_pad("sink").unwrap().peer().unwrap();
    // Behind a frame that has no result, so that the flush finds it inside.
    assert_eq!(source.push(frame(0)), Ok(gst::FlowSuccess::Ok));
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "RGB")
        .field("width", 16)
        .field("height", 16)
        .field("framerate", gst::Fraction::new(30, 1))
        .build();
    assert!(source.push_event(gst::event::Caps::new(&caps)));
    let pad = element.static_pad("src").unwrap();
    assert_ne!(pad.current_caps().as_ref(), Some(&caps));
    assert!(source.push_event(gst::event::FlushStart::new()));
    assert!(source.push_event(gst::event::FlushStop::new(true)));
    assert_eq!(pad.current_caps().as_ref(), Some(&caps));
}

#[test]
fn a_stop_frees_who_waits_for_room() {
    let _turn = init();
    let pipeline =
        TestPipeline::new("videotestsrc ! nvbatch processor-id=nobody leaky=no name=b ! fakesink async=false");
    let (tell, told) = mpsc::channel();
    let pad = pipeline.element("b").static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        _ = tell.send(());
        gst::PadProbeReturn::Ok
    });
    pipeline.0.set_state(gst::State::Playing).unwrap();
    assert_eq!(told.iter().take(3).count(), 3);
    pipeline.0.set_state(gst::State::Null).unwrap();
    assert_eq!(Runtime::get().feed_count(), 0);
}

#[test]
fn what_does_not_fit_is_dropped_and_told_where_it_is_leaky() {
    let _turn = init();
    for leaky in ["upstream", "downstream"] {
        let pipeline = TestPipeline::new(&format!(
            "videotestsrc num-buffers=10 ! nvbatch processor-id=nobody leaky={leaky} name=b ! fakesink async=false"
        ));
        pipeline.0.set_state(gst::State::Playing).unwrap();
        let message = pipeline.message(&[gst::MessageType::Qos]);
        let gst::MessageView::Qos(qos) = message.view() else { panic!("{message:?}") };
        let (_, dropped) = qos.stats();
        assert_eq!(dropped.value(), 1, "{leaky}");
        assert!(qos.get().1.is_some(), "{leaky}: its running time");
    }
}

#[test]
fn the_latency_of_a_live_upstream_passes() {
    let _turn = init();
    let (element, mut harness) = waiting();
    harness.set_src_caps_str(CAPS);
    harness.set_upstream_latency(7 * gst::ClockTime::MSECOND);
    assert_eq!(event_types(&mut harness, 3).len(), 3);
    let mut query = gst::query::Latency::new();
    assert!(element.static_pad("src").unwrap().query(query.query_mut()));
    let (_, min, _) = query.result();
    assert_eq!(min, 7 * gst::ClockTime::MSECOND, "no processor, no latency of its own");
}

#[test]
fn caps_are_those_of_downstream() {
    let _turn = init();
    let pipeline = TestPipeline::new(
        "videotestsrc name=s ! nvbatch processor-id=nobody name=b ! video/x-raw,format=NV12,width=32 ! fakesink async=false",
    );
    let caps = pipeline.element("b").static_pad("sink").unwrap().query_caps(None);
    let structure = caps.structure(0).unwrap();
    assert_eq!(structure.get::<String>("format").unwrap(), "NV12");
    assert_eq!(structure.get::<i32>("width").unwrap(), 32);
    assert!(pipeline.0.set_state(gst::State::Playing).is_ok());
    let (changed, state, _) = pipeline.0.state(PATIENCE);
    assert!(changed.is_ok() && state == gst::State::Playing);
}
