//! What an `nvbatch` wrote.

use gst::prelude::*;

use super::{DETECTOR, Told, list, results, told};
use crate::common::{Started, count, decoded, next_result, stats};

fn objects(results: &[gst::Structure]) -> Vec<Vec<Told>> {
    results.iter().map(|result| list(result, "objects").iter().map(|object| told(object)).collect()).collect()
}

#[test]
fn a_collecting_feed_tells_the_same_as_the_model() {
    for clip in ["gate", "dock"] {
        let asked = Started::playing(&format!(
            "nvbatch processor-id=asked-{clip} model={DETECTOR} {} ! nvfeed processor-id=asked-{clip}",
            decoded(clip)
        ));
        let collected = Started::playing(&format!(
            "{} ! nvbatch processor-id=linked-{clip} model={DETECTOR} ! nvfeed name=feed processor-id=\"\"",
            decoded(clip)
        ));
        let (asked, told_again) = (results(&asked), results(&collected));
        let numbers: Vec<u64> = told_again.iter().map(|result| result.get("frame").unwrap()).collect();
        assert!(numbers.iter().copied().eq(0..told_again.len() as u64), "{numbers:?}");
        let (expected, found) = (objects(&asked), objects(&told_again));
        assert_eq!(found.len(), expected.len());
        assert!(expected.iter().map(Vec::len).sum::<usize>() > 100);
        for (frame, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found.len(), expected.len(), "frame {frame} of {clip}");
            for ((label, confidence, place), (expected_label, expected_confidence, expected_place)) in
                found.iter().zip(expected)
            {
                assert_eq!((label, confidence), (expected_label, expected_confidence), "frame {frame} of {clip}");
                let near = place.iter().zip(expected_place).all(|(a, b)| (a - b).abs() < 0.01);
                assert!(near, "frame {frame} of {clip}: {place:?} instead of {expected_place:?}");
            }
        }
        for (again, first) in told_again.iter().zip(&asked) {
            assert_eq!(again.get::<String>("processor-id").unwrap(), "");
            for name in ["pts", "running-time"] {
                assert_eq!(again.get::<u64>(name).unwrap(), first.get::<u64>(name).unwrap());
            }
            for object in list(again, "objects") {
                assert!(object.get::<u32>("label-id").is_ok() && !object.has_field("track-id"));
            }
        }
        let stats = stats(&collected.child("feed"));
        assert_eq!(count(&stats, "results"), expected.len() as u64);
        assert_eq!(count(&stats, "objects"), expected.iter().map(Vec::len).sum::<usize>() as u64);
        assert!(!stats.get::<bool>("attached").unwrap());
        let latency = stats.get::<gst::Structure>("latency").unwrap();
        let recorded = |part: &str| count(&latency.get::<gst::Structure>(part).unwrap(), "count");
        assert_eq!((recorded("total"), recorded("inference")), (expected.len() as u64, 0));
    }
}

#[test]
fn a_feed_with_a_processor_behind_an_nvbatch_tells_its_own() {
    let pipeline = Started::playing(&format!(
        "nvbatch processor-id=second model={} decoder=tensors \
         {} ! nvbatch processor-id=first model={DETECTOR} ! nvfeed processor-id=second",
        crate::common::model("mean"),
        decoded("gate")
    ));
    let result = next_result(&pipeline.bus).unwrap();
    assert_eq!(result.get::<String>("processor-id").unwrap(), "second");
    assert!(result.has_field("tensors") && !result.has_field("objects"), "{result}");
}

#[test]
fn what_leaves_nvbatch_is_the_memory_that_came_in() {
    let pipeline = Started::new(&format!(
        "videotestsrc num-buffers=5 ! video/x-raw,format=I420,width=320,height=240 \
         ! nvbatch name=batch processor-id=memory model={DETECTOR} threshold=0.01 ! nvfeed name=feed processor-id=\"\""
    ));
    let batch = pipeline.child("batch");
    let memories = |pad: &str| {
        let (sender, receiver) = std::sync::mpsc::channel();
        batch.static_pad(pad).unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
                let memories: Vec<_> = buffer.iter_memories().map(|memory| memory.as_ptr() as usize).collect();
                _ = sender.send((buffer.pts(), memories));
            }
            gst::PadProbeReturn::Ok
        });
        receiver
    };
    let (came, left) = (memories("sink"), memories("src"));
    pipeline.set_state(gst::State::Playing).unwrap();
    assert_eq!(results(&pipeline).len(), 5);
    let (came, left): (Vec<_>, Vec<_>) = (came.try_iter().collect(), left.try_iter().collect());
    assert_eq!(came.len(), 5);
    assert_eq!(came, left);
}

#[test]
fn classes_of_the_frame_are_collected() {
    // It says so of every frame, whatever is on it.
    let pipeline = Started::playing(&format!(
        "videotestsrc num-buffers=3 ! nvbatch processor-id=classes model={} decoder=classifier threshold=0 \
         ! nvfeed processor-id=\"\"",
        crate::common::model("mean")
    ));
    for result in results(&pipeline) {
        assert!(list(&result, "objects").is_empty());
        let classes = list(&result, "classes");
        assert_eq!(classes.len(), 3, "{result}");
        assert!(classes[0].get::<f32>("confidence").unwrap() >= classes[1].get::<f32>("confidence").unwrap());
    }
}
