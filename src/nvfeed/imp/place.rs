//! The place that an element's feed has in the runtime, from PAUSED on.

use std::sync::Arc;

use gst::{prelude::*, subclass::prelude::*};
use gst_base::prelude::*;

use super::{NvFeed, Running};
use crate::{
    nvfeed::{location::Location, outlet::Outlet},
    runtime::{Error, FeedConfig, FeedListener, FeedTicket, Origin},
};

impl NvFeed {
    /// Takes a place in the runtime.
    pub(super) fn start_feed(&self) -> Result<(), gst::StateChangeError> {
        let refused = |error: Error| {
            error.post(&*self.obj());
            gst::StateChangeError
        };
        let (processor_id, location, settings) = {
            let settings = self.settings.lock();
            (settings.processor_id.clone(), settings.location.clone(), settings.feed.clone())
        };
        let runtime = self.state.lock().runtime.as_deref().cloned().ok_or(gst::StateChangeError)?;
        let ticket = self.ticket.lock().clone();
        let kept = ticket.as_ref().is_some_and(FeedTicket::continues);
        let location = location.map(|path| Location::open(&path, kept)).transpose().map_err(|error| {
            error.post_as(&*self.obj(), gst::ResourceError::OpenWrite);
            gst::StateChangeError
        })?;
        let outlet = Arc::new(Outlet::new(&self.obj(), runtime.clone(), location));
        let listener: Arc<dyn FeedListener> = outlet.clone();
        let config = FeedConfig {
            name: self.feed_name(),
            processor_id,
            settings,
            passes_frames: false,
            listener: Arc::downgrade(&listener),
            origin: Origin::of(&*self.obj()),
        };
        let place = match ticket {
            Some(ticket) => ticket.open(config),
            None => runtime.add_feed(config),
        };
        let place = place.map_err(refused)?;
        outlet.set_feed(place.clone());
        let mut state = self.state.lock();
        state.running = Some(Running { feed: place.clone(), outlet });
        state.place = Some(place);
        state.segment = gst::FormattedSegment::new();
        state.last_stats = None;
        Ok(())
    }

    /// Gives the place back.
    pub(super) fn stop_feed(&self) {
        let (running, place, probe) = {
            let mut state = self.state.lock();
            (state.running.take(), state.place.take(), state.ends_what_follows.take())
        };
        if let Some(probe) = probe {
            // The next stream is another one.
            self.obj().sink_pad().remove_probe(probe);
        }
        drop(place);
        if let Some(running) = running {
            self.state.lock().last_stats = Some(running.stats());
        }
    }
}
