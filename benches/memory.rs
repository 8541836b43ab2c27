//! What instances cost in memory: weights are shared, so four of them do not cost four models.
//!
//! `cargo bench --bench memory`. Each row is a process of its own, for memory that was used once is not given back.

use std::{env, fs, path::Path, process::Command};

use gstnextvision::inference::{DecoderKind, Model, ModelConfig};

/// ResNet-18: 47 MB of weights.
const MODEL: &str = "benches/models/resnet18.onnx";

fn main() {
    if let Some(instances) = env::var("NV_MEMORY_OF").ok().and_then(|set| set.parse().ok()) {
        return measure(instances);
    }
    println!("ResNet-18, 47 MB of weights, batch 1: resident memory added by");
    for instances in [1, 2, 4, 8] {
        let this = env::current_exe().expect("a path of its own");
        let status = Command::new(this).env("NV_MEMORY_OF", instances.to_string()).status();
        assert!(status.expect("it starts").success());
    }
}

fn measure(instances: usize) {
    gst::init().expect("GStreamer starts");
    let before = resident_mb();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join(MODEL);
    let config = ModelConfig { model, decoder: DecoderKind::Tensors, intra_op_threads: 1, ..ModelConfig::default() };
    let model = Model::load(&config).expect("the model loads");
    let mut sessions: Vec<_> = (0..instances).map(|_| model.session().expect("a session")).collect();
    let loaded = resident_mb() - before;
    let input = vec![0; model.description().input.frame_bytes()];
    for session in &mut sessions {
        session.run(&input, 1, |_| ()).expect("the model runs");
    }
    println!("  {instances} instances: {loaded:4.0} MB loaded, {:4.0} MB after a run", resident_mb() - before);
}

fn resident_mb() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: f64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096.0 / 1e6
}
