use std::{env, path::Path};

/// Gives the plugin its commit, its date, and the GStreamer that it is built for. Reruns with the sources or the commit, not with every file of the
/// repository, as Cargo would without these lines.
fn main() {
    for path in ["Cargo.toml", "src", ".git/logs/HEAD"] {
        // A path that is not there, such as `.git/...` in a source archive, would make every build a new one.
        if Path::new(path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let floor = [("V1_28", "1.28"), ("V1_26", "1.26"), ("V1_24", "1.24")]
        .into_iter()
        .find(|(feature, _)| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some())
        .map_or("1.22", |(_, floor)| floor);
    println!("cargo:rustc-env=GSTREAMER_FLOOR={floor}");
    gst_plugin_version_helper::info();
}
