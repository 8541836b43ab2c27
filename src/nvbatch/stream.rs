//! The stream through a linked `nvbatch`: into its feed on upstream's thread, out again on the source pad's task.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gst::prelude::*;
use parking_lot::Mutex;

#[cfg(feature = "v1_28")]
mod announcing;
mod giving_out;

#[cfg(feature = "v1_28")]
use super::tensor_caps::Announcement;
use super::{imp::CAT, notices::Notices};
use crate::runtime::{
    Error, Feed, FeedConfig, FeedListener, FeedSettings, FrameTimes, Origin, OwnedFeed, Rejected, Runtime, StopReason,
};

/// Ends with [`Stream::close`].
pub struct Stream {
    runtime: Runtime,
    feed: Arc<Feed>,
    /// Until it is closed. A leaf.
    place: Mutex<Option<OwnedFeed>>,
    notices: Arc<Notices>,
    sink_pad: gst::Pad,
    src_pad: gst::Pad,
    /// A leaf.
    flow: Mutex<Flow>,
    /// Of what comes in. A leaf.
    segment: Mutex<Option<gst::FormattedSegment<gst::ClockTime>>>,
    /// The number that the next frame to leave has where none was dropped.
    next_number: AtomicU64,
    /// Latency of ours that was last answered, in nanoseconds.
    told_latency: AtomicU64,
    /// A leaf.
    #[cfg(feature = "v1_28")]
    announcement: Mutex<Announcement>,
}

/// What upstream and downstream have to know of each other.
struct Flow {
    /// What downstream said last, which is what upstream is told.
    returned: Result<(), gst::FlowError>,
    /// Downstream wants no frame until a new stream or segment begins.
    had_enough: bool,
    /// Beginnings of a stream or a segment that came in and did not go out yet.
    beginnings: usize,
    /// Upstream is done and will not learn of a later error by itself.
    upstream_done: bool,
}

impl Default for Flow {
    fn default() -> Self {
        Self { returned: Ok(()), had_enough: false, beginnings: 0, upstream_done: false }
    }
}

impl Stream {
    /// Takes a place for a feed.
    pub fn open(
        element: &super::NvBatch,
        runtime: Runtime,
        (sink_pad, src_pad): (gst::Pad, gst::Pad),
        (name, processor_id, settings): (String, String, FeedSettings),
    ) -> Result<Arc<Self>, Error> {
        let notices = Arc::new(Notices::new(element));
        let listener: Arc<dyn FeedListener> = notices.clone();
        let listener = Arc::downgrade(&listener);
        let origin = Origin::of(element);
        let config = FeedConfig { name, processor_id, settings, passes_frames: true, listener, origin };
        let place = runtime.add_feed(config)?;
        Ok(Arc::new(Self {
            runtime,
            feed: place.clone(),
            place: Mutex::new(Some(place)),
            notices,
            sink_pad,
            src_pad,
            flow: Mutex::default(),
            segment: Mutex::new(None),
            next_number: AtomicU64::new(0),
            told_latency: AtomicU64::new(0),
            #[cfg(feature = "v1_28")]
            announcement: Mutex::default(),
        }))
    }

    /// Gives the place back. Both pads are inactive by now.
    pub fn close(&self) {
        let place = self.place.lock().take();
        drop(place);
        // A stream that began while the source pad was deactivated has started the task all the same.
        _ = self.src_pad.stop_task();
    }

    /// The element is dropped without being stopped, perhaps while the source pad's task pushes.
    pub fn abandon(&self) {
        self.src_pad.push_event(gst::event::FlushStart::new());
        self.stop();
        self.close();
    }

    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Begins from nothing, when the source pad is active.
    pub fn start(self: &Arc<Self>) {
        *self.segment.lock() = None;
        *self.flow.lock() = Flow::default();
        self.feed.flush_stop();
        self.resume();
    }

    /// The source pad is being deactivated.
    pub fn stop(&self) {
        self.halt(gst::FlowError::Flushing);
        self.feed.flush_start();
        _ = self.src_pad.stop_task();
        #[cfg(feature = "v1_28")]
        std::mem::take(&mut *self.announcement.lock());
    }

    /// Nobody waits on the sink pad any more; upstream is told why.
    pub fn halt(&self, why: gst::FlowError) {
        self.flow.lock().returned = Err(why);
        self.feed.set_interrupted(true);
    }

