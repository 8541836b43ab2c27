//! Plain RTSP is plain RTSP, however it is written and however it got there.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    thread,
};

use gst::prelude::*;
use serde_json::json;

use super::{
    Bench,
    camera::{Server, stream},
    common::{Started, count, stats, wait_for_error},
    ear::{MARK, hear_bus},
};

/// Sinks for what a source gives out, by name.
fn feed(bench: &Bench, security: &str) -> String {
    format!("nvfeed name=f rtsp-security={security} processor-id={}", bench.processor)
}

fn assert_refused(pipeline: &Started, whose: &str) {
    let (code, message) = wait_for_error(&pipeline.bus);
    assert_eq!(code, "insecure-source-rejected", "{whose}");
    assert!(message.contains("not encrypted") && !message.contains(MARK), "{whose}: {message}");
    assert_eq!(count(&stats(&pipeline.child("f")), "received"), 0, "{whose}");
    hear_bus(&pipeline.bus);
}

#[test]
fn every_spelling_that_gstreamer_takes_is_refused_before_the_first_frame() {
    let bench = Bench::new("rtsp-spellings");
    let Some(server) = Server::start(&json!({"cam": stream("h264")})) else { return };
    for scheme in ["rtsp", "RTSP", "rtspt", "RtspT", "rtspu", "rtsph"] {
        let uri = server.uri(scheme, "cam").replace("://", &format!("://user:{MARK}@"));
        let depayed = "rtph264depay ! avdec_h264";
        let sources = [
            format!("rtspsrc location={uri} ! {depayed}"),
            format!("uridecodebin uri={uri}"),
            format!("uridecodebin3 uri={uri}"),
            format!("bin.( rtspsrc location={uri} ! rtph264depay ) ! queue ! decodebin"),
        ];
        // All ways in with one spelling, one way in with all.
        let ways = if scheme == "rtspt" { sources.len() } else { 1 };
        for source in sources.iter().take(ways) {
            let pipeline = Started::playing(&format!("{source} ! {}", feed(&bench, "require-tls")));
            assert_refused(&pipeline, source);
        }
    }
    // GStreamer takes neither of them; whoever trims them first finds them refused as well.
    for uri in [" rtsp://cam/1", "\trtspt://cam/1"] {
        let config = gstnextvision::runtime::ManagedFeedConfig::from_uri(uri);
        bench.runtime.add_managed_feed(config).unwrap_err();
    }
}

#[test]
fn playbin_and_what_it_makes_is_seen_through() {
    let bench = Bench::new("rtsp-playbin");
    let Some(server) = Server::start(&json!({"cam": stream("h264")})) else { return };
    for player in ["playbin", "playbin3"] {
        let uri = server.uri("rtspt", "cam");
        let pipeline = Started::new(&format!("{player} uri={uri} flags=video"));
        let sink = gst::parse::launch(&feed(&bench, "require-tls")).unwrap();
        pipeline.element.set_property("video-sink", &sink);
        _ = pipeline.set_state(gst::State::Playing);
        let (code, _) = wait_for_error(&pipeline.bus);
        assert_eq!(code, "insecure-source-rejected", "{player}");
    }
}

#[test]
fn prefer_tls_warns_once_and_takes_it() {
    let bench = Bench::new("rtsp-prefer-tls");
    let Some(server) = Server::start(&json!({"cam": stream("h264")})) else { return };
    let id = bench.add(&server.uri("RTSPT", "cam"), "");
    let event = bench.wait("insecure-source", id);
    assert_eq!(super::text(&event, "redacted-uri"), server.uri("RTSPT", "cam"));
    bench.wait_for_results(id, 5);
    bench.remove(id);
    assert!(bench.events.try_iter().all(|event| event.name != "insecure-source"));
}

#[test]
fn an_address_that_is_set_later_is_looked_at() {
    let bench = Bench::new("rtsp-later");
    let Some(server) = Server::start(&json!({"cam": stream("h264")})) else { return };
    let pipeline = Started::new(&format!(
        "rtspsrc name=s location=rtsps://127.0.0.1:1/ ! rtph264depay ! avdec_h264 ! {}",
        feed(&bench, "require-tls")
    ));
    pipeline.set_state(gst::State::Ready).unwrap();
    pipeline.child("s").set_property("location", server.uri("rtspt", "cam"));
    _ = pipeline.set_state(gst::State::Playing);
    assert_refused(&pipeline, "set in READY");
}

/// The source is exchanged behind an element that keeps the stream together, and the caps are the same.
#[test]
fn a_source_that_takes_the_place_of_another_is_looked_at() {
    let bench = Bench::new("rtsp-exchange");
    let Some(server) = Server::start(&json!({"cam": stream("h264")})) else { return };
    let pipeline = Started::playing(&format!(
        "input-selector name=i cache-buffers=false sync-streams=false ! {} \
         videotestsrc is-live=true ! video/x-raw,format=I420,width=64,height=48,framerate=30/1 ! i.sink_0 \
         rtspsrc location={} ! rtph264depay ! avdec_h264 ! i.sink_1",
        feed(&bench, "require-tls"),
        server.uri("rtspt", "cam"),
    ));
    let feed = pipeline.child("f");
    bench.wait_for_results(feed.property("feed-id"), 3);
    let selector = pipeline.child("i");
    selector.set_property("active-pad", selector.static_pad("sink_1"));
    let (code, _) = wait_for_error(&pipeline.bus);
    assert_eq!(code, "insecure-source-rejected");
    stats(&feed);
}

/// Answers each request with the same words. Its port.
fn server_that_says(answer: impl Fn(&str) -> String + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
            let (mut request, mut number) = (String::new(), String::new());
            while let Some(Ok(line)) = lines.next() {
                if line.is_empty() {
                    let said = answer(&request);
                    if write!(connection, "{}\r\nCSeq: {number}\r\n\r\n", said.trim_end()).is_err() {
                        break;
                    }
                    request.clear();
                } else if request.is_empty() {
                    request = line;
                } else if let Some(count) = line.strip_prefix("CSeq:") {
                    number = count.trim().into();
                }
            }
        }
    });
    port
}

#[test]
fn a_redirect_by_the_server_leads_to_what_is_looked_at() {
    let bench = Bench::new("rtsp-redirect");
    let Some(server) = Server::start(&json!({"cam": stream("h264")})) else { return };
    let there = server.uri("rtsp", "cam");
    let target = there.clone();
    let port = server_that_says(move |request| match request.split(' ').next() {
        Some("OPTIONS") => "RTSP/1.0 200 OK\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY".into(),
        _ => format!("RTSP/1.0 302 Moved Temporarily\r\nLocation: {target}"),
    });
    let pipeline = |security: &str| {
        Started::playing(&format!(
            "rtspsrc location=rtspt://127.0.0.1:{port}/old ! rtph264depay ! avdec_h264 ! {}",
            feed(&bench, security)
        ))
    };
    assert_refused(&pipeline("require-tls"), "redirected");
    let warned = pipeline("prefer-tls");
    let event = bench.wait("insecure-source", warned.child("f").property("feed-id"));
    assert_eq!(super::text(&event, "redacted-uri"), there);
}
