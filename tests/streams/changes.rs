//! What changes while frames flow.

use std::collections::BTreeSet;

use gst::prelude::*;

use crate::common::{Started, count, decoded, end_stream, next_result, owner, push_frame, stats, wait_for};

fn size(result: &gst::StructureRef) -> (u32, u32) {
    (result.get("width").unwrap(), result.get("height").unwrap())
}

#[test]
fn every_result_has_the_size_of_its_own_frame() {
    let _owner = owner("sizes");
    let pipeline = Started::playing(&format!(
        "concat name=c ! nvfeed name=f processor-id=sizes {} ! c. {} ! c.",
        decoded("gate"),
        decoded("lift")
    ));
    let sizes: Vec<_> = std::iter::from_fn(|| next_result(&pipeline.bus)).map(|result| size(&result)).collect();
    assert_eq!(sizes.len(), 150 + 120);
    assert!(sizes[..150].iter().all(|&size| size == (640, 480)));
    assert!(sizes[150..].iter().all(|&size| size == (480, 640)));
    assert_eq!(count(&stats(&pipeline.child("f")), "results"), 270);
}

#[test]
fn the_interval_changes_with_the_next_frame() {
    let _owner = owner("interval");
    let pipeline = Started::new("appsrc name=s format=time ! nvfeed name=f processor-id=interval");
    pipeline.set_state(gst::State::Playing).unwrap();
    let (source, feed) = (pipeline.child("s"), pipeline.child("f"));
    let caps: gst::Caps = "video/x-raw,format=GRAY8,width=8,height=8,framerate=1/1".parse().unwrap();
    let mut pushed = 0u64..;
    // Every n-th, counted from the first frame of all.
    for (interval, expected) in
        [(1u32, (0..10).collect()), (5, vec![10, 15]), (3, vec![21, 24, 27]), (1, (30..40).collect())]
    {
        feed.set_property("interval", interval);
        pushed.by_ref().take(10).for_each(|second| push_frame(&source, &caps, 64, second));
        for frame in expected {
            assert_eq!(count(&next_result(&pipeline.bus).unwrap(), "frame"), frame, "interval={interval}");
        }
        // Those after the last result are passed over by the same interval.
        while count(&stats(&feed), "received") < pushed.start {
            std::thread::yield_now();
        }
    }
    end_stream(&source);
    assert!(next_result(&pipeline.bus).is_none());
    let stats = stats(&feed);
    assert_eq!((count(&stats, "received"), count(&stats, "results"), count(&stats, "skipped")), (40, 25, 15));
}

#[test]
fn a_deadline_drops_what_waited_and_can_be_lifted() {
    let _owner = owner("deadline");
    let pipeline = Started::new("appsrc name=s format=time ! nvfeed name=f processor-id=deadline deadline=1");
    pipeline.set_state(gst::State::Playing).unwrap();
    let (source, feed) = (pipeline.child("s"), pipeline.child("f"));
    let caps: gst::Caps = "video/x-raw,format=GRAY8,width=8,height=8,framerate=1/1".parse().unwrap();
    (0..10).for_each(|second| push_frame(&source, &caps, 64, second));
    // One message for each frame, in any order.
    let dropped = (0..10).map(|_| {
        let message = wait_for(&pipeline.bus, &[gst::MessageType::Qos, gst::MessageType::Error]);
        let gst::MessageView::Qos(qos) = message.view() else { panic!("{message:?}") };
        qos.get().3.unwrap().seconds()
    });
    assert_eq!(dropped.collect::<BTreeSet<_>>(), (0..10).collect());
    feed.set_property("deadline", 0u64);
    (10..20).for_each(|second| push_frame(&source, &caps, 64, second));
    end_stream(&source);
    assert_eq!(std::iter::from_fn(|| next_result(&pipeline.bus)).count(), 10);
    let stats = stats(&feed);
    assert_eq!((count(&stats, "dropped-expired"), count(&stats, "results")), (10, 10), "{stats}");
}
