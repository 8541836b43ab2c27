//! When a feed that failed starts again, and when it does not any more. Plain arithmetic: time and chance come from outside.

use crate::runtime::clock::Time;

#[derive(Debug, Clone, PartialEq)]
pub struct RestartPolicy {
    /// Restarts one after the other before the feed is given up; `u32::MAX`: no limit.
    pub max_restarts: u32,
    /// Before the first restart. Doubles with each one that follows.
    pub delay: Time,
    /// The delay grows no further.
    pub max_delay: Time,
    /// A run that had frames for so long was healthy: restarts are counted anew after it.
    pub window: Time,
}

impl RestartPolicy {
    pub const UNLIMITED: u32 = u32::MAX;
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self { max_restarts: 10, delay: 1_000_000_000, max_delay: 30_000_000_000, window: 60_000_000_000 }
    }
}

/// The restarts of one feed.
#[derive(Debug, Default)]
pub struct Backoff {
    restarts: u32,
}

impl Backoff {
    /// A run has failed that had had frames for `healthy`. How long to wait before the next one; `None`: no more of
    /// them. `chance`, 0 to 1, takes up to half of the delay away, so that feeds that failed together do not come back
    /// together.
    pub fn next(&mut self, policy: &RestartPolicy, healthy: Time, chance: f64) -> Option<Time> {
        if healthy > 0 && healthy >= policy.window {
            self.restarts = 0;
        }
        if self.restarts >= policy.max_restarts && policy.max_restarts != RestartPolicy::UNLIMITED {
            return None;
        }
        let doubled = 2u64.checked_pow(self.restarts).and_then(|factor| policy.delay.checked_mul(factor));
        let delay = doubled.unwrap_or(Time::MAX).min(policy.max_delay);
        self.restarts = self.restarts.saturating_add(1);
        Some(delay - (delay as f64 * chance.clamp(0.0, 1.0) / 2.0) as Time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RestartPolicy = RestartPolicy { max_restarts: 5, delay: 100, max_delay: 1000, window: 5000 };

    #[test]
    fn delays_double_up_to_the_longest_and_then_it_is_over() {
        let mut backoff = Backoff::default();
        let delays: Vec<_> = (0..7).map(|_| backoff.next(&POLICY, 0, 0.0)).collect();
        assert_eq!(delays, [Some(100), Some(200), Some(400), Some(800), Some(1000), None, None]);
    }

    #[test]
    fn chance_takes_up_to_half() {
        for (chance, delay) in [(0.0, 100), (0.5, 75), (1.0, 50), (7.0, 50), (-1.0, 100)] {
            assert_eq!(Backoff::default().next(&POLICY, 0, chance), Some(delay));
        }
    }

    #[test]
    fn only_a_run_that_was_healthy_for_long_counts_anew() {
        let mut backoff = Backoff::default();
        for _ in 0..3 {
            backoff.next(&POLICY, 0, 0.0);
        }
        assert_eq!(backoff.next(&POLICY, 4999, 0.0), Some(800));
        assert_eq!(backoff.next(&POLICY, 5000, 0.0), Some(100));
        assert_eq!(backoff.next(&POLICY, 0, 0.0), Some(200));
    }

    #[test]
    fn without_a_limit_it_goes_on_for_ever() {
        let policy = RestartPolicy { max_restarts: RestartPolicy::UNLIMITED, ..POLICY };
        let mut backoff = Backoff { restarts: u32::MAX - 1 };
        for _ in 0..3 {
            assert_eq!(backoff.next(&policy, 0, 0.0), Some(1000));
        }
    }

    #[test]
    fn nothing_overflows_and_none_is_none() {
        let policy = RestartPolicy { max_restarts: 200, delay: u64::MAX, max_delay: u64::MAX, window: 0 };
        let mut backoff = Backoff::default();
        assert!((0..200).all(|_| backoff.next(&policy, 0, 1.0).is_some()));
        assert_eq!(backoff.next(&policy, 0, 1.0), None);
        assert_eq!(Backoff::default().next(&RestartPolicy { max_restarts: 0, ..POLICY }, 0, 0.0), None);
    }
}
