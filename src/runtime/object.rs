//! The runtime as other languages see it: a GObject, handed out by the `runtime` property of the elements.

use std::sync::{Arc, LazyLock};

use glib::{
    prelude::*,
    subclass::{Signal, SignalId, prelude::*},
};
use once_cell::sync::OnceCell;

use super::{
    CAT, config,
    health::{HealthEvent, Subscription},
    registry::Runtime,
};

glib::wrapper! {
    /// Properties: the limits of [`RuntimeConfig`](super::RuntimeConfig), `feed-count`, `uptime`, `diagnostics`.
    /// Signals: `health (GstStructure)`, `output (GstStructure)`.
    pub struct NvRuntime(ObjectSubclass<imp::NvRuntime>);
}

impl NvRuntime {
    pub(super) fn new(runtime: Runtime) -> Self {
        let object: Self = glib::Object::new();
        let listened = object.downgrade();
        let told = object.downgrade();
        let health = runtime.health().subscribe(
            move || listened.upgrade().is_some_and(|object| object.has_health_handler()),
            move |event| {
                if let Some(object) = told.upgrade() {
                    object.emit_by_name::<()>("health", &[&event.to_structure()]);
                }
            },
        );
        let listened = object.downgrade();
        let told = object.downgrade();
        let output = runtime.output().subscribe(
            move || listened.upgrade().is_some_and(|object| object.has_output_handler()),
            move |result, _lost| {
                if let Some(object) = told.upgrade() {
                    object.emit_by_name::<()>("output", &[&**result]);
                }
            },
        );
        // A new object is empty.
        _ = object.imp().inside.set(imp::Inside { runtime, _health: health, _output: output });
        object
    }

    /// The runtime itself.
    pub fn runtime(&self) -> Option<&Runtime> {
        self.imp().inside.get().map(|inside| &inside.runtime)
    }

    fn has_health_handler(&self) -> bool {
        static HEALTH: LazyLock<Option<SignalId>> =
            LazyLock::new(|| SignalId::lookup("health", NvRuntime::static_type()));
        self.has_handler(*HEALTH)
    }

    fn has_output_handler(&self) -> bool {
        static OUTPUT: LazyLock<Option<SignalId>> =
            LazyLock::new(|| SignalId::lookup("output", NvRuntime::static_type()));
        self.has_handler(*OUTPUT)
    }

    fn has_handler(&self, signal: Option<SignalId>) -> bool {
        signal.is_some_and(|signal| glib::signal::signal_has_handler_pending(self, signal, None, true))
    }
}

mod imp {
    use super::*;

    pub struct Inside {
        pub runtime: Runtime,
        pub _health: Subscription<HealthEvent>,
        pub _output: Subscription<Arc<gst::Structure>>,
    }

    #[derive(Default)]
    pub struct NvRuntime {
        pub inside: OnceCell<Inside>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for NvRuntime {
        const NAME: &'static str = "NvRuntime";
        type Type = super::NvRuntime;
    }

    impl ObjectImpl for NvRuntime {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
                let mut specs = config::specs();
                specs.extend([
                    glib::ParamSpecUInt::builder("feed-count")
                        .nick("Feed count")
                        .blurb("Feeds in this process")
                        .read_only()
                        .build(),
                    glib::ParamSpecUInt64::builder("uptime")
                        .nick("Uptime")
                        .blurb("Nanoseconds since the runtime was made")
                        .read_only()
                        .build(),
                    glib::ParamSpecBoxed::builder::<gst::Structure>("diagnostics")
                        .nick("Diagnostics")
                        .blurb("All figures of all feeds and processors")
                        .read_only()
                        .build(),
                ]);
                specs
            });
            &PROPERTIES
        }

        fn signals() -> &'static [Signal] {
            static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(|| {
                let told = |name| Signal::builder(name).param_types([gst::Structure::static_type()]).run_last().build();
                vec![told("health"), told("output")]
            });
            &SIGNALS
        }

        fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
            let Some(Inside { runtime, .. }) = self.inside.get() else { return };
            let configured = runtime.configure(|config| _ = config::set(config, pspec.name(), value));
            if let Err(error) = configured {
                gst::warning!(CAT, "{error}; it stays as it is");
            }
        }

        fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
            let Some(Inside { runtime, .. }) = self.inside.get() else { return pspec.default_value().clone() };
            match pspec.name() {
                "feed-count" => (runtime.feed_count() as u32).to_value(),
                "uptime" => runtime.uptime().to_value(),
                "diagnostics" => runtime.snapshot().to_structure().to_value(),
                name => config::get(&runtime.config(), name).unwrap_or_else(|| pspec.default_value().clone()),
            }
        }
    }
}
