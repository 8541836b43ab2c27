mod pads;

use std::sync::Arc;

use gst::{prelude::*, subclass::prelude::*};
use once_cell::sync::Lazy;
use parking_lot::Mutex;

use super::{
    processor_properties::{self, ProcessorSettings},
    region_properties,
    stream::Stream,
};
use crate::runtime::{ElementRuntime, Error, FeedSettings, Origin, OwnedProcessor, Processor, Runtime, properties};

pub static CAT: Lazy<gst::DebugCategory> =
    Lazy::new(|| gst::DebugCategory::new("nvbatch", gst::DebugColorFlags::empty(), Some("NextVision inference")));

/// The locks are leaves: none is held while anything outside is called.
pub struct NvBatch {
    sink_pad: gst::Pad,
    src_pad: gst::Pad,
    settings: Mutex<Settings>,
    /// From READY on.
    runtime: Mutex<Option<ElementRuntime>>,
    owned: Mutex<Option<OwnedProcessor>>,
    stream: Mutex<StreamState>,
}

#[derive(Default)]
struct Settings {
    processor: ProcessorSettings,
    feed: FeedSettings,
    feed_name: Option<String>,
}

#[derive(Default)]
enum StreamState {
    #[default]
    None,
    Open(Arc<Stream>),
    /// Told on the bus already.
    Refused,
}

impl StreamState {
    fn open(&self) -> Option<&Arc<Stream>> {
        match self {
            Self::Open(stream) => Some(stream),
            Self::None | Self::Refused => None,
        }
    }
}

impl NvBatch {
    fn runtime(&self) -> Runtime {
        let held = self.runtime.lock().as_deref().cloned();
        held.unwrap_or_else(Runtime::get)
    }

    fn stream(&self) -> Option<Arc<Stream>> {
        self.stream.lock().open().cloned()
    }

    /// The stream; one that was linked late takes its place with the first thing that comes. Called by whoever holds
    /// the sink pad's stream lock, or before the pads are active.
    fn stream_or_open(&self) -> Result<Arc<Stream>, gst::FlowError> {
        match &*self.stream.lock() {
            StreamState::Open(stream) => return Ok(stream.clone()),
            StreamState::Refused => return Err(gst::FlowError::Error),
            StreamState::None => (),
        }
        match self.open_stream() {
            Ok(stream) => {
                *self.stream.lock() = StreamState::Open(stream.clone());
                if self.src_pad.mode() == gst::PadMode::Push {
                    stream.start();
                }
                Ok(stream)
            }
            Err(error) => {
                *self.stream.lock() = StreamState::Refused;
                error.post(&*self.obj());
                Err(gst::FlowError::Error)
            }
        }
    }

    fn open_stream(&self) -> Result<Arc<Stream>, Error> {
        let runtime = self.runtime();
        let owned_id = self.owned.lock().as_ref().map(|owned| owned.id().to_string());
        let feed = {
            let settings = self.settings.lock();
            settings.processor.check_id()?;
            let processor_id = owned_id.unwrap_or_else(|| settings.processor.processor_id.clone());
            (self.feed_name(&settings), processor_id, settings.feed.clone())
        };
        Stream::open(&self.obj(), runtime, (self.sink_pad.clone(), self.src_pad.clone()), feed)
    }

    fn close_stream(&self) {
        let stream = std::mem::take(&mut *self.stream.lock());
        if let Some(stream) = stream.open() {
            stream.close();
        }
    }

    fn feed_name(&self, settings: &Settings) -> String {
        settings.feed_name.clone().unwrap_or_else(|| self.obj().name().into())
    }

