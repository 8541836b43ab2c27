//! Programs in Python, whose interpreter is taken down while threads of ours may want to call it.

use std::io::Write;

use super::{End, ends, rounds};
use crate::programs::{program, python};

fn end(kind: &str, expected: i32) {
    let Some(python) = python() else {
        let why = "no python3 with PyGObject and GStreamer (python3-gi, gir1.2-gstreamer-1.0; or set PYTHON)";
        _ = writeln!(std::io::stderr(), "skipped: {why}");
        return;
    };
    let (mut child, _folder) = program(&python);
    child.args(["tests/exit/ends.py", kind]);
    for round in 0..rounds() {
        child.env("NV_AFTER", (1 + round % 20).to_string());
        ends(&mut child, |_| (), &End::Code(expected), &format!("{kind}, round {round}"));
    }
}

#[test]
fn os_exit() {
    end("os._exit", 7);
}

#[test]
fn sys_exit() {
    end("sys.exit", 7);
}

#[test]
fn the_end_of_the_program() {
    end("end", 0);
}

#[test]
fn an_exception_in_the_program() {
    end("exception", 1);
}

#[test]
fn exceptions_in_callbacks() {
    end("exception in a callback", 7);
}

#[test]
fn os_exit_in_a_callback() {
    end("os._exit in a callback", 7);
}
