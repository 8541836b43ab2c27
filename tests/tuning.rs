//! What is chosen automatically is measured once, and kept for the next start.

mod common;

use std::{fs, path::Path};

use common::{Started, model};

/// Where the settings of a processor that starts now come from.
fn source(model: &Path, more: &str) -> String {
    let owner = Started::playing(&format!("nvbatch processor-id=t decoder=tensors model={} {more}", model.display()));
    let stats: gst::Structure = gst::prelude::ObjectExt::property(&owner.element, "stats");
    let stats = stats.get::<gst::Structure>("processor").unwrap_or(stats);
    for chosen in ["instances", "intra-op-threads", "max-batch-size"] {
        assert!(common::count(&stats, chosen) >= 1, "{stats}");
    }
    stats.get("settings").unwrap()
}

/// The only test here: the environment is the process's.
#[test]
fn a_second_start_measures_nothing_until_something_changes() {
    let folder = tempfile::tempdir().unwrap();
    let set = |name: &str, value: &Path| {
        // SAFETY: nothing of ours or of GStreamer's runs now that reads the environment.
        unsafe { std::env::set_var(name, value) }
    };
    set("XDG_CACHE_HOME", folder.path());
    // Other tests run meanwhile.
    set("NV_SETTINGS_CACHE", Path::new("always"));
    let settings = folder.path().join("nextvision/settings");
    let file = folder.path().join("m.onnx");
    fs::copy(model("mean"), &file).unwrap();

    assert_eq!(source(&file, ""), "measured");
    assert_eq!(source(&file, ""), "cache");
    assert_eq!(fs::read_dir(&settings).unwrap().count(), 1);

    // What is set by hand leaves less to choose, which is another choice.
    assert_eq!(source(&file, "max-batch-size=2 instances=1 intra-op-threads=1"), "given");
    assert_eq!(source(&file, "intra-op-threads=1"), "measured");
    assert_eq!(source(&file, ""), "cache");

    fs::copy(model("mean-nhwc-uint8"), &file).unwrap();
    assert_eq!(source(&file, ""), "measured");
    assert_eq!(source(&file, ""), "cache");

    for entry in fs::read_dir(&settings).unwrap() {
        fs::write(entry.unwrap().path(), "\0broken").unwrap();
    }
    assert_eq!(source(&file, ""), "measured");
    assert_eq!(source(&file, ""), "cache");

    fs::remove_dir_all(&settings).unwrap();
    fs::write(&settings, "a file in the way").unwrap();
    assert_eq!(source(&file, ""), "measured");
    assert_eq!(source(&file, ""), "measured");
    fs::remove_file(&settings).unwrap();

    set("NV_SETTINGS_CACHE", Path::new("off"));
    assert_eq!(source(&file, ""), "measured");
    assert!(!settings.exists());
}
