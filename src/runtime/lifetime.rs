//! The one runtime of the process: when it begins, when it ends, and when there is another.

use std::{
    ops::Deref,
    sync::{Arc, Weak, atomic::Ordering},
    time::Instant,
};

use parking_lot::Mutex;

use super::registry::{Inner, Runtime};

/// Guards the count of elements as well.
static CURRENT: Mutex<Weak<Inner>> = Mutex::new(Weak::new());

impl Runtime {
    /// The runtime of this process. It lives as long as somebody holds it. One that was shut down is replaced when no
    /// element is in READY or above.
    pub fn get() -> Self {
        Self::current(|_| ())
    }

    /// As [`Runtime::get`], for an element from NULL->READY to READY->NULL.
    pub fn for_element() -> ElementRuntime {
        ElementRuntime(Self::current(|inner| _ = inner.elements.fetch_add(1, Ordering::Relaxed)))
    }

    fn current(found: impl FnOnce(&Inner)) -> Self {
        let replaced;
        let mut current = CURRENT.lock();
        let inner = match current.upgrade() {
            Some(inner) if !inner.was_shut_down() || inner.elements.load(Ordering::Relaxed) > 0 => inner,
            old => {
                // Perhaps the last to hold it: it ends when nothing is locked any more.
                replaced = old;
                let inner = Inner::new();
                *current = Arc::downgrade(&inner);
                found(&inner);
                drop(current);
                drop(replaced);
                return Self(inner);
            }
        };
        found(&inner);
        Self(inner)
    }
}

/// The runtime in the hands of an element that is in READY or above: it is not replaced meanwhile.
pub struct ElementRuntime(Runtime);

impl Deref for ElementRuntime {
    type Target = Runtime;

    fn deref(&self) -> &Runtime {
        &self.0
    }
}

impl Drop for ElementRuntime {
    fn drop(&mut self) {
        let _current = CURRENT.lock();
        self.0.0.elements.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let now = Instant::now();
        self.monitor.stop(now + Self::MONITOR_PATIENCE);
        // Whoever is in a callback ends after it.
        drop(self.pool.close(now));
    }
}
