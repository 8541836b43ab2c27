//! One neural network over many video streams of one process, as a GStreamer plugin.

pub mod inference;
pub mod nvbatch;
pub mod runtime;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    nvbatch::register(plugin)
}

gst::plugin_define!(
    nextvision,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MPL-2.0",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    "Unknown package origin",
    env!("BUILD_REL_DATE")
);
