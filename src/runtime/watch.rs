//! Which sleeping instance is woken, and which is not: to wake one that only goes to sleep again costs more than the run
//! of a small model.
//!
//! Where frames are waited for, one instance sleeps until they are due, and watches over the forming batch. All others
//! that are free sleep until they are woken.

use super::{clock::Time, former::Decision};

#[derive(Default)]
pub struct Watch {
    /// The instance that watches, and until when.
    watching: Option<(usize, Time)>,
}

/// Who is woken after something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    Nobody,
    Any,
    Watching,
}

impl Watch {
    /// Whether `instance` is the one to watch until then; otherwise another does.
    pub fn begin(&mut self, instance: usize, until: Time) -> bool {
        let begins = !self.covers(until);
        if begins {
            self.watching = Some((instance, until));
        }
        begins
    }

    /// The instance is awake again.
    pub fn end(&mut self, instance: usize) {
        self.watching.take_if(|(watching, _)| *watching == instance);
    }

    /// Where a free instance would decide so. `is_work_for_any`: such as frames that wait to be written.
    pub fn whom_to_wake(&mut self, decision: Decision, is_work_for_any: bool) -> Wake {
        let wanted = match decision {
            Decision::Take => true,
            Decision::WaitUntil(time) => !self.covers(time),
            Decision::Idle => false,
        };
        match wanted {
            // It would wake up for nothing later. From now on it counts as awake: for more work another one is woken.
            true if self.watching.take().is_some() => Wake::Watching,
            true => Wake::Any,
            false if is_work_for_any => Wake::Any,
            false => Wake::Nobody,
        }
    }

    fn covers(&self, time: Time) -> bool {
        self.watching.is_some_and(|(_, until)| until <= time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_watches_and_is_the_one_that_is_woken() {
        let mut watch = Watch::default();
        assert_eq!(watch.whom_to_wake(Decision::WaitUntil(100), false), Wake::Any, "nobody watches yet");
        assert!(watch.begin(0, 100));
        assert!(!watch.begin(1, 100) && !watch.begin(1, 200), "one is enough");
        assert_eq!(watch.whom_to_wake(Decision::WaitUntil(100), false), Wake::Nobody);
        assert_eq!(watch.whom_to_wake(Decision::Take, false), Wake::Watching);
        assert_eq!(watch.whom_to_wake(Decision::Take, false), Wake::Any, "there is a second batch, and one is awake");
        watch.end(0);
        assert_eq!(watch.whom_to_wake(Decision::WaitUntil(300), false), Wake::Any);
    }

    #[test]
    fn who_watches_for_too_long_looks_again() {
        let mut watch = Watch::default();
        assert!(watch.begin(0, 100));
        assert_eq!(watch.whom_to_wake(Decision::WaitUntil(50), false), Wake::Watching);
        assert!(watch.begin(1, 50), "another one was faster");
        watch.end(0);
        assert_eq!(watch.whom_to_wake(Decision::WaitUntil(50), false), Wake::Nobody, "which watches still");
    }

    #[test]
    fn frames_that_wait_are_work_for_anybody() {
        let mut watch = Watch::default();
        assert_eq!(watch.whom_to_wake(Decision::Idle, false), Wake::Nobody);
        assert_eq!(watch.whom_to_wake(Decision::Idle, true), Wake::Any);
        assert!(watch.begin(0, 100));
        assert_eq!(watch.whom_to_wake(Decision::WaitUntil(100), true), Wake::Any);
        assert_eq!(watch.whom_to_wake(Decision::Take, true), Wake::Watching);
    }
}
