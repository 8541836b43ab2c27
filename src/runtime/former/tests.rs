use std::collections::HashMap;

use super::*;

const MS: Time = 1_000_000;

/// A former of feeds named by their number, frames named by feed and count, and memory that never ends.
struct Bench {
    former: Former<u64, (u64, u32), ()>,
    counts: HashMap<u64, u32>,
}

impl Bench {
    fn new(max_batch: usize, feeds: u64) -> Self {
        Self::of(Rules { max_batch, max_latency: 20 * MS, sharers: 1, fixed_run: false }, feeds)
    }

    fn of(rules: Rules, feeds: u64) -> Self {
        let mut former = Former::new(rules);
        (1..=feeds).for_each(|id| former.attach(id, id, 0));
        Self { former, counts: HashMap::new() }
    }

    fn write_next(&mut self, arrival: Time) -> Option<u64> {
        let reservation = self.former.reserve(|| Some(()))?;
        let feed = reservation.feed;
        let count = self.counts.entry(feed).or_default();
        *count += 1;
        self.former.commit(reservation, (feed, *count), arrival);
        Some(feed)
    }

    fn frame(&mut self, feed: u64, now: Time) -> Option<u64> {
        self.former.arrived(feed, now, 1);
        self.write_next(now)
    }

    fn take(&mut self) -> Vec<u64> {
        let id = self.former.seal().unwrap();
        let mut frames = Vec::new();
        self.former.complete(id, &mut frames).unwrap();
        frames.iter().map(|(_, (feed, _))| *feed).collect()
    }
}

/// So long after one frame of a camera comes the next.
const INTERVAL: Time = 40 * MS;

impl Bench {
    /// Feeds that send steadily, `offsets` of them after the first, and sent for a while: up to time 0 of a new interval.
    fn steady(max_batch: usize, offsets: &[Time]) -> Self {
        let rules = Rules { max_batch, max_latency: 20 * MS, sharers: 1, fixed_run: false };
        Self::steady_of(rules, offsets)
    }

    fn steady_of(rules: Rules, offsets: &[Time]) -> Self {
        let mut bench = Self::of(rules, offsets.len() as u64);
        for round in 0..5 {
            for (feed, offset) in (1..).zip(offsets) {
                bench.frame(feed, round * INTERVAL + offset);
                bench.take();
            }
        }
        bench
    }
}

/// The first frame of a new interval comes.
const NOW: Time = 5 * INTERVAL;

#[test]
fn a_lone_feed_never_waits() {
    for interval in [MS, 10 * MS, 33 * MS] {
        let mut bench = Bench::new(8, 16);
        for frame in 0..50 {
            let now = frame * interval;
            bench.frame(1, now);
            assert_eq!(bench.former.decide(now, 1), Decision::Take);
            // Nor where its next frame comes before this one is taken.
            bench.frame(1, now + 1);
            assert_eq!(bench.former.decide(now + 1, 1), Decision::Take);
            assert_eq!(bench.take(), [1, 1]);
        }
    }
}

#[test]
fn waits_for_frames_that_are_due_and_for_no_others() {
    let mut bench = Bench::steady(8, &[0, 6 * MS, 12 * MS, 30 * MS]);
    bench.frame(1, NOW);
    // Feeds 2 and 3 are due within 20 ms; feed 4 is not. Feed 2 may be late by 5 ms.
    assert_eq!(bench.former.decide(NOW, 1), Decision::WaitUntil(NOW + 11 * MS));
    bench.frame(2, NOW + 6 * MS);
    assert_eq!(bench.former.decide(NOW + 6 * MS, 1), Decision::WaitUntil(NOW + 17 * MS));
    bench.frame(3, NOW + 13 * MS);
    assert_eq!(bench.former.decide(NOW + 13 * MS, 1), Decision::Take);
    assert_eq!(bench.take(), [1, 2, 3]);
    bench.frame(4, NOW + 30 * MS);
    assert_eq!(bench.former.decide(NOW + 30 * MS, 1), Decision::WaitUntil(NOW + 45 * MS), "feed 1 is next");
}

