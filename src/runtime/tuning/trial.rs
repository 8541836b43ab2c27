//! Trying a setting: all instances at once, as they will run.

use std::{
    collections::{BTreeMap, HashSet},
    sync::mpsc,
    thread::{self, Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use super::{Setting, pictures::Pictures, search::Bench};
use crate::{
    inference::{BatchDim, InputSpec, Model, Session, release_freed_memory},
    runtime::{CAT, Error, ErrorCode, batch::BatchBuffer, limits::ProcessorConfig, panics},
};

/// Several threads of a run wait for the last of them, which is late where streams have its core for a moment. Trials have
/// the cores for themselves.
const COST_OF_SHARED_RUNS: f64 = 1.1;
/// How long a trial takes at least, and the fewest runs of it.
const TRIAL: Duration = Duration::from_millis(12);
const RUNS: u32 = 2;
/// A run that takes so long is told well enough by one.
const LONG_RUN: Duration = Duration::from_millis(150);
/// Share of its time that a thread has a core for on a machine that does nothing else.
const UNDISTURBED: f64 = 0.9;

/// Sessions of a model to try settings with.
pub struct Workbench<'a> {
    config: &'a ProcessorConfig,
    model: &'a Model,
    go_on: &'a dyn Fn() -> Result<(), Error>,
    begun: Instant,
    budget: Duration,
    /// By their threads.
    sessions: BTreeMap<usize, Vec<Session>>,
    tried: HashSet<(usize, usize, usize)>,
    /// Of instances with a single thread: all of the time is the core's, if it is theirs.
    cores: Cores,
}

/// How much of their time threads had a core.
#[derive(Debug, Default, Clone, Copy)]
struct Cores {
    had: Duration,
    wanted: Duration,
}

impl<'a> Workbench<'a> {
    pub fn new(
        config: &'a ProcessorConfig,
        model: &'a Model,
        budget: Duration,
        go_on: &'a dyn Fn() -> Result<(), Error>,
    ) -> Self {
        let (sessions, tried) = (BTreeMap::new(), HashSet::new());
        Self { config, model, go_on, begun: Instant::now(), budget, sessions, tried, cores: Cores::default() }
    }

    /// Whether others had the cores for a good part of the time: another setting may be the fastest without them.
    pub fn was_disturbed(&self) -> bool {
        self.cores.had < self.cores.wanted.mul_f64(UNDISTURBED)
    }

    /// Sessions for the setting. They have run a batch of it: the first run of a shape allocates, which is not to be at
    /// a frame's cost.
    pub fn into_sessions(mut self, setting: Setting) -> Result<Vec<Session>, Error> {
        let mut sessions = self.sessions.remove(&setting.intra_op_threads).unwrap_or_default();
        // What the others took is free before more is taken.
        self.sessions.clear();
        sessions.truncate(setting.instances);
        if !self.tried.is_empty() {
            release_freed_memory();
        }
        while sessions.len() < setting.instances {
            (self.go_on)()?;
            sessions.push(self.model.session_with(setting.intra_op_threads)?);
        }
        let input = &self.model.description().input;
        let batch = match input.batch {
            BatchDim::Dynamic => setting.max_batch_size,
            BatchDim::Fixed(frames) => frames,
        };
        if !self.tried.contains(&(setting.instances, setting.intra_op_threads, setting.max_batch_size)) {
            let mut buffer = memory(input.frame_bytes(), batch)?;
            for session in &mut sessions {
                (self.go_on)()?;
                run(self.config, session, &mut buffer, setting.max_batch_size.min(batch))?;
            }
        }
        Ok(sessions)
    }

    /// Makes as many sessions as the setting needs, unless there is no time for them. The first ones are needed anyway.
    fn prepare(&mut self, setting: Setting) -> Result<bool, Error> {
        let is_first = self.tried.is_empty();
        let (begun, share) = (self.begun, self.budget / 2);
        let sessions = self.sessions.entry(setting.intra_op_threads).or_default();
        while sessions.len() < setting.instances {
            (self.go_on)()?;
            if !is_first && begun.elapsed() > share {
                return Ok(false);
            }
            sessions.push(self.model.session_with(setting.intra_op_threads)?);
        }
        if is_first {
            // Nobody else measures before this.
            self.begun = Instant::now();
        }
        Ok(true)
    }
}

impl Bench for Workbench<'_> {
    fn seconds_a_frame(&mut self, setting: Setting) -> Result<Option<f64>, Error> {
        (self.go_on)()?;
        if !self.prepare(setting)? {
            return Ok(None);
        }
        let Setting { instances, intra_op_threads, max_batch_size } = setting;
        let first = self.tried.insert((instances, intra_op_threads, max_batch_size));
        let sessions = self.sessions.entry(intra_op_threads).or_default().iter_mut().take(instances);
        let is_on_cpu = self.model.provider().is_on_cpu();
        let (rate, cores) = rate(self.config, sessions, &self.model.description().input, max_batch_size, first)?;
        if intra_op_threads == 1 && is_on_cpu {
            self.cores.had += cores.had;
            self.cores.wanted += cores.wanted;
        }
        let seconds = if intra_op_threads > 1 { COST_OF_SHARED_RUNS } else { 1.0 } / rate;
        gst::debug!(CAT, "{setting:?}: {:.4} ms a frame", 1e3 * seconds);
        Ok(Some(seconds))
    }

    fn has_time(&self) -> bool {
        self.begun.elapsed() < self.budget
    }
}

