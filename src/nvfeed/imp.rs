mod ending;
mod place;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use glib::{ParamSpec, Value, subclass::Signal};
use gst::{prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::prelude::*};
use once_cell::sync::Lazy;
use parking_lot::Mutex;

use super::{
    outlet::{Outlet, RESULT_SIGNAL},
    own_properties::{self, DEFAULT_MESSAGE, DEFAULT_PROCESSOR_ID},
    pause::Pause,
};
use crate::runtime::{
    ElementRuntime, Feed, FeedSettings, FeedTicket, FrameTimes, OwnedFeed, Rejected, Runtime, properties,
};

pub static CAT: Lazy<gst::DebugCategory> = Lazy::new(|| {
    gst::DebugCategory::new(
        "nvfeed",
        gst::DebugColorFlags::empty(),
        Some("End of a video stream that a shared model looks at"),
    )
});

pub struct NvFeed {
    settings: Mutex<Settings>,
    message: AtomicBool,
    state: Mutex<State>,
    /// For the place of a managed feed, where this is the end of one.
    ticket: Mutex<Option<FeedTicket>>,
    pause: Pause,
}

/// What can be set up to READY, and the feed's own settings.
struct Settings {
    processor_id: String,
    /// `None`: the element's name.
    feed_name: Option<String>,
    location: Option<PathBuf>,
    feed: FeedSettings,
}

#[derive(Default)]
struct State {
    /// From READY on.
    runtime: Option<ElementRuntime>,
    /// From PAUSED on.
    running: Option<Running>,
    /// The place that the feed has in the runtime.
    place: Option<OwnedFeed>,
    segment: gst::FormattedSegment<gst::ClockTime>,
    /// The probe that is there once a shutdown has ended the stream.
    ends_what_follows: Option<gst::PadProbeId>,
    /// Of the feed that was, once it is gone.
    last_stats: Option<gst::Structure>,
}

#[derive(Clone)]
struct Running {
    feed: Arc<Feed>,
    outlet: Arc<Outlet>,
}

