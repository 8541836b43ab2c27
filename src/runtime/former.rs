//! The batch former: which feed's frame is taken next, into which place of which batch, and when a batch goes.
//!
//! Plain data without threads, locks or a clock: the [`Processor`](super::Processor) keeps it under one lock and tells it the time.
//!
//! A frame's way: its feed [`arrived`](Former::arrived); somebody [`reserve`](Former::reserve)s a place for the feed
//! whose turn it is, writes that feed's oldest frame there without any lock, and [`commit`](Former::commit)s it. An
//! instance that is free asks [`decide`](Former::decide), [`seal`](Former::seal)s the batch (whoever still writes into it
//! finishes, nobody joins any more), and takes it once it is [`complete`](Former::complete).
//!
//! The rule: an instance takes the largest batch that is ready. It waits for more only while fewer frames are there
//! than feeds were active within the last `max_latency`, and never past `max_latency` from the oldest frame's arrival.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, VecDeque},
};

use super::clock::Time;

/// `F` stands for a feed, `T` for a frame that was written, `B` for the memory of a batch.
pub struct Former<F, T, B> {
    max_batch: usize,
    max_latency: Time,
    members: HashMap<u64, Member<F>>,
    /// Feeds with frames waiting, the next one first, by priority.
    turns: BTreeMap<Reverse<i32>, VecDeque<u64>>,
    /// Arrivals within the window, oldest first.
    arrivals: VecDeque<(Time, u64)>,
    /// Members with an arrival within the window.
    active: usize,
    forming: Option<Batch<T, B>>,
    /// Batches that nothing more fits into, for the next instances that are free.
    full: VecDeque<Batch<T, B>>,
    sealed: Vec<Batch<T, B>>,
    next_batch: u64,
}

struct Member<F> {
    feed: F,
    priority: i32,
    has_turn: bool,
    last_arrival: Option<Time>,
}

struct Batch<T, B> {
    id: u64,
    buffer: B,
    places: Vec<PlaceState<T>>,
    writing: usize,
    ready: usize,
    /// Arrival of the oldest frame that is ready.
    oldest: Time,
}

enum PlaceState<T> {
    Free,
    Writing,
    Ready(T),
}

/// A place for the next frame of `feed`; ends in [`Former::commit`] or [`Former::give_back`].
#[derive(Debug)]
pub struct Reservation<F, B> {
    pub feed: F,
    pub buffer: B,
    pub place: usize,
    batch: u64,
}

/// What a free instance does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing is ready.
    Idle,
    /// More frames are likely; look again when one is committed, or then.
    WaitUntil(Time),
    Take,
}

/// A batch that nobody writes into any more: the frames with their places.
pub struct Complete<T, B> {
    pub buffer: B,
    pub frames: Vec<(usize, T)>,
}

impl<F: Clone, T, B: Clone> Former<F, T, B> {
    pub fn new(max_batch: usize, max_latency: Time) -> Self {
        Self {
            max_batch: max_batch.max(1),
            max_latency,
            members: HashMap::new(),
            turns: BTreeMap::new(),
            arrivals: VecDeque::new(),
            active: 0,
            forming: None,
            full: VecDeque::new(),
            sealed: Vec::new(),
            next_batch: 0,
        }
    }

    pub fn attach(&mut self, id: u64, feed: F, priority: i32) {
        self.members.insert(id, Member { feed, priority, has_turn: false, last_arrival: None });
    }

    /// Takes the feed's turn away; what it has in a batch stays there.
    pub fn detach(&mut self, id: u64) {
        if let Some(member) = self.members.remove(&id) {
            if member.has_turn {
                self.forget_turn(id, member.priority);
            }
            if member.last_arrival.is_some() {
                self.arrivals.retain(|&(_, feed)| feed != id);
                self.active -= 1;
            }
        }
    }

