//! What a feed knows, and its rules: when there is room, which frame is too old, what is counted.

use std::{sync::Arc, thread::ThreadId};

use crate::inference::Region;

use super::{
    Arrival, Delivery, DropCause, Error, ErrorCode, FeedCounters, FeedSettings, Frame, FrameCaps, FrameTimes, Given,
    ItemId, Lane, Leaky, Outcome, Processor, Rejected, Time, Tracks, clock, crop::Crops,
};

/// Results of a feed that only collects which may wait for who handles them. They hold no frame.
const MAX_COLLECTED: usize = 64;
/// So much room is worth waking a thread for, however long the queue.
const FRAMES_A_WAKE: usize = 4;

pub(super) struct State {
    pub settings: FeedSettings,
    /// The feed has no processor: its frames are answered by what is on them.
    pub collects: bool,
    pub live: bool,
    pub caps: Option<Arc<FrameCaps>>,
    pub crops: Crops,
    pub lane: Lane<Frame, Outcome, Delivery>,
    /// The frame in work of which not all items were taken.
    pub dividing: Option<u64>,
    pub tracks: Tracks,
    pub counters: FeedCounters,
    pub last_frame: Option<Time>,
    pub processor: Option<Arc<Processor>>,
    /// Since when no processor is there.
    pub pending_since: Time,
    pub error: Option<Error>,
    pub flushing: bool,
    pub interrupted: bool,
    /// Whoever waits for room is to fill a batch meanwhile.
    pub nudged: bool,
    /// A job of the pool that delivers is queued or running.
    pub delivery_scheduled: bool,
    pub delivering: Option<ThreadId>,
    /// What [`Feed::next`] gave last is still in the hands of who asked.
    pub handed_out: bool,
    pub stalled: bool,
    /// Its pipeline was restarted, and no frame came since.
    pub interrupted_run: bool,
    /// The next frame is the first of its segment.
    pub begins: bool,
    /// The stream has ended, for now.
    pub at_end: bool,
    pub paused: bool,
    /// Since when no frame came though some were expected.
    pub quiet_since: Time,
    /// Threads that wait for room.
    pub waiting: usize,
    pub stage: Stage,
    /// The runtime was shut down; the stage says how far that got.
    pub stopped: bool,
    /// The end is not to be told yet.
    pub end_held: bool,
    pub end_told: bool,
    /// Who has what [`Feed::next`] gave is not waited for any more.
    pub left_behind: bool,
    /// The threads on which frames came in and were asked for last.
    pub entry: Option<ThreadId>,
    pub exit: Option<ThreadId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Open,
    /// Nothing is taken any more; what was taken comes out.
    Stopping,
    /// Nobody waits for anything any more.
    Ended,
}

pub(super) type FeedGives = Given<Frame, Outcome, Delivery>;

impl State {
    pub fn new(settings: FeedSettings, collects: bool) -> Self {
        Self {
            settings,
            collects,
            live: false,
            caps: None,
            crops: Crops::default(),
            lane: Lane::default(),
            dividing: None,
            tracks: Tracks::default(),
            counters: FeedCounters::default(),
            last_frame: None,
            processor: None,
            pending_since: clock::now(),
            error: None,
            flushing: false,
            interrupted: false,
            nudged: false,
            delivery_scheduled: false,
            delivering: None,
            handed_out: false,
            stalled: false,
            interrupted_run: false,
            stage: Stage::Open,
            stopped: false,
            end_held: false,
            end_told: false,
            left_behind: false,
            entry: None,
            exit: None,
            begins: true,
            at_end: false,
            paused: false,
            quiet_since: clock::now(),
            waiting: 0,
        }
    }

    /// Goes on where the feed's last life ended.
    pub fn follow(&mut self, last: &Self) {
        self.counters = last.counters.clone();
        self.last_frame = last.last_frame;
        self.stalled = last.stalled;
        self.interrupted_run = last.interrupted_run;
    }

    /// How long no frame came though some were expected, where that is longer than `stall-timeout`.
    pub fn silence(&self, now: Time) -> Option<Time> {
        let age = now.saturating_sub(self.quiet_since);
        let timeout = self.settings.stall_timeout;
        // Who waits for room has a frame in hand: it is not upstream that stalls.
        let expects_frames = !self.paused && !self.at_end && self.waiting == 0 && self.error.is_none();
        (timeout > 0 && age >= timeout && expects_frames).then_some(age)
    }

