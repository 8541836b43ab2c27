//! Figures as structures: what `stats` of an element shows.

use super::{feed::FeedSnapshot, processor::ProcessorSnapshot};

impl FeedSnapshot {
    pub fn to_structure(&self) -> gst::Structure {
        gst::Structure::new_empty("nv-feed-stats")
    }
}

impl ProcessorSnapshot {
    pub fn to_structure(&self) -> gst::Structure {
        gst::Structure::new_empty("nv-processor-stats")
    }
}
