//! Whose frame is next: of the highest priority, the feed that was served the longest time ago.
//!
//! A line in order of arrival would be unfair where more comes than can be served: a feed that was served is in line again
//! only once its next frame is there, and the longer that takes, the smaller its share.

use std::{cmp::Reverse, collections::BinaryHeap};

/// Feeds with frames waiting. Each is in here at most once; whoever asks sees to that.
#[derive(Default)]
pub struct Turns {
    /// By priority, the highest first. A priority that was used once stays, so that nothing is allocated for its next turn.
    lines: Vec<(i32, BinaryHeap<Reverse<Waiting>>)>,
    len: usize,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    /// Smaller numbers are longer ago.
    served: u64,
    feed: u64,
}

impl Turns {
    pub fn len(&self) -> usize {
        self.len
    }

    /// The feed was served last as number `served` of all.
    pub fn push(&mut self, feed: u64, priority: i32, served: u64) {
        let index = match self.find(priority) {
            Ok(index) => index,
            Err(index) => {
                self.lines.insert(index, (priority, BinaryHeap::new()));
                index
            }
        };
        self.lines[index].1.push(Reverse(Waiting { served, feed }));
        self.len += 1;
    }

    pub fn next(&self) -> Option<u64> {
        self.lines.iter().find_map(|(_, line)| line.peek()).map(|Reverse(waiting)| waiting.feed)
    }

    pub fn pop(&mut self) -> Option<u64> {
        let Reverse(next) = self.lines.iter_mut().find_map(|(_, line)| line.pop())?;
        self.len -= 1;
        Some(next.feed)
    }

    pub fn remove(&mut self, feed: u64, priority: i32) {
        if let Ok(index) = self.find(priority) {
            let line = &mut self.lines[index].1;
            let before = line.len();
            line.retain(|Reverse(waiting)| waiting.feed != feed);
            self.len -= before - line.len();
        }
    }

    fn find(&self, priority: i32) -> Result<usize, usize> {
        self.lines.binary_search_by_key(&Reverse(priority), |(priority, _)| Reverse(*priority))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_priority_first_then_who_was_served_longest_ago() {
        let mut turns = Turns::default();
        for (feed, priority, served) in
            [(1, 0, 3), (2, -5, 0), (3, 7, 9), (4, 0, 1), (5, 7, 8), (6, i32::MIN, 0), (7, i32::MAX, 10), (8, 0, 2)]
        {
            turns.push(feed, priority, served);
        }
        turns.remove(4, 0);
        turns.remove(4, 7);
        turns.remove(4, 3);
        assert_eq!((turns.len(), turns.next()), (7, Some(7)));
        assert_eq!(std::iter::from_fn(|| turns.pop()).collect::<Vec<_>>(), [7, 5, 3, 8, 1, 2, 6]);
        assert_eq!((turns.len(), turns.next()), (0, None));
    }
}
