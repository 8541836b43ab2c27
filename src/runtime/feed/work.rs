//! A feed at work: its frames are taken into batches, settled, and given out in order.

use std::{sync::Arc, thread};

use super::{DropCause, Error, Feed, Frame, FrameCaps, Given, ItemId, Outcome, State, Time, clock};
use crate::{
    inference::{DecodeParams, InputSpec, Placement, Preprocessor, Region},
    runtime::batch::Place,
};

pub(super) struct KeptPreprocessor {
    generation: u64,
    processor: u64,
    preprocessor: Preprocessor,
}

/// A frame, or an item of one, that is being taken into a batch.
pub(in crate::runtime) struct Started {
    pub id: ItemId,
    /// `None`: the whole frame.
    pub region: Option<Region>,
    pub buffer: gst::Buffer,
    pub caps: Arc<FrameCaps>,
    pub arrival: Time,
    /// So much more of the feed could be taken.
    pub left: usize,
}

impl Feed {
    /// Takes the next item of the oldest frame that has one left into work, or else the oldest waiting frame, unless there
    /// is none or the feed has enough in flight.
    pub(in crate::runtime) fn start_next(self: &Arc<Self>) -> Option<Started> {
        let now = clock::now();
        let mut expired = Vec::new();
        let started = {
            let mut state = self.state.lock();
            let rest = state.next_item();
            while rest.is_none() && state.lane.oldest_queued().is_some_and(|frame| state.is_expired(frame, now)) {
                expired.extend(state.lane.remove_oldest_queued());
                state.counters.drop_frames(DropCause::Expired, 1);
            }
            let started = if let Some((id, region)) = rest {
                self.started_item(&state, id, region)
            } else if state.lane.in_flight() >= state.max_in_flight() {
                None
            } else {
                let passes_frames = self.passes_frames;
                let started = state.lane.start(|frame| {
                    // A frame that does not come out again gives its memory back as soon as it is read.
                    let buffer = if passes_frames { frame.buffer.clone() } else { frame.buffer.take() };
                    (buffer, frame.caps.clone(), frame.arrival, frame.items.is_some())
                });
                state.counters.submitted += u64::from(started.is_some());
                started.and_then(|(lane_number, (buffer, caps, arrival, has_items))| {
                    if has_items {
                        state.dividing = Some(lane_number);
                        let (id, region) = state.next_item()?;
                        return self.started_item(&state, id, region);
                    }
                    let id = ItemId { lane_number, item: None };
                    Some(Started { id, region: None, buffer: buffer?, caps, arrival, left: state.work_left() })
                })
            };
            self.make_use_of_room(&state);
            started
        };
        if !expired.is_empty() {
            self.wake_all();
            self.report_dropped(DropCause::Expired, expired.len() as u64);
            let feed = self.clone();
            let tell = move || expired.into_iter().for_each(|frame| feed.tell_dropped(frame, DropCause::Expired));
            self.pool.run_as(&self.label, tell);
        }
        started
    }

    fn started_item(&self, state: &State, id: ItemId, region: Region) -> Option<Started> {
        let Frame { buffer, caps, arrival, .. } = state.lane.in_work(id.lane_number)?;
        let (buffer, caps) = (buffer.clone()?, caps.clone());
        Some(Started { id, region: Some(region), buffer, caps, arrival: *arrival, left: state.work_left() })
    }

    /// Writes a frame, or an item of one, as the model wants it.
    pub(in crate::runtime) fn preprocess(
        &self,
        processor: u64,
        input: &InputSpec,
        started: &Started,
        place: &mut Place,
    ) -> Result<Placement, Error> {
        let generation = started.caps.generation;
        let kept = {
            let mut kept = self.preprocessors.lock();
            let fits = |kept: &KeptPreprocessor| kept.generation == generation && kept.processor == processor;
            match kept.iter().position(fits) {
                Some(index) => Some(kept.swap_remove(index)),
                None => {
                    kept.clear();
                    None
                }
            }
        };
        let mut kept = match kept {
            Some(kept) => kept,
            None => {
                let preprocessor = Preprocessor::new(&started.caps.info, input)?;
                KeptPreprocessor { generation, processor, preprocessor }
            }
        };
        let (slot, border) = place.memory();
        let placement = kept.preprocessor.write(&started.buffer, started.region, slot, border)?;
        self.preprocessors.lock().push(kept);
        Ok(placement)
    }

