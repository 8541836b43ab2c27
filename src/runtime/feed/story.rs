//! What was told of a feed as a whole: that it is there, that it waits for its processor.
//!
//! Whoever listens takes the last event for how things are. So a change and its event belong together: were a feed bound
//! by one thread right before another one tells that it waits, it would seem to wait for ever.

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime) struct Story {
    /// The last was `feed-added` and not `feed-stopped`.
    pub is_there: bool,
    /// The last was `feed-pending` and not `feed-attached`.
    pub is_pending: bool,
}

impl Story {
    /// The feed's next life begins where the last one ended; whether it waits is told anew.
    pub fn follow(&mut self, last: &Self) {
        *self = Self { is_there: last.is_there, is_pending: false };
    }
}