/// Frames a second of all sessions together, all of them side by side.
fn rate<'s>(
    config: &ProcessorConfig,
    sessions: impl Iterator<Item = &'s mut Session>,
    input: &InputSpec,
    batch: usize,
    first: bool,
) -> Result<(f64, Cores), Error> {
    let pictures = &Pictures::new(input)?;
    thread::scope(|scope| {
        let mut running = Vec::new();
        for session in sessions {
            // A batch that is taken gives streams room: one wakes for each, and takes the core of an instance for a moment.
            let (wake, woken) = mpsc::sync_channel(1);
            let stream = start(scope, move || {
                while woken.recv().is_ok() {}
                thread_time()
            })?;
            let instance = start(scope, move || {
                let begun = Instant::now();
                let mut trial = Trial { config, session, pictures, wake, batch };
                let run = panics::caught(|| trial.seconds_a_run(first))?;
                Ok::<_, Error>((run, Cores { had: thread_time(), wanted: begun.elapsed() }))
            })?;
            running.push((instance, stream));
        }
        let (mut rate, mut cores) = (0.0, Cores::default());
        for (instance, stream) in running {
            // What panics is caught within.
            let (run, its) = instance.join().unwrap_or(Ok((Duration::MAX, Cores::default())))?;
            rate += batch as f64 / run.as_secs_f64();
            cores.had += its.had + stream.join().unwrap_or_default();
            cores.wanted += its.wanted;
        }
        Ok((rate, cores))
    })
}

fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Error> {
    let started = thread::Builder::new().name("nv-startup".into()).spawn_scoped(scope, work);
    started.map_err(|error| Error::no_thread("a thread to try a setting", &error))
}

/// What one instance does in a trial.
struct Trial<'a> {
    config: &'a ProcessorConfig,
    session: &'a mut Session,
    pictures: &'a Pictures<'a>,
    /// Wakes a stream.
    wake: mpsc::SyncSender<()>,
    batch: usize,
}

impl Trial<'_> {
    fn seconds_a_run(&mut self, first: bool) -> Result<Duration, Error> {
        let Self { pictures, batch, .. } = *self;
        // What is run was just written, somewhere else than what was run before: it is not in a cache already.
        let mut buffers = [memory(pictures.frame_bytes(), batch)?, memory(pictures.frame_bytes(), batch)?];
        let mut writer = pictures.writer()?;
        buffers.iter_mut().try_for_each(|buffer| writer.write(buffer.bytes()))?;
        if first {
            // The first run of a shape allocates.
            let begun = Instant::now();
            run(self.config, self.session, &mut buffers[0], batch)?;
            if begun.elapsed() > LONG_RUN {
                return Ok(begun.elapsed());
            }
        }
        let begun = Instant::now();
        let mut runs = 0;
        loop {
            for buffer in &mut buffers {
                writer.write(buffer.bytes())?;
                // Full where the stream is still awake.
                let _ = self.wake.try_send(());
                run(self.config, self.session, buffer, batch)?;
                runs += 1;
                let elapsed = begun.elapsed();
                if runs >= RUNS && elapsed >= TRIAL || elapsed > LONG_RUN {
                    return Ok(elapsed / runs);
                }
            }
        }
    }
}

/// How long the calling thread had a core so far.
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to memory of that type. Where the clock is missing it stays as it is.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// One run of a whole batch.
fn run(config: &ProcessorConfig, session: &mut Session, frames: &mut BatchBuffer, batch: usize) -> Result<(), Error> {
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
    BatchBuffer::new(frame_bytes, frames).ok_or_else(|| no_memory(frame_bytes, frames))
}

fn no_memory(frame_bytes: usize, frames: usize) -> Error {
    Error::new(
        ErrorCode::InvalidConfig,
        format!("no memory for a batch of {frames} frames of {frame_bytes} bytes: set a smaller `max-batch-size`"),
    )
}