    /// When the feed stalls, or has waited too long for its processor, where nothing changes until then but that frames
    /// come, which makes it later.
    pub fn late_from(&self) -> Time {
        let Self { settings, quiet_since, pending_since, .. } = self;
        let stalls = match settings.stall_timeout {
            0 => Time::MAX,
            timeout => quiet_since.saturating_add(timeout),
        };
        let has_processor = self.collects || self.processor.is_some();
        let gives_up = if has_processor { Time::MAX } else { pending_since.saturating_add(settings.attach_timeout) };
        stalls.min(gives_up)
    }

    /// Frames come again; whether that is news.
    pub fn recover(&mut self) -> bool {
        std::mem::take(&mut self.stalled) | std::mem::take(&mut self.interrupted_run)
    }

    /// Whether something is just going out.
    pub fn is_giving(&self) -> bool {
        self.handed_out || self.delivering.is_some() || self.delivery_scheduled
    }

    pub fn leaky(&self) -> Leaky {
        match self.settings.leaky {
            Leaky::Auto if self.live => Leaky::Downstream,
            Leaky::Auto => Leaky::No,
            set => set,
        }
    }

    /// Frames that may wait: the feed's own limit, and its share of the processor's.
    pub fn queue_capacity(&self) -> usize {
        let stream_waits = self.leaky() == Leaky::No;
        let share = self.processor.as_ref().map_or(usize::MAX, |processor| processor.queue_share(stream_waits));
        self.settings.max_queued().min(share)
    }

    pub fn max_in_flight(&self) -> usize {
        match (self.settings.max_in_flight, &self.processor) {
            (0, Some(processor)) => processor.in_flight_limit(),
            (0, None) if self.collects => MAX_COLLECTED,
            (0, None) => 1,
            (set, _) => set as usize,
        }
    }

    /// Why there is no room for another frame, if there is none.
    pub fn no_room(&self, passed_over: bool, passes_frames: bool) -> Option<DropCause> {
        let lane_full = passes_frames && self.lane.len() >= self.lane_capacity();
        if passed_over {
            return lane_full.then_some(DropCause::Backpressure);
        }
        let queue_full = self.lane.queued() >= self.queue_capacity();
        if !queue_full && !lane_full {
            None
        } else if self.lane.in_flight() >= self.max_in_flight() && self.settings.max_in_flight > 0 {
            Some(DropCause::InFlight)
        } else if self.lane.queued() < self.settings.max_queued() && !lane_full {
            Some(DropCause::Rejected)
        } else {
            Some(DropCause::Backpressure)
        }
    }

    /// Whether to wake a thread that waits for room. To wake it for a single frame may cost more than that frame: it sleeps
    /// on until more than half of a short queue is free.
    pub fn is_worth_waking(&self, passes_frames: bool) -> bool {
        let capacity = self.queue_capacity();
        let some = (capacity / 2 + 1).min(FRAMES_A_WAKE);
        self.waiting > 0
            && self.lane.queued() + some <= capacity
            && (!passes_frames || self.lane.len() + some <= self.lane_capacity())
    }

    /// What a feed that passes its frames on may have inside.
    fn lane_capacity(&self) -> usize {
        self.max_in_flight() + self.settings.max_queued()
    }

    pub fn is_expired(&self, frame: &Frame, now: Time) -> bool {
        self.settings.deadline > 0 && now.saturating_sub(frame.arrival) > self.settings.deadline
    }

    /// The next item of the frame that is being divided: its id and its region.
    pub fn next_item(&mut self) -> Option<(ItemId, Region)> {
        let lane_number = self.dividing.take()?;
        // Nobody waits for the rest of a frame that has failed.
        let items = self.lane.in_work_mut(lane_number)?.items.as_mut()?;
        let (item, region, more) = items.start()?;
        self.dividing = more.then_some(lane_number);
        Some((ItemId { lane_number, item: Some(item) }, region))
    }

