//! Frames through a model. The models are those of `tests/reference/make_models.py`: `echo-yolo` finds a box of 8x8
//! pixels for every cell of the frame that is red, green or blue.

use std::sync::{Arc, mpsc};

use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;
use gstnextvision::runtime::Runtime;
use parking_lot::Mutex;

use super::{TestPipeline, init};

const RED: &str = "videotestsrc pattern=red num-buffers=20 ! video/x-raw,format=RGB,width=64,height=64";

fn model(name: &str) -> String {
    format!("{}/tests/models/{name}.onnx", env!("CARGO_MANIFEST_DIR"))
}

/// What leaves `nvbatch` named `b`.
fn collect(pipeline: &TestPipeline) -> Arc<Mutex<Vec<gst::Buffer>>> {
    let buffers = Arc::new(Mutex::new(Vec::new()));
    let kept = buffers.clone();
    let pad = pipeline.element("b").static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        kept.lock().extend(info.buffer().cloned());
        gst::PadProbeReturn::Ok
    });
    buffers
}

fn regions(buffer: &gst::BufferRef) -> usize {
    buffer.iter_meta::<VideoRegionOfInterestMeta>().count()
}

#[test]
fn every_frame_comes_out_in_order_as_it_was_with_its_objects() {
    let _turn = init();
    let model = model("echo-yolo");
    let pipeline = TestPipeline::new(&format!("{RED} ! nvbatch name=b model={model} threshold=0.5 ! fakesink"));
    let buffers = collect(&pipeline);
    assert_eq!(pipeline.run(), Ok(()));
    let buffers = buffers.lock();
    assert_eq!(buffers.len(), 20);
    assert!(buffers.is_sorted_by_key(|buffer| buffer.pts()));
    for buffer in buffers.iter() {
        assert!(!buffer.flags().contains(gst::BufferFlags::DISCONT) || buffer.pts() == Some(gst::ClockTime::ZERO));
        assert_eq!(regions(buffer), 64);
        let pixels = buffer.map_readable().unwrap();
        assert!(pixels.chunks(3).all(|pixel| pixel == [255, 0, 0]));
    }
    let roi = buffers[0].iter_meta::<VideoRegionOfInterestMeta>().next().unwrap();
    let detection = roi.param("detection").unwrap();
    assert_eq!(detection.get::<String>("label").unwrap(), roi.roi_type());
    assert_eq!(detection.get::<i32>("label_id").unwrap(), 0);
    assert_eq!(detection.get::<String>("processor_id").unwrap(), "default");
    assert!((roi.rect().2, roi.rect().3) == (8, 8));
}

#[test]
fn only_every_nth_frame_has_objects_with_an_interval() {
    let _turn = init();
    let model = model("echo-yolo");
    let pipeline = TestPipeline::new(&format!("{RED} ! nvbatch name=b model={model} interval=5 ! fakesink"));
    let buffers = collect(&pipeline);
    assert_eq!(pipeline.run(), Ok(()));
    let found: Vec<_> = buffers.lock().iter().map(|buffer| regions(buffer) > 0).collect();
    assert_eq!(found, (0..20).map(|number| number % 5 == 0).collect::<Vec<_>>());
}

#[test]
fn a_second_owner_is_refused_in_any_pipeline_until_the_first_is_gone() {
    let _turn = init();
    let description = format!("nvbatch processor-id=one model={}  fakesrc num-buffers=1 ! fakesink", model("mean"));
    let first = TestPipeline::new(&description);
    first.0.set_state(gst::State::Ready).unwrap();
    let second = TestPipeline::new(&description);
    assert_eq!(second.run(), Err("duplicate-processor-id".into()));
    assert!(Runtime::get().processor("one").is_some());
    first.0.set_state(gst::State::Null).unwrap();
    assert_eq!(second.run(), Ok(()));
}

