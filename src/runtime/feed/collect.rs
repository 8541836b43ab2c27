//! A feed without a processor: its frames are answered at once, by the metadata that is on them.

use std::sync::Arc;

use super::{Collected, Feed, Outcome, Timing, clock};
use crate::runtime::objects::Annotations;

impl Feed {
    /// Whether it has no processor and wants none.
    pub(in crate::runtime) fn collects(&self) -> bool {
        self.processor_id.is_empty()
    }

    /// Answers what waits, as far as there is room for results that are not out.
    pub(super) fn collect(self: &Arc<Self>) {
        while let Some(started) = self.start_next() {
            let begun = clock::now();
            let info = &started.caps.info;
            let annotations = Annotations::read(&started.buffer, (info.width(), info.height()));
            let timing = Timing {
                queue: begun.saturating_sub(started.arrival),
                total: clock::now().saturating_sub(started.arrival),
                ..Timing::default()
            };
            self.settle(started.id, Outcome::Collected(Box::new(Collected { annotations, timing, told: None })));
        }
    }
}
