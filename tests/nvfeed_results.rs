//! `nvfeed` with a processor: what comes out of it, in which order, and what happens when that goes wrong.

mod common;

use std::{collections::HashSet, sync::mpsc, thread};

use common::{LONG, element, launch, wait_for, wait_for_error};
use gst::prelude::*;
use parking_lot::Mutex;

const FRAMES: u64 = 40;

/// The declaration of a processor, for a launch line.
fn declare(id: &str, model: &str) -> String {
    let model = format!("{}/tests/models/{model}.onnx", env!("CARGO_MANIFEST_DIR"));
    format!("nvbatch processor-id={id} model=\"{model}\" decoder=tensors instances=2 max-batch-size=4")
}

/// A processor of its own, playing.
fn processor(id: &str, model: &str) -> gst::Pipeline {
    let pipeline = launch(&format!("{} fakesrc num-buffers=0 ! fakesink", declare(id, model)));
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline
}

fn source(pattern: &str) -> String {
    format!("videotestsrc num-buffers={FRAMES} pattern={pattern} ! video/x-raw,width=32,height=16")
}

/// Plays to the end; everything that came over the bus until then.
fn play(pipeline: &gst::Pipeline) -> Vec<gst::Message> {
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut messages = Vec::new();
    loop {
        let message = bus.timed_pop(LONG).expect("no end of the stream");
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => panic!("{error:?}"),
            _ => messages.push(message),
        }
    }
    messages
}

fn results(messages: &[gst::Message]) -> Vec<gst::Structure> {
    let results =
        messages.iter().filter_map(|message| message.structure()).filter(|result| result.name() == "nv-result");
    results.map(|result| result.to_owned()).collect()
}

fn stat(feed: &gst::Element, name: &str) -> u64 {
    feed.property::<gst::Structure>("stats").get(name).unwrap()
}

/// An upstream of its own for an element outside of any pipeline.
struct Upstream(gst::Pad);

impl Upstream {
    fn new(element: &gst::Element) -> Self {
        let pad = gst::Pad::builder(gst::PadDirection::Src).name("src").build();
        pad.link(&element.static_pad("sink").unwrap()).unwrap();
        pad.set_active(true).unwrap();
        assert!(pad.push_event(gst::event::StreamStart::new("stream")));
        Self(pad)
    }

    fn caps(&self, width: u32, height: u32) {
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, width, height).build().unwrap();
        assert!(self.0.push_event(gst::event::Caps::new(&info.to_caps().unwrap())));
    }

    fn segment(&self) {
        assert!(self.0.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
    }

    fn frame(&self, size: usize, seconds: u64) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut buffer = gst::Buffer::with_size(size).unwrap();
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_seconds(seconds));
        self.0.push(buffer)
    }

    fn end(&self) {
        assert!(self.0.push_event(gst::event::Eos::new()));
    }
}

#[test]
fn every_frame_has_its_result_in_order_and_before_the_end() {
    let pipeline =
        launch(&format!("{} {} ! nvfeed processor-id=all feed-name=cam", declare("all", "mean"), source("smpte")));
    let results = results(&play(&pipeline));
    pipeline.set_state(gst::State::Null).unwrap();
    let frames: Vec<u64> = results.iter().map(|result| result.get("frame").unwrap()).collect();
    assert_eq!(frames, (0..FRAMES).collect::<Vec<_>>());
    for result in &results {
        assert_eq!(result.get::<&str>("feed-name").unwrap(), "cam");
        assert_eq!(result.get::<&str>("processor-id").unwrap(), "all");
        assert_eq!((result.get::<u32>("width").unwrap(), result.get::<u32>("height").unwrap()), (32, 16));
        assert_eq!(result.get::<u64>("pts").unwrap(), result.get::<u64>("running-time").unwrap());
    }
}

#[test]
fn the_signal_has_what_the_messages_have_and_messages_can_be_turned_off() {
    let pipeline = launch(&format!(
        "{} {} ! nvfeed processor-id=signal message=false name=f",
        declare("signal", "mean"),
        source("smpte")
    ));
    let feed = pipeline.by_name("f").unwrap();
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    feed.connect("result", false, move |values| {
        tell.lock().send(values[1].get::<gst::Structure>().unwrap()).unwrap();
        None
    });
    assert!(results(&play(&pipeline)).is_empty());
    let told: Vec<u64> = told.try_iter().map(|result| result.get("frame").unwrap()).collect();
    assert_eq!(told, (0..FRAMES).collect::<Vec<_>>());
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(stat(&feed, "results"), FRAMES, "the figures outlive the feed");
}

