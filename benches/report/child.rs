//! Starts a worker, gives it its job, and reads its answer.

use std::{
    fs::{self, File},
    io::Read,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;

use crate::{
    job::Job,
    ways::{Way, checkout},
};

/// A worker that takes this much longer than what it was asked for is not waited for.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The worker's answer, or the last thing that it said before it failed.
pub fn ask<T: DeserializeOwned>(way: &Way, job: &Job) -> Result<T, String> {
    let mut worker = way.command(job);
    let said = checkout().join("target/bench/worker.log");
    let log = File::create(&said).map_err(|error| format!("{} cannot be written: {error}", said.display()))?;
    let mut child = worker
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| format!("{} does not start: {error}", worker.get_program().display()))?;

    let deadline = Instant::now() + PATIENCE + Duration::from_secs_f64(job.warm_up + job.window);
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if Instant::now() < deadline => thread::sleep(LOOK_AGAIN),
            None => {
                // It is given up in any case.
                let _ = child.kill();
                let _ = child.wait();
                return Err("it did not come to an end".into());
            }
        }
    };
    // An answer fits into the pipe: nobody had to wait for this.
    let mut answer = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut answer).map_err(|error| error.to_string())?;
    }
    let last = answer.lines().last().unwrap_or_default();
    if status.success()
        && let Ok(answer) = serde_json::from_str(last)
    {
        return Ok(answer);
    }
    let said = fs::read_to_string(&said).unwrap_or_default();
    // Rust's advice about backtraces comes after the reason.
    let tells = |line: &&str| !line.trim().is_empty() && !line.starts_with("note: ");
    let reason = said.lines().rfind(tells).unwrap_or(last).trim();
    Err(format!("it failed ({status}): {reason}"))
}
