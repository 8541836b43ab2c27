//! `nv-runtime` as its documentation shows it: one `BatchProcessor` for all feeds, on one session of ONNX Runtime.
//!
//! A worker of the benchmark (`benches/report/job.rs`): its job is in `NV_BENCH_JOB`, its figures go to standard output.
//! Mode `block` has feeds wait for their queue, `drop` is the crate's default and drops their oldest frames.

mod detector;
mod figures;

use std::{
    env,
    error::Error,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use nv_core::config::{BackoffKind, CameraMode, ReconnectPolicy, SourceSpec};
use nv_runtime::{
    BackpressurePolicy, BatchConfig, CustomPipelinePolicy, FeedConfig, FeedPipeline, OutputSink, Runtime, SharedOutput,
};
use serde_json::Value;

use figures::Results;

/// As in the crate's own examples but for the latency, which costs a lone feed most.
const MAX_BATCH: usize = 8;
const MAX_LATENCY: Duration = Duration::from_millis(5);
/// Sources with an end are over when nothing came for this long.
const SILENCE: Duration = Duration::from_secs(1);
/// The crate takes the end of such a source for a broken line, and would begin again.
const NEVER: Duration = Duration::from_secs(3600);

/// Takes the results, on the thread that the crate gives each feed for it.
struct Sink(Arc<Results>);

impl OutputSink for Sink {
    fn emit(&self, output: SharedOutput) {
        self.0.add(output.wall_ts);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let job: Value = serde_json::from_str(&env::var("NV_BENCH_JOB")?)?;
    let feeds = job["feeds"].as_u64().ok_or("feeds")? as usize;
    let side = job["side"].as_u64().ok_or("side")? as usize;
    let model = job["model"].as_str().ok_or("model")?;

    let runtime = Runtime::builder().max_feeds(feeds).custom_pipeline_policy(CustomPipelinePolicy::AllowTrusted);
    let runtime = runtime.build()?;
    let batch = runtime
        .create_batch(Box::new(detector::Detector::new(model, side)?), BatchConfig::new(MAX_BATCH, MAX_LATENCY)?)?;
    let results = Arc::new(Results::default());
    let (mut used, mut begun, mut before) = (figures::cpu_seconds(), Instant::now(), 0);
    for feed in 0..feeds {
        let start = Duration::from_secs_f64(job["starts"][feed].as_f64().unwrap_or(0.0));
        thread::sleep(start.saturating_sub(begun.elapsed()));
        let backpressure = match job["mode"].as_str() {
            Some("block") => BackpressurePolicy::Block { queue_depth: 4 },
            _ => BackpressurePolicy::default(),
        };
        let feed = FeedConfig::builder()
            .source(SourceSpec::Custom { pipeline_fragment: source(&job, side)? })
            .camera_mode(CameraMode::Fixed)
            .backpressure(backpressure)
            .reconnect(ReconnectPolicy {
                max_attempts: 1,
                base_delay: NEVER,
                max_delay: NEVER,
                backoff: BackoffKind::Linear,
            })
            .feed_pipeline(FeedPipeline::builder().batch(batch.clone())?.build())
            .output_sink(Box::new(Sink(results.clone())))
            .build()?;
        runtime.add_feed(feed)?;
    }

    let mut ended = Instant::now();
    if job["frames"].is_u64() {
        ended = results.wait_until_silent(SILENCE);
    } else {
        let seconds = |name: &str| Duration::from_secs_f64(job[name].as_f64().unwrap_or(1.0));
        thread::sleep(seconds("warm_up"));
        results.start();
        (used, begun, before) = (figures::cpu_seconds(), Instant::now(), results.frames());
        thread::sleep(seconds("window"));
        ended = ended.max(Instant::now());
    }
    let live = job["source"]["live"].is_u64();
    println!("{}", figures::json(&results, before, ended - begun, used, live)?);
    // Feeds that wait to begin again are not worth waiting for.
    std::process::exit(0)
}

/// A source whose pictures have the size of the model. The crate's `appsink` waits for the clock: where the source is
/// to run freely, its frames bear times that are always past.
fn source(job: &Value, side: usize) -> Result<String, Box<dyn Error>> {
    let source = &job["source"];
    let live = source["live"].as_u64();
    Ok(format!(
        "videotestsrc pattern=black is-live={} num-buffers={} ! video/x-raw,format={},width={},height={},framerate={}/1 \
         ! videoconvertscale ! capsfilter caps=video/x-raw,format=RGB,width={side},height={side}",
        live.is_some(),
        job["frames"].as_i64().unwrap_or(-1),
        source["format"].as_str().ok_or("format")?,
        source["width"],
        source["height"],
        live.unwrap_or(100_000),
    ))
}
