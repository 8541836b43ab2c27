//! Processes that end while models run, in every way that a process can end: none crashes, none hangs.
//!
//! `NV_EXITS=200` ends as many of each kind; the suite does with a few.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/programs.rs"]
mod programs;

mod launch;
mod program;
mod python;

use std::{
    io::Read,
    process::{Child, ExitStatus, Stdio},
    time::{Duration, Instant},
};

fn rounds() -> u32 {
    std::env::var("NV_EXITS").ok().and_then(|number| number.parse().ok()).unwrap_or(2)
}

/// How a process is to end.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Code(i32),
    Signal(i32),
}

impl From<ExitStatus> for End {
    fn from(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match status.signal() {
            Some(signal) => Self::Signal(signal),
            None => Self::Code(status.code().unwrap_or(-1)),
        }
    }
}

/// Runs one process, does `meanwhile` to it, and looks how it ended. It gets a minute, which no end takes.
fn ends(command: &mut std::process::Command, meanwhile: impl FnOnce(&mut Child), expected: &End, what: &str) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    meanwhile(&mut child);
    let [mut out, mut complaints] = [String::new(), String::new()];
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let until = Instant::now() + Duration::from_secs(60);
    let status = std::thread::scope(|scope| {
        scope.spawn(|| stdout.map(|mut pipe| pipe.read_to_string(&mut out)));
        scope.spawn(|| stderr.map(|mut pipe| pipe.read_to_string(&mut complaints)));
        loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if Instant::now() > until => {
                    _ = child.kill();
                    break None;
                }
                None => std::thread::yield_now(),
            }
        }
    });
    let status = status.unwrap_or_else(|| panic!("{what} does not end\n{complaints}"));
    assert_eq!(End::from(status), *expected, "{what}\n{complaints}");
    for word in ["CRITICAL", "terminate called", "panicked", "Fatal Python error"] {
        assert!(!complaints.contains(word), "{what}\n{complaints}");
    }
}
