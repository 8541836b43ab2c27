//! The end of the process. `exit()` takes ONNX Runtime's own data down while other threads may be inside of it, which
//! crashes: so before that, nobody is let in any more, and those who are inside are waited for.

use std::{
    sync::Once,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::{Error, ErrorKind};

/// A run takes less; one that does not end must not keep the process from it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Who is inside of ONNX Runtime.
#[derive(Default)]
struct Door {
    inside: usize,
    closed: bool,
}

static DOOR: Mutex<Door> = Mutex::new(Door { inside: 0, closed: false });
static LEFT: Condvar = Condvar::new();

/// Held while ONNX Runtime is called.
pub(super) struct Inside(());

/// Before any call into ONNX Runtime. Refused once the process ends.
pub(super) fn enter() -> Result<Inside, Error> {
    let mut door = DOOR.lock();
    if door.closed {
        return Err(Error::new(ErrorKind::RunFailed, "the process ends: no model is run or loaded any more"));
    }
    door.inside += 1;
    Ok(Inside(()))
}

impl Drop for Inside {
    fn drop(&mut self) {
        DOOR.lock().inside -= 1;
        LEFT.notify_all();
    }
}

/// Watches for the end, from now on. What is registered last is called first: so this has to come after ONNX Runtime
/// has made what it takes down. Some of it is made when it starts, some with the first model: hence a place for each.
pub(super) fn watch(once: &'static Once) {
    once.call_once(at_exit);
}

#[cfg(target_env = "gnu")]
fn at_exit() {
    unsafe extern "C" {
        /// As `atexit`, and tells with which status the process ends.
        fn on_exit(call: extern "C" fn(libc::c_int, *mut libc::c_void), argument: *mut libc::c_void) -> libc::c_int;
    }
    extern "C" fn call(status: libc::c_int, _: *mut libc::c_void) {
        close(status);
    }
    // SAFETY: the function stays where it is: neither GStreamer nor anybody else unloads a plugin.
    unsafe { on_exit(call, std::ptr::null_mut()) };
}

/// Other C libraries, such as musl, do not tell the status: a run that outlasts the patience makes it a failure.
#[cfg(not(target_env = "gnu"))]
fn at_exit() {
    extern "C" fn call() {
        close(libc::EXIT_FAILURE);
    }
    // SAFETY: as for glibc; musl never unloads a library.
    unsafe { libc::atexit(call) };
}

/// `status` is what the process ends with where somebody stays inside.
fn close(status: libc::c_int) {
    let until = Instant::now() + PATIENCE;
    let mut door = DOOR.lock();
    door.closed = true;
    while door.inside > 0 {
        if LEFT.wait_until(&mut door, until).timed_out() {
            // Whoever is inside would crash: the rest of what is done at the end is left out.
            // SAFETY: null means all streams; `_exit` ends the process.
            unsafe {
                libc::fflush(std::ptr::null_mut());
                libc::_exit(status);
            }
        }
    }
}
