//! Which objects are inferred, what the model sees of them, and where its answer goes.

use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;

use crate::{
    common::{Started, count, model, next_result},
    stage::{BLUE, GREEN, RED, Roi, Stage, best, caps, classes, classifier, figure, frame, turn},
};

#[test]
fn anybodys_region_gets_the_classes_of_what_is_inside() {
    let _turn = turn();
    let owner = classifier("foreign", "");
    let stage = Stage::new("foreign", "");
    for number in 0..20 {
        stage.push(&frame(number, &[Roi::new("a", BLUE), Roi::new("b", RED), Roi::new("c", GREEN)], 255));
    }
    let buffers = stage.pull_all();
    assert_eq!(buffers.len(), 20);
    for buffer in &buffers {
        assert_eq!(best(buffer), [Some(2), Some(0), Some(1)]);
    }
    let roi = buffers[0].iter_meta::<VideoRegionOfInterestMeta>().next().unwrap();
    let class = roi.param("classification").unwrap();
    assert_eq!((class.get::<&str>("label"), class.get::<&str>("processor_id")), (Ok("2"), Ok("foreign")));
    assert_eq!(class.get::<f64>("confidence"), Ok(1.0));
    assert_eq!((roi.roi_type(), roi.rect()), ("a", BLUE.into()), "the region is as it was");
    let stats = stage.stats();
    assert_eq!((count(&stats, "received"), count(&stats, "results"), count(&stats, "submitted")), (20, 20, 20));
    assert_eq!(figure(&owner, "results"), 60, "a processor counts items");
}

#[test]
fn a_frame_without_objects_passes_in_its_place() {
    let _turn = turn();
    let owner = classifier("some-empty", "");
    let stage = Stage::new("some-empty", "");
    for number in 0..40 {
        let rois = [Roi::new("a", GREEN)];
        stage.push(&frame(number, if number % 4 == 0 { &rois } else { &[] }, 255));
    }
    let buffers = stage.pull_all();
    assert_eq!(buffers.len(), 40);
    for (number, buffer) in buffers.iter().enumerate() {
        assert_eq!(best(buffer), if number % 4 == 0 { vec![Some(1)] } else { vec![] });
    }
    assert_eq!(count(&stage.stats(), "results"), 40);
    assert_eq!(figure(&owner, "results"), 10);
}

#[test]
fn a_frame_without_objects_needs_no_processor() {
    let _turn = turn();
    let stage = Stage::new("nobody-yet", "attach-timeout=60000000000");
    (0..5).for_each(|number| stage.push(&frame(number, &[], 255)));
    (0..5).for_each(|_| assert!(stage.pull().is_some()));
    stage.push(&frame(5, &[Roi::new("a", BLUE)], 255));
    stage.push(&frame(6, &[], 255));
    let _owner = classifier("nobody-yet", "");
    let rest = stage.pull_all();
    assert_eq!(rest.iter().map(|buffer| best(buffer)).collect::<Vec<_>>(), [vec![Some(2)], vec![]]);
}

#[test]
fn objects_of_other_classes_are_left_alone() {
    let _turn = turn();
    let owner = classifier("some-classes", "");
    let stage = Stage::new("some-classes", "object-class=\"car, truck\"");
    let rois = [Roi::new("car", RED), Roi::new("cart", RED), Roi::new("truck", BLUE), Roi::new("person", GREEN)];
    stage.push(&frame(0, &rois, 255));
    assert_eq!(best(&stage.pull_all()[0]), [Some(0), None, Some(2), None]);
    assert_eq!(figure(&owner, "results"), 2);
}

#[test]
fn a_margin_shows_what_is_around() {
    let _turn = turn();
    let _owner = classifier("margin", "");
    let seen = |margin: &str| {
        let stage = Stage::new("margin", &format!("region-margin={margin}"));
        // Of 45 pixels to the right of the frame's edge 30 are red and 15 green.
        stage.push(&frame(0, &[Roi::new("a", [5, 20, 10, 10])], 255));
        let buffer = stage.pull_all().remove(0);
        classes(&buffer).remove(0)
    };
    assert_eq!(seen("0")[0], (0, 1.0));
    let [(0, red), (1, green), _] = seen("3")[..] else { panic!("red before green") };
    assert!((red - 2.0 / 3.0).abs() < 0.02 && (green - 1.0 / 3.0).abs() < 0.02, "{red} {green}");
}

#[test]
fn what_a_detector_finds_in_an_object_is_in_pixels_of_the_frame() {
    let _turn = turn();
    let line = format!("nvbatch processor-id=boxes model={}", model("echo-yolo"));
    let _owner = Started::playing(&line);
    let stage = Stage::new("boxes", "threshold=0.5");
    stage.push(&frame(0, &[Roi::new("a", [60, 0, 30, 30]), Roi::new("b", [0, 30, 16, 16])], 255));
    let buffer = stage.pull_all().remove(0);
    let rois: Vec<_> = buffer.iter_meta::<VideoRegionOfInterestMeta>().map(|roi| roi.rect()).collect();
    assert_eq!(rois[..2], [(60, 0, 30, 30), (0, 30, 16, 16)]);
    let inside = |(x, y, w, h): (u32, u32, u32, u32)| {
        let in_blue = x >= 60 && x + w <= 90 && y + h <= 30;
        let in_red = x + w <= 16 && y >= 30 && y + h <= 46;
        in_blue || in_red
    };
    assert_eq!(rois.len(), 2 + 64 + 64, "64 boxes in each");
    assert!(rois.iter().all(|&rect| inside(rect)), "{rois:?}");
    assert_eq!(count(&stage.stats(), "objects"), 128);
}

#[test]
fn whole_frames_and_objects_can_take_turns() {
    let _turn = turn();
    let _owner = classifier("both", "");
    let stage = Stage::new("both", "");
    for (number, kind) in ["objects", "frame", "objects", "frame"].into_iter().enumerate() {
        stage.element.set_property_from_str("region", kind);
        stage.push(&frame(number as u64, &[Roi::new("a", BLUE)], 255));
        let buffer = stage.pull().unwrap();
        let regions = classes(&buffer);
        assert_eq!(regions[0].first(), (kind == "objects").then_some(&(2, 1.0)));
        assert_eq!(regions.len(), if kind == "frame" { 2 } else { 1 }, "{kind}");
    }
}

#[test]
fn a_collecting_feed_tells_the_classes_of_each_object() {
    let _turn = turn();
    let _owner = classifier("told", "");
    let line = "appsrc name=in format=time ! nvbatch processor-id=told region=objects ! nvfeed processor-id=\"\"";
    let pipeline = Started::new(line);
    let source = pipeline.child("in");
    source.set_property("caps", caps());
    pipeline.set_state(gst::State::Playing).unwrap();
    let buffer = frame(0, &[Roi::new("a", BLUE), Roi::new("b", RED)], 255);
    assert_eq!(source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]), gst::FlowReturn::Ok);
    let result = next_result(&pipeline.bus).unwrap();
    let objects = result.get::<gst::Array>("objects").unwrap();
    let told: Vec<_> = objects
        .iter()
        .map(|object| {
            let object = object.get::<gst::Structure>().unwrap();
            let classes = object.get::<gst::Array>("classes").unwrap();
            let best = classes.first().unwrap().get::<gst::Structure>().unwrap();
            (object.get::<String>("label").unwrap(), best.get::<String>("label").unwrap())
        })
        .collect();
    assert_eq!(told, [("a", "2"), ("b", "0")].map(|(object, class)| (object.to_owned(), class.to_owned())));
}