impl Default for NvFeed {
    fn default() -> Self {
        Self {
            settings: Mutex::new(Settings {
                processor_id: DEFAULT_PROCESSOR_ID.into(),
                feed_name: None,
                location: None,
                feed: FeedSettings::default(),
            }),
            message: AtomicBool::new(DEFAULT_MESSAGE),
            state: Mutex::default(),
            ticket: Mutex::default(),
            pause: Pause::default(),
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for NvFeed {
    const NAME: &'static str = "GstNvFeed";
    type Type = super::NvFeed;
    type ParentType = gst_base::BaseSink;
}

impl ObjectImpl for NvFeed {
    fn properties() -> &'static [ParamSpec] {
        static PROPERTIES: Lazy<Vec<ParamSpec>> = Lazy::new(own_properties::specs);
        &PROPERTIES
    }

    fn signals() -> &'static [Signal] {
        static SIGNALS: Lazy<Vec<Signal>> = Lazy::new(|| {
            // Emitted for each result, in order, from a thread that may be blocked.
            vec![Signal::builder(RESULT_SIGNAL).param_types([gst::Structure::static_type()]).build()]
        });
        &SIGNALS
    }

    fn set_property(&self, _id: usize, value: &Value, spec: &ParamSpec) {
        let name = spec.name();
        if name == "message" {
            self.message.store(value.get().unwrap_or(DEFAULT_MESSAGE), Ordering::Relaxed);
            return;
        }
        if spec.flags().contains(gst::PARAM_FLAG_MUTABLE_READY) && self.state.lock().running.is_some() {
            gst::warning!(CAT, imp = self, "`{name}` cannot be changed above READY; it stays as it is");
            return;
        }
        let changed = {
            let mut settings = self.settings.lock();
            match name {
                "processor-id" => settings.processor_id = value.get::<Option<_>>().ok().flatten().unwrap_or_default(),
                "feed-name" => settings.feed_name = value.get().unwrap_or_default(),
                "location" => settings.location = value.get().unwrap_or_default(),
                _ if properties::set(&mut settings.feed, name, value) => {}
                _ => gst::error!(CAT, imp = self, "no property `{name}` to set"),
            }
            settings.feed.clone()
        };
        if let Some(running) = self.running() {
            running.feed.set_settings(changed);
        }
    }

    fn property(&self, _id: usize, spec: &ParamSpec) -> Value {
        match spec.name() {
            "processor-id" => self.settings.lock().processor_id.to_value(),
            "feed-name" => self.feed_name().to_value(),
            "feed-id" => self.running().map_or(0, |running| running.feed.id()).to_value(),
            "message" => self.posts_messages().to_value(),
            "location" => self.settings.lock().location.to_value(),
            "stats" => self.stats().to_value(),
            "runtime" => self.runtime().object().to_value(),
            name => properties::get(&self.settings.lock().feed, name).unwrap_or_else(|| spec.default_value().clone()),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        let element = self.obj();
        element.set_sync(false);
        element.set_enable_last_sample(false);
    }

    /// A pipeline that is dropped without being stopped gives its place back as well.
    fn dispose(&self) {
        self.stop_feed();
        self.leave_runtime();
    }
}

impl GstObjectImpl for NvFeed {}

impl ElementImpl for NvFeed {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: Lazy<gst::subclass::ElementMetadata> = Lazy::new(|| {
            gst::subclass::ElementMetadata::new(
                "NextVision feed",
                "Sink/Video",
                "Hands video frames to a model that many streams share, and gives out what it says about each of them",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: Lazy<Vec<gst::PadTemplate>> = Lazy::new(|| {
            let caps = gst_video::VideoCapsBuilder::new().build();
            gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &caps)
                .into_iter()
                .collect()
        });
        &TEMPLATES
    }

    fn set_context(&self, context: &gst::Context) {
        if let Some(ticket) = FeedTicket::from_context(context) {
            *self.ticket.lock() = Some(ticket);
        }
        self.parent_set_context(context);
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::NullToReady => self.state.lock().runtime = Some(Runtime::for_element()),
            gst::StateChange::ReadyToPaused => self.start_feed()?,
            gst::StateChange::PlayingToPaused => self.pause.begin(),
            _ => {}
        }
        let result = self.parent_change_state(transition);
        if matches!(transition, gst::StateChange::PausedToPlaying | gst::StateChange::PausedToReady) {
            self.pause.end(self.obj().upcast_ref());
        }
        match (transition, &result) {
            (gst::StateChange::PausedToReady, _) | (gst::StateChange::ReadyToPaused, Err(_)) => self.stop_feed(),
            (gst::StateChange::ReadyToNull, _) | (gst::StateChange::NullToReady, Err(_)) => self.leave_runtime(),
            (gst::StateChange::ReadyToPaused, Ok(_)) => self.state_reached(None),
            (gst::StateChange::PausedToPlaying, Ok(_)) => self.state_reached(Some(true)),
            (gst::StateChange::PlayingToPaused, Ok(_)) => self.state_reached(Some(false)),
            _ => {}
        }
        result
    }
}

impl BaseSinkImpl for NvFeed {
    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info = gst_video::VideoInfo::from_caps(caps)
            .map_err(|_| gst::loggable_error!(CAT, "{caps} does not describe a picture"))?;
        let running = self.running().ok_or_else(|| gst::loggable_error!(CAT, "caps came below PAUSED"))?;
        let element = self.obj();
        let checked = running.outlet.check_source(&element, element.sink_pad());
        checked.map_err(|error| gst::loggable_error!(CAT, "{error}"))?;
        running.feed.set_live(self.upstream_is_live());
        running.feed.set_caps(info);
        Ok(())
    }

    fn propose_allocation(&self, query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        query.add_allocation_meta::<gst_video::VideoCropMeta>(None);
        self.parent_propose_allocation(query)
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Running { feed, outlet } = self.running().ok_or(gst::FlowError::Flushing)?;
        if let Some(flow) = outlet.failure() {
            return Err(flow);
        }
        let times = self.times(buffer);
        let mut buffer = buffer.clone();
        loop {
            self.wait_while_paused(buffer.upcast_ref())?;
            match feed.submit(buffer, times) {
                Ok(()) => return Ok(gst::FlowSuccess::Ok),
                Err(Rejected::Flushing) => return Err(gst::FlowError::Flushing),
                Err(Rejected::Ended) => return Err(gst::FlowError::Eos),
                Err(Rejected::Interrupted(back)) => {
                    self.obj().wait_preroll()?;
                    buffer = back;
                }
                Err(Rejected::Failed(error)) => return Err(outlet.fail(&error)),
            }
        }
    }

    fn event(&self, event: gst::Event) -> bool {
        if let Some(running) = self.running() {
            match event.view() {
                gst::EventView::Eos(_) => return self.end_of_stream(&running, event),
                gst::EventView::StreamStart(_) => running.rejoin(),
                gst::EventView::Segment(segment) => {
                    self.set_segment(segment.segment());
                    // Another source may have come with the same caps.
                    let element = self.obj();
                    if running.outlet.check_source(&element, element.sink_pad()).is_err() {
                        return false;
                    }
                }
                // Before the base class waits for the thread that may be waiting for room.
                gst::EventView::FlushStart(_) => drop(running.feed.flush_start()),
                gst::EventView::FlushStop(_) => {
                    running.feed.flush_stop();
                    running.rejoin();
                }
                _ => {}
            }
        }
        self.parent_event(event)
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.set_interrupted(true);
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.set_interrupted(false);
        Ok(())
    }
}

impl NvFeed {
    pub fn posts_messages(&self) -> bool {
        self.message.load(Ordering::Relaxed)
    }

