//! The runtime as other languages see it: a GObject, handed out by the `runtime` property of the elements.

use std::sync::LazyLock;

use glib::{prelude::*, subclass::prelude::*};
use once_cell::sync::OnceCell;

use super::{CAT, config, health::Subscription, registry::Runtime};

glib::wrapper! {
    /// Properties: the limits of [`RuntimeConfig`](super::RuntimeConfig), `feed-count`, `uptime`, `diagnostics`. Signal: `health (GstStructure)`.
    /// Action: `shutdown () -> gboolean`, see [`Runtime::shutdown`].
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
        // A new object is empty.
        _ = object.imp().inside.set(imp::Inside { runtime, _health: health });
        object
    }

    /// The runtime itself.
    pub fn runtime(&self) -> Option<&Runtime> {
        self.imp().inside.get().map(|inside| &inside.runtime)
    }

    fn has_health_handler(&self) -> bool {
        static HEALTH: LazyLock<Option<glib::subclass::SignalId>> =
            LazyLock::new(|| glib::subclass::SignalId::lookup("health", NvRuntime::static_type()));
        HEALTH.is_some_and(|signal| glib::signal::signal_has_handler_pending(self, signal, None, true))
    }
}

mod imp {
    use super::*;

    pub struct Inside {
        pub runtime: Runtime,
        pub _health: Subscription,
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

        fn signals() -> &'static [glib::subclass::Signal] {
            static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
                vec![
                    glib::subclass::Signal::builder("health")
                        .param_types([gst::Structure::static_type()])
                        .run_last()
                        .build(),
                    glib::subclass::Signal::builder("shutdown")
                        .return_type::<bool>()
                        .run_last()
                        .action()
                        .class_handler(|values| {
                            let object = values.first()?.get::<super::NvRuntime>().ok()?;
                            Some(object.runtime()?.shutdown().to_value())
                        })
                        .build(),
                ]
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
                "diagnostics" => runtime.diagnostics().to_value(),
                name => config::get(&runtime.config(), name).unwrap_or_else(|| pspec.default_value().clone()),
            }
        }
    }
}
