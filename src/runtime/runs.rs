//! What a processor's instances have inside the model.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{
    clock::Time,
    feed::{Feed, ItemId},
};

type Frames = Vec<(Arc<Feed>, ItemId)>;

/// One place for each instance; each is a leaf.
pub(super) struct Runs(Vec<Mutex<Option<Run>>>);

struct Run {
    started: Time,
    frames: Frames,
    given_up: bool,
}

impl Runs {
    pub fn new(instances: usize) -> Self {
        Self((0..instances).map(|_| Mutex::new(None)).collect())
    }

    pub fn started(&self, instance: usize, started: Time, frames: Frames) {
        *self.0[instance].lock() = Some(Run { started, frames, given_up: false });
    }

    /// Returns the list of the run's frames, as far as they were not given up.
    pub fn ended(&self, instance: usize) -> Frames {
        self.0[instance].lock().take().map(|run| run.frames).unwrap_or_default()
    }

    /// The frames of runs that take longer than `timeout`, each of them once.
    pub fn late(&self, now: Time, timeout: Time) -> Frames {
        let mut late = Vec::new();
        for run in &self.0 {
            if let Some(run) = run.lock().as_mut()
                && !run.given_up
                && now.saturating_sub(run.started) > timeout
            {
                run.given_up = true;
                late.append(&mut run.frames);
            }
        }
        late
    }

    /// The frames of all runs: nobody waits for them any more.
    pub fn abandon(&self) -> Frames {
        self.0.iter().filter_map(|run| run.lock().take()).flat_map(|run| run.frames).collect()
    }
}