#[test]
fn a_feed_that_is_attached_twice_is_the_same_one() {
    let mut bench = Bench::steady(8, &[0, 6 * MS]);
    bench.former.arrived(1, NOW, 1);
    (1..=2).for_each(|id| bench.former.attach(id, id, 0));
    assert_eq!(bench.write_next(NOW), Some(1));
    assert_eq!(bench.write_next(NOW), None, "it has one turn for its one frame");
    assert_eq!(bench.former.decide(NOW, 1), Decision::WaitUntil(NOW + 11 * MS), "feed 2 is still due");
    bench.frame(2, NOW + 6 * MS);
    assert_eq!(bench.take(), [1, 2]);
}

#[test]
fn a_frame_that_does_not_come_is_not_waited_for() {
    let mut bench = Bench::steady(8, &[0, 6 * MS]);
    bench.frame(1, NOW);
    assert_eq!(bench.former.decide(NOW + 10 * MS, 1), Decision::WaitUntil(NOW + 11 * MS));
    assert_eq!(bench.former.decide(NOW + 11 * MS, 1), Decision::Take);
    bench.take();
    // Nor ever again, until its feed sends.
    for frame in 1..10 {
        let now = NOW + frame * INTERVAL;
        bench.frame(1, now);
        assert_eq!(bench.former.decide(now, 1), Decision::Take);
        bench.take();
    }
}

#[test]
fn who_gains_less_than_those_lose_who_wait_is_not_waited_for() {
    let mut bench = Bench::steady(8, &[0, 6 * MS, 12 * MS, 18 * MS]);
    // 5 ms a frame.
    (0..100).for_each(|_| bench.former.ran(4, 20 * MS));
    for (feed, offset) in (1..).zip([0, 6 * MS, 12 * MS, 18 * MS]) {
        bench.frame(feed, NOW + offset);
        assert_eq!(bench.former.decide(NOW + offset, 1), Decision::Take, "the next one comes too late");
        bench.take();
    }
    // Runs get longer: 20 ms a frame, of which one frame waits half, and two wait two thirds of one.
    (0..100).for_each(|_| bench.former.ran(2, 40 * MS));
    let now = NOW + INTERVAL;
    bench.frame(1, now);
    let Decision::WaitUntil(until) = bench.former.decide(now, 1) else { panic!("feed 2 comes early in the run") };
    assert!(until > now + 9 * MS && until <= now + 10 * MS, "{until}");
    bench.frame(2, now + 6 * MS);
    let Decision::WaitUntil(until) = bench.former.decide(now + 6 * MS, 1) else { panic!("so does feed 3") };
    assert!(until > now + 12 * MS && until <= now + 14 * MS, "{until}");
}

#[test]
fn a_run_of_a_fixed_batch_is_worth_a_wait_however_few_frames_it_had() {
    let rules = Rules { max_batch: 8, max_latency: 20 * MS, sharers: 1, fixed_run: true };
    let mut bench = Bench::steady_of(rules, &[0, 6 * MS]);
    for frames in [1, 8, 3] {
        (0..100).for_each(|_| bench.former.ran(frames, 16 * MS));
        assert!((7 * MS..=8 * MS).contains(&bench.former.patience(1)), "half of a run");
        assert!((3 * MS..=4 * MS).contains(&bench.former.patience(3)), "a quarter");
    }
}

#[test]
fn instances_that_write_themselves_leave_the_others_their_share_of_what_waits() {
    let mut bench = Bench::of(Rules { max_batch: 8, max_latency: 20 * MS, sharers: 2, fixed_run: false }, 8);
    (1..=5).for_each(|feed| bench.former.arrived(feed, 0, 1));
    for expected in [&[1, 2, 3][..], &[4], &[5]] {
        while !bench.former.has_whole() {
            bench.write_next(0).unwrap();
        }
        assert_eq!(bench.former.decide(0, 1), Decision::Take);
        assert_eq!(bench.take(), expected);
    }
    assert!(!bench.former.has_whole() && bench.former.is_empty());
    // A source has as many as there is room for.
    bench.former.arrived(1, 0, 100);
    for _ in 0..8 {
        assert!(!bench.former.has_whole());
        bench.write_next(0).unwrap();
        bench.former.give_turn(1, 100);
    }
    assert!(bench.former.has_whole());
    // It is gone, and with it what it had waiting.
    bench.take();
    bench.former.detach(1);
    bench.former.arrived(2, 0, 1);
    bench.write_next(0).unwrap();
    assert!(bench.former.has_whole());
}

