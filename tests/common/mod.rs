//! What the tests of the elements share.
#![allow(dead_code)]

use std::sync::Once;

use gst::prelude::*;

/// Nothing in these tests takes that long: who waits longer waits for ever.
pub const LONG: gst::ClockTime = gst::ClockTime::from_seconds(60);

pub fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstnextvision::plugin_register_static().unwrap();
    });
}

/// As long as it lives, critical warnings do not end the process: for what GStreamer itself complains of.
pub struct Tolerated(gst::glib::LogLevels);

impl Tolerated {
    pub fn criticals() -> Self {
        Self(gst::glib::log_set_always_fatal(gst::glib::LogLevels::LEVEL_ERROR))
    }
}

impl Drop for Tolerated {
    fn drop(&mut self) {
        gst::glib::log_set_always_fatal(self.0);
    }
}

pub fn launch(description: &str) -> gst::Pipeline {
    init();
    gst::parse::launch(description).unwrap().downcast().unwrap()
}

/// An element with a bus of its own, outside of any pipeline.
pub fn element(description: &str) -> (gst::Element, gst::Bus) {
    init();
    let element = gst::parse::launch(description).unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    (element, bus)
}

pub fn wait_for(bus: &gst::Bus, types: &[gst::MessageType]) -> gst::Message {
    bus.timed_pop_filtered(LONG, types).unwrap_or_else(|| panic!("no message of {types:?}"))
}

/// The first error on the bus: its `code` and what it says.
pub fn wait_for_error(bus: &gst::Bus) -> (String, String) {
    let message = wait_for(bus, &[gst::MessageType::Error, gst::MessageType::Eos]);
    let gst::MessageView::Error(error) = message.view() else { panic!("end of stream instead of an error") };
    let details = error.details().unwrap_or_else(|| panic!("an error without details: {error:?}"));
    assert_eq!(details.name(), "nv-error");
    (details.get("code").unwrap(), error.error().message().to_owned())
}

pub fn wait_for_eos(bus: &gst::Bus) {
    let message = wait_for(bus, &[gst::MessageType::Error, gst::MessageType::Eos]);
    assert!(matches!(message.view(), gst::MessageView::Eos(_)), "{message:?}");
}

/// The path of a model of `tests/reference/make_models.py`.
pub fn model(name: &str) -> String {
    format!("{}/tests/models/{name}.onnx", env!("CARGO_MANIFEST_DIR"))
}

/// The beginning of a pipeline that decodes one of the clips of `tests/clips`.
pub fn decoded(clip: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clips");
    format!("filesrc location={folder}/{clip}.mp4 ! qtdemux ! h264parse ! avdec_h264 max-threads=1")
}

/// A pipeline, or an element outside of any, that goes to NULL when the test ends, however it ends.
pub struct Started {
    pub element: gst::Element,
    pub bus: gst::Bus,
}

impl Started {
    /// Not started yet, so that more can be set.
    pub fn new(description: &str) -> Self {
        init();
        let element = gst::parse::launch(description).unwrap();
        let bus = element.bus().unwrap_or_default();
        element.set_bus(Some(&bus));
        Self { element, bus }
    }

    pub fn playing(description: &str) -> Self {
        let started = Self::new(description);
        started.set_state(gst::State::Playing).unwrap_or_else(|_| panic!("{:?}", wait_for_error(&started.bus)));
        started
    }

    pub fn set_state(&self, state: gst::State) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        self.element.set_state(state)
    }

    pub fn child(&self, name: &str) -> gst::Element {
        self.element.downcast_ref::<gst::Bin>().and_then(|bin| bin.by_name(name)).unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        _ = self.set_state(gst::State::Null);
        // Messages refer to their elements, and an element to its bus.
        self.bus.set_flushing(true);
    }
}

/// An `nvbatch` outside of any pipeline that owns a processor. It tells what channels are on average.
pub fn owner(id: &str) -> Started {
    Started::playing(&format!(
        "nvbatch processor-id={id} model={} decoder=tensors instances=2 max-batch-size=4",
        model("mean")
    ))
}

/// The next `nv-result` on the bus; `None` at the end of the stream.
pub fn next_result(bus: &gst::Bus) -> Option<gst::Structure> {
    use gst::MessageType;
    loop {
        let message = wait_for(bus, &[MessageType::Element, MessageType::Error, MessageType::Eos]);
        match message.view() {
            gst::MessageView::Eos(_) => return None,
            gst::MessageView::Error(error) => panic!("{error:?}"),
            _ => match message.structure() {
                Some(structure) if structure.name() == "nv-result" => return Some(structure.to_owned()),
                _ => (),
            },
        }
    }
}

/// The figures of a feed, which account for every frame that came in.
pub fn stats(feed: &gst::Element) -> gst::Structure {
    let stats: gst::Structure = feed.property("stats");
    let stats = stats.get("feed").unwrap_or(stats);
    let gone = ["skipped", "results", "dropped", "errors", "in-flight", "queued"];
    let accounted: u64 = gone.into_iter().map(|name| count(&stats, name)).sum();
    assert_eq!(count(&stats, "received"), accounted, "{stats}");
    stats
}

pub fn count(stats: &gst::StructureRef, name: &str) -> u64 {
    stats.get(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Has the `appsrc` take `bytes` bytes under `caps`, at `seconds`.
pub fn push_frame(source: &gst::Element, caps: &gst::Caps, bytes: usize, seconds: u64) {
    push_buffer(source, caps, gst::Buffer::with_size(bytes).unwrap(), seconds);
}

/// The same with `buffer`.
pub fn push_buffer(source: &gst::Element, caps: &gst::Caps, mut buffer: gst::Buffer, seconds: u64) {
    buffer.make_mut().set_pts(seconds * gst::ClockTime::SECOND);
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    let sample = gst::Sample::builder().buffer(&buffer).caps(caps).segment(&segment).build();
    assert_eq!(source.emit_by_name::<gst::FlowReturn>("push-sample", &[&sample]), gst::FlowReturn::Ok);
}

pub fn end_stream(source: &gst::Element) {
    assert_eq!(source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]), gst::FlowReturn::Ok);
}
