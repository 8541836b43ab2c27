//! Caps with tensors, on their way out in front of the frames that carry them.

use gst::prelude::*;

use super::Stream;
use crate::nvbatch::tensor_caps::{self, Announcement, Refusal};

impl Stream {
    /// Has what waits for a frame leave before `event`, where that ends the stream, and looks whether caps will be taken.
    pub(super) fn announce_before(&self, event: &gst::Event) -> Result<(), gst::FlowError> {
        match event.view() {
            gst::EventView::Eos(_) => self.announce(|announcement| announcement.held_caps()),
            gst::EventView::Caps(caps) if self.announces_nothing() => self.check_taken(&caps.caps_owned()),
            _ => Ok(()),
        }
    }

    /// The event, unless it waits for a frame.
    pub(super) fn announced(&self, event: gst::Event) -> Option<gst::Event> {
        let plain = self.announces_nothing();
        self.announcement.lock().event(event, plain)
    }

    /// Caps may leave as upstream gives them: the model has no tensors that are to be announced, or there is none yet and
    /// nobody downstream asks for tensors.
    fn announces_nothing(&self) -> bool {
        match self.feed.processor() {
            Some(processor) => processor.description().tensors.iter().all(|tensor| tensor.group.is_none()),
            None => !tensor_caps::are_wanted(&self.src_pad.peer_query_caps(None)),
        }
    }

    /// Sends the caps that `choose` gives, and what waited for them.
    pub(super) fn announce(
        &self,
        choose: impl FnOnce(&mut Announcement) -> Option<gst::Caps>,
    ) -> Result<(), gst::FlowError> {
        let (caps, waited) = {
            let mut announcement = self.announcement.lock();
            let Some(caps) = choose(&mut announcement) else { return Ok(()) };
            (caps, announcement.released())
        };
        self.check_taken(&caps)?;
        self.src_pad.push_event(gst::event::Caps::new(&caps));
        for event in waited {
            self.src_pad.push_event(event);
        }
        Ok(())
    }

    fn check_taken(&self, caps: &gst::Caps) -> Result<(), gst::FlowError> {
        match tensor_caps::refusal(&self.src_pad, caps) {
            None => Ok(()),
            Some(Refusal::Idle(error)) => {
                self.notices.warn(&error);
                Ok(())
            }
            Some(Refusal::Fatal(error)) => Err(self.fail(&error)),
        }
    }
}
