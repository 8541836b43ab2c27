//! Pipelines that applications built: a source that recovers by itself finds the feed still there.

use std::sync::mpsc;

use gst::prelude::*;
use serde_json::json;

use super::{
    Bench, FAR, assert_settled,
    camera::{Server, sized},
    common::Started,
    ear::hear_bus,
    proxy::Proxy,
};

/// Its source is a bin of its own, which the application restarts alone.
fn watched(bench: &Bench, uri: &str) -> Started {
    let pipeline = Started::new(&format!(
        "bin.( name=camera rtspsrc name=source location={uri} rtph264depay name=depay ! avdec_h264 ) ! videoconvert \
         ! nvfeed name=f sync=false processor-id={}",
        bench.processor
    ));
    // The source has another pad each time.
    let sink = pipeline.child("depay").static_pad("sink").unwrap();
    pipeline.child("source").connect_pad_added(move |_, pad| _ = pad.link(&sink).unwrap());
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline
}

#[test]
fn a_source_that_is_restarted_alone_finds_the_feed_still_there() {
    let bench = Bench::new("rtsp-own");
    let Some(mut server) = Server::start(&json!({"cam": sized(64, 48), "other": sized(64, 48)})) else { return };
    let proxy = Proxy::before(server.port);
    let (pipeline, other) = (watched(&bench, &proxy.uri("cam")), watched(&bench, &server.uri("rtspt", "other")));
    let [id, beside] = [&pipeline, &other].map(|pipeline| pipeline.child("f").property::<u64>("feed-id"));
    bench.wait_for_results(id, 3);
    bench.wait_for_results(beside, 3);
    let camera = pipeline.child("camera");
    // The end of the camera's stream is not that of the application's.
    let source_pad = camera.src_pads().into_iter().next().unwrap();
    let (ended, has_ended) = mpsc::channel();
    source_pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| match info.event() {
        Some(event) if event.type_() == gst::EventType::Eos => {
            _ = ended.send(());
            gst::PadProbeReturn::Handled
        }
        _ => gst::PadProbeReturn::Ok,
    });
    let feed = bench.feed(id);
    let mut received = 0;
    for _ in 0..3 {
        proxy.cut();
        has_ended.recv_timeout(FAR).unwrap();
        camera.set_locked_state(true);
        camera.set_state(gst::State::Null).unwrap();
        let now = feed.snapshot().counters.received;
        assert!(now > received);
        received = now;
        camera.set_locked_state(false);
        camera.sync_state_with_parent().unwrap();
        bench.wait_for_results(id, 3);
        assert_eq!(pipeline.child("f").property::<u64>("feed-id"), id);
    }
    // Nobody told the other camera's feed of it, nor the other pipeline's bus.
    bench.wait_for_results(beside, 3);
    assert!(other.bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    let errors = std::iter::from_fn(|| pipeline.bus.pop_filtered(&[gst::MessageType::Error]));
    assert!(errors.into_iter().all(|error| !is_ours(&error)));
    server.show(&json!({}));
    pipeline.set_state(gst::State::Null).unwrap();
    other.set_state(gst::State::Null).unwrap();
    assert_settled(&feed);
    hear_bus(&pipeline.bus);
}

fn is_ours(message: &gst::Message) -> bool {
    message.src().is_some_and(|source| source.name() == "f")
}
