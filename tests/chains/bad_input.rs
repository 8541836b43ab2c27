//! Objects that no model can do anything with, and too many of them.

use gst::prelude::*;

use crate::{
    common::{Started, count, model, wait_for_error},
    stage::{BLUE, GREEN, RED, Roi, Stage, best, caps, classifier, figure, frame, turn},
};

#[test]
fn boxes_that_have_nothing_in_the_frame_cost_nothing() {
    let _turn = turn();
    let owner = classifier("bad-boxes", "");
    let stage = Stage::new("bad-boxes", "region-margin=0.5");
    let bad = [
        [90, 0, 10, 10],
        [0, 60, 10, 10],
        [10, 10, 0, 10],
        [10, 10, 10, 0],
        [u32::MAX, u32::MAX, u32::MAX, u32::MAX],
        // What -10 becomes.
        [u32::MAX - 9, 0, 5, 5],
    ];
    let mut rois: Vec<_> = bad.into_iter().map(|bounds| Roi::new("bad", bounds)).collect();
    rois.push(Roi::new("large", [62, 0, u32::MAX, u32::MAX]));
    rois.push(Roi::new("small", [89, 59, 1, 1]));
    rois.push(Roi::new("good", RED));
    (0..3).for_each(|number| stage.push(&frame(number, &rois, 255)));
    stage.push(&frame(3, &rois[..bad.len()], 255));
    let buffers = stage.pull_all();
    for buffer in &buffers[..3] {
        let best = best(buffer);
        assert!(best[..bad.len()].iter().all(Option::is_none), "{best:?}");
        assert_eq!(best[bad.len() + 1..], [Some(2), Some(0)]);
    }
    assert_eq!(buffers.len(), 4);
    assert_eq!(figure(&owner, "results"), 9);
}

#[test]
fn thousands_of_objects_on_a_frame_go_over_many_batches() {
    let _turn = turn();
    let owner = classifier("thousands", "instances=2 max-batch-size=4");
    let stage = Stage::new("thousands", "max-in-flight=1");
    let rois: Vec<_> = [RED, GREEN, BLUE].into_iter().cycle().take(1500).map(|bounds| Roi::new("a", bounds)).collect();
    (0..2).for_each(|number| stage.push(&frame(number, &rois, 255)));
    let buffers = stage.pull_all();
    assert_eq!(buffers.len(), 2);
    for buffer in &buffers {
        let best = best(buffer);
        assert_eq!(best.len(), 1500);
        assert!(best[..1000].iter().zip((0..3).cycle()).all(|(&seen, there)| seen == Some(there)));
        assert!(best[1000..].iter().all(Option::is_none), "equally sure ones: the first thousand");
    }
    assert_eq!(figure(&owner, "results"), 2000);
    assert_eq!(count(&stage.stats(), "results"), 2);
}

#[test]
fn a_frame_fails_once_whichever_of_its_items_do() {
    let _turn = turn();
    let line = format!("nvbatch processor-id=failing model={} decoder=classifier max-batch-size=2", model("bad-run"));
    let _owner = Started::playing(&line);
    let stage = Stage::new("failing", "");
    let rois: Vec<_> = (0..9).map(|_| Roi::new("a", RED)).collect();
    for number in 0..6 {
        // A bright pixel makes the run fail.
        stage.push(&frame(number, &rois, if number % 2 == 0 { 0 } else { 255 }));
        assert_eq!(best(&stage.pull().unwrap()).iter().all(Option::is_some), number % 2 == 0);
    }
    let stats = stage.stats();
    assert_eq!((count(&stats, "results"), count(&stats, "errors")), (3, 3));
}

#[test]
fn tensors_of_single_objects_are_refused() {
    let _turn = turn();
    let line = format!("nvbatch processor-id=raw model={} decoder=tensors", model("mean"));
    let _owner = Started::playing(&line);
    let stage = Stage::new("raw", "");
    stage.push(&frame(0, &[Roi::new("a", RED)], 255));
    let (code, message) = wait_for_error(&stage.pipeline.bus);
    assert_eq!(code, "invalid-config");
    assert!(message.contains("decoder=tensors") && message.contains("region=frame"), "{message}");
}

/// The first model may have taken the frames by another way; the second says what it cannot read, and what to do.
#[test]
fn frames_of_single_fields_are_refused_by_the_second_model() {
    let _turn = turn();
    let _owner = classifier("fields", "");
    let stage = Stage::new("fields", "");
    let mut fields = caps();
    fields.make_mut().set("interlace-mode", "fields");
    stage.source.set_property("caps", fields);
    // No object, no model: nothing to refuse yet.
    stage.push(&frame(0, &[], 255));
    assert!(stage.pull().is_some());
    stage.push(&frame(1, &[Roi::new("a", RED)], 255));
    let (code, message) = wait_for_error(&stage.pipeline.bus);
    assert_eq!(code, "invalid-config");
    assert!(message.contains("single fields") && message.contains("deinterlace"), "{message}");
    let stats = stage.stats();
    assert_eq!((count(&stats, "received"), count(&stats, "results"), count(&stats, "errors")), (2, 1, 1), "{stats}");
}