#[test]
fn results_are_counted_where_nobody_wants_them() {
    let pipeline = launch(&format!(
        "{} {} ! nvfeed processor-id=nobody message=false name=f",
        declare("nobody", "mean"),
        source("smpte")
    ));
    assert!(results(&play(&pipeline)).is_empty());
    assert_eq!(stat(&pipeline.by_name("f").unwrap(), "results"), FRAMES);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn two_feeds_write_whole_lines_of_json_to_one_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "what was there before\n").unwrap();
    let end = format!("queue ! nvfeed processor-id=lines message=false location={}", file.path().display());
    let pipeline = launch(&format!(
        "{} {} ! tee name=t t. ! {end} feed-name=a t. ! {end} feed-name=b",
        declare("lines", "mean"),
        source("smpte")
    ));
    play(&pipeline);
    pipeline.set_state(gst::State::Null).unwrap();
    let text = std::fs::read_to_string(file.path()).unwrap();
    let mut seen = HashSet::new();
    for line in text.lines() {
        let result: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(result["tensors"][0]["name"], "mean");
        seen.insert((result["feed_name"].as_str().unwrap().to_owned(), result["frame"].as_u64().unwrap()));
    }
    assert_eq!(seen.len() as u64, 2 * FRAMES);
    assert_eq!(text.lines().count(), seen.len());
}

#[test]
fn a_full_disk_loses_lines_and_nothing_else() {
    let pipeline = launch(&format!(
        "{} {} ! nvfeed processor-id=full location=/dev/full name=f",
        declare("full", "mean"),
        source("smpte")
    ));
    let messages = play(&pipeline);
    assert_eq!(results(&messages).len() as u64, FRAMES);
    assert_eq!(stat(&pipeline.by_name("f").unwrap(), "location-lost"), FRAMES);
    pipeline.set_state(gst::State::Null).unwrap();
    let warnings: Vec<_> = messages.iter().filter(|message| message.type_() == gst::MessageType::Warning).collect();
    let [warning] = &warnings[..] else { panic!("not one warning: {warnings:?}") };
    let gst::MessageView::Warning(warning) = warning.view() else { unreachable!() };
    assert!(warning.error().matches(gst::ResourceError::Write));
    assert!(warning.error().message().contains("/dev/full"), "{warning:?}");
}

#[test]
fn frames_that_the_model_fails_on_are_warned_of_and_the_feed_goes_on() {
    let pipeline = launch(&format!(
        "{} {} ! nvfeed processor-id=fails message=false name=f",
        declare("fails", "bad-run"),
        source("white")
    ));
    let messages = play(&pipeline);
    assert_eq!(stat(&pipeline.by_name("f").unwrap(), "errors"), FRAMES);
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(messages.iter().any(|message| message.type_() == gst::MessageType::Warning));
}

#[test]
fn a_frame_smaller_than_its_caps_say_is_an_error() {
    let processor = processor("short", "mean");
    let (feed, bus) = element("nvfeed processor-id=short async=false");
    feed.set_state(gst::State::Playing).unwrap();
    let upstream = Upstream::new(&feed);
    upstream.caps(64, 64);
    upstream.segment();
    upstream.frame(10, 0).unwrap();
    let (code, _) = wait_for_error(&bus);
    assert_eq!(code, "invalid-config");
    // While the error is being posted it says only that it takes no more.
    let mut refused = std::iter::repeat_with(|| upstream.frame(64 * 64, 1));
    assert_eq!(refused.find(|flow| *flow != Err(gst::FlowError::Flushing)), Some(Err(gst::FlowError::Error)));
    feed.set_state(gst::State::Null).unwrap();
    processor.set_state(gst::State::Null).unwrap();
}

#[test]
fn caps_may_change_between_any_two_frames() {
    let processor = processor("caps", "mean");
    let (feed, bus) = element("nvfeed processor-id=caps async=false");
    feed.set_state(gst::State::Playing).unwrap();
    let upstream = Upstream::new(&feed);
    let sizes = [(64, 64), (16, 8), (1, 1), (16384, 8), (64, 64)];
    for (second, (width, height)) in (0..).zip(sizes) {
        upstream.caps(width, height);
        if second == 0 {
            upstream.segment();
        }
        // Rows of this format are padded to four bytes.
        upstream.frame((width.next_multiple_of(4) * height) as usize, second).unwrap();
    }
    upstream.end();
    for (width, height) in sizes {
        let message = wait_for(&bus, &[gst::MessageType::Element, gst::MessageType::Error]);
        let result = message.structure().unwrap();
        assert_eq!((result.get("width"), result.get("height")), (Ok(width), Ok(height)), "{message:?}");
    }
    wait_for(&bus, &[gst::MessageType::Eos]);
    feed.set_state(gst::State::Null).unwrap();
    processor.set_state(gst::State::Null).unwrap();
}

/// A feed whose handler of results says their times, and returns from each when it is let go.
fn gated(description: &str) -> (gst::Element, gst::Bus, mpsc::Receiver<u64>, mpsc::Sender<()>) {
    let (feed, bus) = element(description);
    let (tell, told) = mpsc::channel();
    let (open, gate) = mpsc::channel();
    let ends = Mutex::new((tell, gate));
    feed.connect("result", false, move |values| {
        let pts: u64 = values[1].get::<gst::Structure>().unwrap().get("pts").unwrap();
        let (tell, gate) = &*ends.lock();
        tell.send(pts / 1_000_000_000).unwrap();
        // An end of the gate opens it for good.
        _ = gate.recv();
        None
    });
    feed.set_state(gst::State::Playing).unwrap();
    (feed, bus, told, open)
}

