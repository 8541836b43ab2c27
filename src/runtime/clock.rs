//! Time inside the runtime: nanoseconds on the monotonic clock since this process first asked.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use once_cell::sync::Lazy;

/// Nanoseconds, monotonic.
pub type Time = u64;

static START: Lazy<Instant> = Lazy::new(Instant::now);

pub fn now() -> Time {
    START.elapsed().as_nanos() as Time
}

/// The instant at which [`now`] reads `time`, for condition variables.
pub fn instant(time: Time) -> Instant {
    *START + Duration::from_nanos(time)
}

/// Nanoseconds since the epoch, for people and other machines.
pub fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