#[test]
fn models_that_are_none_are_refused_with_a_way_out() {
    let _turn = init();
    let here = env!("CARGO_MANIFEST_DIR");
    let manifest = format!("{here}/Cargo.toml");
    for (path, code) in [
        (model("nothing"), "model-not-found"),
        (here.into(), "model-invalid"),
        (manifest, "model-invalid"),
        (model("no-image"), "model-invalid"),
        (model("two-inputs"), "model-invalid"),
        (model("bad-start"), "model-invalid"),
    ] {
        let pipeline = TestPipeline::new(&format!("nvbatch model={path}  fakesrc ! fakesink"));
        assert_eq!(pipeline.run(), Err(code.into()), "{path}");
    }
    assert!(Runtime::get().processors().is_empty());
}

#[test]
fn a_feed_waits_for_its_processor_and_outlives_it() {
    let _turn = init();
    let chain = "videotestsrc pattern=red ! video/x-raw,format=RGB,width=64,height=64";
    let feed = TestPipeline::new(&format!(
        "{chain} ! nvbatch name=b processor-id=late leaky=no attach-timeout=600000000000 ! fakesink async=false"
    ));
    let (tell, told) = mpsc::sync_channel(0);
    let pad = feed.element("b").static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        _ = tell.send(info.buffer().map_or(0, |buffer| regions(buffer)));
        gst::PadProbeReturn::Ok
    });
    feed.0.set_state(gst::State::Playing).unwrap();
    // The model under a running feed is swapped: one that finds boxes, then one that has none to find, then the first.
    for (name, found) in [("echo-yolo", true), ("mean", false), ("echo-yolo", true)] {
        let owner = TestPipeline::new(&format!(
            "nvbatch processor-id=late model={} decoder={}  fakesrc ! fakesink",
            model(name),
            if found { "yolo" } else { "tensors" }
        ));
        owner.0.set_state(gst::State::Ready).unwrap();
        assert!(told.iter().any(|regions| (regions > 0) == found), "{name}");
    }
    drop(told);
}

#[test]
fn a_frame_that_the_model_fails_on_passes_with_a_warning() {
    let _turn = init();
    let pipeline = TestPipeline::new(&format!(
        "videotestsrc pattern=white num-buffers=5 ! video/x-raw,format=RGB,width=64,height=64 ! \
         nvbatch name=b model={} decoder=tensors ! fakesink",
        model("bad-run")
    ));
    let buffers = collect(&pipeline);
    pipeline.0.set_state(gst::State::Playing).unwrap();
    let warning = pipeline.message(&[gst::MessageType::Warning, gst::MessageType::Error, gst::MessageType::Eos]);
    let gst::MessageView::Warning(warning) = warning.view() else { panic!("{warning:?}") };
    assert_eq!(warning.details().unwrap().get::<String>("code").unwrap(), "model-invalid");
    let end = pipeline.message(&[gst::MessageType::Error, gst::MessageType::Eos]);
    assert_eq!(end.type_(), gst::MessageType::Eos);
    assert_eq!(buffers.lock().len(), 5);
}

#[test]
fn a_buffer_smaller_than_its_caps_is_an_error_of_the_stream() {
    let _turn = init();
    let pipeline =
        TestPipeline::new(&format!("appsrc name=s format=time ! nvbatch model={} ! fakesink", model("echo-yolo")));
    let source = pipeline.element("s");
    let caps: gst::Caps = "video/x-raw,format=RGB,width=64,height=64,framerate=30/1".parse().unwrap();
    source.set_property("caps", &caps);
    let small = gst::Buffer::with_size(100).unwrap();
    pipeline.0.set_state(gst::State::Paused).unwrap();
    pipeline.feed("push-buffer", &[&small]);
    assert_eq!(pipeline.run(), Err("invalid-config".into()));
}

