//! Telling what repeats at most once a second, and how often it happened.

use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Throttle {
    told: Option<Instant>,
    untold: u64,
}

impl Throttle {
    /// It happened: how often since it was last told, if it is time to tell it again.
    pub fn happened(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < PERIOD) {
            return None;
        }
        self.told = Some(now);
        self.rest()
    }

    /// It is over: how often it happened without being told.
    pub fn rest(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.untold)).filter(|&count| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_first_at_once_and_the_others_together() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(throttle.happened(at(0)), Some(1));
        assert_eq!(throttle.happened(at(10)), None);
        assert_eq!(throttle.happened(at(999)), None);
        assert_eq!(throttle.happened(at(1000)), Some(3));
        assert_eq!(throttle.rest(), None);
        assert_eq!(throttle.happened(at(1001)), None);
        assert_eq!(throttle.rest(), Some(1));
    }
}
