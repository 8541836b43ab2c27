//! Which pipeline an element of ours is in, without knowing more of it.

use std::{collections::HashMap, sync::Arc};

use glib::prelude::*;
use gst::prelude::*;

use super::event::Event;

/// The topmost bin around an element, or the element itself. Empty for what no element made.
#[derive(Debug, Clone, Default)]
pub struct Origin(glib::WeakRef<gst::Object>);

impl Origin {
    pub fn of(element: &impl IsA<gst::Object>) -> Self {
        let mut top: gst::Object = element.clone().upcast();
        while let Some(parent) = top.parent() {
            top = parent;
        }
        Self(top.downgrade())
    }
}

/// The same pipeline; an empty origin, or one that is gone, is no other's.
impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        self.0.upgrade().is_some_and(|top| other.0.upgrade().is_some_and(|other| top == other))
    }
}

/// Whose feeds and processors there are.
#[derive(Default)]
pub(super) struct Origins {
    pub feeds: HashMap<u64, Origin>,
    pub processors: HashMap<Arc<str>, Origin>,
}

impl Origins {
    pub fn of(&self, event: &Event) -> Vec<Origin> {
        let feed = event.feed.as_ref().and_then(|(id, _)| self.feeds.get(id));
        let processor = event.processor.as_ref().and_then(|id| self.processors.get(id));
        feed.into_iter().chain(processor).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_one_pipeline_have_one_origin() {
        gst::init().unwrap();
        let element = || gst::ElementFactory::make("identity").build().unwrap();
        let (a, b, other) = (element(), element(), element());
        let (pipeline, bin) = (gst::Pipeline::new(), gst::Bin::new());
        bin.add(&b).unwrap();
        pipeline.add(&a).unwrap();
        pipeline.add(&bin).unwrap();
        assert!(Origin::of(&a) == Origin::of(&b) && Origin::of(&a) == Origin::of(&pipeline));
        assert!(Origin::of(&other) == Origin::of(&other) && Origin::of(&a) != Origin::of(&other));
        assert!(Origin::default() != Origin::default() && Origin::default() != Origin::of(&a));
    }
}
