//! When feeds will send their next frame, judged by how they sent the last ones.

use crate::runtime::clock::Time;

/// How a feed sends.
#[derive(Debug, Default, Clone, Copy)]
pub struct Rhythm {
    last: Option<Time>,
    /// A running mean of the time from one frame to the next.
    interval: Option<Time>,
}

impl Rhythm {
    /// What the newest interval counts for in the mean.
    const WEIGHT: Time = 8;

    pub fn arrived(&mut self, now: Time) {
        if let Some(last) = self.last.replace(now) {
            let gap = now.saturating_sub(last);
            self.interval = Some(match self.interval {
                // A frame that is missing, or a pause, does not change the rhythm.
                Some(mean) => mean - mean / Self::WEIGHT + gap.min(2 * mean.max(1)) / Self::WEIGHT,
                None => gap,
            });
        }
    }

    /// When the next frame is due; unknown before the second one.
    pub fn next(&self) -> Option<Time> {
        Some(self.last?.saturating_add(self.interval?))
    }
}

/// Feeds of which nothing is here, by when their next frame is due.
pub struct Due {
    /// In order. A vector: it is short, and allocates nothing once it has grown.
    feeds: Vec<(Time, u64)>,
    /// A frame that is later than that is not waited for.
    tolerance: Time,
}

impl Due {
    pub fn new(tolerance: Time) -> Self {
        Self { feeds: Vec::new(), tolerance }
    }

    pub fn insert(&mut self, feed: u64, time: Time) {
        let index = self.feeds.partition_point(|&other| other < (time, feed));
        self.feeds.insert(index, (time, feed));
    }

    /// `time` is the one that the feed was inserted with.
    pub fn remove(&mut self, feed: u64, time: Time) {
        if let Ok(index) = self.feeds.binary_search(&(time, feed)) {
            self.feeds.remove(index);
        }
    }

    /// How many are due until `until`, and when there will be one less if nothing comes.
    pub fn until(&self, now: Time, until: Time) -> (usize, Time) {
        let missed = self.feeds.partition_point(|&(time, _)| time.saturating_add(self.tolerance) <= now);
        let later = self.feeds.partition_point(|&(time, _)| time <= until);
        let fewer = self.feeds.get(missed).map_or(Time::MAX, |&(time, _)| time.saturating_add(self.tolerance));
        (later.saturating_sub(missed), fewer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_feed_is_due_an_interval_after_its_last_frame() {
        let mut rhythm = Rhythm::default();
        assert_eq!(rhythm.next(), None);
        rhythm.arrived(1000);
        assert_eq!(rhythm.next(), None);
        rhythm.arrived(1400);
        rhythm.arrived(1800);
        assert_eq!(rhythm.next(), Some(2200));
    }

    #[test]
    fn neither_jitter_nor_a_pause_changes_the_rhythm() {
        let mut rhythm = Rhythm::default();
        let mut now = 0;
        for gap in [400, 300, 500, 310, 490, 400, 1_000_000] {
            rhythm.arrived(now);
            now += gap;
        }
        rhythm.arrived(now);
        let interval = rhythm.next().unwrap() - now;
        assert!((350..=500).contains(&interval), "{interval}");
    }

    #[test]
    fn a_new_rhythm_is_learned() {
        let mut rhythm = Rhythm::default();
        (0..10).for_each(|frame| rhythm.arrived(frame * 300));
        for (start, gap) in [(3000, 900), (100_000, 100)] {
            (0..60).for_each(|frame| rhythm.arrived(start + frame * gap));
            let interval = rhythm.next().unwrap() - (start + 59 * gap);
            assert!(interval.abs_diff(gap) <= 10, "{interval} after {gap}");
        }
    }

    #[test]
    fn nothing_overflows() {
        let mut rhythm = Rhythm::default();
        [0, 0, 0, Time::MAX, Time::MAX, 5].into_iter().for_each(|now| rhythm.arrived(now));
        let mut due = Due::new(10);
        due.insert(1, rhythm.next().unwrap());
        due.insert(2, Time::MAX);
        assert_eq!(due.until(0, Time::MAX).0, 2);
    }

    #[test]
    fn counts_who_is_due_and_forgets_who_did_not_come() {
        let mut due = Due::new(10);
        for (feed, time) in [(1, 100), (2, 130), (3, 120), (4, 100)] {
            due.insert(feed, time);
        }
        assert_eq!(due.until(50, 99), (0, 110));
        assert_eq!(due.until(50, 120), (3, 110));
        due.remove(1, 100);
        due.remove(1, 100);
        assert_eq!(due.until(109, 130), (3, 110));
        assert_eq!(due.until(110, 130), (2, 130));
        assert_eq!(due.until(200, 300), (0, Time::MAX));
    }
}
