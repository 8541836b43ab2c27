//! A feed's figures. They only grow.

use super::histogram::Histogram;

/// Why a frame was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropCause {
    /// The feed's queue was full.
    Backpressure,
    /// It waited longer than the feed's `deadline`.
    Expired,
    /// The processor's queue had no room for it.
    Rejected,
    /// The processor did not answer within `response-timeout`.
    TimedOut,
    /// The feed had `max-in-flight` frames in work.
    InFlight,
    /// The feed was flushed (a seek) or stopped.
    Flushed,
    /// The runtime was shut down.
    Shutdown,
}

impl DropCause {
    pub const ALL: [Self; 7] = [
        Self::Backpressure,
        Self::Expired,
        Self::Rejected,
        Self::TimedOut,
        Self::InFlight,
        Self::Flushed,
        Self::Shutdown,
    ];

    /// The name in figures and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backpressure => "backpressure",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::TimedOut => "timed-out",
            Self::InFlight => "in-flight",
            Self::Flushed => "flushed",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Where the time of one frame went, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// Waiting: for a place in a batch, for the rest of the batch, and for an instance.
    pub queue: u64,
    pub preprocess: u64,
    /// The run of the batch that the frame was in, decoding included.
    pub inference: u64,
    /// From the frame's arrival to its result.
    pub total: u64,
    /// Frames in that batch.
    pub batch_size: u32,
}

/// What happened to a feed's frames, but for those that are still in its lane.
#[derive(Debug, Clone, Default)]
pub struct FeedCounters {
    pub received: u64,
    /// Taken by the processor at least once.
    pub submitted: u64,
    /// Passed over by `interval`.
    pub skipped: u64,
    dropped: [u64; DropCause::ALL.len()],
    pub results: u64,
    pub errors: u64,
    pub restarts: u64,
    /// Objects in all results.
    pub objects: u64,
    pub latency: Latency,
}

#[derive(Debug, Clone, Default)]
pub struct Latency {
    pub queue: Histogram,
    pub preprocess: Histogram,
    pub inference: Histogram,
    pub total: Histogram,
}

impl FeedCounters {
    pub fn drop_frames(&mut self, cause: DropCause, frames: u64) {
        self.dropped[cause as usize] += frames;
    }

    pub fn dropped(&self, cause: DropCause) -> u64 {
        self.dropped[cause as usize]
    }

    pub fn dropped_in_all(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Of a frame on which nothing was run.
    pub fn record_collected(&mut self, timing: &Timing) {
        self.latency.queue.record(timing.queue);
        self.latency.total.record(timing.total);
    }

    pub fn record(&mut self, timing: &Timing) {
        self.latency.queue.record(timing.queue);
        self.latency.preprocess.record(timing.preprocess);
        self.latency.inference.record(timing.inference);
        self.latency.total.record(timing.total);
    }
}
