//! Analytics metadata, and GStreamer's own tracker.

use std::{collections::HashMap, io::Write};

use glib::Quark;
use gst_analytics::{AnalyticsRelationMeta, RelTypes, prelude::*};

use super::{DETECTOR, list, objects_of, results, told};
use crate::common::{Started, count, decoded, init, stats};

#[test]
fn detections_of_others_are_objects_with_their_classes_and_tracks() {
    let result = objects_of(|buffer| {
        let mut relations = AnalyticsRelationMeta::add(buffer);
        let car = relations.add_od_mtd(Quark::from_str("car"), 10, 20, 30, 40, 0.75).unwrap().id();
        relations.add_od_mtd(Quark::from_str("out"), -50, -50, 30, 40, 0.75).unwrap();
        let red = relations.add_one_cls_mtd(0.5, Quark::from_str("red")).unwrap().id();
        relations.add_one_cls_mtd(0.25, Quark::from_str("street")).unwrap();
        let track = relations.add_tracking_mtd(7, gst::ClockTime::ZERO).unwrap().id();
        relations.set_relation(RelTypes::RELATE_TO, car, red).unwrap();
        relations.set_relation(RelTypes::RELATE_TO, car, track).unwrap();
    });
    let objects = list(&result, "objects");
    assert_eq!(objects.len(), 1);
    assert_eq!(told(&objects[0]), ("car".into(), 0.75, [10.0, 20.0, 30.0, 40.0]));
    assert_eq!(objects[0].get("track-id"), Ok(7_u64));
    let labels = |of: &gst::StructureRef| {
        list(of, "classes").iter().map(|class| class.get::<String>("label").unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((labels(&objects[0]), labels(&result)), (vec!["red".to_owned()], vec!["street".to_owned()]));
}

#[test]
fn ioutracker_gives_tracks_that_stay_the_same() {
    init();
    if gst::ElementFactory::find("ioutracker").is_none() {
        // Past the test runner, which shows nothing of a test that passes.
        _ = writeln!(std::io::stderr(), "skipped: {} has no ioutracker here", gst::version_string());
        return;
    }
    let pipeline = Started::playing(&format!(
        "{} ! nvbatch processor-id=tracks model={DETECTOR} threshold=0.5 ! ioutracker \
         ! nvfeed name=feed processor-id=\"\"",
        decoded("gate")
    ));
    let results = results(&pipeline);
    let mut frames: HashMap<u64, Vec<(u64, String, [f32; 4])>> = HashMap::new();
    let mut objects = 0;
    for (n, result) in (0..).zip(&results) {
        for object in list(result, "objects") {
            objects += 1;
            let (label, _, place) = told(&object);
            frames.entry(object.get("track-id").unwrap()).or_default().push((n, label, place));
        }
    }
    assert!(objects > 100 && frames.len() * 5 < objects, "{} tracks of {objects} objects", frames.len());
    for (track, seen) in &frames {
        for pair in seen.windows(2) {
            let [(before, _, from), (after, _, to)] = pair else { unreachable!() };
            let moved = (from[0] - to[0]).abs().max((from[1] - to[1]).abs());
            assert!(after > before, "track {track} is twice in frame {after}");
            assert!(after - before > 1 || moved < from[2].max(from[3]), "track {track} jumps in frame {after}");
        }
    }
    assert_eq!(count(&stats(&pipeline.child("feed")), "objects"), objects as u64);
}
