//! Ends with items half done, and feeds that share batches.

use gst::prelude::*;
use gstnextvision::runtime::Runtime;

use crate::{
    common::{Started, count, model, stats},
    stage::{BLUE, GREEN, RED, Roi, Stage, best, classifier, figure, frame, turn},
};

fn many(objects: usize) -> Vec<Roi> {
    [RED, GREEN, BLUE].into_iter().cycle().take(objects).map(|bounds| Roi::new("a", bounds)).collect()
}

#[test]
fn objects_of_several_feeds_share_a_batch() {
    let _turn = turn();
    let owner = Started::playing(&format!(
        "nvbatch processor-id=several model={} decoder=classifier instances=1 max-batch-size=8 \
         response-timeout=600000000000",
        model("slow")
    ));
    let [busy, one, other] = [(); 3].map(|()| Stage::new("several", ""));
    let figure = |name| figure(&owner, name);
    // A bright object keeps the only instance busy while those of the others gather.
    busy.push(&frame(0, &[Roi::new("a", RED)], 255));
    while figure("pending") > 0 || count(&stats(&busy.element), "in-flight") == 0 {
        std::thread::yield_now();
    }
    one.push(&frame(0, &many(3), 1));
    other.push(&frame(0, &many(4), 1));
    for (stage, objects) in [(&busy, 1), (&one, 3), (&other, 4)] {
        let best = best(&stage.pull().unwrap());
        assert_eq!(best.len(), objects);
        assert!(best.iter().all(Option::is_some));
    }
    assert_eq!((figure("results"), figure("batches")), (8, 2));
}

#[test]
fn the_end_of_the_stream_comes_after_the_last_item() {
    let _turn = turn();
    let _owner = classifier("at-end", "instances=1 max-batch-size=4");
    let stage = Stage::new("at-end", "");
    (0..5).for_each(|number| stage.push(&frame(number, &many(30), 255)));
    let buffers = stage.pull_all();
    assert_eq!(buffers.len(), 5);
    assert!(buffers.iter().flat_map(|buffer| best(buffer)).all(|class| class.is_some()));
}

#[test]
fn a_flush_drops_frames_with_items_half_done() {
    let _turn = turn();
    let _owner = classifier("flushed", "instances=1 max-batch-size=2");
    let stage = Stage::new("flushed", "");
    for round in 0..20 {
        (0..3).for_each(|number| stage.push(&frame(number, &many(100), 255)));
        if round % 2 == 0 {
            assert!(stage.pull().is_some());
        }
        stage.source.send_event(gst::event::FlushStart::new());
        stage.source.send_event(gst::event::FlushStop::new(true));
    }
    stage.push(&frame(0, &many(3), 255));
    let last = stage.pull_all().pop().unwrap();
    assert_eq!(best(&last), [Some(0), Some(1), Some(2)]);
    let stats = stage.stats();
    assert_eq!(count(&stats, "errors") + count(&stats, "in-flight") + count(&stats, "queued"), 0, "{stats}");
}

#[test]
fn a_pipeline_stops_with_items_half_done() {
    let _turn = turn();
    let owner = classifier("stopped", "instances=2 max-batch-size=2");
    for _ in 0..20 {
        let stage = Stage::new("stopped", "");
        (0..3).for_each(|number| stage.push(&frame(number, &many(200), 255)));
        // The first items are in work.
        while count(&stats(&stage.element), "submitted") == 0 {
            std::thread::yield_now();
        }
    }
    // The processor is none the worse for it.
    let stage = Stage::new("stopped", "");
    stage.push(&frame(0, &many(3), 255));
    assert_eq!(best(&stage.pull_all()[0]), [Some(0), Some(1), Some(2)]);
    drop(owner);
}

#[test]
fn items_left_by_one_owner_are_taken_by_the_next() {
    let _turn = turn();
    let stage = Stage::new("moving", "attach-timeout=60000000000");
    for _ in 0..5 {
        let owner = classifier("moving", "instances=1 max-batch-size=2");
        (0..3).for_each(|number| stage.push(&frame(number, &many(300), 255)));
        while count(&stats(&stage.element), "in-flight") == 0 {
            std::thread::yield_now();
        }
        drop(owner);
        let _next = classifier("moving", "instances=1 max-batch-size=8");
        for _ in 0..3 {
            let best = best(&stage.pull().unwrap());
            assert!(best.iter().zip((0..3).cycle()).all(|(&seen, there)| seen == Some(there)), "{best:?}");
        }
    }
    assert_eq!(count(&stage.stats(), "results"), 15);
}

#[test]
fn the_runtime_shuts_down_with_items_half_done() {
    let _turn = turn();
    for _ in 0..5 {
        let _owner = classifier("shut-down", "instances=1 max-batch-size=2");
        let stages = [(); 2].map(|()| Stage::new("shut-down", ""));
        for stage in &stages {
            // A frame may be through already, and is not pulled while the runtime ends.
            stage.sink.set_property("wait-on-eos", false);
            (0..3).for_each(|number| stage.push(&frame(number, &many(500), 255)));
        }
        while count(&stats(&stages[0].element), "submitted") == 0 {
            std::thread::yield_now();
        }
        assert!(Runtime::get().shutdown(), "no thread is left");
        for stage in &stages {
            while stage.pull().is_some() {}
            let stats = stage.stats();
            assert_eq!(count(&stats, "in-flight") + count(&stats, "queued"), 0, "{stats}");
        }
    }
}
