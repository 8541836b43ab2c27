use std::{collections::BTreeSet, sync::Arc};

use glib::{ParamSpec, Value};
use gst::{prelude::*, subclass::prelude::*};
use once_cell::sync::Lazy;
use parking_lot::Mutex;

use super::own_properties::{self, DEFAULT_INTERVAL, Scope};
use crate::runtime::{
    ElementRuntime, Error, HealthEvent, Origin, Repeating, Runtime, RuntimeConfig, Subscription, config,
};

static CAT: Lazy<gst::DebugCategory> = Lazy::new(|| {
    gst::DebugCategory::new("nvhealth", gst::DebugColorFlags::empty(), Some("Health and limits of the process"))
});

/// The locks are leaves: none is held while anything outside is called.
#[derive(Default)]
pub struct NvHealth {
    settings: Mutex<Settings>,
    /// From READY on.
    watch: Mutex<Option<Watch>>,
}

struct Settings {
    interval: u64,
    scope: Scope,
    limits: RuntimeConfig,
    /// Names of the limits that were set here; the others stay as they are in the runtime.
    set: BTreeSet<String>,
}

struct Watch {
    runtime: ElementRuntime,
    _events: Subscription<HealthEvent>,
    /// `None`: no figures are posted.
    diagnostics: Option<Arc<Repeating>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: DEFAULT_INTERVAL,
            scope: Scope::default(),
            limits: RuntimeConfig::default(),
            set: BTreeSet::new(),
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for NvHealth {
    const NAME: &'static str = "GstNvHealth";
    type Type = super::NvHealth;
    type ParentType = gst::Element;
}

impl ObjectImpl for NvHealth {
    fn properties() -> &'static [ParamSpec] {
        static PROPERTIES: Lazy<Vec<ParamSpec>> = Lazy::new(own_properties::specs);
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &Value, spec: &ParamSpec) {
        let name = spec.name();
        match name {
            "interval" => {
                self.settings.lock().interval = value.get().unwrap_or(DEFAULT_INTERVAL);
                if let Err(error) = self.restart_diagnostics() {
                    error.post_warning(&*self.obj(), &format!("{error}; no diagnostics are posted"));
                }
            }
            "scope" => self.settings.lock().scope = value.get().unwrap_or_default(),
            _ => self.set_limit(name, value),
        }
    }

    fn property(&self, _id: usize, spec: &ParamSpec) -> Value {
        match spec.name() {
            "interval" => self.settings.lock().interval.to_value(),
            "scope" => self.settings.lock().scope.to_value(),
            "uptime" => self.runtime().uptime().to_value(),
            "feed-count" => (self.runtime().feed_count() as u32).to_value(),
            "diagnostics" => self.runtime().snapshot().to_structure().to_value(),
            "runtime" => self.runtime().object().to_value(),
            name => self.limit(name).unwrap_or_else(|| spec.default_value().clone()),
        }
    }
}

impl GstObjectImpl for NvHealth {}

impl ElementImpl for NvHealth {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: Lazy<gst::subclass::ElementMetadata> = Lazy::new(|| {
            gst::subclass::ElementMetadata::new(
                "NextVision health",
                "Generic",
                "Posts events and figures of all feeds and models of the process, and sets its limits",
                "NextVision maintainers",
            )
        });
        Some(&METADATA)
    }

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::NullToReady {
            self.start().map_err(|error| {
                error.post(&*self.obj());
                gst::StateChangeError
            })?;
        }
        let changed = self.parent_change_state(transition);
        let failed = transition == gst::StateChange::NullToReady && changed.is_err();
        if failed || transition == gst::StateChange::ReadyToNull {
            let watch = self.watch.lock().take();
            drop(watch);
        }
        changed
    }
}

impl NvHealth {
    fn runtime(&self) -> Runtime {
        let watched = self.watch.lock().as_ref().map(|watch| watch.runtime.clone());
        watched.unwrap_or_else(Runtime::get)
    }

    fn start(&self) -> Result<(), Error> {
        let runtime = Runtime::for_element();
        let (limits, set) = {
            let settings = self.settings.lock();
            (settings.limits.clone(), settings.set.clone())
        };
        runtime.configure(|config| {
            for (name, value) in set.iter().filter_map(|name| Some((name, config::get(&limits, name)?))) {
                config::set(config, name, &value);
            }
        })?;
        let element = self.obj().downgrade();
        let events = runtime.health().subscribe(
            || true,
            move |event| {
                if let Some(element) = element.upgrade() {
                    element.imp().post_event(event);
                }
            },
        );
        *self.watch.lock() = Some(Watch { runtime, _events: events, diagnostics: None });
        self.restart_diagnostics().inspect_err(|_| {
            let watch = self.watch.lock().take();
            drop(watch);
        })
    }

    fn restart_diagnostics(&self) -> Result<(), Error> {
        let interval = self.settings.lock().interval;
        let Some(runtime) = self.watch.lock().as_ref().map(|watch| watch.runtime.clone()) else { return Ok(()) };
        let element = self.obj().downgrade();
        let post = move || {
            if let Some(element) = element.upgrade() {
                element.imp().post_diagnostics();
            }
        };
        let diagnostics = (interval > 0).then(|| runtime.every(interval, post)).transpose()?;
        let before = match &mut *self.watch.lock() {
            Some(watch) => std::mem::replace(&mut watch.diagnostics, diagnostics),
            None => diagnostics,
        };
        drop(before);
        Ok(())
    }

    fn post_event(&self, event: &HealthEvent) {
        let scope = self.settings.lock().scope;
        if scope == Scope::Process || event.comes_from(&Origin::of(&*self.obj())) {
            self.post(event.to_structure());
        }
    }

    fn post_diagnostics(&self) {
        let runtime = self.watch.lock().as_ref().map(|watch| watch.runtime.clone());
        if let Some(runtime) = runtime {
            self.post(runtime.snapshot().to_structure());
        }
    }

    fn post(&self, structure: gst::Structure) {
        let element = self.obj();
        if element.post_message(gst::message::Element::builder(structure).src(&*element).build()).is_err() {
            gst::log!(CAT, imp = self, "no bus to post on");
        }
    }

    /// A limit that cannot be is kept up to READY, to be refused there.
    fn set_limit(&self, name: &str, value: &Value) {
        let runtime = self.watch.lock().as_ref().map(|watch| watch.runtime.clone());
        if let Some(runtime) = runtime
            && let Err(error) = runtime.configure(|config| _ = config::set(config, name, value))
        {
            error.post_warning(&*self.obj(), &format!("{error}; it stays as it is"));
            return;
        }
        let mut settings = self.settings.lock();
        if config::set(&mut settings.limits, name, value) {
            settings.set.insert(name.to_owned());
        }
    }

    /// As it is, or as it will be.
    fn limit(&self, name: &str) -> Option<Value> {
        let watched = self.watch.lock().as_ref().map(|watch| watch.runtime.clone());
        if let Some(runtime) = watched {
            return config::get(&runtime.config(), name);
        }
        config::get(&self.settings.lock().limits, name)
    }
}
