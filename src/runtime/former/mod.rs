//! The batch former: which feed's frame is taken next, into which place of which batch, and when a batch goes.
//!
//! Plain data without threads, locks or a clock: the [`Processor`](super::Processor) keeps it under one lock and tells it the time.
//!
//! A frame's way: its feed [`arrived`](Former::arrived); somebody [`reserve`](Former::reserve)s a place for the feed
//! whose turn it is, writes that feed's oldest frame there without any lock, and [`commit`](Former::commit)s it. An
//! instance that is free asks [`decide`](Former::decide), [`seal`](Former::seal)s the batch (whoever still writes into it
//! finishes, nobody joins any more), and takes it once it is [`complete`](Former::complete).
//!
//! The rule: a free instance takes the largest batch that is ready. Where instances write their batches themselves, it
//! leaves the others' share of what waits to them: they will be free before it is again. It waits for more only while
//! frames are due from feeds that have none here, only for its share (frames here and due, divided by the instances), and
//! only as long as that can pay: all that are here wait, and who comes saves the rest of a run at most. It never waits
//! past `max_latency` from the oldest frame's arrival.

mod rhythm;
mod turns;

use std::collections::{HashMap, VecDeque};

use super::clock::Time;
use rhythm::{Due, Rhythm};
use turns::Turns;

/// Nobody notices so short a wait, and cameras in step come within it: one batch, however short the run.
const UNNOTICED: Time = 300_000;
/// What the newest run counts for in the mean.
const RUN_WEIGHT: Time = 8;

/// What batches are to be like.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub max_batch: usize,
    pub max_latency: Time,
    /// Instances that share what waits, those that run included. 1 where a free one takes all.
    pub sharers: usize,
    /// A run takes the same time however few frames are in it: the model's batch is fixed.
    pub fixed_run: bool,
}

/// `F` stands for a feed, `T` for a frame that was written, `B` for the memory of a batch.
pub struct Former<F, T, B> {
    rules: Rules,
    /// What a run takes, for each of its frames unless it is fixed: a running mean, once there was one.
    run_time: Option<Time>,
    members: HashMap<u64, Member<F>>,
    turns: Turns,
    /// Frames that wait for a place, of all feeds with a turn.
    waiting: usize,
    due: Due,
    forming: Option<Batch<T, B>>,
    /// Batches that nothing more fits into, for the next instances that are free.
    full: VecDeque<Batch<T, B>>,
    sealed: Vec<Batch<T, B>>,
    /// Lists of batches that are gone, empty, for those that come: a batch allocates nothing.
    spare: Vec<Vec<BatchPlace<T>>>,
    next_batch: u64,
    /// Turns that were taken so far.
    served: u64,
}

struct Member<F> {
    feed: F,
    priority: i32,
    /// Frames that wait for a place, as it was last told. With any it has a turn.
    waiting: usize,
    /// Which turn of all was its last one.
    served: u64,
    /// Frames of it in batches that no instance has taken yet.
    pending: usize,
    rhythm: Rhythm,
    /// The time that it is noted with in [`Due`].
    due: Option<Time>,
}

struct Batch<T, B> {
    id: u64,
    buffer: B,
    places: Vec<BatchPlace<T>>,
    writing: usize,
    ready: usize,
    /// Arrival of the oldest frame that is ready.
    oldest: Time,
}

struct BatchPlace<T> {
    feed: u64,
    state: PlaceState<T>,
}

enum PlaceState<T> {
    Free,
    Writing,
    Ready(T),
}

