//! What GStreamer's own elements make of what `nvbatch` adds. A release that lacks an element skips its test, and says so.

use std::io::Write;

use gst::prelude::*;
use gst_video::prelude::*;

mod common;

use common::{LONG, Started, decoded, init};

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

/// The first frame that leaves `line` before `! appsink`.
fn first_frame(line: &str) -> (gst::Sample, gst_video::VideoInfo) {
    let pipeline = Started::playing(&format!("{line} ! appsink name=out sync=false"));
    let out = pipeline.child("out");
    let sample = out.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&LONG.nseconds()]).unwrap();
    let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
    (sample, info)
}

fn pixel<'a>(frame: &'a gst_video::VideoFrameRef<&gst::BufferRef>, x: u32, y: u32) -> &'a [u8] {
    let start = frame.plane_stride()[0] as usize * y as usize + 4 * x as usize;
    &frame.plane_data(0).unwrap()[start..start + 4]
}

#[test]
fn objectdetectionoverlay_draws_the_boxes() {
    if !has("objectdetectionoverlay") {
        return;
    }
    let detector = concat!(env!("CARGO_MANIFEST_DIR"), "/models/shapes.onnx");
    let line = format!(
        "{} ! videoconvert ! video/x-raw,format=RGBA ! nvbatch processor-id=overlay model={detector}",
        decoded("gate")
    );
    let (plain, info) = first_frame(&line);
    let (drawn, drawn_info) =
        first_frame(&format!("{line} ! objectdetectionoverlay ! videoconvert ! video/x-raw,format=RGBA"));
    let rois: Vec<_> =
        plain.buffer().unwrap().iter_meta::<gst_video::VideoRegionOfInterestMeta>().map(|roi| roi.rect()).collect();
    assert!(rois.len() > 3, "{rois:?}");
    let plain = gst_video::VideoFrameRef::from_buffer_ref_readable(plain.buffer().unwrap(), &info).unwrap();
    let drawn = gst_video::VideoFrameRef::from_buffer_ref_readable(drawn.buffer().unwrap(), &drawn_info).unwrap();
    for (x, y, w, h) in rois {
        // Somewhere across its left edge, in the middle of it.
        let row = y + h / 2;
        let edge = x.saturating_sub(3)..(x + 4).min(x + w);
        let changed = edge.filter(|&x| pixel(&plain, x, row) != pixel(&drawn, x, row)).count();
        assert!(changed > 0, "no line at the left of {x},{y} {w}x{h}");
    }
}

#[test]
fn ioutracker_follows_the_objects() {
    if !has("ioutracker") {
        return;
    }
    let detector = concat!(env!("CARGO_MANIFEST_DIR"), "/models/shapes.onnx");
    let (plain, _) =
        first_frame(&format!("{} ! nvbatch processor-id=tracked model={detector} ! ioutracker", decoded("gate")));
    tracked(plain.buffer().unwrap());
}

#[cfg(feature = "v1_24")]
fn tracked(buffer: &gst::BufferRef) {
    use gst_analytics::{AnalyticsODMtd, AnalyticsRelationMeta, AnalyticsTrackingMtd, prelude::*};
    let relations = buffer.meta::<AnalyticsRelationMeta>().unwrap();
    let objects = relations.iter::<AnalyticsODMtd>().count();
    assert!(objects > 3);
    assert_eq!(relations.iter::<AnalyticsTrackingMtd>().count(), objects);
}

#[cfg(not(feature = "v1_24"))]
fn tracked(_: &gst::BufferRef) {
    skipped("built for GStreamer 1.22, without analytics metadata");
}