#[test]
fn nothing_from_before_a_flush_comes_after_it() {
    let processor = processor("seek", "mean");
    let (feed, bus, told, open) = gated("nvfeed processor-id=seek async=false message=false");
    let upstream = Upstream::new(&feed);
    upstream.caps(64, 64);
    upstream.segment();
    for second in 0..3 {
        upstream.frame(64 * 64, second).unwrap();
    }
    assert_eq!(told.recv().unwrap(), 0);
    assert!(upstream.0.push_event(gst::event::FlushStart::new()));
    drop(open);
    assert!(upstream.0.push_event(gst::event::FlushStop::new(true)));
    upstream.segment();
    upstream.frame(64 * 64, 100).unwrap();
    upstream.end();
    wait_for(&bus, &[gst::MessageType::Eos]);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [100]);
    feed.set_state(gst::State::Null).unwrap();
    processor.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_blocked_handler_costs_a_leaky_feed_frames_and_each_is_told() {
    let processor = processor("leaky", "mean");
    let (feed, bus, told, open) =
        gated("nvfeed processor-id=leaky async=false message=false leaky=downstream max-queued=1 max-in-flight=1");
    let upstream = Upstream::new(&feed);
    upstream.caps(64, 64);
    upstream.segment();
    upstream.frame(64 * 64, 0).unwrap();
    told.recv().unwrap();
    for second in 1..=10 {
        upstream.frame(64 * 64, second).unwrap();
    }
    drop(open);
    upstream.end();
    let mut dropped = 0;
    while let gst::MessageView::Qos(qos) = wait_for(&bus, &[gst::MessageType::Qos, gst::MessageType::Eos]).view() {
        dropped += 1;
        let (_, so_far) = qos.stats();
        assert_eq!(so_far, gst::format::Buffers::from_u64(dropped).into());
    }
    // Of the ten one waits at the end, and one may be in work.
    assert!((8..=9).contains(&dropped), "{dropped} frames were dropped");
    assert_eq!(told.try_iter().last(), Some(10), "the newest frame is kept");
    assert_eq!((stat(&feed, "dropped"), stat(&feed, "results")), (dropped, 11 - dropped));
    feed.set_state(gst::State::Null).unwrap();
    processor.set_state(gst::State::Null).unwrap();
}

#[test]
fn no_result_is_told_after_the_feed_has_stopped() {
    let processor = processor("stopped", "mean");
    let (feed, _bus, told, open) = gated("nvfeed processor-id=stopped async=false message=false");
    let upstream = Upstream::new(&feed);
    upstream.caps(64, 64);
    upstream.segment();
    for second in 0..3 {
        upstream.frame(64 * 64, second).unwrap();
    }
    assert_eq!(told.recv().unwrap(), 0);
    let stop = thread::spawn({
        let feed = feed.clone();
        move || feed.set_state(gst::State::Null).unwrap()
    });
    drop(open);
    stop.join().unwrap();
    let before = told.try_iter().count();
    processor.set_state(gst::State::Null).unwrap();
    assert!(before <= 2 && told.try_recv().is_err());
}

#[test]
fn a_handler_may_stop_its_own_pipeline() {
    let pipeline = launch(&format!(
        "{} videotestsrc ! video/x-raw,width=32,height=16 ! nvfeed processor-id=itself name=f",
        declare("itself", "mean")
    ));
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let stopped = pipeline.downgrade();
    pipeline.by_name("f").unwrap().connect("result", false, move |_| {
        if let Some(pipeline) = stopped.upgrade() {
            _ = tell.lock().send(pipeline.set_state(gst::State::Null).is_ok());
        }
        None
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    assert!(told.recv().unwrap());
}

#[test]
fn the_processor_may_come_later_and_from_another_pipeline() {
    let feed = launch(&format!("{} ! nvfeed processor-id=later", source("smpte")));
    feed.set_state(gst::State::Playing).unwrap();
    let processor = processor("later", "mean");
    assert_eq!(results(&play(&feed)).len() as u64, FRAMES);
    for pipeline in [feed, processor] {
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn a_pause_loses_neither_frames_nor_the_end() {
    let pipeline = launch(&format!("{} ! nvfeed processor-id=pause name=f", source("smpte")));
    // Frames fill the queue and wait for the processor meanwhile. Each state is waited for: GStreamer itself may lose
    // a change to PAUSED that comes before the first frame.
    for state in [gst::State::Playing, gst::State::Paused, gst::State::Playing, gst::State::Paused] {
        pipeline.set_state(state).unwrap();
        assert!(pipeline.state(LONG).0.is_ok());
    }
    let processor = processor("pause", "mean");
    assert_eq!(results(&play(&pipeline)).len() as u64, FRAMES);
    for pipeline in [pipeline, processor] {
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
