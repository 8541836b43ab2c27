//! Real video through a real model: the objects that are there are found, and little else.

mod classes;
mod truth;

use std::path::{Path, PathBuf};

use gst::prelude::*;
use truth::{Found, Score, Truth};

const FAR: gst::ClockTime = gst::ClockTime::from_seconds(120);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn clip(name: &str) -> PathBuf {
    root().join("tests/clips").join(name).with_extension("mp4")
}

fn init() {
    gst::init().unwrap();
    gstnextvision::plugin_register_static().unwrap();
}

fn owner(id: &str) -> gst::Element {
    let line = format!("nvbatch processor-id={id} model={}", root().join("models/shapes.onnx").display());
    let owner = gst::parse::launch(&line).unwrap();
    owner.set_state(gst::State::Playing).unwrap();
    owner
}

fn decoded(name: &str) -> String {
    format!("filesrc location={} ! qtdemux ! h264parse ! avdec_h264 max-threads=1", clip(name).display())
}

/// Runs the pipeline to its end; what its bus said until then.
fn run(pipeline: &gst::Element) -> Vec<gst::Structure> {
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut told = Vec::new();
    loop {
        let message = bus.timed_pop(FAR).expect("the pipeline says something");
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => panic!("{error:?}"),
            gst::MessageView::Element(element) => told.extend(element.structure().map(ToOwned::to_owned)),
            _ => (),
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    told
}

/// The objects of an `nv-result` with the number of its frame.
fn objects(result: &gst::StructureRef) -> (usize, Vec<Found>) {
    let objects = result.get::<gst::Array>("objects").unwrap();
    let found = objects.iter().map(|object| {
        let object = object.get::<gst::Structure>().unwrap();
        let number = |name| object.get::<f32>(name).unwrap();
        Found {
            label: object.get("label").unwrap(),
            confidence: number("confidence"),
            bounds: [number("x"), number("y"), number("w"), number("h")],
        }
    });
    (result.get::<u64>("frame").unwrap() as usize, found.collect())
}

fn assert_good(name: &str, score: &Score) {
    println!("{name}: {score}");
    assert!(score.recall() >= 0.95, "{name}: {score}");
    assert!(score.false_share() <= 0.02, "{name}: {score}");
}

#[test]
fn two_pipelines_at_once_share_one_processor() {
    init();
    let owner = owner("two-pipelines");
    std::thread::scope(|scope| {
        for names in [["gate", "lift"], ["yard", "dock"]] {
            scope.spawn(move || {
                for name in names {
                    let line = format!("{} ! nvfeed processor-id=two-pipelines", decoded(name));
                    let results = run(&gst::parse::launch(&line).unwrap());
                    let truth = Truth::read(&clip(name));
                    let mut score = Score::default();
                    let mut next = 0;
                    for (frame, found) in results.iter().filter(|told| told.name() == "nv-result").map(|r| objects(r)) {
                        assert_eq!(frame, next, "{name}: results come in order, each frame once");
                        next += 1;
                        score.add(&truth.frames[frame], found);
                    }
                    assert_eq!(next, truth.frames.len(), "{name}: every frame has a result");
                    assert_good(name, &score);
                }
            });
        }
    });
    let stats: gst::Structure = owner.property("stats");
    let results = stats.get::<u64>("results").unwrap();
    owner.set_state(gst::State::Null).unwrap();
    assert_eq!(results, 150 + 120 + 150 + 96);
}

#[test]
fn a_linked_nvbatch_attaches_what_it_found() {
    init();
    for name in ["gate", "dock"] {
        let line = format!(
            "{} ! nvbatch processor-id=linked-{name} model={} ! appsink name=out sync=false",
            decoded(name),
            root().join("models/shapes.onnx").display()
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        let out = pipeline.by_name("out").unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let truth = Truth::read(&clip(name));
        let mut score = Score::default();
        for (number, frame) in truth.frames.iter().enumerate() {
            let sample = out
                .emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&FAR.nseconds()])
                .unwrap_or_else(|| panic!("{name}: no frame {number}"));
            let buffer = sample.buffer().unwrap();
            score.add(
                frame,
                buffer.iter_meta::<gst_video::VideoRegionOfInterestMeta>().map(|roi| found(&roi)).collect(),
            );
        }
        let end = out.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&FAR.nseconds()]);
        assert!(end.is_none() && out.property::<bool>("eos"), "{name}: no frame too many");
        pipeline.set_state(gst::State::Null).unwrap();
        assert_good(name, &score);
    }
}

fn found(roi: &gst_video::VideoRegionOfInterestMeta) -> Found {
    let detection = roi.params().find(|params| params.name() == "detection").unwrap();
    let (x, y, w, h) = roi.rect();
    Found {
        label: detection.get("label").unwrap(),
        confidence: detection.get::<f64>("confidence").unwrap() as f32,
        bounds: [x as f32, y as f32, w as f32, h as f32],
    }
}
