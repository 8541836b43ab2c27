//! The properties that `nvhealth` has.

use glib::{ParamFlags, ParamSpec, prelude::*};

use crate::runtime::{config, properties};

pub const DEFAULT_INTERVAL: u64 = 1_000_000_000;

/// Whose events are posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNvHealthScope")]
pub enum Scope {
    #[default]
    #[enum_value(name = "Events of all pipelines of the process", nick = "process")]
    Process,
    #[enum_value(name = "Events of feeds and processors of this pipeline only", nick = "pipeline")]
    Pipeline,
}

pub fn specs() -> Vec<ParamSpec> {
    let playing = ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_PLAYING;
    let mut specs = vec![
        glib::ParamSpecUInt64::builder("interval")
            .nick("Interval")
            .blurb("How often nv-diagnostics is posted, in nanoseconds (0 = never)")
            .default_value(DEFAULT_INTERVAL)
            .flags(playing)
            .build(),
        glib::ParamSpecEnum::builder_with_default("scope", Scope::default())
            .nick("Scope")
            .blurb("Whose events are posted; figures are always those of the process")
            .flags(playing)
            .build(),
        glib::ParamSpecUInt64::builder("uptime")
            .nick("Uptime")
            .blurb("Nanoseconds since the runtime was made")
            .read_only()
            .build(),
        glib::ParamSpecUInt::builder("feed-count")
            .nick("Feed count")
            .blurb("Feeds in this process")
            .read_only()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("diagnostics")
            .nick("Diagnostics")
            .blurb("All figures of all feeds and processors, as in nv-diagnostics")
            .read_only()
            .build(),
        properties::runtime_spec(),
    ];
    specs.extend(config::specs());
    specs
}