    /// Undoes [`Stream::halt`].
    pub fn resume(self: &Arc<Self>) {
        self.feed.set_interrupted(false);
        self.flow.lock().returned = Ok(());
        self.start_task();
    }

    /// A frame from upstream. Waits for room.
    pub fn chain(&self, mut buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let times = self.times(&buffer);
        loop {
            {
                let flow = self.flow.lock();
                flow.returned?;
                if flow.had_enough && flow.beginnings == 0 {
                    return Err(gst::FlowError::Eos);
                }
            }
            match self.feed.submit(buffer, times) {
                Ok(()) => return Ok(gst::FlowSuccess::Ok),
                Err(Rejected::Flushing) => return Err(gst::FlowError::Flushing),
                Err(Rejected::Ended) => return Err(gst::FlowError::Eos),
                Err(Rejected::Interrupted(again)) => buffer = again,
                Err(Rejected::Failed(error)) => return Err(self.fail(&error)),
            }
        }
    }

    /// An event that keeps its place between the frames.
    pub fn serialized_event(&self, event: gst::Event) -> Result<gst::FlowSuccess, gst::FlowError> {
        match event.view() {
            gst::EventView::Caps(caps) => self.set_caps(caps.caps())?,
            gst::EventView::Segment(segment) => {
                *self.segment.lock() = segment.segment().downcast_ref().cloned();
                self.feed.begin_segment();
                self.meet_upstream()?;
            }
            _ => (),
        }
        let begins = event.type_() == gst::EventType::StreamStart;
        {
            let mut flow = self.flow.lock();
            match event.type_() {
                gst::EventType::StreamStart | gst::EventType::Segment => {
                    flow.beginnings += 1;
                    flow.upstream_done = false;
                }
                gst::EventType::Eos => {
                    flow.upstream_done = true;
                    self.feed.end_of_stream();
                }
                _ => (),
            }
            if let Err(error) = flow.returned {
                if event.type_() == gst::EventType::Eos {
                    drop(flow);
                    self.tell_flow_error(error);
                    return Err(error);
                }
                // A sticky event stays on the pad for when the stream goes on.
                if !event.is_sticky() {
                    return Err(error);
                }
            }
        }
        if begins {
            // After it was counted: whoever gives out an end before it then sees that the stream goes on.
            self.rejoin()?;
        }
        if self.feed.pass_event(event) {
            Ok(gst::FlowSuccess::Ok)
        } else if self.feed.was_stopped() {
            Err(gst::FlowError::Eos)
        } else {
            Err(gst::FlowError::Flushing)
        }
    }

    pub fn flush_start(&self, event: gst::Event) -> bool {
        let done = self.src_pad.push_event(event);
        self.halt(gst::FlowError::Flushing);
        let dropped = self.feed.flush_start();
        // Waits until what is being pushed is out, so that what is stored below is the newest.
        _ = self.src_pad.pause_task();
        #[cfg(feature = "v1_28")]
        self.announcement.lock().flush();
        for event in dropped.into_iter().filter(|event| event.is_sticky()) {
            if !matches!(event.type_(), gst::EventType::Segment | gst::EventType::Eos) {
                #[cfg(feature = "v1_28")]
                let Some(event) = self.announced(event) else { continue };
                _ = self.src_pad.store_sticky_event(&event);
            }
        }
        done
    }

    pub fn flush_stop(self: &Arc<Self>, event: gst::Event) -> bool {
        let done = self.src_pad.push_event(event);
        self.start();
        done && self.rejoin().is_ok()
    }

    /// The stream goes on, perhaps after its end: the feed takes a place again.
    fn rejoin(&self) -> Result<(), gst::FlowError> {
        self.runtime.rejoin(&self.feed).map_err(|error| self.fail(&error))
    }

    /// The stream cannot go on: its place is free.
    fn fail(&self, error: &Error) -> gst::FlowError {
        self.runtime.retire(&self.feed, StopReason::Error(error.message.clone()));
        self.notices.failed(error)
    }

    /// The source pad has another peer, perhaps one after there was none.
    pub fn reconfigured(self: &Arc<Self>) {
        let was_not_linked = self.flow.lock().returned == Err(gst::FlowError::NotLinked);
        if was_not_linked {
            self.resume();
        }
    }

