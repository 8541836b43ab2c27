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

/// Python may begin to end while a thread of ours waits for its turn to call a handler, which PyGObject does not survive
/// and nobody outside of Python can prevent: rare before Python 3.12, common after. So these are for a look by hand.
fn end_of_interpreter(kind: &str, expected: i32) {
    if std::env::var_os("NV_EXITS").is_none() {
        _ = writeln!(
            std::io::stderr(),
            "skipped: {kind} with handlers connected ends as PyGObject lets it; set NV_EXITS to try"
        );
        return;
    }
    end(kind, expected);
}

#[test]
fn os_exit() {
    end("os._exit", 7);
}

#[test]
fn sys_exit() {
    end_of_interpreter("sys.exit", 7);
}

#[test]
fn the_end_of_the_program() {
    end_of_interpreter("end", 0);
}

#[test]
fn an_exception_in_the_program() {
    end_of_interpreter("exception", 1);
}

#[test]
fn exceptions_in_callbacks() {
    end_of_interpreter("exception in a callback", 7);
}

#[test]
fn os_exit_in_a_callback() {
    end("os._exit in a callback", 7);
}
