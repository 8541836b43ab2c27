//! Regions of interest that others put on frames.

use gst_video::VideoRegionOfInterestMeta;

use super::{fed, list, objects_of, push, told};
use crate::common::{count, end_stream, stats};

fn class(label: &str, confidence: f64) -> gst::Structure {
    gst::Structure::builder("classification").field("label", label).field("confidence", confidence).build()
}

#[test]
fn regions_of_others_are_objects() {
    let result = objects_of(|buffer| {
        VideoRegionOfInterestMeta::add(buffer, "face", (10, 20, 30, 40));
        let mut car = VideoRegionOfInterestMeta::add(buffer, "car", (190, 90, 30, 40));
        car.add_param(gst::Structure::builder("detection").field("confidence", 0.75).field("label_id", 2).build());
        car.add_param(class("red", 0.5));
        car.add_param(gst::Structure::builder("object_id").field("id", 7).build());
        gst::meta::CustomMeta::register("OfUnknownType", &[]);
        _ = gst::meta::CustomMeta::add(buffer, "OfUnknownType");
        gst::ReferenceTimestampMeta::add(buffer, &gst::Caps::new_any(), gst::ClockTime::ZERO, None);
    });
    let objects = list(&result, "objects");
    assert_eq!(objects.len(), 2);
    assert_eq!(objects[0].get::<String>("label").unwrap(), "face");
    for unknown in ["label-id", "confidence", "classes", "track-id"] {
        assert!(!objects[0].has_field(unknown), "{}", objects[0]);
    }
    assert_eq!(told(&objects[1]), ("car".into(), 0.75, [190.0, 90.0, 10.0, 10.0]));
    assert_eq!((objects[1].get("label-id"), objects[1].get("track-id")), (Ok(2_u32), Ok(7_u64)));
    let classes = list(&objects[1], "classes");
    assert_eq!(classes.len(), 1);
    assert_eq!((classes[0].get("label"), classes[0].get("confidence")), (Ok("red"), Ok(0.5_f32)));
}

#[test]
fn a_thousand_boxes_anywhere_do_no_harm() {
    let result = objects_of(|buffer| {
        for n in 0..1000 {
            VideoRegionOfInterestMeta::add(buffer, "dot", (n % 190, n / 190, 5, 5));
        }
        for rect in [(0, 0, 0, 0), (200, 100, 10, 10), (u32::MAX, 0, 10, 10), (5, u32::MAX, u32::MAX, u32::MAX)] {
            VideoRegionOfInterestMeta::add(buffer, "out", rect);
        }
        VideoRegionOfInterestMeta::add(buffer, "huge", (0, 0, u32::MAX, u32::MAX));
    });
    let objects = list(&result, "objects");
    assert_eq!(objects.len(), 1001);
    let huge = objects.last().unwrap();
    assert_eq!(["x", "y", "w", "h"].map(|side| huge.get::<f32>(side).unwrap()), [0.0, 0.0, 200.0, 100.0]);
}

#[test]
fn json_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.jsonl");
    let pipeline = fed(&format!("message=false location={}", path.display()), |buffer| {
        let mut car = VideoRegionOfInterestMeta::add(buffer, "car", (10, 20, 30, 40));
        car.add_param(class("red", 0.5));
        car.add_param(gst::Structure::builder("object_id").field("id", 7).build());
        VideoRegionOfInterestMeta::add(buffer, "street", (0, 0, 200, 100)).add_param(class("street", 0.25));
    });
    push(&pipeline, 0);
    end_stream(&pipeline.child("in"));
    crate::common::wait_for_eos(&pipeline.bus);
    let text = std::fs::read_to_string(path).unwrap();
    let result: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
    let object = serde_json::json!({
        "label": "car", "x": 10.0, "y": 20.0, "w": 30.0, "h": 40.0, "track_id": 7,
        "classes": [{"label": "red", "confidence": 0.5}],
    });
    assert_eq!(result["objects"], serde_json::json!([object]));
    assert_eq!(result["classes"], serde_json::json!([{"label": "street", "confidence": 0.25}]));
    assert_eq!((&result["processor_id"], &result["timing"]["batch_size"]), (&"".into(), &0.into()));
    assert_eq!(count(&stats(&pipeline.child("feed")), "results"), 1);
}
