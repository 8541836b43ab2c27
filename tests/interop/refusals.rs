//! Tensors that are not taken: the error says what is given and what is taken.

use std::sync::atomic::{AtomicU32, Ordering};

use gst::prelude::*;

use super::{
    DETECTOR,
    common::{LONG, Started, model, wait_for, wait_for_eos, wait_for_error},
    has,
};

/// A pipeline of `nvbatch` with `settings` and `decoder`.
fn line(settings: &str, decoder: &str) -> String {
    static PIPELINES: AtomicU32 = AtomicU32::new(0);
    let number = PIPELINES.fetch_add(1, Ordering::Relaxed);
    format!(
        "videotestsrc num-buffers=5 ! video/x-raw,format=RGB,width=128,height=64 \
         ! nvbatch processor-id=refused-{number} {settings} ! {decoder} name=dec ! fakesink"
    )
}

/// The error of such a pipeline.
fn refusal(settings: &str, decoder: &str) -> String {
    let pipeline = Started::new(&line(settings, decoder));
    _ = pipeline.set_state(gst::State::Playing);
    let (code, message) = wait_for_error(&pipeline.bus);
    assert_eq!(code, "invalid-config", "{message}");
    message
}

#[track_caller]
fn assert_names(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
}

#[test]
fn a_decoder_of_other_tensors_names_both_sides() {
    let yolo = format!("decoder=tensors model={DETECTOR}");
    let ssd = format!("decoder=tensors model={}", model("echo-ssd"));
    let given_yolo = ["dec", "given are yolo-v8-out", "float32", "2100"];
    for (decoder, taken) in [
        ("ssdtensordec", "ssd-mobilenet-v1-variant-1-out-boxes"),
        ("classifiertensordecoder", "classification-generic-out"),
        ("yolosegv8tensordec", "yolo-v8-segmentation-out-protos"),
    ] {
        if has(decoder) {
            let message = refusal(&yolo, decoder);
            assert_names(&message, &given_yolo);
            assert_names(&message, &[taken]);
        }
    }
    if has("yolov8tensordec") {
        assert_names(&refusal(&ssd, "yolov8tensordec"), &["generic-variant-1-out-count", "taken are yolo-v8-out"]);
    }
}

/// Decoders let frames without tensors through, as they do after any other element, and nothing comes of it.
#[test]
fn a_decoder_after_a_model_that_gives_no_tensors_makes_a_warning() {
    for decoder in ["yolov8tensordec", "tensordecodebin"].into_iter().filter(|decoder| has(decoder)) {
        let pipeline = Started::playing(&line(&format!("model={DETECTOR}"), decoder));
        let warning = wait_for(&pipeline.bus, &[gst::MessageType::Warning]);
        let gst::MessageView::Warning(warning) = warning.view() else { unreachable!() };
        assert_names(warning.error().message(), &["dec", "no tensors", "yolo-v8-out", "decoder=tensors"]);
        wait_for_eos(&pipeline.bus);
    }
    if has("ssdtensordec") {
        assert_names(&refusal(&format!("model={DETECTOR}"), "ssdtensordec"), &["no tensors", "decoder=tensors"]);
    }
}

/// An id that GStreamer does not know.
const UNKNOWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models/unknown-id.modelinfo");

#[test]
fn tensors_that_nobody_knows_say_where_ids_come_from() {
    if has("ssdtensordec") {
        let message = refusal(&format!("decoder=tensors model={}", model("mean")), "ssdtensordec");
        assert_names(&message, &["no tensors that have an id", ".modelinfo"]);
    }
    if has("tensordecodebin") {
        let yolo = model("echo-yolo");
        let message = refusal(&format!("decoder=tensors model={yolo} model-info={UNKNOWN}"), "tensordecodebin");
        assert_names(&message, &["given are nobody-knows-this", "taken are"]);
    }
}

/// The tensors of the next model under the same id are announced anew, and refused.
#[test]
fn a_model_that_is_exchanged_for_another_kind_is_refused() {
    if !has("yolov8tensordec") {
        return;
    }
    let owner =
        |model: &str| Started::playing(&format!("nvbatch processor-id=exchanged decoder=tensors model={model}"));
    let first = owner(DETECTOR);
    let pipeline = Started::playing(
        "videotestsrc ! video/x-raw,format=RGB,width=128,height=64 ! nvbatch processor-id=exchanged \
         ! yolov8tensordec name=dec ! appsink name=out sync=false max-buffers=1 drop=true",
    );
    let out = pipeline.child("out");
    assert!(out.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&LONG.nseconds()]).is_some());
    drop(first);
    let _second = owner(&model("echo-ssd"));
    let (code, message) = wait_for_error(&pipeline.bus);
    assert_eq!(code, "invalid-config", "{message}");
    assert_names(&message, &["dec", "given are ssd-mobilenet", "taken are yolo-v8-out"]);
}
