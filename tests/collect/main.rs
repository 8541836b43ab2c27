//! `nvfeed processor-id=""`: results from whatever metadata is on the frames.

#[cfg(feature = "v1_24")]
mod analytics;
mod crops;
mod flow;
mod foreign;
mod ours;

#[path = "../common/mod.rs"]
mod common;

use gst::prelude::*;

use common::Started;

const DETECTOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/shapes.onnx");

/// An object as a result tells it: label, confidence, box.
type Told = (String, f32, [f32; 4]);

fn list(structure: &gst::StructureRef, name: &str) -> Vec<gst::Structure> {
    let array = structure.get::<gst::ArrayRef>(name).unwrap_or_else(|error| panic!("{name}: {error}: {structure}"));
    array.iter().map(|value| value.get().unwrap()).collect()
}

fn told(object: &gst::StructureRef) -> Told {
    let place = ["x", "y", "w", "h"].map(|side| object.get(side).unwrap());
    (object.get("label").unwrap(), object.get("confidence").unwrap(), place)
}

/// All results until the end of the stream.
fn results(pipeline: &Started) -> Vec<gst::Structure> {
    std::iter::from_fn(|| common::next_result(&pipeline.bus)).collect()
}

/// A pipeline that plays from an `appsrc name=in` into an `nvfeed name=feed processor-id=""`, with `probe` on each frame.
fn fed(properties: &str, probe: impl Fn(&mut gst::BufferRef) + Send + Sync + 'static) -> Started {
    let caps = "video/x-raw,format=GRAY8,width=200,height=100,framerate=10/1";
    let pipeline = Started::new(&format!(
        "appsrc name=in format=time caps={caps} ! nvfeed name=feed processor-id=\"\" {properties}"
    ));
    let pad = pipeline.child("feed").static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
            probe(buffer.make_mut());
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline
}

fn push(pipeline: &Started, seconds: u64) {
    let source = pipeline.child("in");
    let caps = source.property("caps");
    common::push_frame(&source, &caps, 200 * 100, seconds);
}

/// The objects of the first result of a frame that has what `probe` puts on it.
fn objects_of(probe: impl Fn(&mut gst::BufferRef) + Send + Sync + 'static) -> gst::Structure {
    let pipeline = fed("", probe);
    push(&pipeline, 0);
    common::end_stream(&pipeline.child("in"));
    let results = results(&pipeline);
    assert_eq!(results.len(), 1);
    results.into_iter().next().unwrap()
}
