//! The end of a feed's stream: told once the last result is out.

use std::ops::ControlFlow;

use gst::{prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::prelude::*};

use super::{CAT, NvFeed, Running};
use crate::runtime::StopReason;

impl NvFeed {
    /// The stream ends by itself: posts the end after the last result, and gives the place back.
    pub(super) fn end_of_stream(&self, running: &Running, event: gst::Event) -> bool {
        running.feed.end_of_stream();
        if !self.drain(running, &event) || !self.parent_event(event) {
            return false;
        }
        running.outlet.retire(StopReason::Eos);
        true
    }

    /// Ends the stream where nobody upstream does: the runtime was shut down. Blocks until what is before is over.
    pub fn end_stream(&self) {
        let element = self.obj();
        let (_, current, pending) = element.state(gst::ClockTime::ZERO);
        // A thread of upstream may sleep in PAUSED, with the stream locked; in PLAYING the end is told again.
        if (current, pending) == (gst::State::Paused, gst::State::VoidPending) {
            return;
        }
        let ended = element.sink_pad().send_event(gst::event::Eos::new());
        gst::debug!(CAT, imp = self, "the end of the stream was told: {ended}");
    }

    /// Waits until the last result is out. False where the end of the stream is not to be told.
    fn drain(&self, running: &Running, event: &gst::EventRef) -> bool {
        loop {
            let may_go_on = self.wait_while_paused(event.upcast_ref()).and_then(|_| match running.feed.drain() {
                ControlFlow::Continue(()) => Ok(true),
                ControlFlow::Break(Some(error)) => Err(running.outlet.fail(&error)),
                ControlFlow::Break(None) => self.obj().wait_preroll().map(|_| false),
            });
            match may_go_on {
                Ok(true) => return true,
                // `CustomError` is a step in PAUSED, of which there is nothing to show.
                Ok(false) | Err(gst::FlowError::CustomError) => {}
                Err(_) => return false,
            }
        }
    }

    pub(super) fn wait_while_paused(&self, item: &gst::MiniObjectRef) -> Result<(), gst::FlowError> {
        // SAFETY: only `render` and `event` come here, with the preroll lock held.
        unsafe { self.pause.wait(self.obj().upcast_ref(), item) }
    }
}
