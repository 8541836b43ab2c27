//! How frames and events come into a feed: where there is room, and what is dropped where there is none.

use std::{sync::Arc, thread};

use parking_lot::MutexGuard;

use super::{Arrival, Delivery, Feed, FrameCaps, FrameTimes, Leaky, Rejected, clock, state::Stage};

impl Feed {
    /// The caps of the frames that follow.
    pub fn set_caps(&self, info: gst_video::VideoInfo) {
        let mut state = self.state.lock();
        state.entry = Some(thread::current().id());
        let generation = state.crops.next_generation();
        state.caps = Some(Arc::new(FrameCaps { info, generation }));
    }

    /// Frames that follow are of a new segment: nothing is missing before the first of them.
    pub fn begin_segment(&self) {
        let mut state = self.state.lock();
        state.begins = true;
        state.at_end = false;
    }

    /// No frame is expected until a segment begins or a frame comes.
    pub fn end_of_stream(&self) {
        self.state.lock().at_end = true;
    }

    /// Takes a frame. Waits for room where the feed is not leaky.
    pub fn submit(self: &Arc<Self>, buffer: gst::Buffer, times: FrameTimes) -> Result<(), Rejected> {
        let arrival = self.take(buffer, times)?;
        self.report_arrival(arrival);
        if self.collects() {
            self.collect();
        }
        Ok(())
    }

    pub(super) fn take(&self, buffer: gst::Buffer, times: FrameTimes) -> Result<Arrival, Rejected> {
        let arrival = clock::now();
        let mut state = self.state.lock();
        state.entry = Some(thread::current().id());
        let interval = u64::from(state.settings.interval.max(1));
        let passed_over = !state.counters.received.is_multiple_of(interval);
        let mut items = if passed_over { None } else { self.items(&mut state, &buffer) };
        let mut dropped = None;
        loop {
            if state.flushing {
                return Err(Rejected::Flushing);
            }
            if let Some(error) = &state.error {
                return Err(Rejected::Failed(error.clone()));
            }
            if state.stage != Stage::Open {
                return Err(Rejected::Ended);
            }
            let number = state.counters.received;
            let passes = passed_over || items.as_ref().is_some_and(|items| !items.need_model(&state.tracks, number));
            let Some(cause) = state.no_room(passes, self.passes_frames) else { break };
            match state.leaky() {
                Leaky::Downstream if !passes && state.lane.queued() > 0 => {
                    dropped = state.lane.remove_oldest_queued().map(|frame| (frame, cause));
                    state.counters.drop_frames(cause, 1);
                    break;
                }
                Leaky::Downstream | Leaky::Upstream => {
                    let (frame, news) = state.new_frame(buffer, times, arrival)?;
                    state.counters.drop_frames(cause, 1);
                    drop(state);
                    self.report_dropped(cause, 1);
                    self.tell_dropped(frame, cause);
                    return Ok(news);
                }
                Leaky::No | Leaky::Auto => {
                    if state.interrupted {
                        return Err(Rejected::Interrupted(buffer));
                    }
                    state.waiting += 1;
                    if std::mem::take(&mut state.nudged)
                        && let Some(processor) = state.processor.clone()
                    {
                        MutexGuard::unlocked(&mut state, || processor.help());
                    } else {
                        self.room.wait(&mut state);
                    }
                    state.waiting -= 1;
                }
            }
        }
        let (mut frame, news) = state.new_frame(buffer, times, arrival)?;
        let asked = items.as_mut().map_or(1, |items| items.ask(&mut state.tracks, frame.number));
        frame.items = items.map(Box::new);
        if asked == 0 {
            // It is answered, and waits for those before it only.
            state.counters.results += 1;
            state.lane.pass(Delivery::Frame(frame, None));
            self.due.notify_all();
            return Ok(news);
        }
        if passed_over {
            state.counters.skipped += 1;
            if self.passes_frames {
                state.lane.pass(Delivery::Frame(frame, None));
                self.due.notify_all();
            }
            return Ok(news);
        }
        state.lane.queue(frame);
        if dropped.is_some() {
            // What was behind it may be due.
            self.due.notify_all();
        }
        let (processor, waiting) = (state.processor.clone(), state.work_left());
        drop(state);
        if let Some((frame, cause)) = dropped {
            self.report_dropped(cause, 1);
            self.tell_dropped(frame, cause);
        }
        if let Some(processor) = processor {
            processor.frame_arrived(self.key, arrival, asked, waiting);
        }
        Ok(news)
    }

    /// There is room in a batch. Whoever waits for room in [`Feed::submit`] makes use of it.
    pub(in crate::runtime) fn nudge(&self) {
        self.state.lock().nudged = true;
        self.room.notify_all();
    }

    /// An event that keeps its place between the frames, for a feed that passes them on.
    pub fn pass_event(&self, event: gst::Event) -> bool {
        let mut state = self.state.lock();
        state.entry = Some(thread::current().id());
        if state.flushing || state.stage != Stage::Open {
            return false;
        }
        state.lane.pass(Delivery::Event(event));
        self.due.notify_all();
        true
    }
}
