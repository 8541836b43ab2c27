//! Out of the feed and downstream: what the source pad's task does.

use std::sync::atomic::Ordering;

use gst::prelude::*;

use super::Stream;
use crate::{
    nvbatch::{imp::CAT, roi},
    runtime::{Delivery, ErrorCode, Frame, Inferred, Outcome, StopReason},
};

impl Stream {
    /// One turn of the source pad's task: the next thing that is due.
    pub(super) fn give_out(&self) {
        let given = match self.feed.next() {
            None => Err(gst::FlowError::Flushing),
            Some(Delivery::Event(event)) => self.push_event(event),
            Some(Delivery::Frame(frame, outcome)) => self.push_frame(frame, outcome),
        };
        if let Err(error) = given {
            gst::debug!(CAT, obj = self.src_pad, "the task pauses: {error:?}");
            _ = self.src_pad.pause_task();
            let upstream_done = self.flow.lock().upstream_done;
            self.halt(error);
            self.feed.given_up();
            if !matches!(error, gst::FlowError::Flushing | gst::FlowError::NotLinked) {
                self.runtime.retire(&self.feed, StopReason::Error(format!("downstream takes no more: {error:?}")));
            }
            if upstream_done {
                self.tell_flow_error(error);
            }
        }
    }

    fn push_event(&self, event: gst::Event) -> Result<(), gst::FlowError> {
        if matches!(event.type_(), gst::EventType::StreamStart | gst::EventType::Segment) {
            let mut flow = self.flow.lock();
            flow.beginnings = flow.beginnings.saturating_sub(1);
            flow.had_enough = false;
        }
        let is_end = event.type_() == gst::EventType::Eos;
        #[cfg(feature = "v1_28")]
        self.announce_before(&event)?;
        #[cfg(feature = "v1_28")]
        let announced = self.announced(event);
        #[cfg(not(feature = "v1_28"))]
        let announced = Some(event);
        if let Some(event) = announced {
            // A sticky event that is refused now goes before the next frame, which is where its failure is seen.
            self.src_pad.push_event(event);
        }
        if is_end {
            self.runtime.retire(&self.feed, StopReason::Eos);
            let goes_on = self.flow.lock().beginnings > 0;
            if goes_on && self.rejoin().is_err() {
                gst::debug!(CAT, obj = self.src_pad, "no place for what follows the end");
            }
        }
        Ok(())
    }

    fn push_frame(&self, frame: Frame, outcome: Option<Outcome>) -> Result<(), gst::FlowError> {
        let mut frame = frame;
        let Some(mut buffer) = frame.buffer.take() else { return Ok(()) };
        match outcome {
            // There is nothing to collect for a feed that passes its frames on.
            None | Some(Outcome::Collected(_)) => (),
            #[cfg_attr(not(feature = "v1_26"), expect(unused_mut))]
            Some(Outcome::Result(mut inferred)) => {
                self.watch_latency(&inferred);
                #[cfg(feature = "v1_26")]
                let tensors = crate::nvbatch::tensors::take(&mut inferred);
                #[cfg(feature = "v1_28")]
                self.announce(|announcement| announcement.before_frame(&tensors))?;
                #[cfg(feature = "v1_26")]
                crate::nvbatch::tensors::attach(buffer.make_mut(), tensors);
                let Inferred { model, processor_id, output, .. } = &inferred;
                if roi::has_any(output) {
                    let size = (frame.caps.info.width(), frame.caps.info.height());
                    let label = |label| model.label(label);
                    roi::attach(buffer.make_mut(), size, processor_id, output, label);
                    #[cfg(feature = "v1_24")]
                    if let Err(error) = crate::nvbatch::analytics::attach(buffer.make_mut(), size, output, label) {
                        gst::error!(CAT, obj = self.src_pad, "no analytics metadata on a frame: {error}");
                    }
                }
            }
            Some(Outcome::Dropped(_)) => {
                self.notices.frame_dropped(&frame);
                return Ok(());
            }
            Some(Outcome::Failed(error)) if error.code == ErrorCode::InvalidConfig => return Err(self.fail(&error)),
            Some(Outcome::Failed(error)) => self.notices.frame_failed(&error),
        }
        if let Some(items) = &frame.items
            && items.iter().any(|item| item.answer.is_some())
        {
            roi::attach_to_objects(buffer.make_mut(), items.iter());
            #[cfg(feature = "v1_24")]
            if let Err(error) = crate::nvbatch::analytics::attach_to_objects(buffer.make_mut(), items.iter()) {
                gst::error!(CAT, obj = self.src_pad, "no analytics metadata on a frame: {error}");
            }
        }
        if self.flow.lock().had_enough {
            return Ok(());
        }
        #[cfg(feature = "v1_28")]
        self.announce(|announcement| announcement.held_caps())?;
        if self.next_number.swap(frame.number + 1, Ordering::Relaxed) != frame.number {
            buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
        }
        match self.src_pad.push(buffer) {
            Ok(_) => Ok(()),
            Err(gst::FlowError::Eos) => {
                self.flow.lock().had_enough = true;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// A frame that took longer than was promised shows that the latency has to be asked for again.
    fn watch_latency(&self, inferred: &Inferred) {
        let told = self.told_latency.load(Ordering::Relaxed);
        if inferred.timing.total > told && self.own_latency().nseconds() > told {
            self.notices.latency_grew();
        }
    }

    pub(super) fn tell_flow_error(&self, error: gst::FlowError) {
        if !matches!(error, gst::FlowError::Flushing | gst::FlowError::Eos) {
            self.notices.flow_failed(error);
            self.src_pad.push_event(gst::event::Eos::new());
        }
    }
}
