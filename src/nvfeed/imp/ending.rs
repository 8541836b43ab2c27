//! The end of a feed's stream: told once the last result is out.

use std::{ops::ControlFlow, sync::Arc};

use gst::{prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::prelude::*};

use super::{CAT, NvFeed, Running};
use crate::runtime::{Feed, StopReason};

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
        // Told late, there is nothing to end: the element has left PAUSED, or another stream has begun.
        let Some(stopped) = self.running().filter(|running| running.feed.was_stopped()) else { return };
        let element = self.obj();
        let (_, current, pending) = element.state(gst::ClockTime::ZERO);
        // A thread of upstream may sleep in PAUSED, with the stream locked; in PLAYING the end is told again.
        if (current, pending) == (gst::State::Paused, gst::State::VoidPending) {
            return;
        }
        self.end_what_follows(element.sink_pad(), &stopped.feed);
        let ended = element.sink_pad().send_event(gst::event::Eos::new());
        gst::debug!(CAT, imp = self, "the end of the stream was told: {ended}");
    }

    /// Tells upstream, whatever it sends from now on, that the stream is over. The base class refuses all that follows an
    /// end, the beginning of a stream too if that had none yet, and upstream would call that an error.
    fn end_what_follows(&self, pad: &gst::Pad, stopped: &Arc<Feed>) {
        let sent = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST | gst::PadProbeType::EVENT_DOWNSTREAM;
        let probe = pad.add_probe(sent, |pad, info| {
            match &info.data {
                Some(gst::PadProbeData::Event(event)) if event.type_() == gst::EventType::Eos => {
                    return gst::PadProbeReturn::Ok;
                }
                // A pad warns of a frame that comes with no beginning of a stream on it.
                Some(gst::PadProbeData::Event(event)) if event.is_sticky() => _ = pad.store_sticky_event(event),
                Some(gst::PadProbeData::Event(_)) => {}
                _ => info.flow_res = Err(gst::FlowError::Eos),
            }
            drop(info.data.take());
            gst::PadProbeReturn::Handled
        });
        let superfluous = {
            let mut state = self.state.lock();
            // Where the element has left PAUSED meanwhile, nobody else would take the probe away.
            let is_running = state.running.as_ref().is_some_and(|running| Arc::ptr_eq(&running.feed, stopped));
            if is_running { std::mem::replace(&mut state.ends_what_follows, probe) } else { probe }
        };
        if let Some(probe) = superfluous {
            pad.remove_probe(probe);
        }
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
