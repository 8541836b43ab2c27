//! `reclassify-interval`, counted by the items that the processor had.

use crate::{
    common::Started,
    stage::{BLUE, GREEN, RED, Roi, Stage, best, classifier, figure, frame, turn},
};
use gst::prelude::*;

fn items(owner: &Started) -> u64 {
    figure(owner, "results")
}

#[test]
fn a_followed_object_keeps_its_classes_between() {
    let _turn = turn();
    let owner = classifier("kept", "");
    let stage = Stage::new("kept", "reclassify-interval=4");
    for number in 0..10 {
        let rois = [Roi::tracked(7, BLUE), Roi::new("thing", RED), Roi::tracked(8, GREEN)];
        stage.push(&frame(number, &rois, 255));
    }
    for buffer in stage.pull_all() {
        assert_eq!(best(&buffer), [Some(2), Some(0), Some(1)]);
    }
    assert_eq!(items(&owner), 2 * 3 + 10, "each track in frames 0, 4 and 8; what has no track in each");
}

#[test]
fn what_changed_is_seen_with_the_next_time() {
    let _turn = turn();
    let owner = classifier("changed", "");
    let stage = Stage::new("changed", "reclassify-interval=3");
    let mut seen = Vec::new();
    for number in 0..7 {
        stage.push(&frame(number, &[Roi::tracked(1, if number < 2 { RED } else { BLUE })], 255));
    }
    stage.pull_all().iter().for_each(|buffer| seen.extend(best(buffer)));
    assert_eq!(seen, [0, 0, 0, 2, 2, 2, 2].map(Some));
    assert_eq!(items(&owner), 3);
}

#[test]
fn objects_that_share_a_track_are_each_inferred() {
    let _turn = turn();
    let owner = classifier("shared", "");
    let stage = Stage::new("shared", "reclassify-interval=2");
    stage.push(&frame(0, &[Roi::tracked(0, RED), Roi::tracked(0, BLUE)], 255));
    assert_eq!(best(&stage.pull_all()[0]), [Some(0), Some(2)]);
    assert_eq!(items(&owner), 2);
}

#[test]
fn a_flush_forgets_the_tracks() {
    let _turn = turn();
    let owner = classifier("forgotten", "");
    let stage = Stage::new("forgotten", "reclassify-interval=100");
    stage.push(&frame(0, &[Roi::tracked(1, RED)], 255));
    assert_eq!(best(&stage.pull().unwrap()), [Some(0)]);
    stage.source.send_event(gst::event::FlushStart::new());
    stage.source.send_event(gst::event::FlushStop::new(true));
    stage.push(&frame(1, &[Roi::tracked(1, GREEN)], 255));
    assert_eq!(best(&stage.pull().unwrap()), [Some(1)]);
    assert_eq!(items(&owner), 2);
}
