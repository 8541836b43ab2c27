//! How an `nvfeed` inside a managed pipeline gets to the place that its feed has already.

use std::sync::{Arc, Weak};

use super::supervisor::Supervisor;
use crate::runtime::{Error, FeedConfig, OwnedFeed};

/// Type of the [`gst::Context`] that hands a ticket to an element.
pub const CONTEXT: &str = "nextvision.feed-ticket";
const FIELD: &str = "ticket";

/// Lets one run of a managed pipeline into the place of its feed.
#[derive(Clone, glib::Boxed)]
#[boxed_type(name = "NvFeedTicket")]
pub struct FeedTicket {
    supervisor: Weak<Supervisor>,
    run: u64,
}

impl FeedTicket {
    pub(super) fn new(supervisor: &Arc<Supervisor>, run: u64) -> Self {
        Self { supervisor: Arc::downgrade(supervisor), run }
    }

    pub(super) fn to_context(&self) -> gst::Context {
        let mut context = gst::Context::new(CONTEXT, false);
        if let Some(context) = context.get_mut() {
            context.structure_mut().set(FIELD, self);
        }
        context
    }

    /// The ticket in a context, if it is such a one.
    pub fn from_context(context: &gst::ContextRef) -> Option<Self> {
        (context.context_type() == CONTEXT).then(|| context.structure().get(FIELD).ok()).flatten()
    }

    /// Whether the feed ran before, and what it wrote is to be kept.
    pub fn continues(&self) -> bool {
        self.run > 1
    }

    /// Puts the feed into its place. Refused when the runtime has gone on without this run.
    pub fn open(&self, config: FeedConfig) -> Result<OwnedFeed, Error> {
        self.supervisor.upgrade().ok_or_else(|| Error::feed_not_found(0))?.open(self.run, config)
    }
}
