//! The tracker follows the objects.

use super::{DETECTOR, common::decoded, first_frame, has};

#[test]
fn ioutracker_follows_the_objects() {
    if !has("ioutracker") {
        return;
    }
    let line = format!("{} ! nvbatch processor-id=tracked model={DETECTOR} ! ioutracker", decoded("gate"));
    tracked(first_frame(&line).buffer().unwrap());
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
    super::skipped("built for GStreamer 1.22, without analytics metadata");
}
