//! What one inference takes.

use std::time::Duration;

use super::library::one_run;
use crate::job::{Alone, Job};

/// A camera's.
const PACE: Duration = Duration::from_millis(33);

pub fn run(job: &Job) -> Alone {
    Alone { inference_ms: one_run(job, Duration::ZERO), paced_inference_ms: one_run(job, PACE) }
}