    fn load_processor(&self) -> Result<(), Error> {
        let config = {
            let settings = self.settings.lock();
            settings.processor.check_id()?;
            settings.processor.model.as_deref().map(|model| settings.processor.config(model, Origin::of(&*self.obj())))
        };
        let held = Runtime::for_element();
        let runtime = held.clone();
        *self.runtime.lock() = Some(held);
        let Some(config) = config else { return Ok(()) };
        let model = config.model.model.display().to_string();
        gst::info!(CAT, imp = self, "loading {model} as processor '{}'", config.id);
        let owned = runtime.add_processor(config)?;
        gst::info!(
            CAT,
            imp = self,
            "processor '{}' is ready: {} instances, batches of up to {}",
            owned.id(),
            owned.limits().instances,
            owned.limits().max_batch
        );
        for warning in owned.warnings() {
            gst::element_warning!(self.obj(), gst::ResourceError::Settings, ("model {model}: {warning}"));
        }
        *self.owned.lock() = Some(owned);
        Ok(())
    }

    fn free_processor(&self) {
        let owned = self.owned.lock().take();
        drop(owned);
        let runtime = self.runtime.lock().take();
        drop(runtime);
    }

    /// The one that is owned, or else the one that is used.
    fn processor(&self) -> Option<Arc<Processor>> {
        let owned = self.owned.lock().as_ref().map(|owned| Arc::clone(owned));
        owned.or_else(|| {
            let runtime = self.runtime.lock().as_deref().cloned()?;
            let id = self.settings.lock().processor.processor_id.clone();
            runtime.processor(&id)
        })
    }

    fn stats(&self) -> gst::Structure {
        let mut stats = match self.processor() {
            Some(processor) => processor.snapshot().to_structure(),
            None => gst::Structure::new_empty("nv-processor-stats"),
        };
        if let Some(stream) = self.stream() {
            stats.set("feed", stream.feed().snapshot().to_structure());
        }
        stats
    }
}

#[glib::object_subclass]
impl ObjectSubclass for NvBatch {
    const NAME: &'static str = "GstNvBatch";
    type Type = super::NvBatch;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let pad = |name| gst::Pad::builder_from_template(&class.pad_template(name).expect("installed by this class"));
        let sink_pad = pad("sink")
            .chain_function(|_, parent, buffer| {
                Self::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |this| this.sink_chain(buffer))
            })
            .event_full_function(|_, parent, event| {
                Self::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |this| this.sink_event(event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |this| this.sink_query(pad, query))
            })
            .activatemode_function(|_, parent, mode, active| {
                let panicked = || Err(gst::loggable_error!(CAT, "panicked"));
                Self::catch_panic_pad_function(parent, panicked, |this| this.activate_sink(mode, active))
            })
            .flags(gst::PadFlags::PROXY_CAPS)
            .build();
        let src_pad = pad("src")
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |this| this.src_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |this| this.src_query(pad, query))
            })
            .activatemode_function(|_, parent, mode, active| {
                let panicked = || Err(gst::loggable_error!(CAT, "panicked"));
                Self::catch_panic_pad_function(parent, panicked, |this| this.activate_src(mode, active))
            })
            .flags(gst::PadFlags::PROXY_CAPS)
            .build();
        Self {
            sink_pad,
            src_pad,
            settings: Mutex::default(),
            runtime: Mutex::default(),
            owned: Mutex::default(),
            stream: Mutex::default(),
        }
    }
}

