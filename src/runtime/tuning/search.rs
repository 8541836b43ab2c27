//! The search for the fastest setting: a race in rounds.
//!
//! All candidates are tried once, then again, in turns, so that a machine that is busy with something else now and then
//! slows all of them alike. After each round those that are clearly behind are out. In the end the smallest setting
//! that is about as fast as the fastest wins. What a trial takes and when time is over it is told: it has no clock.

use super::Setting;
use crate::runtime::Error;

/// How far behind the fastest a setting may be after each round, and after all that follow. Where it shrinks faster, bad luck
/// puts out one of two equals: found by replaying recorded trials, see `docs/tuning.md`.
const TOLERANCE: [f64; 11] = [1.5, 0.4, 0.25, 0.2, 0.15, 0.12, 0.1, 0.08, 0.07, 0.06, 0.05];
/// With neighbours a third of all trials is more than 10 % off, the mean of the fastest third of so many 1 to 2 %.
const ROUNDS: usize = 20;
/// A larger setting has to gain this much over a smaller one: it costs latency, memory or cores.
const WORTHWHILE: f64 = 0.02;
/// A run that takes longer makes frames late, whatever it gains, and measuring as well.
const LONGEST_RUN: f64 = 0.25;
/// Once batches take so many times what a smaller one takes, larger ones are not tried.
const CLEARLY_WORSE: f64 = 1.15;

/// Where settings are tried.
pub trait Bench {
    /// Seconds that a frame takes, of all instances together. `None` where there is no time to try this.
    fn seconds_a_frame(&mut self, setting: Setting) -> Result<Option<f64>, Error>;
    fn has_time(&self) -> bool;
}

struct Racer {
    setting: Setting,
    /// Of each trial; sorted.
    seconds: Vec<f64>,
}

/// The winner among `settings`, which come with smaller batches first. There is one at least.
pub fn fastest(settings: &[Setting], bench: &mut impl Bench) -> Result<Setting, Error> {
    let mut racers: Vec<Racer> = Vec::new();
    for &setting in settings {
        let of_way = |racer: &&Racer| racer.setting.is_same_way(&setting);
        if !racers.is_empty() && (!bench.has_time() || is_hopeless(setting, racers.iter().filter(of_way))) {
            continue;
        }
        if let Some(seconds) = bench.seconds_a_frame(setting)? {
            racers.push(Racer { setting, seconds: vec![seconds] });
        }
    }
    'race: for round in 0..ROUNDS {
        let limit = best(&racers) * (1.0 + TOLERANCE[round.min(TOLERANCE.len() - 1)]);
        racers.retain(|racer| racer.seconds() <= limit);
        if racers.len() <= 1 {
            break;
        }
        for racer in &mut racers {
            if !bench.has_time() {
                break 'race;
            }
            if let Some(seconds) = bench.seconds_a_frame(racer.setting)? {
                racer.add(seconds);
            }
        }
    }
    let limit = best(&racers) * (1.0 + WORTHWHILE);
    let smallest =
        racers.iter().filter(|racer| racer.seconds() <= limit).map(|racer| racer.setting).min_by_key(Setting::size);
    // A first setting that could not even be tried is as good as any other.
    Ok(smallest.or(settings.first().copied()).unwrap_or(Setting {
        instances: 1,
        intra_op_threads: 1,
        max_batch_size: 1,
    }))
}

/// Whether this batch is not worth a trial after those of the same instances with smaller ones.
fn is_hopeless<'a>(setting: Setting, smaller: impl Iterator<Item = &'a Racer> + Clone) -> bool {
    let fastest = smaller.clone().map(Racer::seconds).fold(f64::INFINITY, f64::min);
    let run = fastest * setting.max_batch_size.saturating_mul(setting.instances) as f64;
    // Two in a row: one may just have met a moment when the machine was busy.
    let worse = smaller.fold(0, |worse, racer| if racer.seconds() > fastest * CLEARLY_WORSE { worse + 1 } else { 0 });
    run.is_finite() && run > LONGEST_RUN || worse >= 2
}

fn best(racers: &[Racer]) -> f64 {
    racers.iter().map(Racer::seconds).fold(f64::INFINITY, f64::min)
}

