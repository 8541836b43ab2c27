use gst::MessageType;

use crate::common::{Started, count, next_result, owner, stats};

/// A pipeline on a processor of its own that runs while others fail.
pub struct Bystander {
    _owner: Started,
    pipeline: Started,
}

impl Bystander {
    /// Has had its first result.
    pub fn new(id: &str) -> Self {
        let owner = owner(id);
        let pipeline = Started::playing(&format!(
            "videotestsrc is-live=true ! video/x-raw,width=64,height=64,framerate=50/1 ! nvfeed name=f processor-id={id}"
        ));
        assert!(next_result(&pipeline.bus).is_some());
        Self { _owner: owner, pipeline }
    }

    /// New results come, and nothing else has come.
    pub fn assert_undisturbed(&self) {
        let feed = self.pipeline.child("f");
        let before = count(&stats(&feed), "received");
        while next_result(&self.pipeline.bus).is_some_and(|result| count(&result, "frame") < before) {}
        let trouble = self.pipeline.bus.pop_filtered(&[MessageType::Warning, MessageType::Error, MessageType::Eos]);
        assert!(trouble.is_none(), "{trouble:?}");
        assert_eq!(count(&stats(&feed), "errors"), 0);
    }
}
