//! A process that is stopped for longer than its timeouts, and goes on.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use super::{
    common::{Started, count, model, next_result, stats},
    process,
};

/// Longer than `response-timeout`.
const STANDSTILL: Duration = Duration::from_secs(4);
const WORKS: &str = "it works";

#[test]
fn a_process_that_was_stopped_goes_on_as_if_nothing_had_been() {
    let mut child = process("standstill").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut works = || lines.by_ref().map_while(Result::ok).any(|line| line.contains(WORKS));
    assert!(works());
    // SAFETY: the process is there until it is waited for.
    let send = |signal| assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
    send(libc::SIGSTOP);
    let state = || fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    while !state().contains(") T ") {
        thread::yield_now();
    }
    // Not to wait for anything: this is the fault.
    let until = Instant::now() + STANDSTILL;
    while Instant::now() < until {
        thread::park_timeout(STANDSTILL);
    }
    send(libc::SIGCONT);
    assert!(works());
    assert!(child.wait().unwrap().success());
}

pub fn child() {
    let _owner = Started::playing(&format!(
        "nvbatch processor-id=slow decoder=tensors instances=1 max-batch-size=1 response-timeout=3000000000 model={}",
        model("slow")
    ));
    // Grey enough to take a while, and not long: a run is under way at any time.
    let pipeline = Started::playing(
        "videotestsrc pattern=solid-color foreground-color=0xff010101 ! video/x-raw,format=RGB,width=64,height=64 \
         ! nvfeed name=f processor-id=slow",
    );
    let goes_on = || assert!((0..20).all(|_| next_result(&pipeline.bus).is_some()));
    goes_on();
    let mut last = Instant::now();
    println!("{WORKS}");
    // Until the clock has leapt.
    while last.elapsed() < STANDSTILL / 2 {
        last = Instant::now();
        assert!(next_result(&pipeline.bus).is_some());
    }
    goes_on();
    let stats = stats(&pipeline.child("f"));
    assert_eq!((count(&stats, "dropped"), count(&stats, "errors")), (0, 0), "{stats}");
    println!("{WORKS}");
}
