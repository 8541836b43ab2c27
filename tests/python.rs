//! The example in Python, as a user runs it: with nothing but PyGObject.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A Python that has PyGObject: `PYTHON` if set, the first in PATH, else the system's.
fn python() -> Option<PathBuf> {
    let candidates = std::env::var_os("PYTHON").map(PathBuf::from).into_iter();
    candidates.chain(["python3".into(), "/usr/bin/python3".into()]).find(|python| {
        let has_gi = "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst";
        Command::new(python).args(["-c", has_gi]).output().is_ok_and(|ran| ran.status.success())
    })
}

/// The folder of the plugin that was built with this test.
fn plugin_folder() -> Option<PathBuf> {
    let deps = std::env::current_exe().ok()?.parent()?.to_owned();
    let profile = deps.parent()?.to_owned();
    [deps, profile].into_iter().find(|folder| folder.join("libgstnextvision.so").exists())
}

#[test]
fn feeds_are_managed_from_python() {
    let Some(python) = python() else {
        println!("skipped: no python3 with PyGObject and GStreamer (python3-gi, gir1.2-gstreamer-1.0; or set PYTHON)");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    // Only the plugin: its folder may be full of other libraries.
    let plugin = plugin_folder().expect("the plugin is built with the tests").join("libgstnextvision.so");
    std::os::unix::fs::symlink(plugin, folder.path().join("libgstnextvision.so")).unwrap();
    let ran = Command::new(python)
        .arg(root.join("examples/python/feeds.py"))
        .env("GST_PLUGIN_PATH", folder.path())
        .env("GST_REGISTRY", folder.path().join("registry.bin"))
        .current_dir(root)
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}\n{complained}");
    assert!(!complained.contains("Traceback") && !complained.contains("CRITICAL"), "{complained}");
    let lines = |parts: &[&str]| said.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count();
    assert_eq!(lines(&["event=feed-added"]), 4, "{said}");
    for (parts, times) in [
        (&["event=feed-paused", "feed-id=1"][..], 1),
        (&["event=feed-resumed", "feed-id=1"], 1),
        (&["event=feed-stopped", "reason=requested"], 2),
        (&["event=feed-stopped", "reason=eos"], 2),
        (&["remove-feed failed: feed-not-found"], 1),
    ] {
        assert_eq!(lines(parts), times, "{parts:?}\n{said}");
    }
}