#[test]
fn frames_of_any_size_pass_and_caps_may_change_between_them() {
    let _turn = init();
    let pipeline = TestPipeline::new(&format!(
        "appsrc name=s format=time ! nvbatch name=b model={} ! fakesink sync=false",
        model("echo-yolo")
    ));
    let buffers = collect(&pipeline);
    pipeline.0.set_state(gst::State::Paused).unwrap();
    let sizes = [(64usize, 64usize), (1, 1), (16384, 8), (64, 64)];
    for (number, (width, height)) in sizes.into_iter().enumerate() {
        let caps: gst::Caps =
            format!("video/x-raw,format=GRAY8,width={width},height={height},framerate=30/1").parse().unwrap();
        let mut buffer = gst::Buffer::with_size(width.next_multiple_of(4) * height).unwrap();
        buffer.make_mut().set_pts(number as u64 * gst::ClockTime::SECOND);
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        let sample = gst::Sample::builder().buffer(&buffer).caps(&caps).segment(&segment).build();
        pipeline.feed("push-sample", &[&sample]);
    }
    pipeline.feed("end-of-stream", &[]);
    assert_eq!(pipeline.run(), Ok(()));
    let sizes_out: Vec<_> = buffers.lock().iter().map(|buffer| buffer.size()).collect();
    assert_eq!(sizes_out, sizes.map(|(width, height)| width.next_multiple_of(4) * height));
}

#[test]
fn an_end_that_downstream_asks_for_ends_the_pipeline() {
    let _turn = init();
    let pipeline = TestPipeline::new(&format!(
        "videotestsrc ! nvbatch name=b model={} ! identity eos-after=5 ! fakesink",
        model("echo-yolo")
    ));
    assert_eq!(pipeline.run(), Ok(()));
}

#[test]
fn a_source_pad_without_a_peer_stops_upstream() {
    let _turn = init();
    let pipeline = TestPipeline::new(&format!("videotestsrc ! nvbatch model={}", model("echo-yolo")));
    assert!(pipeline.run().is_err());
}

#[test]
fn results_from_before_a_seek_do_not_come_after_it() {
    let _turn = init();
    let pipeline = TestPipeline::new(&format!(
        "videotestsrc ! video/x-raw,width=64,height=64 ! nvbatch name=b model={} ! fakesink sync=true",
        model("echo-yolo")
    ));
    let (tell, told) = mpsc::channel();
    let pad = pipeline.element("b").static_pad("src").unwrap();
    let flushes = Mutex::new(0);
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_FLUSH;
    pad.add_probe(mask, move |_, info| {
        match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => _ = tell.send((*flushes.lock(), buffer.pts())),
            Some(gst::PadProbeData::Event(event)) if event.type_() == gst::EventType::FlushStop => *flushes.lock() += 1,
            _ => (),
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.0.set_state(gst::State::Playing).unwrap();
    for seek in 0..5u64 {
        assert!(told.iter().any(|(flushes, _)| flushes == seek));
        let target = (100 + seek) * gst::ClockTime::SECOND;
        pipeline.0.seek_simple(gst::SeekFlags::FLUSH, target).unwrap();
        let (_, first) = told.iter().find(|(flushes, _)| *flushes == seek + 1).unwrap();
        assert!(first >= Some(target), "{first:?} after a seek to {target}");
    }
}

#[test]
fn stats_tell_of_the_processor_and_its_feed() {
    let _turn = init();
    let pipeline = TestPipeline::new(&format!("{RED} ! nvbatch name=b model={} ! fakesink", model("echo-yolo")));
    assert_eq!(pipeline.run(), Ok(()));
    let stats = pipeline.element("b").property::<gst::Structure>("stats");
    assert!(stats.n_fields() > 1, "{stats}");
    let feed = stats.get::<gst::Structure>("feed").unwrap();
    assert_eq!(feed.get::<u64>("received").unwrap(), 20);
    assert_eq!(feed.get::<u64>("results").unwrap(), 20);
}

#[test]
fn the_latency_of_a_live_stream_grows_by_ours() {
    let _turn = init();
    let pipeline = TestPipeline::new(&format!(
        "videotestsrc is-live=true ! nvbatch name=b max-latency=123000000 model={} ! fakesink",
        model("echo-yolo")
    ));
    let (tell, told) = mpsc::channel();
    let pad = pipeline.element("b").static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        _ = tell.send(());
        gst::PadProbeReturn::Ok
    });
    pipeline.0.set_state(gst::State::Playing).unwrap();
    told.recv().unwrap();
    let mut query = gst::query::Latency::new();
    assert!(pipeline.element("b").static_pad("src").unwrap().query(query.query_mut()));
    let (live, min, _) = query.result();
    assert!(live && min >= 123 * gst::ClockTime::MSECOND, "{min}");
}
