//! One neural network over many cameras in one process: the GStreamer plugin `nextvision`.

pub mod inference;
pub mod nvfeed;
pub mod runtime;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    nvfeed::register(plugin)?;
    Ok(())
}

gst::plugin_define!(
    nextvision,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    env!("CARGO_PKG_LICENSE"),
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    "Unknown package origin",
    env!("BUILD_REL_DATE")
);