#[test]
fn cameras_in_step_share_a_batch_however_short_a_run_is() {
    const STEP: Time = MS / 10;
    let mut bench = Bench::steady(8, &[0, STEP, 2 * STEP]);
    (0..100).for_each(|_| bench.former.ran(3, 1000));
    for feed in 1..=2 {
        bench.frame(feed, NOW + (feed - 1) * STEP);
        assert!(matches!(bench.former.decide(NOW + (feed - 1) * STEP, 1), Decision::WaitUntil(_)));
    }
    bench.frame(3, NOW + 2 * STEP);
    assert_eq!(bench.former.decide(NOW + 2 * STEP, 1), Decision::Take);
    assert_eq!(bench.take(), [1, 2, 3]);
}

#[test]
fn max_latency_counts_from_the_arrival_of_the_oldest_frame() {
    let mut bench = Bench::steady(8, &[0, 18 * MS, 19 * MS]);
    bench.former.arrived(1, NOW, 1);
    // Written much later than it came.
    bench.write_next(NOW);
    assert_eq!(bench.former.decide(NOW + 16 * MS, 1), Decision::WaitUntil(NOW + 20 * MS));
    bench.frame(2, NOW + 19 * MS);
    assert_eq!(bench.former.decide(NOW + 19 * MS, 1), Decision::WaitUntil(NOW + 20 * MS));
    assert_eq!(bench.former.decide(NOW + 20 * MS, 1), Decision::Take);
}

#[test]
fn free_instances_share_what_comes() {
    for (free, expected) in [(4, &[4, 4, 4, 4][..]), (3, &[6, 5, 5]), (2, &[8, 8]), (1, &[8])] {
        let mut bench = Bench::steady(8, &[0; 16]);
        let mut batches = Vec::new();
        for feed in 1..=16 {
            bench.frame(feed, NOW);
            if batches.len() < free && bench.former.decide(NOW, free - batches.len()) == Decision::Take {
                batches.push(bench.take().len());
            }
        }
        assert_eq!(batches, expected);
    }
}

#[test]
fn what_comes_while_instances_are_busy_goes_together() {
    let mut bench = Bench::steady(8, &[0; 16]);
    (1..=16).for_each(|feed| _ = bench.frame(feed, NOW));
    assert_eq!((bench.take().len(), bench.take().len()), (8, 8));
}

#[test]
fn a_feed_that_left_is_not_waited_for() {
    let mut bench = Bench::steady(8, &[0, 6 * MS]);
    bench.frame(1, NOW);
    assert_eq!(bench.former.decide(NOW, 1), Decision::WaitUntil(NOW + 11 * MS));
    bench.former.detach(2);
    assert_eq!(bench.former.decide(NOW, 1), Decision::Take);
    bench.take();
    // Its turn goes with it.
    bench.former.arrived(1, NOW + 1, 1);
    bench.former.detach(1);
    assert_eq!(bench.write_next(NOW + 1), None);
}

#[test]
fn a_full_batch_takes_no_more_and_goes_before_the_next_one() {
    let mut bench = Bench::new(4, 10);
    for feed in 1..=10 {
        bench.former.arrived(feed, 0, 1);
    }
    while bench.write_next(0).is_some() {}
    assert_eq!(bench.former.pending(), 10);
    for expected in [&[1, 2, 3, 4][..], &[5, 6, 7, 8]] {
        assert_eq!(bench.former.decide(0, 1), Decision::Take);
        assert_eq!(bench.take(), expected);
    }
    assert_eq!(bench.former.decide(0, 1), Decision::Take);
    assert_eq!(bench.take(), [9, 10]);
    assert!(bench.former.is_empty());
}

#[test]
fn feeds_take_turns_however_much_one_of_them_sends() {
    let mut bench = Bench::new(64, 3);
    let mut served = Vec::new();
    for feed in 1..=3 {
        bench.former.arrived(feed, 0, 1);
    }
    for _ in 0..9 {
        let feed = bench.write_next(0).unwrap();
        served.push(feed);
        bench.former.give_turn(feed, 1);
        // Feed 1 shouts all the time.
        bench.former.arrived(1, 0, 1);
    }
    assert_eq!(served, [1, 2, 3, 1, 2, 3, 1, 2, 3]);
}

#[test]
fn shares_are_equal_however_soon_the_next_frame_of_a_feed_comes() {
    let mut bench = Bench::new(1, 8);
    let mut served = [0; 8];
    // Feed n has its next frame n steps after its last one was taken, and each step serves one.
    let mut next = [0; 8];
    for step in 0..800 {
        (1..=8).filter(|&feed| next[feed as usize - 1] == step).for_each(|feed| bench.former.arrived(feed, step, 1));
        if let Some(feed) = bench.write_next(step) {
            served[feed as usize - 1] += 1;
            next[feed as usize - 1] = step + feed;
            bench.take();
        }
    }
    assert_eq!(served, [100; 8]);
}

