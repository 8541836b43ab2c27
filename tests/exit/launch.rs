//! Signals to `gst-launch-1.0`.

use std::{
    io::{BufRead, BufReader},
    process::Child,
};

use super::{End, ends, rounds};
use crate::programs::program;

fn end(arguments: &[&str], signal: libc::c_int, expected: &End) {
    let source = "videotestsrc pattern=black ! video/x-raw,format=RGB,width=64,height=64";
    let line = format!(
        "nvbatch processor-id=net decoder=tensors instances=4 model=benches/models/mobilenetv3-small.onnx \
         {source} ! nvfeed processor-id=net location=- {source} ! nvbatch processor-id=net ! fakesink"
    );
    let (mut launch, _folder) = program("gst-launch-1.0");
    launch.arg("-q").args(arguments).args(line.split_whitespace());
    for round in 0..rounds() {
        let meanwhile = |child: &mut Child| {
            let results = BufReader::new(child.stdout.as_mut().unwrap()).lines();
            let wanted = 1 + round as usize % 20;
            assert_eq!(results.take(wanted).count(), wanted);
            // SAFETY: the process has not been waited for: its number is still its own.
            assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, signal) }, 0);
        };
        ends(&mut launch, meanwhile, expected, &format!("{arguments:?}, signal {signal}, round {round}"));
    }
}

#[test]
fn ctrl_c() {
    end(&[], libc::SIGINT, &End::Code(0));
}

#[test]
fn ctrl_c_that_ends_the_stream() {
    end(&["-e"], libc::SIGINT, &End::Code(0));
}

#[test]
fn sigterm() {
    end(&[], libc::SIGTERM, &End::Signal(libc::SIGTERM));
}
