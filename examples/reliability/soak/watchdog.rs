//! Ends the process when the soak hangs, so that a core tells where.

use std::{
    process,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Nothing that the soak does takes that long.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone)]
pub struct Watchdog(Arc<Mutex<Deeds>>);

struct Deeds {
    now: (String, Instant),
    slowest: (String, Duration),
}

impl Watchdog {
    pub fn start() -> Self {
        let deeds = Deeds { now: ("starts".into(), Instant::now()), slowest: ("none".into(), Duration::ZERO) };
        let watchdog = Self(Arc::new(Mutex::new(deeds)));
        let watched = Arc::downgrade(&watchdog.0);
        thread::spawn(move || {
            while let Some(deeds) = watched.upgrade() {
                let (deed, since) = deeds.lock().unwrap_or_else(PoisonError::into_inner).now.clone();
                if since.elapsed() > PATIENCE {
                    eprintln!("soak: HANGS for {PATIENCE:?}: {deed}");
                    process::abort();
                }
                drop(deeds);
                thread::sleep(Duration::from_millis(500));
            }
        });
        watchdog
    }

    /// What the soak does from now on.
    pub fn does(&self, deed: impl Into<String>) {
        let mut deeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, since) = std::mem::replace(&mut deeds.now, (deed.into(), Instant::now()));
        if since.elapsed() > deeds.slowest.1 {
            deeds.slowest = (last, since.elapsed());
        }
    }

    pub fn slowest(&self) -> String {
        let (deed, time) = &self.0.lock().unwrap_or_else(PoisonError::into_inner).slowest;
        format!("{deed}, {:.2} s", time.as_secs_f64())
    }
}
