//! What comes over the pads of an `nvbatch`, to its stream or past it.

use gst::{prelude::*, subclass::prelude::*};

use super::{CAT, NvBatch};

impl NvBatch {
    pub(super) fn activate_sink(&self, mode: gst::PadMode, active: bool) -> Result<(), gst::LoggableError> {
        if mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(CAT, "frames can only be pushed"));
        }
        if let Some(stream) = self.stream() {
            if active { stream.resume() } else { stream.halt(gst::FlowError::Flushing) }
        }
        Ok(())
    }

    pub(super) fn activate_src(&self, mode: gst::PadMode, active: bool) -> Result<(), gst::LoggableError> {
        if mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(CAT, "frames can only be pushed"));
        }
        if let Some(stream) = self.stream() {
            if active { stream.start() } else { stream.stop() }
        }
        Ok(())
    }

    pub(super) fn sink_chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.stream_or_open()?.chain(buffer)
    }

    pub(super) fn sink_event(&self, event: gst::Event) -> Result<gst::FlowSuccess, gst::FlowError> {
        if event.is_serialized() && event.type_() != gst::EventType::FlushStop {
            return self.stream_or_open()?.serialized_event(event);
        }
        let done = match (event.type_(), self.stream()) {
            (gst::EventType::FlushStart, Some(stream)) => stream.flush_start(event),
            (gst::EventType::FlushStop, Some(stream)) => stream.flush_stop(event),
            _ => self.src_pad.push_event(event),
        };
        // Nobody downstream, or nobody who wants it, is no error of the stream.
        gst::log!(CAT, imp = self, "event went through: {done}");
        Ok(gst::FlowSuccess::Ok)
    }

    pub(super) fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        #[cfg(feature = "v1_28")]
        if crate::nvbatch::tensor_caps::answer(pad, &self.src_pad, query) {
            return true;
        }
        match self.stream() {
            Some(stream) if query.is_serialized() => stream.serialized_query(query),
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    pub(super) fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::Reconfigure
            && let Some(stream) = self.stream()
        {
            stream.reconfigured();
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    pub(super) fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match (query.view_mut(), self.stream()) {
            (gst::QueryViewMut::Latency(latency), Some(stream)) => stream.latency(latency),
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }
}
