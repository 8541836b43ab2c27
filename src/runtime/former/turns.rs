//! Whose frame is next: higher priority first, then in a circle.

use std::{cmp::Reverse, collections::VecDeque};

/// Feeds with frames waiting. Each is in here at most once; whoever asks sees to that.
#[derive(Default)]
pub struct Turns {
    /// By priority, the highest first. A priority that was used once stays, so that nothing is allocated for its next turn.
    circles: Vec<(i32, VecDeque<u64>)>,
    len: usize,
}

impl Turns {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn push(&mut self, feed: u64, priority: i32) {
        let index = match self.find(priority) {
            Ok(index) => index,
            Err(index) => {
                self.circles.insert(index, (priority, VecDeque::new()));
                index
            }
        };
        self.circles[index].1.push_back(feed);
        self.len += 1;
    }

    pub fn next(&self) -> Option<u64> {
        self.circles.iter().find_map(|(_, circle)| circle.front().copied())
    }

    pub fn pop(&mut self) -> Option<u64> {
        let next = self.circles.iter_mut().find_map(|(_, circle)| circle.pop_front())?;
        self.len -= 1;
        Some(next)
    }

    pub fn remove(&mut self, feed: u64, priority: i32) {
        if let Ok(index) = self.find(priority) {
            let circle = &mut self.circles[index].1;
            let before = circle.len();
            circle.retain(|&other| other != feed);
            self.len -= before - circle.len();
        }
    }

    fn find(&self, priority: i32) -> Result<usize, usize> {
        self.circles.binary_search_by_key(&Reverse(priority), |(priority, _)| Reverse(*priority))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_priority_first_then_first_come() {
        let mut turns = Turns::default();
        for (feed, priority) in [(1, 0), (2, -5), (3, 7), (4, 0), (5, 7), (6, i32::MIN), (7, i32::MAX)] {
            turns.push(feed, priority);
        }
        turns.remove(4, 0);
        turns.remove(4, 7);
        turns.remove(4, 3);
        assert_eq!((turns.len(), turns.next()), (6, Some(7)));
        assert_eq!(std::iter::from_fn(|| turns.pop()).collect::<Vec<_>>(), [7, 3, 5, 1, 2, 6]);
        assert_eq!((turns.len(), turns.next()), (0, None));
    }
}