    /// How many frames, or items of the frame that is being divided, can be taken into work. A source that waits for room has
    /// as many as there is room for.
    pub fn work_left(&self) -> usize {
        let dividing = self.dividing.and_then(|lane_number| self.lane.in_work(lane_number));
        let items = dividing.and_then(|frame| frame.items.as_ref()).map_or(0, |items| items.left());
        let can_start = self.lane.queued() > 0 && self.lane.in_flight() < self.max_in_flight();
        let frames = match can_start {
            true if self.leaky() == Leaky::No => self.max_in_flight(),
            true => self.lane.queued(),
            false => 0,
        };
        items + frames
    }

    /// Counts a frame as received.
    pub fn new_frame(
        &mut self,
        buffer: gst::Buffer,
        times: FrameTimes,
        arrival: Time,
    ) -> Result<(Frame, Arrival), Rejected> {
        let Some(caps) = self.caps.clone() else {
            return Err(Rejected::Failed(Error::new(
                ErrorCode::InvalidConfig,
                "a frame came before its caps: put a `capsfilter` or a decoder that sends caps before this element",
            )));
        };
        let (buffer, caps) = self.crops.caps_of(buffer, caps);
        let number = self.counters.received;
        self.counters.received += 1;
        self.last_frame = Some(arrival);
        self.at_end = false;
        // Not its arrival: it may have waited for room since then, which is no stall of the stream.
        self.quiet_since = clock::now();
        let begins = std::mem::take(&mut self.begins);
        let news = Arrival {
            first: number == 0,
            recovers: self.stalled || self.interrupted_run,
            gap: !begins && buffer.flags().contains(gst::BufferFlags::DISCONT),
        };
        let frame = Frame {
            pts: buffer.pts(),
            duration: buffer.duration(),
            buffer: Some(buffer),
            caps,
            number,
            running_time: times.running_time,
            stream_time: times.stream_time,
            arrival,
            items: None,
        };
        Ok((frame, news))
    }

    /// The next thing that is due, counted, and the processor where that lets a waiting frame be taken.
    pub fn give(&mut self) -> Option<(FeedGives, Option<Arc<Processor>>)> {
        let was_full = self.lane.in_flight() >= self.max_in_flight();
        let mut given = self.lane.give()?;
        if let Given::Frame(frame, _) | Given::Passing(Delivery::Frame(frame, _)) = &mut given
            && let Some(items) = &mut frame.items
        {
            items.exchange(&mut self.tracks);
        }
        if let Given::Frame(_, outcome) = &given {
            if let Some(findings) = outcome.findings() {
                self.counters.results += 1;
                self.counters.objects += findings.objects() as u64;
            }
            match outcome {
                Outcome::Result(inferred) => self.counters.record(&inferred.timing),
                Outcome::Collected(collected) => self.counters.record_collected(&collected.timing),
                Outcome::Dropped(cause) => self.counters.drop_frames(*cause, 1),
                Outcome::Failed(_) => self.counters.errors += 1,
            }
        }
        let turn = (was_full && self.lane.queued() > 0).then(|| self.processor.clone()).flatten();
        Some((given, turn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Room, in frames of a queue that was full, for which somebody is woken who waits for it.
    fn woken_at(max_queued: u32) -> Option<usize> {
        let mut state = State::new(FeedSettings { max_queued, max_in_flight: 99, ..FeedSettings::default() }, false);
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, 8, 8).build().unwrap();
        state.caps = Some(Arc::new(FrameCaps { info, generation: state.crops.next_generation() }));
        while state.no_room(false, false).is_none() {
            let buffer = gst::Buffer::with_size(64).unwrap();
            let (frame, _) = state.new_frame(buffer, FrameTimes::default(), 0).unwrap();
            state.lane.queue(frame);
        }
        assert!(!state.is_worth_waking(false), "nobody waits");
        state.waiting = 1;
        (0..=max_queued as usize).find(|_| {
            let woken = state.is_worth_waking(false);
            state.lane.start(|_| ());
            woken
        })
    }

    #[test]
    fn who_waits_for_room_is_woken_for_several_frames_and_always_where_all_is_free() {
        gst::init().unwrap();
        let expected = [(1, 1), (2, 2), (3, 2), (4, 3), (6, 4), (100, 4)];
        assert_eq!(expected.map(|(max_queued, _)| (max_queued, woken_at(max_queued).unwrap())), expected);
    }
}
