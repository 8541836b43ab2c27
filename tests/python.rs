//! The runtime from Python, with nothing but PyGObject.

use std::{io::Write, path::PathBuf, process::Command};

/// A Python that has PyGObject: `PYTHON` if set, the first in PATH, else the system's.
fn python() -> Option<PathBuf> {
    let candidates = std::env::var_os("PYTHON").map(PathBuf::from).into_iter();
    candidates.chain(["python3".into(), "/usr/bin/python3".into()]).find(|python| {
        let has_gi = "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst";
        Command::new(python).args(["-c", has_gi]).output().is_ok_and(|ran| ran.status.success())
    })
}

/// Runs a program with the plugin that was built with this test, from the folder of the project; what it said. `None`
/// where there is no Python that could.
fn run(arguments: &[&str]) -> Option<String> {
    let Some(python) = python() else {
        let why = "no python3 with PyGObject and GStreamer (python3-gi, gir1.2-gstreamer-1.0; or set PYTHON)";
        // Past the test runner, which shows nothing of a test that passes.
        _ = writeln!(std::io::stderr(), "skipped: {why}");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    // Cargo leaves it among many libraries that GStreamer is not to look into.
    let plugin = std::env::current_exe().unwrap().with_file_name("libgstnextvision.so");
    std::os::unix::fs::symlink(plugin, folder.path().join("libgstnextvision.so")).unwrap();
    let ran = Command::new(python)
        .args(arguments)
        .env("GST_PLUGIN_PATH", folder.path())
        .env("GST_REGISTRY", folder.path().join("registry.bin"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let complained = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}\n{complained}");
    assert!(!complained.contains("Traceback") && !complained.contains("CRITICAL"), "{complained}");
    Some(said)
}

#[test]
fn feeds_are_managed_from_python() {
    let Some(said) = run(&["examples/python/feeds.py"]) else { return };
    let lines = |parts: &[&str]| said.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count();
    for (parts, times) in [
        (&["event=feed-added"][..], 4),
        (&["event=feed-paused", "feed-id=1"], 1),
        (&["event=feed-resumed", "feed-id=1"], 1),
        (&["event=feed-stopped", "reason=requested"], 2),
        (&["event=feed-stopped", "reason=eos"], 2),
        (&["remove-feed failed: feed-not-found"], 1),
        (&["event=shutdown-complete", "detached-threads=0"], 1),
        (&["shutdown ended everything"], 1),
    ] {
        assert_eq!(lines(parts), times, "{parts:?}\n{said}");
    }
    for feed in 1..=4 {
        let results = lines(&["result", &format!("feed-id={feed} "), "circle"]);
        assert!(results >= 10, "{results} results of feed {feed}\n{said}");
    }
}

/// What cannot be reached with `gst-launch-1.0`, see `tests/launch.rs`.
#[test]
fn refused_actions_leave_their_reason() {
    let Some(said) = run(&["tests/refusals.py"]) else { return };
    for (action, code, way_out) in [
        ("no structure", "invalid-config", "field `uri`"),
        ("an unknown field", "invalid-config", "colour"),
        ("a wrong type", "invalid-config", "interval"),
        ("a fragment", "custom-pipeline-rejected", "allow-trusted"),
        ("plain RTSP", "insecure-source-rejected", "rtsps://"),
        ("an unknown feed", "feed-not-found", "add-feed"),
        ("no max-feeds", "invalid-capacity", "max-feeds"),
        ("no health-capacity", "invalid-capacity", "health-capacity"),
        ("no output-capacity", "invalid-capacity", "output-capacity"),
        ("pause twice", "already-paused", "resume"),
        ("resume twice", "not-paused", "pause"),
        ("one too many", "feed-limit-exceeded", "max-feeds"),
        ("after the shutdown", "shutdown-in-progress", "NULL"),
    ] {
        let line = said.lines().find(|line| line.starts_with(&format!("{action}: {code}: ")));
        let line = line.unwrap_or_else(|| panic!("{action} is not {code}: {said}"));
        assert!(line.contains(way_out), "{way_out} is not in: {line}");
    }
}
