//! Python, where the process has one. Its interpreter ends before the process does, and a handler of a signal that is
//! called after that crashes: PyGObject does not look.

use std::{
    ffi::c_int,
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

use libloading::os::unix::Library;

type Asked = unsafe extern "C" fn() -> c_int;

struct Python {
    is_initialized: Asked,
    is_finalizing: Asked,
}

static PYTHON: LazyLock<Option<Python>> = LazyLock::new(|| {
    let process = Library::this();
    // SAFETY: Python has declared these as `int name(void)` since 3.0, 3.7 and 3.13.
    let find = |name: &[u8]| unsafe { process.get::<Asked>(name).ok().map(|found| *found) };
    let is_finalizing = find(b"Py_IsFinalizing\0").or_else(|| find(b"_Py_IsFinalizing\0"))?;
    Some(Python { is_initialized: find(b"Py_IsInitialized\0")?, is_finalizing })
});

/// Whether handlers of signals may be called: not in a process whose Python interpreter has ended or is about to.
pub fn takes_calls() -> bool {
    static WAS_INITIALIZED: AtomicBool = AtomicBool::new(false);
    let Some(python) = &*PYTHON else { return true };
    // SAFETY: both only read a flag, at any time and from any thread.
    let (is_initialized, is_finalizing) = unsafe { ((python.is_initialized)() != 0, (python.is_finalizing)() != 0) };
    if is_initialized {
        WAS_INITIALIZED.store(true, Ordering::Relaxed);
    }
    !is_finalizing && (is_initialized || !WAS_INITIALIZED.load(Ordering::Relaxed))
}
