//! ONNX Runtime that is not there, or is something else. It is loaded once a process, so each case is this test program
//! again, in another environment.

use std::process::Command;

use gst::prelude::*;

use crate::common::{Started, launch, model, wait_for_eos, wait_for_error};

/// Not a case of its own: what the other test starts.
#[test]
#[ignore = "run by the other test, in a process of its own"]
fn child() {
    let owner = Started::new(&format!("nvbatch model={}", model("mean")));
    assert!(owner.set_state(gst::State::Playing).is_err());
    let (code, message) = wait_for_error(&owner.bus);
    println!("{code}: {message}");
    // GStreamer is as well as before.
    let pipeline = launch("videotestsrc num-buffers=3 ! fakesink");
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_for_eos(&pipeline.bus().unwrap());
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_library_that_is_missing_or_another_is_named_with_the_way_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libonnxruntime.so");
    std::fs::write(&text, "no library").unwrap();
    let old = folder.path().join("libonnxruntime.so.1.16.3");
    old_library(&old);
    let missing = folder.path().join("nothing.so");
    for (path, reason) in [
        (missing.to_str().unwrap(), "No such file"),
        (text.to_str().unwrap(), "does not load"),
        ("libc.so.6", "is not ONNX Runtime"),
        (old.to_str().unwrap(), "1.16.3, which is too old"),
    ] {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.args(["--exact", "library::child", "--ignored", "--nocapture", "--test-threads=1"]);
        let output = command.env("ORT_DYLIB_PATH", path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{path}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
        for part in ["onnxruntime-missing: ", path, reason, "ORT_DYLIB_PATH", "pip download onnxruntime"] {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
    }
}

/// Answers as ONNX Runtime 1.16.3 would.
fn old_library(path: &std::path::Path) {
    let source = path.with_extension("c");
    let code = "static const void *api(unsigned version) { return 0; }\n\
                static const char *version(void) { return \"1.16.3\"; }\n\
                static const struct { void *api, *version; } base = { api, version };\n\
                const void *OrtGetApiBase(void) { return &base; }\n";
    std::fs::write(&source, code).unwrap();
    // The linker that built this test is there.
    let status = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([path, &source]).status();
    assert!(status.unwrap().success());
}
