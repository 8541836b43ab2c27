//! Whether the system gives the threads that ONNX Runtime is about to start.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
};

use parking_lot::Mutex;

use super::{Error, ErrorKind, RAISE_LIMIT_OF_THREADS};

/// How often a thread that has ended is looked for. Its number may be another one's by then.
const PATIENCE: usize = 10_000;

/// `NoThread` where `count` threads are not to be had at once. ONNX Runtime has to get all that it asks for: where it
/// gets some, and then no more, it waits for ever for those to end.
pub fn check(count: usize) -> Result<(), Error> {
    let gate = Mutex::new(());
    let started = thread::scope(|scope| {
        let closed = gate.lock();
        let mut threads = Vec::with_capacity(count);
        let started = (0..count).try_for_each(|_| {
            let pass = || {
                drop(gate.lock());
                own_entry()
            };
            threads.push(thread::Builder::new().spawn_scoped(scope, pass)?);
            io::Result::Ok(())
        });
        drop(closed);
        threads.into_iter().filter_map(|thread| thread.join().ok().flatten()).for_each(|entry| wait_until_gone(&entry));
        started
    });
    started.map_err(|reason| {
        let message = format!(
            "cannot start the {count} threads that run an instance beside its own: {reason}; {RAISE_LIMIT_OF_THREADS}, or \
             set fewer `intra-op-threads`"
        );
        Error::new(ErrorKind::NoThread, message)
    })
}

/// Why ONNX Runtime does not start an instance. Somebody else may have taken the threads that [`check`] found.
pub fn not_started(reason: &ort::Error) -> Error {
    let message = format!("one more instance of the model does not start: {reason}");
    match reason.message().contains("pthread_create") {
        true => Error::new(ErrorKind::NoThread, format!("{message}; {RAISE_LIMIT_OF_THREADS}")),
        false => Error::new(ErrorKind::ModelInvalid, message),
    }
}

/// The calling thread's entry in the kernel's table, where there is one to look at.
fn own_entry() -> Option<PathBuf> {
    Some(Path::new("/proc").join(fs::read_link("/proc/thread-self").ok()?))
}

/// The kernel counts a thread for a moment longer than it can be joined.
fn wait_until_gone(entry: &Path) {
    for _ in 0..PATIENCE {
        if !entry.exists() {
            return;
        }
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_was_tried_is_not_counted_any_more() {
        check(0).unwrap();
        check(5).unwrap();
        let Some(entry) = thread::spawn(own_entry).join().unwrap() else {
            println!("skipped: there is no /proc/thread-self");
            return;
        };
        wait_until_gone(&entry);
        assert!(!entry.exists());
        assert!(own_entry().unwrap().exists());
    }
}
