//! What add-feed refuses, through the object that other languages have.

use std::sync::mpsc;

use glib::prelude::*;
use gstnextvision::runtime::{CustomPipelinePolicy, NvRuntime};

use super::{Bench, FAR, clip};

fn emit(object: &NvRuntime, structure: Option<&str>) -> u64 {
    let structure = structure.map(|structure| structure.parse::<gst::Structure>().unwrap());
    object.emit_by_name("add-feed", &[&structure])
}

fn last_error(object: &NvRuntime) -> (String, String) {
    let error: gst::Structure = object.property("last-error");
    assert_eq!(error.name(), "nv-error");
    (error.get("code").unwrap(), error.get("message").unwrap())
}

#[test]
fn a_refused_feed_says_why() {
    let bench = Bench::new("managed-refused");
    bench.runtime.configure(|config| config.custom_pipeline_policy = CustomPipelinePolicy::Reject).unwrap();
    let object = bench.runtime.object();
    assert_eq!(object.property::<Option<gst::Structure>>("last-error"), None);
    let (tell, told) = mpsc::channel();
    object.connect("health", false, move |arguments| {
        _ = tell.send(arguments[1].get::<gst::Structure>().unwrap());
        None
    });
    let insecure = "feed, uri=\"rtsp://user:secret@cam/1\", rtsp-security=require-tls";
    for (structure, code, part) in [
        (None, "invalid-config", "structure"),
        (Some("feed"), "invalid-config", "uri"),
        (Some("feed, uri=file:///a, colour=red"), "invalid-config", "colour"),
        (Some("feed, uri=file:///a, interval=often"), "invalid-config", "often"),
        (Some("feed, uri=/a.mp4"), "invalid-config", "/a.mp4"),
        (Some("feed, uri=file:///a, processor-id=(int)7"), "invalid-config", "processor-id"),
        (Some("feed, pipeline=videotestsrc"), "custom-pipeline-rejected", "allow-trusted"),
        (Some(insecure), "insecure-source-rejected", "rtsps://"),
    ] {
        assert_eq!(emit(&object, structure), 0, "{structure:?}");
        let (is, message) = last_error(&object);
        assert_eq!(is, code, "{structure:?}: {message}");
        assert!(message.contains(part) && !message.contains("secret"), "{message}");
        let refused = loop {
            let event = told.recv_timeout(FAR).unwrap();
            if event.get::<&str>("event") == Ok("feed-refused") {
                break event;
            }
        };
        assert_eq!(refused.get::<&str>("code"), Ok(code));
    }
    bench.assert_empty();
}

#[test]
fn a_fragment_that_cannot_be_built_is_refused_at_once() {
    let bench = Bench::new("managed-fragments");
    let object = bench.runtime.object();
    for (fragment, part) in [
        ("nosuchelement", "nosuchelement"),
        ("videotestsrc !", "videotestsrc !"),
        ("videotestsrc colour=red", "colour"),
        ("videotestsrc ! fakesink", "fakesink"),
        ("(", "pipeline"),
    ] {
        assert_eq!(emit(&object, Some(&format!("feed, pipeline=\"{fragment}\""))), 0, "{fragment}");
        let (code, message) = last_error(&object);
        assert_eq!(code, "invalid-config", "{fragment}");
        assert!(message.contains(part), "{fragment}: {message}");
    }
    bench.assert_empty();
}

#[test]
fn actions_on_feeds_say_whether_they_were_done() {
    let bench = Bench::new("managed-actions");
    let object = bench.runtime.object();
    let structure = format!("feed, uri={}, loop=true, processor-id=managed-actions", clip("gate"));
    let id = emit(&object, Some(&structure));
    assert!(id > 0);
    let act = |action: &str, id: u64| object.emit_by_name::<bool>(action, &[&id]);
    for (action, id, done, code) in [
        ("resume-feed", id, false, "not-paused"),
        ("pause-feed", id, true, ""),
        ("pause-feed", id, false, "already-paused"),
        ("resume-feed", id, true, ""),
        ("remove-feed", id, true, ""),
        ("remove-feed", id, false, "feed-not-found"),
        ("pause-feed", 0, false, "feed-not-found"),
        ("resume-feed", u64::MAX, false, "feed-not-found"),
    ] {
        assert_eq!(act(action, id), done, "{action} {id}");
        if !done {
            assert_eq!(last_error(&object).0, code, "{action} {id}");
        }
    }
    bench.assert_empty();
}
