//! One neural network over many video streams of one process, as a GStreamer plugin.

pub mod inference;
pub mod nvbatch;
pub mod nvfeed;
pub mod nvhealth;
pub mod runtime;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    nvbatch::register(plugin)?;
    nvfeed::register(plugin)?;
    nvhealth::register(plugin)
}

gst::plugin_define!(
    nextvision,
    concat!(env!("CARGO_PKG_DESCRIPTION"), " (built for GStreamer ", env!("GSTREAMER_FLOOR"), ")"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    env!("CARGO_PKG_LICENSE"),
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    "Unknown package origin",
    env!("BUILD_REL_DATE")
);
