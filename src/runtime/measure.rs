//! Finding the best batch, by running all instances at once as they will be.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{CAT, Error, ErrorCode, batch::BatchBuffer, panics, processor::ProcessorConfig};
use crate::inference::Session;

/// Batch sizes that are tried.
const BATCHES: [usize; 4] = [1, 2, 4, 8];
/// A larger batch has to gain this much over a smaller one: it costs latency and memory.
const WORTHWHILE: f64 = 0.97;
/// What a batch costs beside the model: threads that wake and sleep, locks.
const COST_OF_A_BATCH: Duration = Duration::from_micros(20);
/// Runs of each instance in one trial, and trials of which the best counts.
const RUNS: u32 = 4;
const TRIALS: usize = 2;

/// The smallest batch that takes about the least time a frame. Ends when `budget` is over, or `go_on` is an error.
pub fn best_batch(
    config: &ProcessorConfig,
    sessions: &mut [Session],
    frame_bytes: usize,
    budget: Duration,
    go_on: impl Fn() -> Result<(), Error>,
) -> Result<usize, Error> {
    let begun = Instant::now();
    let mut best = (1, f64::INFINITY);
    for batch in BATCHES {
        // What is run was just written, somewhere else than what was run before: it is not in a cache already.
        let pair = || Ok([memory(frame_bytes, batch)?, memory(frame_bytes, batch)?]);
        let mut buffers = sessions.iter().map(|_| pair()).collect::<Result<Vec<_>, Error>>()?;
        let mut fastest = Duration::MAX;
        // The first trial of a shape allocates.
        for _ in 0..=TRIALS {
            go_on()?;
            fastest = fastest.min(run_all(config, sessions, &mut buffers, batch)?);
        }
        let frames = batch * sessions.len();
        let per_frame = (fastest / RUNS + COST_OF_A_BATCH).as_secs_f64() / frames as f64;
        gst::debug!(CAT, "batches of {batch}: {:.3} ms a frame", per_frame * 1e3);
        if per_frame < best.1 * WORTHWHILE {
            best = (batch, per_frame);
        }
        if begun.elapsed() > budget {
            break;
        }
    }
    Ok(best.0)
}

/// How long a session takes for its [`RUNS`] on average, all of them side by side.
fn run_all(
    config: &ProcessorConfig,
    sessions: &mut [Session],
    buffers: &mut [[BatchBuffer; 2]],
    batch: usize,
) -> Result<Duration, Error> {
    let run = |session: &mut Session, buffers: &mut [BatchBuffer; 2]| {
        let begun = Instant::now();
        for _ in 0..RUNS / 2 {
            for buffer in &mut *buffers {
                buffer.bytes().fill(0);
                try_run(config, session, buffer, batch)?;
            }
        }
        Ok::<_, Error>(begun.elapsed())
    };
    let count = sessions.len().max(1) as u32;
    thread::scope(|scope| {
        let mut running = Vec::new();
        for (session, buffers) in sessions.iter_mut().zip(buffers) {
            let work = move || panics::caught(|| run(session, buffers));
            let started = thread::Builder::new().name("nv-startup".into()).spawn_scoped(scope, work);
            running.push(started.map_err(|error| {
                let message = format!("cannot start a thread: {error}; raise the limit of threads (`ulimit -u`)");
                Error::new(ErrorCode::ThreadSpawnFailed, message)
            })?);
        }
        // What panics is caught within.
        let ended = running.into_iter().map(|thread| thread.join().unwrap_or(Ok(Duration::ZERO)));
        ended.sum::<Result<Duration, Error>>().map(|sum| sum / count)
    })
}

/// One run of a whole batch.
pub fn try_run(
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

pub fn memory(frame_bytes: usize, frames: usize) -> Result<BatchBuffer, Error> {
    BatchBuffer::new(frame_bytes, frames).ok_or_else(|| {
        Error::new(
            ErrorCode::InvalidConfig,
            format!("no memory for a batch of {frames} frames of {frame_bytes} bytes: set a smaller `max-batch-size`"),
        )
    })
}
