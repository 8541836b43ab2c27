//! Programs that load the plugin that was built with this test, as users' programs do.
#![allow(dead_code)]

use std::{path::PathBuf, process::Command};

/// A program of GStreamer that knows this plugin and no other of that name; the folder goes with the test.
pub fn program(name: impl AsRef<std::ffi::OsStr>) -> (Command, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    // Cargo leaves it among many libraries that GStreamer is not to look into.
    let built = std::env::current_exe().unwrap().with_file_name("libgstnextvision.so");
    std::os::unix::fs::symlink(&built, folder.path().join("libgstnextvision.so")).unwrap();
    let mut program = Command::new(name);
    program.current_dir(env!("CARGO_MANIFEST_DIR"));
    program.env("GST_PLUGIN_PATH", folder.path()).env("GST_REGISTRY", folder.path().join("registry.bin"));
    (program, folder)
}

/// A Python that has PyGObject: `PYTHON` if set, the first in PATH, else the system's.
pub fn python() -> Option<PathBuf> {
    let candidates = std::env::var_os("PYTHON").map(PathBuf::from).into_iter();
    candidates.chain(["python3".into(), "/usr/bin/python3".into()]).find(|python| {
        let has_gi = "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst";
        Command::new(python).args(["-c", has_gi]).output().is_ok_and(|ran| ran.status.success())
    })
}
