//! What somebody sees who starts with `gst-launch-1.0`: each error says its code and a way out, and the program ends.
//! Codes that only actions of the runtime lead to are in `tests/python.rs`.

use std::{
    path::Path,
    process::{Command, Output},
};

const MEAN: &str = "model=tests/models/mean.onnx decoder=tensors";

/// A GStreamer program that knows the plugin that was built with this test, and no other.
fn program(name: &str, folder: &Path) -> Command {
    // Cargo leaves it among many libraries that GStreamer is not to look into.
    let built = std::env::current_exe().unwrap().with_file_name("libgstnextvision.so");
    std::os::unix::fs::symlink(&built, folder.join("libgstnextvision.so")).unwrap();
    let mut program = Command::new(name);
    program.current_dir(env!("CARGO_MANIFEST_DIR"));
    program.env("GST_PLUGIN_PATH", folder).env("GST_REGISTRY", folder.join("registry.bin"));
    program
}

fn launch(line: &str, environment: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    program("gst-launch-1.0", folder.path())
        .args(line.split_whitespace())
        .envs(environment.iter().copied())
        .output()
        .unwrap_or_else(|error| panic!("gst-launch-1.0: {error}; scripts/setup installs it"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn each_error_says_its_code_and_a_way_out() {
    let nowhere = "/nowhere/libonnxruntime.so";
    let twice = format!("nvbatch processor-id=a {MEAN} nvbatch processor-id=a {MEAN}");
    let not_ready = format!("nvbatch {MEAN} startup-timeout=1");
    let no_cuda = format!("nvbatch {MEAN} execution-provider=rocm");
    let alone = format!("nvbatch {MEAN}");
    let two_feeds = "videotestsrc ! nvfeed name=first videotestsrc ! nvfeed name=second";
    for (code, way_out, line, environment) in [
        ("feed-limit-exceeded", "raise `max-feeds`", two_feeds, &[("NV_MAX_FEEDS", "1")][..]),
        ("duplicate-processor-id", "choose another `processor-id`", &twice, &[]),
        (
            "processor-missing",
            "`nvbatch processor-id=b model=...`",
            "videotestsrc ! nvfeed processor-id=b attach-timeout=1",
            &[],
        ),
        ("processor-startup-timeout", "raise `startup-timeout`", &not_ready, &[]),
        ("model-invalid", "set model", "nvbatch model=tests", &[]),
        ("model-not-found", "set model", "nvbatch model=nothing.onnx", &[]),
        ("provider-unavailable", "it has cpu", &no_cuda, &[]),
        ("onnxruntime-missing", "pip download onnxruntime", &alone, &[("ORT_DYLIB_PATH", nowhere)]),
        ("invalid-config", "give the processor a name", "nvbatch processor-id=\"\" model=nothing.onnx", &[]),
        // More than there is for a thread's stack.
        ("thread-spawn-failed", "ulimit -u", &alone, &[("RUST_MIN_STACK", "100000000000000")]),
    ] {
        let output = launch(line, environment);
        let said = said(&output);
        assert!(!output.status.success(), "{line}: {said}");
        for part in [code, way_out] {
            assert!(said.contains(part), "`{part}` is not in what `{line}` says: {said}");
        }
    }
}

#[test]
fn results_come_out_of_a_line_without_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("results.jsonl");
    let line =
        format!("nvbatch {MEAN} videotestsrc num-buffers=10 ! nvfeed feed-name=test location={}", file.display());
    let output = launch(&line, &[]);
    assert!(output.status.success(), "{}", said(&output));
    let lines = std::fs::read_to_string(&file).unwrap();
    let frames = lines.lines().map(|line| {
        let result: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(result["feed_name"], "test");
        result["frame"].as_u64().unwrap()
    });
    assert_eq!(frames.collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
}

#[test]
fn elements_are_inspected_with_neither_onnx_runtime_nor_a_model() {
    for (element, property) in [("nvbatch", "processor-id"), ("nvfeed", "processor-id"), ("nvhealth", "max-feeds")] {
        let folder = tempfile::tempdir().unwrap();
        let mut inspect = program("gst-inspect-1.0", folder.path());
        let output = inspect.arg(element).env("ORT_DYLIB_PATH", "/nowhere").output().unwrap();
        let said = said(&output);
        assert!(output.status.success() && said.contains(property), "{said}");
    }
}