    /// A query that is answered only when all that came before it is out. The buffers that leave are those that came,
    /// so whatever downstream proposes holds for upstream as it is.
    pub fn serialized_query(&self, query: &mut gst::QueryRef) -> bool {
        match self.feed.drain() {
            ControlFlow::Continue(()) => self.src_pad.peer_query(query),
            ControlFlow::Break(_) => false,
        }
    }

    /// Upstream's latency and our own: the wait for a batch and its run; and what may wait in the feed's queue.
    pub fn latency(&self, query: &mut gst::query::Latency) -> bool {
        let mut upstream = gst::query::Latency::new();
        if !self.sink_pad.peer_query(upstream.query_mut()) {
            return false;
        }
        let (live, min, max) = upstream.result();
        let own = self.own_latency();
        self.told_latency.store(own.nseconds(), Ordering::Relaxed);
        let room = own + self.queue_duration();
        query.set(live, min.saturating_add(own), max.map(|max| max.saturating_add(room)));
        gst::debug!(CAT, obj = self.src_pad, "latency: {own} of our own, room for {room}");
        true
    }

    fn own_latency(&self) -> gst::ClockTime {
        gst::ClockTime::from_nseconds(self.feed.processor().map_or(0, |processor| processor.latency()))
    }

    /// Of as many frames as may wait, where the frame rate is known.
    fn queue_duration(&self) -> gst::ClockTime {
        let info = self.sink_pad.current_caps().and_then(|caps| gst_video::VideoInfo::from_caps(&caps).ok());
        let frames = self.feed.snapshot().queue_capacity as u64;
        let duration = info.and_then(|info| {
            let fps = info.fps();
            let (numerator, denominator) = (u64::try_from(fps.numer()).ok()?, u64::try_from(fps.denom()).ok()?);
            gst::ClockTime::SECOND.mul_div_floor(frames.checked_mul(denominator)?, numerator)
        });
        duration.unwrap_or_default()
    }

    fn set_caps(&self, caps: &gst::CapsRef) -> Result<(), gst::FlowError> {
        match gst_video::VideoInfo::from_caps(caps) {
            Ok(info) => {
                self.feed.set_caps(info);
                Ok(())
            }
            Err(error) => {
                gst::error!(CAT, obj = self.sink_pad, "caps {caps} cannot be read: {error}");
                Err(gst::FlowError::NotNegotiated)
            }
        }
    }

    /// Upstream can be asked what it is by now, and its first frame has not come yet.
    fn meet_upstream(&self) -> Result<(), gst::FlowError> {
        self.notices
            .check_source(&self.sink_pad, &self.feed, self.runtime.health())
            .map_err(|error| self.fail(&error))?;
        let mut query = gst::query::Latency::new();
        if self.sink_pad.peer_query(query.query_mut()) {
            let (live, ..) = query.result();
            self.feed.set_live(live);
            self.notices.set_live(live);
        }
        Ok(())
    }

    fn times(&self, buffer: &gst::BufferRef) -> FrameTimes {
        let segment = self.segment.lock();
        let time = |convert: fn(&gst::FormattedSegment<gst::ClockTime>, gst::ClockTime) -> Option<gst::ClockTime>| {
            segment.as_ref().zip(buffer.pts()).and_then(|(segment, pts)| convert(segment, pts))
        };
        FrameTimes {
            running_time: time(|segment, pts| segment.to_running_time(pts)),
            stream_time: time(|segment, pts| segment.to_stream_time(pts)),
        }
    }

    fn start_task(self: &Arc<Self>) {
        if self.src_pad.mode() != gst::PadMode::Push || self.src_pad.task_state() == gst::TaskState::Started {
            return;
        }
        // Not an `Arc`: a pad whose task is started again after a pause does not free what it is given.
        let stream = Arc::downgrade(self);
        let task = move || {
            if let Some(stream) = stream.upgrade() {
                stream.give_out();
            }
        };
        if self.src_pad.start_task(task).is_err() {
            let reason = std::io::Error::other("GStreamer has none to give");
            let error = self.fail(&Error::no_thread("the task of the source pad", &reason));
            self.halt(error);
        }
    }
}
