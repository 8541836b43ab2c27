//! What happens to processors.

use gstnextvision::runtime::Severity::{Error, Info, Warning};

use crate::{
    common::{Started, model, next_result, owner, stats},
    watch::{Watch, number, text},
};

#[test]
fn a_processor_comes_is_lost_and_goes() {
    let watch = Watch::processor("comes");
    let owner = owner("comes");
    let ready = watch.wait_for("processor-ready", Info);
    assert_eq!((number(&ready, "instances"), number(&ready, "max-batch-size")), (2, 4));
    assert!(number(&ready, "startup-time") > 0);
    let feed = Started::playing("videotestsrc ! nvfeed name=f processor-id=comes message=false");
    watch.wait_for("feed-attached", Info);
    drop(owner);
    let lost = watch.wait_for("processor-lost", Warning);
    assert!(lost.feed.is_some());
    watch.wait_for("processor-removed", Info);
    stats(&feed.child("f"));
}

#[test]
fn batches_that_fail_are_told_with_how_many_in_a_row() {
    const FRAMES: u64 = 20;
    let watch = Watch::processor("fails");
    let _owner = Started::playing(&format!(
        "nvbatch processor-id=fails model={} decoder=tensors instances=1 max-batch-size=1",
        model("bad-run")
    ));
    let pipeline = Started::playing(&format!(
        "videotestsrc pattern=white num-buffers={FRAMES} ! nvfeed name=f processor-id=fails message=false"
    ));
    let first = watch.wait_for("batch-error", Error);
    assert_eq!((number(&first, "batch-size"), number(&first, "consecutive-errors")), (1, 1));
    assert!(!text(&first, "detail").is_empty());
    while next_result(&pipeline.bus).is_some() {}
    // A good batch after them: what was kept is told.
    let good = Started::playing("videotestsrc pattern=black num-buffers=1 ! nvfeed name=f processor-id=fails");
    assert!(next_result(&good.bus).is_some());
    let (mut failed, mut in_a_row) = (number(&first, "count"), 0);
    while failed < FRAMES {
        let more = watch.wait_for("batch-error", Error);
        (failed, in_a_row) = (failed + number(&more, "count"), number(&more, "consecutive-errors"));
    }
    assert_eq!((failed, in_a_row), (FRAMES, FRAMES));
    stats(&pipeline.child("f"));
}

#[test]
fn a_run_past_its_time_is_told_while_it_lasts() {
    let watch = Watch::processor("slow");
    let _owner = Started::playing(&format!(
        "nvbatch processor-id=slow model={}/models/shapes.onnx instances=1 max-batch-size=1 response-timeout=1",
        env!("CARGO_MANIFEST_DIR")
    ));
    // Endless: some run is under way when somebody looks.
    let feed = Started::playing("videotestsrc ! nvfeed name=f processor-id=slow message=false");
    assert!(number(&watch.wait_for("batch-timeout", Error), "frames") > 0);
    stats(&feed.child("f"));
}
