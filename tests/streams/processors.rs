//! Feeds and the processors that they come to, wait for, and see replaced.

use gst::prelude::*;

use crate::common::{Started, count, decoded, next_result, owner, stats};

fn results(pipeline: &Started) -> usize {
    std::iter::from_fn(|| next_result(&pipeline.bus)).count()
}

#[test]
fn two_feeds_of_one_pipeline_each_see_every_frame() {
    let _owner = owner("tee");
    let pipeline = Started::playing(&format!(
        "{} ! tee name=t ! queue ! nvfeed name=a processor-id=tee  t. ! queue ! nvfeed name=b processor-id=tee interval=2",
        decoded("lift")
    ));
    assert_eq!(results(&pipeline), 120 + 60);
    let (a, b) = (stats(&pipeline.child("a")), stats(&pipeline.child("b")));
    assert_ne!(count(&a, "feed-id"), count(&b, "feed-id"));
    assert_eq!((count(&a, "results"), count(&b, "results"), count(&b, "skipped")), (120, 60, 60));
}

#[test]
fn a_processor_may_come_after_its_feeds() {
    let feeds =
        ["gate", "lift"].map(|clip| Started::playing(&format!("{} ! nvfeed name=f processor-id=late", decoded(clip))));
    let linked = Started::playing(&format!("{} ! nvbatch name=f processor-id=late ! fakesink", decoded("lift")));
    let _owner = owner("late");
    assert_eq!(feeds.each_ref().map(results), [150, 120]);
    assert_eq!(results(&linked), 0);
    assert_eq!(count(&stats(&linked.child("f")), "results"), 120);
}

#[test]
fn a_model_is_swapped_under_running_feeds() {
    let feeds = [(); 2].map(|()| {
        Started::playing(
            "videotestsrc name=s is-live=true ! video/x-raw,width=64,height=64,framerate=200/1 ! \
             nvfeed name=f processor-id=swap leaky=no",
        )
    });
    for _ in 0..5 {
        let _owner = owner("swap");
        for feed in &feeds {
            assert!((0..20).all(|_| next_result(&feed.bus).is_some()));
        }
    }
    let _owner = owner("swap");
    for feed in &feeds {
        assert!(feed.child("s").send_event(gst::event::Eos::new()));
        let rest = results(feed) as u64;
        let stats = stats(&feed.child("f"));
        assert_eq!((count(&stats, "received"), count(&stats, "errors")), (count(&stats, "results"), 0), "{stats}");
        assert_eq!(count(&stats, "results"), 100 + rest);
    }
}
