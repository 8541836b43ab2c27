//! What GStreamer's own elements make of what `nvbatch` adds. A release that lacks an element skips its test, and says so.

use std::io::Write;

use gst::prelude::*;

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "v1_26")]
mod decoders;
#[cfg(feature = "v1_24")]
mod objects;
#[cfg(feature = "v1_24")]
mod onvif;
mod overlay;
#[cfg(feature = "v1_28")]
mod refusals;
mod tracker;

use common::{LONG, Started, init};

const DETECTOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/shapes.onnx");

fn has(element: &str) -> bool {
    init();
    let there = gst::ElementFactory::find(element).is_some();
    if !there {
        skipped(&format!("{} has no {element} here", gst::version_string()));
    }
    there
}

/// Says so past the test runner, which shows nothing of a test that passes.
fn skipped(why: &str) {
    _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// All frames that leave `line` before `! appsink`, `limit` at most.
fn frames(line: &str, limit: usize) -> Vec<gst::Sample> {
    let pipeline = Started::playing(&format!("{line} ! appsink name=out sync=false"));
    let out = pipeline.child("out");
    let mut samples = Vec::new();
    while samples.len() < limit {
        match out.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&LONG.nseconds()]) {
            Some(sample) => samples.push(sample),
            None if out.property::<bool>("eos") => break,
            None => panic!("{:?}", pipeline.bus.pop_filtered(&[gst::MessageType::Error])),
        }
    }
    samples
}

/// The first frame that leaves `line`.
fn first_frame(line: &str) -> gst::Sample {
    frames(line, 1).pop().expect("a frame")
}

/// What is built for a GStreamer that has tensors needs none of these to say that it has none.
#[cfg(not(feature = "v1_26"))]
#[test]
fn tensor_decoders() {
    skipped("built for a GStreamer without tensor metadata");
}
