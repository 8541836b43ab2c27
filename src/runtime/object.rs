//! The runtime as other languages see it: a GObject, handed out by the `runtime` property of the elements.

use std::sync::{Arc, LazyLock};

use glib::{
    prelude::*,
    subclass::{Signal, SignalId, prelude::*},
};
use once_cell::sync::OnceCell;
use parking_lot::Mutex;

use super::{
    CAT, Error, ErrorCode, ManagedFeedConfig, config,
    health::{Event, HealthEvent, Severity, Subscription},
    interpreter,
    registry::Runtime,
};

glib::wrapper! {
    /// Properties: the limits of [`RuntimeConfig`](super::RuntimeConfig), `feed-count`, `uptime`, `diagnostics`,
    /// `last-error`. Signals: `health (GstStructure)`, `output (GstStructure)`. Actions: `add-feed (GstStructure) ->
    /// guint64`, `remove-feed (guint64) -> gboolean`, `pause-feed`, `resume-feed`, `shutdown () -> gboolean`, see
    /// [`Runtime::shutdown`].
    pub struct NvRuntime(ObjectSubclass<imp::NvRuntime>);
}

impl NvRuntime {
    pub(super) fn new(runtime: Runtime) -> Self {
        let object: Self = glib::Object::new();
        let listened = object.downgrade();
        let told = object.downgrade();
        let health = runtime.health().subscribe(
            move || listened.upgrade().is_some_and(|object| interpreter::takes_calls() && object.has_health_handler()),
            move |event| {
                if let Some(object) = told.upgrade()
                    && interpreter::takes_calls()
                {
                    object.emit_by_name::<()>("health", &[&event.to_structure()]);
                }
            },
        );
        let listened = object.downgrade();
        let told = object.downgrade();
        let output = runtime.output().subscribe(
            move || listened.upgrade().is_some_and(|object| interpreter::takes_calls() && object.has_output_handler()),
            move |result, _lost| {
                if let Some(object) = told.upgrade()
                    && interpreter::takes_calls()
                {
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

    /// What an action came to; an error is kept in `last-error`, logged, and told as `feed-refused`: an action cannot
    /// return one.
    fn act<R: Default>(&self, action: &str, act: impl FnOnce(&Runtime) -> Result<R, Error>) -> R {
        let Some(runtime) = self.runtime() else { return R::default() };
        act(runtime).unwrap_or_else(|error| {
            gst::error!(CAT, "{action}: {error}");
            self.keep(&error);
            runtime.health().emit(|| {
                Event::new("feed-refused", Severity::Error)
                    .text("action", action)
                    .text("code", error.code.as_str())
                    .text("detail", error.message)
            });
            R::default()
        })
    }

    fn keep(&self, error: &Error) {
        *self.imp().last_error.lock() = Some(error.details());
    }

    fn add_feed(&self, feed: Option<&gst::StructureRef>) -> u64 {
        self.act("add-feed", |runtime| {
            let feed = feed.ok_or_else(|| {
                Error::new(ErrorCode::InvalidConfig, "add-feed got no structure: give one with a field `uri`")
            })?;
            runtime.add_managed_feed(ManagedFeedConfig::from_structure(feed)?)
        })
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
        /// Of an action or a limit that was refused. A leaf.
        pub last_error: Mutex<Option<gst::Structure>>,
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
                    glib::ParamSpecBoxed::builder::<gst::Structure>("last-error")
                        .nick("Last error")
                        .blurb("Why an action or a limit was refused last: nv-error with code and message")
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
                vec![
                    told("health"),
                    told("output"),
                    action("add-feed", gst::Structure::static_type(), u64::static_type(), |object, feed| {
                        let feed = feed.get::<Option<gst::Structure>>().ok().flatten();
                        object.add_feed(feed.as_deref()).to_value()
                    }),
                    feed_action("remove-feed", Runtime::remove_feed),
                    feed_action("pause-feed", Runtime::pause_feed),
                    feed_action("resume-feed", Runtime::resume_feed),
                    Signal::builder("shutdown")
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
                self.obj().keep(&error);
            }
        }

        fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
            let Some(Inside { runtime, .. }) = self.inside.get() else { return pspec.default_value().clone() };
            match pspec.name() {
                "feed-count" => (runtime.feed_count() as u32).to_value(),
                "uptime" => runtime.uptime().to_value(),
                "diagnostics" => runtime.snapshot().to_structure().to_value(),
                "last-error" => self.last_error.lock().to_value(),
                name => config::get(&runtime.config(), name).unwrap_or_else(|| pspec.default_value().clone()),
            }
        }
    }

    /// An action with one argument.
    fn action(
        name: &'static str,
        argument: glib::Type,
        returned: glib::Type,
        act: impl Fn(&super::NvRuntime, &glib::Value) -> glib::Value + Send + Sync + 'static,
    ) -> glib::subclass::Signal {
        glib::subclass::Signal::builder(name)
            .param_types([argument])
            .return_type_from(returned)
            .run_last()
            .action()
            .class_handler(move |arguments| {
                let [object, argument] = arguments else { return None };
                let object = object.get::<super::NvRuntime>().ok()?;
                Some(act(&object, argument))
            })
            .build()
    }

    /// An action on the feed of an id: whether it was done.
    fn feed_action(name: &'static str, act: fn(&Runtime, u64) -> Result<(), Error>) -> glib::subclass::Signal {
        action(name, u64::static_type(), bool::static_type(), move |object, id| {
            let id = id.get().unwrap_or_default();
            object.act(name, |runtime| act(runtime, id).map(|()| true)).to_value()
        })
    }
}
