//! When a feed that failed starts again, and when it does not any more. Plain arithmetic: time and chance come from outside.

use crate::runtime::clock::Time;

#[derive(Debug, Clone, PartialEq)]
pub struct RestartPolicy {
    /// Restarts one after the other before the feed is given up; `u32::MAX`: no limit. `None`: no limit for a camera,
    /// which may be back after hours, and 10 for anything else.
    pub max_restarts: Option<u32>,
    /// Before the first restart. Doubles with each one that follows.
    pub delay: Time,
    /// The delay grows no further.
    pub max_delay: Time,
    /// A run that had frames for so long was healthy: restarts are counted anew after it.
    pub window: Time,
}

impl RestartPolicy {
    pub const UNLIMITED: u32 = u32::MAX;
    const OF_FILES: u32 = 10;

    fn limit(&self, is_camera: bool) -> u32 {
        self.max_restarts.unwrap_or(if is_camera { Self::UNLIMITED } else { Self::OF_FILES })
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self { max_restarts: None, delay: 1_000_000_000, max_delay: 30_000_000_000, window: 60_000_000_000 }
    }
}

/// The restarts of one feed.
#[derive(Debug)]
pub struct Backoff {
    policy: RestartPolicy,
    limit: u32,
    restarts: u32,
}

impl Backoff {
    pub fn new(policy: RestartPolicy, is_camera: bool) -> Self {
        Self { limit: policy.limit(is_camera), policy, restarts: 0 }
    }

    /// A run has failed that had had frames for `healthy`. How long to wait before the next one; `None`: no more of
    /// them. `chance`, 0 to 1, takes up to half of the delay away, so that feeds that failed together do not come back
    /// together.
    pub fn next(&mut self, healthy: Time, chance: f64) -> Option<Time> {
        if healthy > 0 && healthy >= self.policy.window {
            self.restarts = 0;
        }
        if self.restarts >= self.limit && self.limit != RestartPolicy::UNLIMITED {
            return None;
        }
        let doubled = 2u64.checked_pow(self.restarts).and_then(|factor| self.policy.delay.checked_mul(factor));
        let delay = doubled.unwrap_or(Time::MAX).min(self.policy.max_delay);
        self.restarts = self.restarts.saturating_add(1);
        Some(delay - (delay as f64 * chance.clamp(0.0, 1.0) / 2.0) as Time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RestartPolicy = RestartPolicy { max_restarts: Some(5), delay: 100, max_delay: 1000, window: 5000 };

    fn backoff(policy: RestartPolicy) -> Backoff {
        Backoff::new(policy, false)
    }

    #[test]
    fn delays_double_up_to_the_longest_and_then_it_is_over() {
        let mut backoff = backoff(POLICY);
        let delays: Vec<_> = (0..7).map(|_| backoff.next(0, 0.0)).collect();
        assert_eq!(delays, [Some(100), Some(200), Some(400), Some(800), Some(1000), None, None]);
    }

    #[test]
    fn chance_takes_up_to_half() {
        for (chance, delay) in [(0.0, 100), (0.5, 75), (1.0, 50), (7.0, 50), (-1.0, 100)] {
            assert_eq!(backoff(POLICY).next(0, chance), Some(delay));
        }
    }

    #[test]
    fn only_a_run_that_was_healthy_for_long_counts_anew() {
        let mut backoff = backoff(POLICY);
        for _ in 0..3 {
            backoff.next(0, 0.0);
        }
        assert_eq!(backoff.next(4999, 0.0), Some(800));
        assert_eq!(backoff.next(5000, 0.0), Some(100));
        assert_eq!(backoff.next(0, 0.0), Some(200));
    }

    #[test]
    fn a_camera_is_tried_for_ever_and_a_file_is_not() {
        let policy = RestartPolicy { max_restarts: None, ..POLICY };
        let (mut camera, mut file) = (Backoff::new(policy.clone(), true), Backoff::new(policy, false));
        assert!((0..1000).all(|_| camera.next(0, 0.0).is_some()));
        assert_eq!((0..1000).filter(|_| file.next(0, 0.0).is_some()).count(), 10);
    }

    #[test]
    fn without_a_limit_it_goes_on_for_ever() {
        let policy = RestartPolicy { max_restarts: Some(RestartPolicy::UNLIMITED), ..POLICY };
        let mut backoff = Backoff { restarts: u32::MAX - 1, ..backoff(policy) };
        for _ in 0..3 {
            assert_eq!(backoff.next(0, 0.0), Some(1000));
        }
    }

    #[test]
    fn nothing_overflows_and_none_is_none() {
        let mut endless =
            backoff(RestartPolicy { max_restarts: Some(200), delay: u64::MAX, max_delay: u64::MAX, window: 0 });
        assert!((0..200).all(|_| endless.next(0, 1.0).is_some()));
        assert_eq!(endless.next(0, 1.0), None);
        assert_eq!(backoff(RestartPolicy { max_restarts: Some(0), ..POLICY }).next(0, 0.0), None);
    }
}