    pub fn set_priority(&mut self, id: u64, priority: i32) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let before = std::mem::replace(&mut member.priority, priority);
        if member.has_turn && before != priority {
            self.forget_turn(id, before);
            self.turns.entry(Reverse(priority)).or_default().push_back(id);
        }
    }

    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// A frame of the feed came in.
    pub fn arrived(&mut self, id: u64, now: Time) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.last_arrival.replace(now).is_none() {
            self.active += 1;
        }
        self.arrivals.push_back((now, id));
        self.expire(now);
        self.give_turn(id);
    }

    /// The feed has a frame waiting.
    pub fn give_turn(&mut self, id: u64) {
        if let Some(member) = self.members.get_mut(&id)
            && !member.has_turn
        {
            member.has_turn = true;
            self.turns.entry(Reverse(member.priority)).or_default().push_back(id);
        }
    }

    /// The next feed in turn and a place for its frame. `open` gives memory for a new batch, if there is any.
    pub fn reserve(&mut self, open: impl FnOnce() -> Option<B>) -> Option<Reservation<F, B>> {
        if self.turns.is_empty() {
            return None;
        }
        if self.forming.as_ref().is_none_or(|batch| batch.taken() >= self.max_batch) {
            let buffer = open()?;
            self.full.extend(self.forming.take());
            let id = self.next_batch;
            self.next_batch += 1;
            self.forming = Some(Batch {
                id,
                buffer,
                places: Vec::with_capacity(self.max_batch),
                writing: 0,
                ready: 0,
                oldest: Time::MAX,
            });
        }
        let feed = self.next_turn()?;
        let batch = self.forming.as_mut()?;
        let place = batch.free_place();
        batch.places[place] = PlaceState::Writing;
        batch.writing += 1;
        Some(Reservation { feed, buffer: batch.buffer.clone(), place, batch: batch.id })
    }

    /// The reserved place holds `frame`, which came in at `arrival`.
    pub fn commit(&mut self, reservation: Reservation<F, B>, frame: T, arrival: Time) {
        if let Some(batch) = self.batch(reservation.batch) {
            batch.writing -= 1;
            batch.ready += 1;
            batch.oldest = batch.oldest.min(arrival);
            batch.places[reservation.place] = PlaceState::Ready(frame);
        }
    }

    /// The reserved place stays empty.
    pub fn give_back(&mut self, reservation: Reservation<F, B>) {
        if let Some(batch) = self.batch(reservation.batch) {
            batch.writing -= 1;
            batch.places[reservation.place] = PlaceState::Free;
        }
    }

    pub fn decide(&mut self, now: Time) -> Decision {
        self.expire(now);
        if !self.full.is_empty() {
            return Decision::Take;
        }
        let Some(batch) = &self.forming else { return Decision::Idle };
        if batch.ready == 0 {
            return Decision::Idle;
        }
        let latest = batch.oldest.saturating_add(self.max_latency);
        if batch.taken() >= self.active.min(self.max_batch) || now >= latest {
            return Decision::Take;
        }
        // When the oldest arrival leaves the window there may be fewer feeds to wait for.
        let fewer = self.arrivals.front().map_or(latest, |&(arrival, _)| arrival.saturating_add(self.max_latency));
        Decision::WaitUntil(latest.min(fewer))
    }

    /// Closes the batch that is due; returns its id.
    pub fn seal(&mut self) -> Option<u64> {
        let batch = self.full.pop_front().or_else(|| self.forming.take())?;
        let id = batch.id;
        self.sealed.push(batch);
        Some(id)
    }

    /// The sealed batch, once everybody who wrote into it is done.
    pub fn complete(&mut self, id: u64) -> Option<Complete<T, B>> {
        let index = self.sealed.iter().position(|batch| batch.id == id && batch.writing == 0)?;
        let batch = self.sealed.swap_remove(index);
        let frames = batch
            .places
            .into_iter()
            .enumerate()
            .filter_map(|(place, state)| match state {
                PlaceState::Ready(frame) => Some((place, frame)),
                PlaceState::Free | PlaceState::Writing => None,
            })
            .collect();
        Some(Complete { buffer: batch.buffer, frames })
    }

    /// Empties all batches of what is ready; the places stay.
    pub fn take_ready(&mut self) -> Vec<T> {
        let mut taken = Vec::new();
        for batch in self.forming.iter_mut().chain(&mut self.full).chain(&mut self.sealed) {
            for place in &mut batch.places {
                match std::mem::replace(place, PlaceState::Free) {
                    PlaceState::Ready(frame) => taken.push(frame),
                    other => *place = other,
                }
            }
            batch.ready = 0;
        }
        taken
    }

    /// Whether no batch holds or awaits a frame.
    pub fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.full.is_empty() && self.forming.as_ref().is_none_or(|batch| batch.taken() == 0)
    }

    /// The feed whose turn is next.
    pub fn whose_turn(&self) -> Option<F> {
        let id = self.turns.first_key_value()?.1.front()?;
        self.members.get(id).map(|member| member.feed.clone())
    }

    /// Frames in batches that no instance has taken yet.
    pub fn pending(&self) -> usize {
        self.full.iter().chain(&self.forming).map(Batch::taken).sum()
    }

    fn batch(&mut self, id: u64) -> Option<&mut Batch<T, B>> {
        self.forming.iter_mut().chain(&mut self.full).chain(&mut self.sealed).find(|batch| batch.id == id)
    }

    fn next_turn(&mut self) -> Option<F> {
        let mut highest = self.turns.first_entry()?;
        let id = highest.get_mut().pop_front();
        if highest.get().is_empty() {
            highest.remove();
        }
        let member = self.members.get_mut(&id?)?;
        member.has_turn = false;
        Some(member.feed.clone())
    }

    fn forget_turn(&mut self, id: u64, priority: i32) {
        if let Some(turns) = self.turns.get_mut(&Reverse(priority)) {
            turns.retain(|&feed| feed != id);
            if turns.is_empty() {
                self.turns.remove(&Reverse(priority));
            }
        }
    }

    fn expire(&mut self, now: Time) {
        while let Some(&(arrival, id)) = self.arrivals.front()
            && arrival.saturating_add(self.max_latency) <= now
        {
            self.arrivals.pop_front();
            if let Some(member) = self.members.get_mut(&id)
                && member.last_arrival == Some(arrival)
            {
                member.last_arrival = None;
                self.active -= 1;
            }
        }
    }
}

