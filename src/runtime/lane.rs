//! What a feed took in and has not yet given out, in order.
//!
//! Results come from several instances in any order; the lane gives them out in the order in which their frames came.
//! It is also what the feed's figures stand on: a frame is in the lane, or it is counted as gone, never both and
//! never neither.

use std::collections::VecDeque;

/// `F` is a frame, `D` what became of it, `P` what only keeps its place in the order (an event).
pub struct Lane<F, D, P> {
    entries: VecDeque<(u64, Entry<F, D, P>)>,
    next: u64,
    queued: usize,
    in_flight: usize,
}

enum Entry<F, D, P> {
    Queued(F),
    InFlight(F),
    Settled(F, D),
    Passing(P),
}

/// The next thing to give out.
#[derive(Debug, PartialEq)]
pub enum Given<F, D, P> {
    Frame(F, D),
    Passing(P),
}

impl<F, D, P> Default for Lane<F, D, P> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), next: 0, queued: 0, in_flight: 0 }
    }
}

impl<F, D, P> Lane<F, D, P> {
    /// A frame that waits for its turn.
    pub fn queue(&mut self, frame: F) {
        self.push(Entry::Queued(frame));
        self.queued += 1;
    }

    pub fn pass(&mut self, item: P) {
        self.push(Entry::Passing(item));
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Frames taken into work whose answer was not given out yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub fn oldest_queued(&self) -> Option<&F> {
        self.entries.iter().find_map(|(_, entry)| match entry {
            Entry::Queued(frame) => Some(frame),
            _ => None,
        })
    }

    /// Takes the oldest waiting frame out for good.
    pub fn remove_oldest_queued(&mut self) -> Option<F> {
        let index = self.entries.iter().position(|(_, entry)| matches!(entry, Entry::Queued(_)))?;
        match self.entries.remove(index)? {
            (_, Entry::Queued(frame)) => {
                self.queued -= 1;
                Some(frame)
            }
            _ => None,
        }
    }

    /// Takes the oldest waiting frame into work; returns its number and what work needs of it.
    pub fn start<R>(&mut self, read: impl FnOnce(&mut F) -> R) -> Option<(u64, R)> {
        let index = self.entries.iter().position(|(_, entry)| matches!(entry, Entry::Queued(_)))?;
        let (number, entry) = self.entries.remove(index)?;
        let Entry::Queued(mut frame) = entry else { return None };
        let read = read(&mut frame);
        self.entries.insert(index, (number, Entry::InFlight(frame)));
        self.queued -= 1;
        self.in_flight += 1;
        Some((number, read))
    }

    /// The frame of that number, while it is in work.
    pub fn in_work(&self, number: u64) -> Option<&F> {
        let index = self.entries.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        match self.entries.get(index)? {
            (_, Entry::InFlight(frame)) => Some(frame),
            _ => None,
        }
    }

    pub fn in_work_mut(&mut self, number: u64) -> Option<&mut F> {
        let index = self.entries.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        match self.entries.get_mut(index)? {
            (_, Entry::InFlight(frame)) => Some(frame),
            _ => None,
        }
    }

    /// What became of a frame in work. False where nobody waits for it any more.
    pub fn settle(&mut self, number: u64, outcome: D) -> bool {
        let Ok(index) = self.entries.binary_search_by_key(&number, |(number, _)| *number) else { return false };
        match self.entries.remove(index) {
            Some((_, Entry::InFlight(frame))) => {
                self.entries.insert(index, (number, Entry::Settled(frame, outcome)));
                true
            }
            Some(other) => {
                self.entries.insert(index, other);
                false
            }
            None => false,
        }
    }

    /// Whether [`Lane::give`] has something.
    pub fn can_give(&self) -> bool {
        matches!(self.entries.front(), Some((_, Entry::Settled(..) | Entry::Passing(_))))
    }

    /// What became of the frame that is given next.
    pub fn next_outcome(&self) -> Option<&D> {
        match self.entries.front() {
            Some((_, Entry::Settled(_, outcome))) => Some(outcome),
            _ => None,
        }
    }

    /// The oldest entry, once it is settled.
    pub fn give(&mut self) -> Option<Given<F, D, P>> {
        if !self.can_give() {
            return None;
        }
        match self.entries.pop_front()?.1 {
            Entry::Settled(frame, outcome) => {
                self.in_flight -= 1;
                Some(Given::Frame(frame, outcome))
            }
            Entry::Passing(item) => Some(Given::Passing(item)),
            Entry::Queued(_) | Entry::InFlight(_) => None,
        }
    }

    /// Forgets everything; returns how many frames that were, and what else there was.
    pub fn clear(&mut self) -> (usize, Vec<P>) {
        let frames = self.queued + self.in_flight;
        self.queued = 0;
        self.in_flight = 0;
        let passing = self.entries.drain(..).filter_map(|(_, entry)| match entry {
            Entry::Passing(item) => Some(item),
            _ => None,
        });
        (frames, passing.collect())
    }

    fn push(&mut self, entry: Entry<F, D, P>) {
        self.entries.push_back((self.next, entry));
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestLane = Lane<&'static str, u32, char>;

    fn start(lane: &mut TestLane) -> u64 {
        lane.start(|_| ()).unwrap().0
    }

    #[test]
    fn gives_in_the_order_of_arrival_whatever_settles_first() {
        let mut lane = TestLane::default();
        lane.queue("a");
        lane.pass('!');
        lane.queue("b");
        let (a, b) = (start(&mut lane), start(&mut lane));
        assert_eq!((lane.queued(), lane.in_flight()), (0, 2));
        assert!(lane.settle(b, 2));
        assert_eq!(lane.give(), None);
        assert!(lane.settle(a, 1));
        assert_eq!(lane.give(), Some(Given::Frame("a", 1)));
        assert_eq!(lane.give(), Some(Given::Passing('!')));
        assert_eq!(lane.give(), Some(Given::Frame("b", 2)));
        assert!(lane.is_empty());
        assert_eq!(lane.in_flight(), 0);
    }

    #[test]
    fn the_oldest_waiting_frame_can_be_dropped_between_others() {
        let mut lane = TestLane::default();
        ["a", "b", "c"].into_iter().for_each(|frame| lane.queue(frame));
        let a = start(&mut lane);
        assert_eq!(lane.oldest_queued(), Some(&"b"));
        assert_eq!(lane.remove_oldest_queued(), Some("b"));
        let c = start(&mut lane);
        assert_eq!(lane.remove_oldest_queued(), None);
        assert!(lane.settle(c, 3) && lane.settle(a, 1));
        assert_eq!((lane.give(), lane.give()), (Some(Given::Frame("a", 1)), Some(Given::Frame("c", 3))));
    }

    #[test]
    fn what_was_cleared_cannot_come_back() {
        let mut lane = TestLane::default();
        ["a", "b"].into_iter().for_each(|frame| lane.queue(frame));
        let a = start(&mut lane);
        lane.pass('!');
        assert_eq!(lane.clear(), (2, vec!['!']));
        lane.queue("new");
        assert!(!lane.settle(a, 1));
        assert_eq!(lane.in_work(a), None);
        let new = start(&mut lane);
        assert!(lane.settle(new, 9));
        assert!(!lane.settle(new, 10), "settled once");
        assert_eq!(lane.give(), Some(Given::Frame("new", 9)));
    }
}
