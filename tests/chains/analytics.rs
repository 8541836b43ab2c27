//! Objects in analytics metadata, and GStreamer's own tracker between two models.

use glib::Quark;
use gst::prelude::*;
use gst_analytics::{AnalyticsClassificationMtd, AnalyticsODMtd, AnalyticsRelationMeta, RelTypes, prelude::*};

use crate::{
    common::{LONG, Started, count, decoded, stats},
    stage::{BLUE, GREEN, RED, Roi, Stage, best, classifier, figure, frame, turn},
};

/// Adds an object detection; returns its number.
fn add_object(buffer: &mut gst::Buffer, label: &str, [x, y, w, h]: [u32; 4]) -> u32 {
    let buffer = buffer.make_mut();
    if buffer.meta::<AnalyticsRelationMeta>().is_none() {
        AnalyticsRelationMeta::add(buffer);
    }
    let mut relations = buffer.meta_mut::<AnalyticsRelationMeta>().unwrap();
    let [x, y, w, h] = [x, y, w, h].map(|edge| edge as i32);
    relations.add_od_mtd(Quark::from_str(label), x, y, w, h, 0.5).unwrap().id()
}

/// The surest class of each object detection that has one classification.
fn best_related(buffer: &gst::BufferRef) -> Vec<Option<String>> {
    let relations = buffer.meta::<AnalyticsRelationMeta>().unwrap();
    let best = |object: gst_analytics::AnalyticsMtdRef<AnalyticsODMtd>| {
        let mut related = relations.iter_direct_related::<AnalyticsClassificationMtd>(object.id(), RelTypes::RELATE_TO);
        let class = related.next().map(|classes| classes.quark(0).as_str().to_string());
        assert!(related.next().is_none(), "classified once");
        class
    };
    relations.iter::<AnalyticsODMtd>().map(best).collect()
}

fn classes(names: &[Option<&str>]) -> Vec<Option<String>> {
    names.iter().map(|name| name.map(str::to_owned)).collect()
}

#[test]
fn detections_of_others_get_related_classes() {
    let _turn = turn();
    let owner = classifier("analytics", "");
    let stage = Stage::new("analytics", "object-class=a,b");
    let mut buffer = frame(0, &[], 255);
    for (label, bounds) in [("a", BLUE), ("not asked for", GREEN), ("b", RED)] {
        add_object(&mut buffer, label, bounds);
    }
    add_object(&mut buffer, "a", [0, 0, 0, 0]);
    stage.push(&buffer);
    let buffer = stage.pull_all().remove(0);
    assert_eq!(best_related(&buffer), classes(&[Some("2"), None, Some("0"), None]));
    assert!(best(&buffer).is_empty(), "no region where there was none");
    assert_eq!(figure(&owner, "results"), 2);
}

#[test]
fn an_object_in_both_forms_costs_one_inference_and_is_told_in_both() {
    let _turn = turn();
    let owner = classifier("both-forms", "");
    let stage = Stage::new("both-forms", "");
    let mut buffer = frame(0, &[Roi::new("a", BLUE), Roi::new("b", GREEN)], 255);
    add_object(&mut buffer, "b", GREEN);
    let [x, y, w, h] = BLUE;
    add_object(&mut buffer, "a", [x + 1, y, w - 1, h]);
    add_object(&mut buffer, "alone", RED);
    stage.push(&buffer);
    let buffer = stage.pull_all().remove(0);
    assert_eq!(best(&buffer), [Some(2), Some(1)]);
    assert_eq!(best_related(&buffer), classes(&[Some("1"), Some("2"), Some("0")]));
    assert_eq!(figure(&owner, "results"), 3);
}

#[test]
fn tracks_in_analytics_metadata_count() {
    let _turn = turn();
    let owner = classifier("related-tracks", "");
    let stage = Stage::new("related-tracks", "reclassify-interval=5");
    for number in 0..10 {
        let mut buffer = frame(number, &[], 255);
        let object = add_object(&mut buffer, "a", BLUE);
        let mut relations = buffer.make_mut().meta_mut::<AnalyticsRelationMeta>().unwrap();
        let track = relations.add_tracking_mtd(7, gst::ClockTime::ZERO).unwrap().id();
        relations.set_relation(RelTypes::RELATE_TO, object, track).unwrap();
        stage.push(&buffer);
    }
    for buffer in stage.pull_all() {
        assert_eq!(best_related(&buffer), classes(&[Some("2")]));
    }
    assert_eq!(figure(&owner, "results"), 2);
}

#[test]
fn what_ioutracker_follows_is_classified_now_and_then() {
    let _turn = turn();
    if gst::ElementFactory::find("ioutracker").is_none() {
        return crate::skipped(&format!("{} has no ioutracker here", gst::version_string()));
    }
    let model = |name: &str| format!("{}/models/{name}.onnx", env!("CARGO_MANIFEST_DIR"));
    let pipeline = Started::playing(&format!(
        "{} ! nvbatch processor-id=followed model={} threshold=0.5 ! ioutracker \
         ! nvbatch name=cls processor-id=followed-cls model={} region=objects reclassify-interval=10 \
         ! appsink name=out sync=false",
        decoded("gate"),
        model("shapes"),
        model("shapes-cls"),
    ));
    let out = pipeline.child("out");
    let (mut objects, mut classified) = (0, 0);
    while let Some(sample) = out.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&LONG.nseconds()]) {
        if sample.buffer().unwrap().meta::<AnalyticsRelationMeta>().is_none() {
            continue;
        }
        for class in best_related(sample.buffer().unwrap()) {
            objects += 1;
            classified += u64::from(class.is_some());
        }
    }
    assert!(out.property::<bool>("eos"));
    let cls = pipeline.child("cls");
    stats(&cls);
    let items = count(&cls.property::<gst::Structure>("stats"), "results");
    assert!(objects > 100 && classified == objects, "{classified} of {objects} objects have classes");
    assert!(items * 4 < objects, "{items} inferences for {objects} objects");
}