impl<T, B> Batch<T, B> {
    fn taken(&self) -> usize {
        self.writing + self.ready
    }

    fn free_place(&mut self) -> usize {
        if self.taken() < self.places.len()
            && let Some(free) = self.places.iter().position(|place| matches!(place, PlaceState::Free))
        {
            return free;
        }
        self.places.push(PlaceState::Free);
        self.places.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Time = 1_000_000;

    /// A former of feeds named by their number, frames named by feed and count, and memory that never ends.
    struct Bench {
        former: Former<u64, (u64, u32), ()>,
        counts: HashMap<u64, u32>,
    }

    impl Bench {
        fn new(max_batch: usize, feeds: u64) -> Self {
            let mut former = Former::new(max_batch, 20 * MS);
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
            self.former.arrived(feed, now);
            self.write_next(now)
        }

        fn take(&mut self) -> Vec<u64> {
            let id = self.former.seal().unwrap();
            let complete = self.former.complete(id).unwrap();
            complete.frames.iter().map(|(_, (feed, _))| *feed).collect()
        }
    }

    #[test]
    fn a_lone_feed_never_waits() {
        let mut bench = Bench::new(8, 16);
        for frame in 0..50 {
            let now = frame * 33 * MS;
            bench.frame(1, now);
            assert_eq!(bench.former.decide(now), Decision::Take);
            assert_eq!(bench.take(), [1]);
        }
    }

    #[test]
    fn waits_for_feeds_that_were_active_and_no_longer_than_max_latency() {
        let mut bench = Bench::new(8, 3);
        for feed in 1..=3 {
            bench.frame(feed, 0);
        }
        assert_eq!(bench.former.decide(0), Decision::Take);
        bench.take();
        bench.frame(1, 10 * MS);
        // Feeds 2 and 3 sent at 0; they leave the window at 20 ms, long before frame 1 has waited for 20 ms.
        assert_eq!(bench.former.decide(10 * MS), Decision::WaitUntil(20 * MS));
        bench.frame(2, 12 * MS);
        assert_eq!(bench.former.decide(12 * MS), Decision::WaitUntil(20 * MS));
        assert_eq!(bench.former.decide(20 * MS), Decision::Take);
        assert_eq!(bench.take(), [1, 2]);
    }

    #[test]
    fn a_window_is_counted_from_the_arrival_of_the_oldest_frame() {
        let mut bench = Bench::new(8, 4);
        for (feed, now) in [(1, 0), (2, 15 * MS), (3, 16 * MS), (4, 17 * MS)] {
            bench.former.arrived(feed, now);
        }
        bench.write_next(0);
        assert_eq!(bench.former.decide(18 * MS), Decision::WaitUntil(20 * MS));
        // The first of them queued since 0: nothing that comes later prolongs its wait.
        bench.former.arrived(1, 19 * MS);
        assert_eq!(bench.former.decide(20 * MS), Decision::Take);
    }

    #[test]
    fn a_silent_feed_costs_the_others_nothing() {
        let mut bench = Bench::new(8, 2);
        bench.frame(1, 0);
        bench.frame(2, 0);
        bench.take();
        for frame in 1..10 {
            let now = frame * 33 * MS;
            bench.frame(1, now);
            assert_eq!(bench.former.decide(now), Decision::Take);
            bench.take();
        }
    }

    #[test]
    fn a_feed_that_left_is_not_waited_for() {
        let mut bench = Bench::new(8, 2);
        bench.frame(1, 0);
        bench.former.arrived(2, 0);
        assert_eq!(bench.former.decide(0), Decision::WaitUntil(20 * MS));
        bench.former.detach(2);
        assert_eq!(bench.former.decide(0), Decision::Take);
        assert_eq!(bench.write_next(0), None);
    }

    #[test]
    fn a_full_batch_takes_no_more_and_goes_before_the_next_one() {
        let mut bench = Bench::new(4, 10);
        for feed in 1..=10 {
            bench.former.arrived(feed, 0);
        }
        while bench.write_next(0).is_some() {}
        assert_eq!(bench.former.pending(), 10);
        for expected in [&[1, 2, 3, 4][..], &[5, 6, 7, 8]] {
            assert_eq!(bench.former.decide(0), Decision::Take);
            assert_eq!(bench.take(), expected);
        }
        // Two feeds are left in the third, and eight more were active.
        assert_eq!(bench.former.decide(0), Decision::WaitUntil(20 * MS));
        assert_eq!(bench.take(), [9, 10]);
        assert!(bench.former.is_empty());
    }

    #[test]
    fn feeds_take_turns_however_much_one_of_them_sends() {
        let mut bench = Bench::new(64, 3);
        let mut served = Vec::new();
        for feed in 1..=3 {
            bench.former.arrived(feed, 0);
        }
        for _ in 0..9 {
            let feed = bench.write_next(0).unwrap();
            served.push(feed);
            bench.former.give_turn(feed);
            // Feed 1 shouts all the time.
            bench.former.arrived(1, 0);
        }
        assert_eq!(served, [1, 2, 3, 1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn higher_priority_first() {
        let mut bench = Bench::new(8, 3);
        bench.former.set_priority(3, 1);
        for feed in 1..=3 {
            bench.former.arrived(feed, 0);
        }
        bench.former.set_priority(2, 2);
        assert_eq!((bench.write_next(0), bench.write_next(0), bench.write_next(0)), (Some(2), Some(3), Some(1)));
    }

    #[test]
    fn a_sealed_batch_waits_for_its_writers_and_for_nobody_else() {
        let mut bench = Bench::new(8, 2);
        bench.frame(1, 0);
        bench.former.arrived(2, 0);
        let late = bench.former.reserve(|| Some(())).unwrap();
        let id = bench.former.seal().unwrap();
        assert!(bench.former.complete(id).is_none());
        bench.frame(1, MS);
        bench.former.commit(late, (2, 1), 0);
        let frames = bench.former.complete(id).unwrap().frames;
        assert_eq!(frames, [(0, (1, 1)), (1, (2, 1))]);
        assert_eq!(bench.former.pending(), 1);
    }

    #[test]
    fn a_place_given_back_is_used_again() {
        let mut bench = Bench::new(2, 3);
        bench.former.arrived(1, 0);
        let unused = bench.former.reserve(|| Some(())).unwrap();
        assert_eq!(bench.former.decide(0), Decision::Idle);
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
        bench.former.arrived(4, 0);
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
        bench.former.arrived(1, 0);
        assert!(bench.former.reserve(|| None).is_none());
        assert_eq!(bench.write_next(0), Some(1));
    }
}
