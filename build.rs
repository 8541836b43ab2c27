use std::path::Path;

/// Gives the plugin its commit and its date. Reruns with the sources or the commit, not with every file of the
/// repository, as Cargo would without these lines.
fn main() {
    for path in ["Cargo.toml", "src", ".git/logs/HEAD"] {
        // A path that is not there, such as `.git/...` in a source archive, would make every build a new one.
        if Path::new(path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    gst_plugin_version_helper::info();
}
