//! Bringing a processor up: loading its model, choosing what was left open, warming it up, starting its instances.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{
    CAT, Error, ErrorCode,
    batch::BatchBuffer,
    health::Health,
    instance, panics,
    processor::{Limits, Processor, ProcessorConfig},
};
use crate::inference::{BatchDim, ExecutionProvider, Model, Session};

/// Batch sizes that are tried where `max-batch-size` is left open.
const BATCHES: [usize; 4] = [1, 2, 4, 8];
/// A larger batch has to gain this much over a smaller one: it costs latency and memory.
const WORTHWHILE: f64 = 0.97;
/// What a batch costs beside the model: threads that wake and sleep, locks.
const COST_OF_A_BATCH: Duration = Duration::from_micros(50);
/// Share of `startup-timeout` that measuring may take.
const MEASURING_SHARE: u32 = 10;
/// Largest batch on anything but a CPU where `max-batch-size` is left open.
const ACCELERATOR_BATCH: usize = 16;

/// Returns when the processor is ready, or with an error when it cannot be, at the latest after `startup-timeout`.
/// A model that is still loading by then is dropped when it has loaded.
pub fn start(config: ProcessorConfig, health: &Arc<Health>) -> Result<Arc<Processor>, Error> {
    let timeout = Duration::from_nanos(config.startup_timeout);
    let id = config.id.clone();
    let health = health.clone();
    let (done, outcome) = mpsc::sync_channel(0);
    let load = move || {
        let loaded = panics::caught(|| load(&config));
        let started = loaded.map(|(model, sessions, limits)| {
            let processor = Processor::new(&config.id, model, limits, health);
            (processor, sessions)
        });
        // Nobody takes it: it came too late, and goes as it came.
        _ = done.send(started);
    };
    thread::Builder::new().name("nv-startup".into()).spawn(load).map_err(|error| {
        let message =
            format!("cannot start a thread to load a model: {error}; raise the limit of threads (`ulimit -u`)");
        Error::new(ErrorCode::ThreadSpawnFailed, message)
    })?;
    let (processor, sessions) = outcome.recv_timeout(timeout).map_err(|_| {
        Error::new(
            ErrorCode::ProcessorStartupTimeout,
            format!(
                "processor '{id}' was not ready within {:.1} s: raise `startup-timeout` or use a smaller model",
                timeout.as_secs_f64()
            ),
        )
    })??;
    for (index, session) in sessions.into_iter().enumerate() {
        if let Err(error) = instance::start(&processor, index, session) {
            processor.stop();
            return Err(error);
        }
    }
    Ok(processor)
}

fn load(config: &ProcessorConfig) -> Result<(Model, Vec<Session>, Limits), Error> {
    let begun = Instant::now();
    let mut model_config = config.model.clone();
    model_config.intra_op_threads = model_config.intra_op_threads.max(1);
    let model = Model::load(&model_config)?;
    let instances = match config.instances {
        0 => instances_for(model.provider(), model_config.intra_op_threads),
        set => set,
    };
    let mut session = model.session()?;
    let batch = model.description().input.batch;
    let max_batch = match (config.max_batch_size, batch) {
        (0, BatchDim::Fixed(frames)) => frames,
        (0, BatchDim::Dynamic) if model.provider() != ExecutionProvider::Cpu => ACCELERATOR_BATCH,
        (0, BatchDim::Dynamic) => {
            let budget = Duration::from_nanos(config.startup_timeout) / MEASURING_SHARE;
            best_batch(config, &mut session, model.description().input.frame_bytes(), budget)?
        }
        (set, _) => set,
    };
    let limits = Limits::new(config, batch, instances, max_batch);
    let mut sessions = vec![session];
    while sessions.len() < instances {
        sessions.push(model.session()?);
    }
    let frame_bytes = model.description().input.frame_bytes();
    for session in &mut sessions {
        // The first run of a shape allocates: not at a frame's cost.
        let mut buffer = memory(frame_bytes, limits.batch_room)?;
        try_run(config, session, &mut buffer, limits.max_batch)?;
    }
    gst::info!(
        CAT,
        "processor '{}' is ready after {:.2} s: {instances} instances, batches of up to {}",
        config.id,
        begun.elapsed().as_secs_f64(),
        limits.max_batch
    );
    Ok((model, sessions, limits))
}

/// On a CPU many instances with one thread each beat one with many threads; anything else is one device.
fn instances_for(provider: ExecutionProvider, threads: usize) -> usize {
    match provider {
        ExecutionProvider::Cpu => (thread::available_parallelism().map_or(1, usize::from) / threads).max(1),
        _ => 1,
    }
}

/// The smallest batch that takes about the least time a frame.
fn best_batch(
    config: &ProcessorConfig,
    session: &mut Session,
    frame_bytes: usize,
    budget: Duration,
) -> Result<usize, Error> {
    let begun = Instant::now();
    let mut best = (1, f64::INFINITY);
    for batch in BATCHES {
        let mut buffer = memory(frame_bytes, batch)?;
        // The first run of a shape allocates.
        try_run(config, session, &mut buffer, batch)?;
        let mut fastest = Duration::MAX;
        for _ in 0..3 {
            let run = Instant::now();
            try_run(config, session, &mut buffer, batch)?;
            fastest = fastest.min(run.elapsed());
        }
        let per_frame = (fastest + COST_OF_A_BATCH).as_secs_f64() / batch as f64;
        gst::debug!(CAT, "batch of {batch}: {:.3} ms a frame", per_frame * 1e3);
        if per_frame < best.1 * WORTHWHILE {
            best = (batch, per_frame);
        }
        if begun.elapsed() > budget {
            break;
        }
    }
    Ok(best.0)
}

fn try_run(
    config: &ProcessorConfig,
    session: &mut Session,
    frames: &mut BatchBuffer,
    batch: usize,
) -> Result<(), Error> {
    session.run(frames.bytes(), batch, |_| ()).map_err(|error| {
        let way_out = match batch {
            1 => "export it again, and see that it runs in ONNX Runtime's own tools",
            _ => "set `max-batch-size` to 1 where it runs single frames only, or export it with a dynamic batch",
        };
        let mut error = Error::from(error);
        error.message = format!(
            "model {}, tried with a batch of {batch}: {}; {way_out}",
            config.model.model.display(),
            error.message
        );
        error
    })
}

fn memory(frame_bytes: usize, frames: usize) -> Result<BatchBuffer, Error> {
    BatchBuffer::new(frame_bytes, frames).ok_or_else(|| {
        Error::new(
            ErrorCode::InvalidConfig,
            format!("no memory for a batch of {frames} frames of {frame_bytes} bytes: set a smaller `max-batch-size`"),
        )
    })
}
