//! The properties that `nvfeed` has, its own ones first.

use glib::{ParamFlags, ParamSpec, prelude::*};

use crate::runtime::properties;

pub const DEFAULT_PROCESSOR_ID: &str = "default";
pub const DEFAULT_MESSAGE: bool = true;

pub fn specs() -> Vec<ParamSpec> {
    let ready = ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_READY;
    let mut specs = vec![
        glib::ParamSpecString::builder("processor-id")
            .nick("Processor id")
            .blurb(
                "Processor that looks at the frames; an nvbatch in any pipeline of the process declares it. \
                 Empty = none: only collects what metadata on the frames says",
            )
            .default_value(DEFAULT_PROCESSOR_ID)
            .flags(ready)
            .build(),
        glib::ParamSpecString::builder("feed-name")
            .nick("Feed name")
            .blurb("Name of the feed in results and reports (default: the name of the element)")
            .flags(ready)
            .build(),
        glib::ParamSpecUInt64::builder("feed-id")
            .nick("Feed id")
            .blurb("Number of the feed, never used twice in a process (0 = none, below PAUSED)")
            .read_only()
            .build(),
        glib::ParamSpecBoolean::builder("message")
            .nick("Message")
            .blurb("Post an nv-result element message for each result")
            .default_value(DEFAULT_MESSAGE)
            .flags(ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_PLAYING)
            .build(),
        glib::ParamSpecString::builder("location")
            .nick("Location")
            .blurb("File that results are written to, one JSON object a line (- = standard output, default: none)")
            .flags(ready)
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Figures of the feed, and location-lost: results that could not be written to location")
            .read_only()
            .build(),
        properties::runtime_spec(),
    ];
    specs.extend(properties::specs());
    specs
}
