//! Feeds and processors in the hands of those who brought them.

use std::{ops::Deref, sync::Arc};

use super::{feed::Feed, processor::Processor, registry::Runtime};

/// A feed in the hands of its owner: ended when dropped. Its place is given back, unless it is a managed feed's.
pub struct OwnedFeed {
    pub(super) runtime: Runtime,
    pub(super) feed: Arc<Feed>,
}

impl Deref for OwnedFeed {
    type Target = Arc<Feed>;

    fn deref(&self) -> &Self::Target {
        &self.feed
    }
}

impl Drop for OwnedFeed {
    fn drop(&mut self) {
        self.runtime.end_feed(&self.feed);
    }
}

/// A processor in the hands of its owner: stopped and forgotten when dropped.
pub struct OwnedProcessor {
    pub(super) runtime: Runtime,
    pub(super) processor: Arc<Processor>,
}

impl Deref for OwnedProcessor {
    type Target = Arc<Processor>;

    fn deref(&self) -> &Self::Target {
        &self.processor
    }
}

impl Drop for OwnedProcessor {
    fn drop(&mut self) {
        self.runtime.remove_processor(&self.processor);
    }
}
