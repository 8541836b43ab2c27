//! Frames on their way through a feed, and who is told of them.

use std::{convert::Infallible, sync::Arc};

use super::{DropCause, Error, Items, Time, Timing};
use crate::{
    inference::{ModelDescription, Output, Placement},
    runtime::objects::Annotations,
};

/// One frame on its way through a feed.
#[derive(Debug, Clone)]
pub struct Frame {
    /// `None` once nobody needs the pixels any more.
    pub buffer: Option<gst::Buffer>,
    pub caps: Arc<FrameCaps>,
    /// Number of the frame in its feed, from 0, counting every frame that came in.
    pub number: u64,
    pub pts: Option<gst::ClockTime>,
    pub duration: Option<gst::ClockTime>,
    pub running_time: Option<gst::ClockTime>,
    pub stream_time: Option<gst::ClockTime>,
    pub arrival: Time,
    /// Where not the whole frame is inferred but objects of it.
    pub items: Option<Box<Items>>,
}

/// The caps that a frame came under.
#[derive(Debug)]
pub struct FrameCaps {
    pub info: gst_video::VideoInfo,
    /// From 1, one more with each change.
    pub(super) generation: u64,
}

/// What an answer of the model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime) struct ItemId {
    /// Of the frame.
    pub lane_number: u64,
    /// Which of the frame's [`Items`]; `None` where the whole frame is inferred.
    pub item: Option<usize>,
}

/// What became of a frame that was taken.
#[derive(Debug, Clone)]
pub enum Outcome {
    Result(Inferred),
    /// Of a feed that only collects.
    Collected(Box<Collected>),
    /// Only frames that were in work already; those that never got so far are told by [`FeedListener::dropped`].
    Dropped(DropCause),
    Failed(Error),
}

#[derive(Debug, Clone)]
pub struct Inferred {
    pub model: Arc<ModelDescription>,
    pub processor_id: Arc<str>,
    pub output: Output,
    /// Where in the model's input the frame was.
    pub placement: Placement,
    pub timing: Timing,
    /// The `nv-result`, where it was built for somebody already.
    pub told: Option<Arc<gst::Structure>>,
}

/// What was on a frame when it came in.
#[derive(Debug, Clone)]
pub struct Collected {
    pub annotations: Annotations,
    /// Nothing was run: only `queue` and `total` are more than 0.
    pub timing: Timing,
    /// As of [`Inferred`].
    pub told: Option<Arc<gst::Structure>>,
}

/// What there is to tell about a frame.
#[derive(Debug, Clone, Copy)]
pub enum Findings<'a> {
    Inferred(&'a Inferred),
    Collected(&'a Collected),
}

impl Outcome {
    /// `None` where there is no result.
    pub fn findings(&self) -> Option<Findings<'_>> {
        match self {
            Self::Result(inferred) => Some(Findings::Inferred(inferred)),
            Self::Collected(collected) => Some(Findings::Collected(collected)),
            Self::Dropped(_) | Self::Failed(_) => None,
        }
    }

    /// Keeps the `nv-result` that was built.
    pub(in crate::runtime) fn keep_told(&mut self, structure: Arc<gst::Structure>) {
        match self {
            Self::Result(inferred) => inferred.told = Some(structure),
            Self::Collected(collected) => collected.told = Some(structure),
            Self::Dropped(_) | Self::Failed(_) => {}
        }
    }
}

impl<'a> Findings<'a> {
    pub(in crate::runtime) fn told(self) -> Option<&'a Arc<gst::Structure>> {
        match self {
            Self::Inferred(inferred) => inferred.told.as_ref(),
            Self::Collected(collected) => collected.told.as_ref(),
        }
    }

    pub(in crate::runtime) fn timing(self) -> &'a Timing {
        match self {
            Self::Inferred(inferred) => &inferred.timing,
            Self::Collected(collected) => &collected.timing,
        }
    }

    /// How many objects there are.
    pub(in crate::runtime) fn objects(self) -> usize {
        match self {
            Self::Inferred(inferred) => inferred.output.objects.as_ref().map_or(0, Vec::len),
            Self::Collected(collected) => collected.annotations.objects.len(),
        }
    }
}

/// What comes out of a feed.
#[expect(clippy::large_enum_variant, reason = "nearly all are frames, and a box would be an allocation for each")]
pub enum Delivery {
    /// `None`: the model was not asked, as `interval` passed the frame over or it has no object to ask for; only where
    /// the feed passes frames on.
    Frame(Frame, Option<Outcome>),
    Event(gst::Event),
}

/// Who is told of a feed's doings. Called from the pool unless said otherwise; may block.
pub trait FeedListener: Send + Sync {
    /// In order, one at a time. Only for feeds that do not pass frames on.
    fn deliver(&self, frame: Frame, outcome: Outcome);
    /// False lets results be counted without anybody being called.
    fn wants_results(&self) -> bool;
    /// A frame was dropped before it was taken; called from the thread that submits, or from the pool.
    fn dropped(&self, frame: Frame, cause: DropCause);
    /// The feed cannot go on; every `submit` returns the same error from now on.
    fn failed(&self, error: Error);
    /// The processor that the feed is bound to changed, and with it the latency.
    fn latency_changed(&self);
    /// The runtime was shut down, and nothing comes out any more: the stream is to end. Only for feeds that do not pass
    /// frames on; from others an end-of-stream event comes out.
    fn ended(&self) {}
}

/// Who listens to a place that has no feed yet: nobody.
impl FeedListener for Infallible {
    fn deliver(&self, _frame: Frame, _outcome: Outcome) {
        match *self {}
    }

    fn wants_results(&self) -> bool {
        match *self {}
    }

    fn dropped(&self, _frame: Frame, _cause: DropCause) {
        match *self {}
    }

    fn failed(&self, _error: Error) {
        match *self {}
    }

    fn latency_changed(&self) {
        match *self {}
    }
}

/// Why a frame was not taken.
#[derive(Debug)]
pub enum Rejected {
    Flushing,
    /// The runtime was shut down: the stream is at its end.
    Ended,
    /// [`Feed::set_interrupted`](super::Feed::set_interrupted) was called while the frame waited for room; it may be submitted again.
    Interrupted(gst::Buffer),
    Failed(Error),
}

/// Times of a frame that only the element knows.
#[derive(Debug, Clone, Copy, Default)]
pub struct FrameTimes {
    pub running_time: Option<gst::ClockTime>,
    pub stream_time: Option<gst::ClockTime>,
}