impl Racer {
    fn add(&mut self, seconds: f64) {
        let place = self.seconds.partition_point(|&other| other < seconds);
        self.seconds.insert(place, seconds);
    }

    /// The mean of the fastest third: others on the machine only make a trial slower, and may have it half of the time.
    fn seconds(&self) -> f64 {
        let third = self.seconds.len().div_ceil(3);
        self.seconds.iter().take(third).sum::<f64>() / third.max(1) as f64
    }
}

impl Setting {
    fn is_same_way(&self, other: &Self) -> bool {
        (self.instances, self.intra_op_threads) == (other.instances, other.intra_op_threads)
    }

    /// What is smaller goes first: cores, then latency and memory, then sessions.
    fn size(&self) -> (usize, usize, usize) {
        (self.instances.saturating_mul(self.intra_op_threads), self.max_batch_size, self.instances)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    fn setting(instances: usize, intra_op_threads: usize, max_batch_size: usize) -> Setting {
        Setting { instances, intra_op_threads, max_batch_size }
    }

    fn grid() -> Vec<Setting> {
        let ways = [(4, 1), (2, 1), (2, 2), (1, 4)];
        let batches = [1, 2, 4, 8, 16];
        ways.into_iter().flat_map(|(i, t)| batches.into_iter().map(move |b| setting(i, t, b))).collect()
    }

    /// Tells times as a function of the setting and of the number of the trial.
    struct Told<F> {
        time: F,
        trials: Vec<Setting>,
        most: usize,
    }

    impl<F: Fn(Setting, usize) -> f64> Bench for Told<F> {
        fn seconds_a_frame(&mut self, setting: Setting) -> Result<Option<f64>, Error> {
            self.trials.push(setting);
            Ok(Some((self.time)(setting, self.trials.len())))
        }

        fn has_time(&self) -> bool {
            self.trials.len() < self.most
        }
    }

    fn race(most: usize, time: impl Fn(Setting, usize) -> f64) -> (Setting, Vec<Setting>) {
        let mut told = Told { time, trials: Vec::new(), most };
        let winner = fastest(&grid(), &mut told).unwrap();
        (winner, told.trials)
    }

    /// One frame takes 4 ms of a core, a run 1 ms more, and threads share a run badly.
    fn model(setting: Setting) -> f64 {
        let speedup = 1.0 + 0.6 * (setting.intra_op_threads - 1) as f64;
        (0.004 + 0.001 / setting.max_batch_size as f64) / speedup / setting.instances as f64
    }

    #[test]
    fn the_smallest_of_about_the_fastest_wins() {
        let (winner, _) = race(1000, |setting, _| model(setting));
        // Batch 16 would gain 1.5 % over 8 only.
        assert_eq!(winner, setting(4, 1, 8));
        let (winner, _) = race(1000, |_, _| 0.001);
        assert_eq!(winner, setting(2, 1, 1), "half of the cores, where all are no faster");
    }

    #[test]
    fn noise_does_not_mislead() {
        // Two are equal, their neighbours 7 % slower; a trial is up to 12 % off, and two of five met a busy moment.
        let time = |setting: Setting| match (setting.instances, setting.max_batch_size) {
            (4, 4 | 8) => 0.00100,
            (4, 2 | 16) => 0.00107,
            (4, _) => 0.00122,
            _ => 0.003,
        };
        let is_misled = |&seed: &u64| {
            let noise = RefCell::new(fastrand::Rng::with_seed(seed));
            let (winner, _) = race(1000, |setting, _| {
                let mut noise = noise.borrow_mut();
                let busy = if noise.f64() < 0.4 { noise.f64() / 2.0 } else { 0.0 };
                time(setting) * (1.0 + 0.12 * noise.f64() + busy)
            });
            !matches!(winner.max_batch_size, 4 | 8)
        };
        let misled = (0..10_000).filter(is_misled).count();
        assert!(misled < 5, "{misled} of 10,000 races");
    }

    #[test]
    fn trials_of_twice_the_time_do_not_mislead() {
        // Of a hundred trials every fourth one, another one each time, takes up to twice as long.
        for shift in 0..16 {
            let noisy = |setting, trial: usize| {
                let hash = (trial + shift).wrapping_mul(2_654_435_761) >> 8;
                model(setting) * if hash.is_multiple_of(4) { 1.1 + (hash % 90) as f64 / 100.0 } else { 1.0 }
            };
            let (winner, _) = race(1000, noisy);
            let fastest = grid().into_iter().map(model).fold(f64::INFINITY, f64::min);
            assert!(model(winner) <= fastest * 1.05, "{winner:?}, shift {shift}");
        }
    }

    #[test]
    fn a_first_trial_that_met_a_busy_moment_puts_nobody_out() {
        let busy = |number| move |trial: usize| if trial == number { 2.4 } else { 1.0 };
        let of_winner = busy(4);
        let (winner, _) = race(1000, |setting, trial| model(setting) * of_winner(trial));
        assert_eq!(winner, setting(4, 1, 8));
        let of_smaller = busy(2);
        let (_, trials) = race(1000, |_, trial| 0.007 * of_smaller(trial));
        assert!(trials.contains(&setting(4, 1, 4)), "a batch of 4 takes a tenth of a second: {trials:?}");
    }

    #[test]
    fn a_machine_that_gets_slower_slows_all_alike() {
        let (winner, _) = race(1000, |setting, trial| model(setting) * (1.0 + trial as f64 / 200.0));
        assert_eq!(winner.instances, 4);
        assert!(winner.max_batch_size >= 4, "{winner:?}");
    }

    #[test]
    fn those_behind_are_tried_once_and_larger_batches_of_them_not_at_all() {
        let (_, trials) = race(1000, |setting, _| match setting.instances {
            4 => 0.001,
            _ => 0.0021 * setting.max_batch_size as f64,
        });
        let tried = |setting: Setting| trials.iter().filter(|&&tried| tried == setting).count();
        assert_eq!([2, 4, 8].map(|batch| tried(setting(1, 4, batch))), [1, 1, 0]);
        assert_eq!(tried(setting(4, 1, 1)), 1 + ROUNDS);
    }

    #[test]
    fn who_is_farther_behind_is_out_sooner() {
        let (winner, trials) = race(1000, |setting, _| match (setting.instances, setting.max_batch_size) {
            (4, 2) => 0.00130,
            (4, 4) => 0.00113,
            (4, 8) => 0.001065,
            (4, 16) => 0.00104,
            (4, _) => 0.00100,
            _ => 0.003,
        });
        assert_eq!(winner, setting(4, 1, 1));
        let tried = |batch| trials.iter().filter(|&&tried| tried == setting(4, 1, batch)).count();
        assert_eq!([2, 4, 8, 16].map(tried), [3, 6, 10, 1 + ROUNDS]);
    }

    #[test]
    fn bad_luck_at_first_is_made_up_for() {
        let unlucky = Cell::new(3_u32);
        let (winner, _) = race(1000, |setting, _| match (setting.instances, setting.max_batch_size) {
            (4, 1) => 0.00104,
            (4, 2) if unlucky.replace(unlucky.get().saturating_sub(1)) > 0 => 0.00110,
            (4, 2) => 0.00100,
            _ => 0.003,
        });
        assert_eq!(winner, setting(4, 1, 2));
    }

    #[test]
    fn batches_that_run_too_long_are_not_tried() {
        let (winner, trials) = race(1000, |setting, _| 0.1 / setting.instances as f64);
        assert!(trials.iter().all(|setting| setting.max_batch_size <= 2), "{trials:?}");
        assert_eq!(winner, setting(4, 1, 1));
    }

    #[test]
    fn when_time_is_over_the_best_so_far_wins() {
        assert_eq!(race(0, |setting, _| model(setting)), (setting(4, 1, 1), vec![setting(4, 1, 1)]));
        let (winner, trials) = race(4, |setting, _| model(setting));
        assert_eq!((winner, trials.len()), (setting(4, 1, 8), 4));
    }

    #[test]
    fn what_cannot_be_tried_does_not_win() {
        struct OneOnly;
        impl Bench for OneOnly {
            fn seconds_a_frame(&mut self, setting: Setting) -> Result<Option<f64>, Error> {
                Ok((setting.intra_op_threads == 2).then_some(1e-3))
            }
            fn has_time(&self) -> bool {
                true
            }
        }
        assert_eq!(fastest(&grid(), &mut OneOnly).unwrap(), setting(2, 2, 1));
    }
}
