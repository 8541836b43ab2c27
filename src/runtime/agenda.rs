//! When the monitor looks at which feed: when something of it can be late, and not at all of them all the time.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;

use super::clock::Time;

#[derive(Default)]
pub struct Agenda {
    /// A leaf.
    planned: Mutex<Planned>,
}

#[derive(Default)]
struct Planned {
    looks: BTreeSet<(Time, u64)>,
    time_of: HashMap<u64, Time>,
}

impl Agenda {
    /// Something changed about the feed: what is late of it may be so now.
    pub fn soon(&self, feed: u64) {
        self.planned.lock().put(0, feed);
    }

    /// The feed was looked at, and nothing can be late before `time`; unless something has changed meanwhile.
    pub fn next(&self, time: Time, feed: u64) {
        let mut planned = self.planned.lock();
        if !planned.time_of.contains_key(&feed) {
            planned.put(time, feed);
        }
    }

    /// The feeds that are to be looked at now. They have no next time until they get one.
    pub fn due(&self, now: Time) -> Vec<u64> {
        let mut planned = self.planned.lock();
        let mut due = Vec::new();
        while let Some(&(time, feed)) = planned.looks.first().filter(|(time, _)| *time <= now) {
            planned.looks.remove(&(time, feed));
            planned.time_of.remove(&feed);
            due.push(feed);
        }
        due
    }
}

impl Planned {
    fn put(&mut self, time: Time, feed: u64) {
        if let Some(before) = self.time_of.insert(feed, time) {
            self.looks.remove(&(before, feed));
        }
        self.looks.insert((time, feed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_are_looked_at_when_it_is_time() {
        let agenda = Agenda::default();
        agenda.next(300, 3);
        agenda.next(100, 1);
        agenda.next(100, 2);
        assert_eq!((agenda.due(99), agenda.due(100)), (vec![], vec![1, 2]));
        assert!(agenda.due(299).is_empty(), "who was looked at has no next time yet");
        agenda.next(400, 1);
        assert_eq!(agenda.due(1000), [3, 1]);
    }

    #[test]
    fn a_change_brings_the_look_forward_once() {
        let agenda = Agenda::default();
        agenda.next(500, 1);
        agenda.soon(1);
        agenda.soon(1);
        assert_eq!(agenda.due(1), [1]);
        agenda.next(600, 1);
        assert_eq!((agenda.due(599), agenda.due(600)), (vec![], vec![1]), "what was planned before is forgotten");
        // It changes while it is looked at.
        agenda.soon(1);
        agenda.next(900, 1);
        assert_eq!((agenda.due(601), agenda.due(1000)), (vec![1], vec![]));
    }
}