    fn runtime(&self) -> Runtime {
        let held = self.state.lock().runtime.as_deref().cloned();
        held.unwrap_or_else(Runtime::get)
    }

    fn leave_runtime(&self) {
        let runtime = self.state.lock().runtime.take();
        drop(runtime);
    }

    fn running(&self) -> Option<Running> {
        self.state.lock().running.clone()
    }

    fn feed_name(&self) -> String {
        let set = self.settings.lock().feed_name.clone();
        set.unwrap_or_else(|| self.obj().name().into())
    }

    fn state_reached(&self, plays: Option<bool>) {
        let Some(Running { feed, .. }) = self.running() else { return };
        if let Some(plays) = plays {
            feed.set_playing(plays);
        }
        if feed.was_stopped() && plays != Some(false) {
            // The end may have come when there was nobody to tell it to.
            feed.tell_end_again();
        }
    }

    fn set_interrupted(&self, interrupted: bool) {
        if let Some(running) = self.running() {
            running.feed.set_interrupted(interrupted);
        }
    }

    /// Of the feed, or of the last one where there is none at the moment.
    fn stats(&self) -> gst::Structure {
        let (running, last) = {
            let state = self.state.lock();
            (state.running.clone(), state.last_stats.clone())
        };
        running.map(|running| running.stats()).or(last).unwrap_or_else(|| gst::Structure::new_empty("nv-feed-stats"))
    }

    fn set_segment(&self, segment: &gst::Segment) {
        // In any other format there is no running time.
        let segment = segment.downcast_ref::<gst::ClockTime>().cloned().unwrap_or_default();
        self.state.lock().segment = segment;
        if let Some(running) = self.running() {
            running.feed.begin_segment();
        }
    }

    fn times(&self, buffer: &gst::BufferRef) -> FrameTimes {
        let state = self.state.lock();
        FrameTimes {
            running_time: state.segment.to_running_time(buffer.pts()),
            stream_time: state.segment.to_stream_time(buffer.pts()),
        }
    }

    fn upstream_is_live(&self) -> bool {
        let mut query = gst::query::Latency::new();
        self.obj().sink_pad().peer_query(&mut query) && query.result().0
    }
}

impl Running {
    /// The stream goes on, perhaps after its end.
    fn rejoin(&self) {
        self.outlet.rejoin();
    }

    fn stats(&self) -> gst::Structure {
        let mut stats = self.feed.snapshot().to_structure();
        stats.set("location-lost", self.outlet.location_lost());
        stats
    }
}