    /// Whether a frame in work is still wanted, and how it is to be decoded.
    pub(in crate::runtime) fn admit(self: &Arc<Self>, id: ItemId, now: Time) -> Option<DecodeParams> {
        {
            let state = self.state.lock();
            let frame = state.lane.in_work(id.lane_number)?;
            if !state.is_expired(frame, now) {
                return Some(state.settings.decode);
            }
        }
        if self.settle(id, Outcome::Dropped(DropCause::Expired)) {
            self.report_dropped(DropCause::Expired, 1);
        }
        None
    }

    /// Tells what became of a frame in work, or of an item of one: the frame has its result when all its items have
    /// theirs, and is dropped or fails with the first that does. False where nobody waits for it any more.
    pub(in crate::runtime) fn settle(self: &Arc<Self>, id: ItemId, outcome: Outcome) -> bool {
        let wanted =
            self.listener.upgrade().is_some_and(|listener| listener.wants_results()) || self.output.is_wanted();
        let mut state = self.state.lock();
        let outcome = match (id.item, outcome) {
            (Some(item), Outcome::Result(inferred)) => {
                let frame = state.lane.in_work_mut(id.lane_number);
                let Some(items) = frame.and_then(|frame| frame.items.as_mut()) else { return false };
                let Some(outcome) = items.settle(item, inferred) else { return true };
                outcome
            }
            (_, outcome) => outcome,
        };
        if !state.lane.settle(id.lane_number, outcome) {
            return false;
        }
        if self.passes_frames {
            if state.lane.can_give() {
                self.due.notify_all();
            }
        } else if !state.delivery_scheduled && state.lane.can_give() {
            let mut turn = None;
            let mut arrivals = Vec::new();
            if !wanted {
                // Nobody is to be called: results are only counted, here and now.
                while state.lane.next_outcome().is_some_and(|outcome| outcome.findings().is_some()) {
                    let Some((given, makes_room)) = state.give() else { break };
                    // The first one makes room; those after it find that there is some.
                    turn = turn.or(makes_room);
                    if let Given::Frame(frame, _) = given
                        && state.may_lag(frame.arrival)
                    {
                        arrivals.push(frame.arrival);
                    }
                }
                self.left.notify_all();
            }
            state.delivery_scheduled = state.lane.can_give();
            let (deliver, stopped) = (state.delivery_scheduled, state.stopped);
            drop(state);
            self.take_turn(turn);
            arrivals.into_iter().for_each(|arrival| self.report_lag(arrival));
            if deliver {
                let feed = self.clone();
                self.pool.run_as(&self.label, move || feed.deliver());
            } else if stopped {
                self.tell_end_if_due();
            }
        }
        true
    }

    /// Gives out everything that is due, one after the other.
    fn deliver(self: Arc<Self>) {
        let delivering = Delivering { feed: &self };
        let mut state = self.state.lock();
        while let Some((given, turn)) = state.give() {
            state.delivering = Some(thread::current().id());
            self.make_use_of_room(&state);
            drop(state);
            self.take_turn(turn);
            if self.collects() {
                self.collect();
            }
            if let Given::Frame(frame, mut outcome) = given {
                self.given_out(&frame, &mut outcome);
                if let Some(listener) = self.listener.upgrade() {
                    listener.deliver(frame, outcome);
                }
            }
            state = self.state.lock();
            state.delivering = None;
        }
        std::mem::forget(delivering);
        state.delivery_scheduled = false;
        self.left.notify_all();
        let stopped = state.stopped;
        drop(state);
        if stopped {
            self.tell_end_if_due();
        }
    }
}

/// A handler that panics must not leave the feed waiting for it for ever.
struct Delivering<'a> {
    feed: &'a Arc<Feed>,
}

impl Drop for Delivering<'_> {
    fn drop(&mut self) {
        let more = {
            let mut state = self.feed.state.lock();
            state.delivering = None;
            state.delivery_scheduled = state.lane.can_give();
            self.feed.left.notify_all();
            state.delivery_scheduled
        };
        if more {
            let feed = self.feed.clone();
            self.feed.pool.run_as(&self.feed.label, move || feed.deliver());
        } else {
            self.feed.tell_end_if_due();
        }
    }
}