impl ObjectImpl for NvBatch {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: Lazy<Vec<glib::ParamSpec>> = Lazy::new(|| {
            let mut specs = processor_properties::specs();
            specs.extend(properties::specs());
            specs.extend(region_properties::specs());
            specs.extend([
                properties::runtime_spec(),
                glib::ParamSpecString::builder("feed-name")
                    .nick("Feed name")
                    .blurb("Name of the feed, when linked (unset = the element's name)")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("feed-id")
                    .nick("Feed ID")
                    .blurb("Number of the feed, when linked and PAUSED or PLAYING (0 = none)")
                    .read_only()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("Figures of the processor, and of the feed in its field \"feed\"")
                    .read_only()
                    .build(),
            ]);
            specs
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, spec: &glib::ParamSpec) {
        let name = spec.name();
        if spec.flags().contains(gst::PARAM_FLAG_MUTABLE_READY) && self.obj().current_state() > gst::State::Ready {
            gst::warning!(CAT, imp = self, "`{name}` is not changed: it can be set up to READY");
            return;
        }
        let changed_feed = {
            let mut settings = self.settings.lock();
            if properties::set(&mut settings.feed, name, value)
                || region_properties::set(&mut settings.feed.regions, name, value)
            {
                Some(settings.feed.clone())
            } else {
                if name == "feed-name" {
                    settings.feed_name = value.get().unwrap_or_default();
                } else {
                    settings.processor.set(name, value);
                }
                None
            }
        };
        match changed_feed {
            Some(settings) => {
                if let Some(stream) = self.stream() {
                    stream.feed().set_settings(settings);
                }
            }
            None if self.owned.lock().is_some() && name != "feed-name" => {
                gst::warning!(CAT, imp = self, "`{name}` takes effect when the processor is loaded anew, from NULL");
            }
            None => (),
        }
    }

    fn property(&self, _id: usize, spec: &glib::ParamSpec) -> glib::Value {
        match spec.name() {
            "stats" => self.stats().to_value(),
            "runtime" => self.runtime().object().to_value(),
            "feed-id" => self.stream().map_or(0, |stream| stream.feed().id()).to_value(),
            name => {
                let settings = self.settings.lock();
                let value = match name {
                    "feed-name" => Some(self.feed_name(&settings).to_value()),
                    _ => properties::get(&settings.feed, name)
                        .or_else(|| region_properties::get(&settings.feed.regions, name))
                        .or_else(|| settings.processor.get(name)),
                };
                value.unwrap_or_else(|| spec.default_value().clone())
            }
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        let element = self.obj();
        for pad in [&self.sink_pad, &self.src_pad] {
            element.add_pad(pad).expect("a new element has no pads");
        }
    }

    /// A pipeline that is dropped without being stopped gives back what it had as well.
    fn dispose(&self) {
        let stream = std::mem::take(&mut *self.stream.lock());
        if let Some(stream) = stream.open() {
            stream.abandon();
        }
        self.free_processor();
    }
}

impl GstObjectImpl for NvBatch {}

impl ElementImpl for NvBatch {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: Lazy<gst::subclass::ElementMetadata> = Lazy::new(|| {
            gst::subclass::ElementMetadata::new(
                "NextVision batched inference",
                "Filter/Analyzer/Video",
                "Runs one neural network over the video of many pipelines at once; unlinked it only loads it for others",
                "NextVision maintainers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: Lazy<Vec<gst::PadTemplate>> = Lazy::new(|| {
            let caps = gst_video::VideoCapsBuilder::new().build();
            let pad = |name, direction| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).expect("the caps are not empty")
            };
            vec![pad("sink", gst::PadDirection::Sink), pad("src", gst::PadDirection::Src)]
        });
        &TEMPLATES
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::NullToReady => {
                if let Err(error) = self.load_processor() {
                    self.free_processor();
                    error.post(&*self.obj());
                    return Err(gst::StateChangeError);
                }
            }
            // Unlinked it is only the declaration of a processor.
            gst::StateChange::ReadyToPaused if self.sink_pad.is_linked() && self.stream_or_open().is_err() => {
                self.close_stream();
                return Err(gst::StateChangeError);
            }
            _ => (),
        }
        let changed = self.parent_change_state(transition);
        if let Some(stream) = self.stream() {
            match transition {
                gst::StateChange::PausedToPlaying => stream.feed().set_playing(true),
                gst::StateChange::PlayingToPaused => stream.feed().set_playing(false),
                _ => (),
            }
        }
        match transition {
            gst::StateChange::ReadyToPaused if changed.is_err() => self.close_stream(),
            gst::StateChange::PausedToReady => self.close_stream(),
            gst::StateChange::ReadyToNull => self.free_processor(),
            _ => (),
        }
        changed
    }
}