#[test]
fn a_feed_that_had_no_frame_for_its_turn_keeps_it() {
    let mut bench = Bench::new(8, 3);
    (1..=3).for_each(|feed| bench.former.arrived(feed, 0, 1));
    let nothing = bench.former.reserve(|| Some(())).unwrap();
    assert_eq!(nothing.feed, 1);
    bench.former.give_turn_back(nothing);
    assert_eq!(bench.write_next(0), Some(2));
    bench.former.arrived(2, 0, 1);
    bench.former.arrived(1, 0, 1);
    assert_eq!((bench.write_next(0), bench.write_next(0), bench.write_next(0)), (Some(1), Some(3), Some(2)));
}

#[test]
fn higher_priority_first() {
    let mut bench = Bench::new(8, 3);
    bench.former.set_priority(3, 1);
    for feed in 1..=3 {
        bench.former.arrived(feed, 0, 1);
    }
    bench.former.set_priority(2, 2);
    assert_eq!((bench.write_next(0), bench.write_next(0), bench.write_next(0)), (Some(2), Some(3), Some(1)));
}

#[test]
fn a_sealed_batch_waits_for_its_writers_and_for_nobody_else() {
    let mut bench = Bench::new(8, 2);
    bench.frame(1, 0);
    bench.former.arrived(2, 0, 1);
    let late = bench.former.reserve(|| Some(())).unwrap();
    let id = bench.former.seal().unwrap();
    let mut frames = Vec::new();
    assert!(bench.former.complete(id, &mut frames).is_none());
    bench.frame(1, MS);
    bench.former.commit(late, (2, 1), 0);
    bench.former.complete(id, &mut frames).unwrap();
    assert_eq!(frames, [(0, (1, 1)), (1, (2, 1))]);
    assert_eq!(bench.former.pending(), 1);
}

#[test]
fn a_whole_batch_that_is_written_goes_before_one_that_is_not() {
    let mut bench = Bench::new(2, 6);
    bench.frame(1, 0);
    bench.former.arrived(2, 0, 1);
    let late = bench.former.reserve(|| Some(())).unwrap();
    assert!(!bench.former.has_whole(), "somebody still writes into it");
    bench.frame(3, 0);
    assert!(!bench.former.has_whole(), "there is room in it");
    bench.frame(4, 0);
    assert!(bench.former.has_whole());
    assert_eq!(bench.take(), [3, 4]);
    bench.frame(5, 0);
    bench.former.commit(late, (2, 1), 0);
    assert!(bench.former.has_whole());
    assert_eq!(bench.take(), [1, 2]);
    assert_eq!(bench.take(), [5]);
}

#[test]
fn a_place_given_back_is_used_again() {
    let mut bench = Bench::new(2, 3);
    bench.former.arrived(1, 0, 1);
    let unused = bench.former.reserve(|| Some(())).unwrap();
    assert_eq!(bench.former.decide(0, 1), Decision::Idle);
    bench.former.give_back(unused);
    assert!(bench.former.is_empty());
    bench.frame(2, 0);
    bench.frame(3, 0);
    assert_eq!(bench.take(), [2, 3]);
}

#[test]
fn what_is_taken_out_of_batches_is_not_there_any_more() {
    let mut bench = Bench::new(2, 4);
    (1..=3).for_each(|feed| _ = bench.frame(feed, 0));
    bench.former.arrived(4, 0, 1);
    let writing = bench.former.reserve(|| Some(())).unwrap();
    let mut taken = bench.former.take_ready();
    taken.sort_unstable();
    assert_eq!(taken, [(1, 1), (2, 1), (3, 1)]);
    assert_eq!(bench.former.pending(), 1);
    bench.former.give_back(writing);
    assert_eq!((bench.former.pending(), bench.former.take_ready()), (0, vec![]));
}

#[test]
fn no_memory_no_place_and_no_turn_lost() {
    let mut bench = Bench::new(2, 1);
    bench.former.arrived(1, 0, 1);
    assert!(bench.former.reserve(|| None).is_none());
    assert_eq!(bench.write_next(0), Some(1));
}
