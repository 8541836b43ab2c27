//! Chains of models: an `nvbatch` that infers each object that another element found.

#[path = "../common/mod.rs"]
mod common;
#[path = "../detections/truth.rs"]
#[allow(dead_code)]
mod truth;

#[cfg(feature = "v1_24")]
mod analytics;
mod bad_input;
mod classes;
mod ends;
mod real;
mod stage;
mod tracks;

/// Says so past the test runner, which shows nothing of a test that passes.
fn skipped(why: &str) {
    _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("skipped: {why}\n"));
}

#[cfg(not(feature = "v1_24"))]
#[test]
fn analytics_metadata() {
    skipped("built for GStreamer 1.22, without analytics metadata");
}
