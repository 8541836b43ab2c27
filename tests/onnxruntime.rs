//! Where ONNX Runtime is looked for. It is loaded once a process, so each case is a process of its own: this test
//! program again, with another environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gstnextvision::inference::{ErrorKind, Model, ModelConfig};

/// Says to the program run again what it is to load ONNX Runtime from at its second try.
const SECOND_TRY: &str = "NEXTVISION_TEST_SECOND_TRY";

/// The library of the tests.
fn library() -> PathBuf {
    let path = std::env::var_os("ORT_DYLIB_PATH").expect("these tests need ORT_DYLIB_PATH; scripts/setup fetches it");
    std::fs::canonicalize(&path).unwrap_or_else(|error| panic!("ORT_DYLIB_PATH is {}: {error}", path.display()))
}

/// Loads a model; what went wrong, if it was ONNX Runtime.
fn missing() -> Option<String> {
    let model = [env!("CARGO_MANIFEST_DIR"), "tests", "models", "mean.onnx"].iter().collect();
    let error = Model::load(&ModelConfig { model, ..ModelConfig::default() }).err()?;
    (error.kind == ErrorKind::OnnxRuntimeMissing).then_some(error.message)
}

/// Not a case of its own: what the others start.
#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn child() {
    println!("first: {}", missing().unwrap_or("loaded".into()));
    if let Some(path) = std::env::var_os(SECOND_TRY) {
        // SAFETY: no other thread of this process reads the environment now.
        unsafe { std::env::set_var("ORT_DYLIB_PATH", path) };
        println!("second: {}", missing().unwrap_or("loaded".into()));
    }
}

fn run_child(program: &Path, environment: impl FnOnce(&mut Command) -> &mut Command) -> String {
    let mut command = Command::new(program);
    command.args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env_remove("ORT_DYLIB_PATH").env_remove("LD_LIBRARY_PATH");
    let Output { status, stdout, stderr } = environment(&mut command).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

#[test]
fn a_bad_path_is_named_and_the_next_try_may_succeed() {
    let program = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("libonnxruntime.so");
    std::fs::write(&bad, "no library").unwrap();
    let said = run_child(&program, |child| {
        // A good library where the loader looks does not stand in for the one that was asked for.
        child.env("ORT_DYLIB_PATH", &bad).env("LD_LIBRARY_PATH", library().parent().unwrap()).env(SECOND_TRY, library())
    });
    for part in ["first: no ONNX Runtime", bad.to_str().unwrap(), "as ORT_DYLIB_PATH says", "second: loaded"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

#[test]
fn a_library_beside_the_plugin_is_found() {
    let folder = tempfile::tempdir().unwrap();
    // The plugin's code is part of this program here, so beside the plugin is beside the program.
    let program = folder.path().join("program");
    std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &program).unwrap();
    let missing = run_child(&program, |child| child);
    if missing.contains("first: loaded") {
        println!("skipped in part: this system has an ONNX Runtime of its own");
    } else {
        assert!(missing.contains("libonnxruntime.so.1 does not load"), "{missing}");
        assert!(missing.contains(&format!("beside the plugin in {}", folder.path().display())), "{missing}");
    }

    std::os::unix::fs::symlink(library(), folder.path().join("libonnxruntime.so.1.2.3")).unwrap();
    let said = run_child(&program, |child| child);
    assert!(said.contains("first: loaded"), "{said}");
}

#[test]
fn a_library_where_the_loader_looks_is_found() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(library(), folder.path().join("libonnxruntime.so")).unwrap();
    let program = std::env::current_exe().unwrap();
    let said = run_child(&program, |child| child.env("LD_LIBRARY_PATH", folder.path()));
    assert!(said.contains("first: loaded"), "{said}");
}