/// A place for the next frame of `feed`; ends in [`Former::commit`], [`Former::give_back`] or
/// [`Former::give_turn_back`].
#[derive(Debug)]
pub struct Reservation<F, B> {
    pub feed: F,
    pub buffer: B,
    pub place: usize,
    batch: u64,
    /// The feed's last turn before this one.
    served: u64,
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

impl<F: Clone, T, B: Clone> Former<F, T, B> {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            run_time: None,
            members: HashMap::new(),
            turns: Turns::default(),
            waiting: 0,
            due: Due::new(rules.max_latency / 4),
            forming: None,
            full: VecDeque::new(),
            sealed: Vec::new(),
            spare: Vec::new(),
            next_batch: 0,
            served: 0,
        }
    }

    pub fn attach(&mut self, id: u64, feed: F, priority: i32) {
        // Two may find the feed unattached at the same moment: what is known of it by then stays.
        self.members.entry(id).or_insert_with(|| {
            let rhythm = Rhythm::default();
            Member { feed, priority, waiting: 0, served: self.served, pending: 0, rhythm, due: None }
        });
    }

    /// Takes the feed's turn away; what it has in a batch stays there.
    pub fn detach(&mut self, id: u64) {
        if let Some(member) = self.members.remove(&id) {
            if member.waiting > 0 {
                self.turns.remove(id, member.priority);
                self.waiting -= member.waiting;
            }
            if let Some(due) = member.due {
                self.due.remove(id, due);
            }
        }
    }

    pub fn set_priority(&mut self, id: u64, priority: i32) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let before = std::mem::replace(&mut member.priority, priority);
        if member.waiting > 0 && before != priority {
            self.turns.remove(id, before);
            self.turns.push(id, priority, member.served);
        }
    }

    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// A frame of the feed came in, which has so many waiting now.
    pub fn arrived(&mut self, id: u64, now: Time, waiting: usize) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.rhythm.arrived(now);
        if let Some(due) = member.due.take() {
            self.due.remove(id, due);
        }
        self.give_turn(id, waiting);
    }

    /// The feed has so many frames waiting, one at least.
    pub fn give_turn(&mut self, id: u64, waiting: usize) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.waiting == 0 {
            self.turns.push(id, member.priority, member.served);
        }
        let before = std::mem::replace(&mut member.waiting, waiting.max(1));
        self.waiting = self.waiting - before + member.waiting;
    }

    /// The next feed in turn and a place for its frame. `open` gives memory for a new batch, if there is any.
    pub fn reserve(&mut self, open: impl FnOnce() -> Option<B>) -> Option<Reservation<F, B>> {
        if !self.has_turns() {
            return None;
        }
        if self.forming.as_ref().is_none_or(|batch| batch.taken() >= self.rules.max_batch) {
            let buffer = open()?;
            self.full.extend(self.forming.take());
            let id = self.next_batch;
            self.next_batch += 1;
            self.forming = Some(Batch {
                id,
                buffer,
                places: self.spare.pop().unwrap_or_else(|| Vec::with_capacity(self.rules.max_batch)),
                writing: 0,
                ready: 0,
                oldest: Time::MAX,
            });
        }
        let (id, feed, served) = self.next_turn()?;
        let batch = self.forming.as_mut()?;
        let place = batch.free_place();
        batch.places[place] = BatchPlace { feed: id, state: PlaceState::Writing };
        batch.writing += 1;
        Some(Reservation { feed, buffer: batch.buffer.clone(), place, batch: batch.id, served })
    }

    /// The reserved place holds `frame`, which came in at `arrival`.
    pub fn commit(&mut self, reservation: Reservation<F, B>, frame: T, arrival: Time) {
        if let Some(batch) = self.batch(reservation.batch) {
            batch.writing -= 1;
            batch.ready += 1;
            batch.oldest = batch.oldest.min(arrival);
            batch.places[reservation.place].state = PlaceState::Ready(frame);
        }
    }

    /// The feed in turn has no frame: the place stays empty, and the turn was none.
    pub fn give_turn_back(&mut self, reservation: Reservation<F, B>) {
        let feed = self.batch(reservation.batch).map(|batch| batch.places[reservation.place].feed);
        if let Some(member) = feed.and_then(|feed| self.members.get_mut(&feed)) {
            member.served = reservation.served;
        }
        self.give_back(reservation);
    }

    /// The reserved place stays empty.
    pub fn give_back(&mut self, reservation: Reservation<F, B>) {
        let Some(batch) = self.batch(reservation.batch) else { return };
        batch.writing -= 1;
        let place = &mut batch.places[reservation.place];
        place.state = PlaceState::Free;
        let feed = place.feed;
        if self.sealed.iter().all(|batch| batch.id != reservation.batch) {
            self.left(feed);
        }
    }

    /// For one of `free` instances.
    pub fn decide(&self, now: Time, free: usize) -> Decision {
        if !self.full.is_empty() {
            return Decision::Take;
        }
        let Some(batch) = &self.forming else { return Decision::Idle };
        if batch.ready == 0 {
            return Decision::Idle;
        }
        let latest = batch.oldest.saturating_add(self.patience(batch.taken()));
        let (due, fewer) = self.due.until(now, latest);
        if due == 0 || batch.taken() >= self.share(due, free) || now >= latest {
            return Decision::Take;
        }
        Decision::WaitUntil(latest.min(fewer))
    }

    /// An instance's share of the frames that are here and of so many that are due, of which `free` instances take part at
    /// least.
    fn share(&self, due: usize, free: usize) -> usize {
        let here = self.forming.as_ref().map_or(0, Batch::taken) + self.waiting;
        (here + due).div_ceil(self.rules.sharers.max(free).max(1)).min(self.rules.max_batch)
    }

    /// How long `frames` may wait for one more. All of them wait, and the one that comes would wait for the rest of their
    /// run: beyond the time of a run, divided by all of these, more is lost than gained.
    fn patience(&self, frames: usize) -> Time {
        let counted = if self.rules.fixed_run { 1 } else { frames as Time };
        let run = self.run_time.map_or(Time::MAX, |time| time.saturating_mul(counted));
        (run / (frames as Time + 1)).max(UNNOTICED).min(self.rules.max_latency)
    }

    /// A batch of so many frames took so long.
    pub fn ran(&mut self, frames: usize, time: Time) {
        let counted = if self.rules.fixed_run { 1 } else { frames.max(1) as Time };
        let each = time / counted;
        let mean = self.run_time.unwrap_or(each);
        self.run_time = Some(mean - mean / RUN_WEIGHT + each / RUN_WEIGHT);
    }

    /// Whether a batch is written that nothing more fits into, or that is an instance's share of what is here. Who wrote it
    /// takes it before writing another: then what the model reads is still in the cache of that core.
    pub fn has_whole(&self) -> bool {
        self.full.iter().any(Batch::is_written) || self.forming_is_whole()
    }

    /// Closes the batch that is due, one that nobody writes into any more if there is such a one; returns its id.
    pub fn seal(&mut self) -> Option<u64> {
        let batch = match self.full.iter().position(Batch::is_written) {
            Some(written) => self.full.remove(written),
            None if self.forming_is_whole() => self.forming.take(),
            None => self.full.pop_front().or_else(|| self.forming.take()),
        }?;
        let id = batch.id;
        for place in batch.places.iter().filter(|place| !matches!(place.state, PlaceState::Free)) {
            self.left(place.feed);
        }
        self.sealed.push(batch);
        Some(id)
    }

    /// The memory of the sealed batch, once everybody who wrote into it is done. Its frames are added to `frames`, in the
    /// order of their places.
    pub fn complete(&mut self, id: u64, frames: &mut Vec<(usize, T)>) -> Option<B> {
        let index = self.sealed.iter().position(|batch| batch.id == id && batch.writing == 0)?;
        let mut batch = self.sealed.swap_remove(index);
        let places = batch.places.drain(..).enumerate();
        frames.extend(places.filter_map(|(place, taken)| match taken.state {
            PlaceState::Ready(frame) => Some((place, frame)),
            PlaceState::Free | PlaceState::Writing => None,
        }));
        self.spare.push(batch.places);
        Some(batch.buffer)
    }

    /// Empties all batches of what is ready; the places stay.
    pub fn take_ready(&mut self) -> Vec<T> {
        let mut taken = Vec::new();
        for batch in self.forming.iter_mut().chain(&mut self.full).chain(&mut self.sealed) {
            for place in &mut batch.places {
                match std::mem::replace(&mut place.state, PlaceState::Free) {
                    PlaceState::Ready(frame) => taken.push(frame),
                    other => place.state = other,
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

    /// Whether frames wait for a place.
    pub fn has_turns(&self) -> bool {
        self.turns.len() > 0
    }

    /// The feed whose turn is next.
    pub fn whose_turn(&self) -> Option<F> {
        self.members.get(&self.turns.next()?).map(|member| member.feed.clone())
    }

    /// Frames in batches that no instance has taken yet.
    pub fn pending(&self) -> usize {
        self.full.iter().chain(&self.forming).map(Batch::taken).sum()
    }

    fn forming_is_whole(&self) -> bool {
        let whole = if self.rules.sharers > 1 { self.share(0, 1).max(1) } else { self.rules.max_batch };
        self.forming.as_ref().is_some_and(|batch| batch.taken() >= whole && batch.is_written())
    }

    fn batch(&mut self, id: u64) -> Option<&mut Batch<T, B>> {
        self.forming.iter_mut().chain(&mut self.full).chain(&mut self.sealed).find(|batch| batch.id == id)
    }

    /// The feed in turn, and which turn its last one was.
    fn next_turn(&mut self) -> Option<(u64, F, u64)> {
        let id = self.turns.pop()?;
        let member = self.members.get_mut(&id)?;
        self.waiting -= std::mem::take(&mut member.waiting);
        member.pending += 1;
        self.served += 1;
        Some((id, member.feed.clone(), std::mem::replace(&mut member.served, self.served)))
    }

    /// A frame of the feed is not in a batch any more that could wait for others. Where it was the last one, the next is
    /// due at its time.
    fn left(&mut self, id: u64) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.pending = member.pending.saturating_sub(1);
        if member.pending == 0 && member.waiting == 0 && member.due.is_none() {
            member.due = member.rhythm.next();
            member.due.into_iter().for_each(|due| self.due.insert(id, due));
        }
    }
}

impl<T, B> Batch<T, B> {
    fn taken(&self) -> usize {
        self.writing + self.ready
    }

    fn is_written(&self) -> bool {
        self.writing == 0
    }

    fn free_place(&mut self) -> usize {
        if self.taken() < self.places.len()
            && let Some(free) = self.places.iter().position(|place| matches!(place.state, PlaceState::Free))
        {
            return free;
        }
        self.places.push(BatchPlace { feed: 0, state: PlaceState::Free });
        self.places.len() - 1
    }
}

#[cfg(test)]
mod tests;
