//! GStreamer's own tracer of leaks: no object, buffer or message of GStreamer is left when a program has ended its
//! pipelines.

#[path = "common/programs.rs"]
mod programs;

use programs::program;

const OWNER: &str = "nvbatch processor-id=a decoder=tensors model=tests/models/mean.onnx";
const SOURCE: &str = "videotestsrc num-buffers=20 ! video/x-raw,width=64,height=64";

#[track_caller]
fn leaks_nothing(line: &str) {
    let (mut launch, _folder) = program("gst-launch-1.0");
    launch.args(line.split_whitespace()).env("GST_TRACERS", "leaks").env("GST_DEBUG", "GST_TRACER:7");
    let output = launch.output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}\n{complaints}");
    // The tracer first tells what its lines look like.
    let is_object = |line: &&str| line.contains("object-alive, ") && !line.contains("(string)%s");
    let leaked: Vec<_> = complaints.lines().filter(is_object).collect();
    assert!(leaked.is_empty(), "{line}\n{}", leaked.join("\n"));
}

#[test]
fn the_tracer_sees_what_is_left() {
    let (mut launch, _folder) = program("gst-launch-1.0");
    launch.args(["fakesrc", "num-buffers=1", "!", "fakesink"]);
    let output = launch.env("GST_TRACERS", "leaks").env("GST_DEBUG", "GST_TRACER:7").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("object-alive.class"), "there is no tracer of leaks");
}

#[test]
fn feeds_that_end() {
    leaks_nothing(&format!("{OWNER} {SOURCE} ! nvfeed processor-id=a {SOURCE} ! nvbatch processor-id=a ! fakesink"));
}

#[test]
fn health_and_figures() {
    leaks_nothing(&format!("{OWNER} {SOURCE} ! nvfeed processor-id=a message=false nvhealth interval=1000000"));
}

#[test]
fn batches_that_fail() {
    leaks_nothing(
        "nvbatch processor-id=a decoder=tensors model=tests/models/bad-run.onnx \
         videotestsrc pattern=white num-buffers=20 ! nvfeed processor-id=a",
    );
}
