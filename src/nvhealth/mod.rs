//! SECTION:element-nvhealth
//! @title: nvhealth
//! @short_description: tells on the bus how all video streams and models of the process are doing
//!
//! An element without pads: put one anywhere in any pipeline. What happens in the process is posted on that pipeline's
//! bus as `nv-health` element messages: feeds that start, stall, drop frames or stop, models that load, fail or go.
//! Each #nvhealth:interval all figures follow as `nv-diagnostics`. Events of all pipelines of the process come, or with
//! #nvhealth:scope=pipeline those of its own only.
//!
//! It is also where the limits of the process are set, such as #nvhealth:max-feeds.
//!
//! ## Example
//!
//! ```text
//! gst-launch-1.0 -m nvbatch processor-id=det model=models/shapes.onnx videotestsrc num-buffers=100 ! nvfeed processor-id=det message=false nvhealth max-feeds=8
//! ```
//!
//! Shows a model that is loaded, a feed that comes, is bound to it and starts, and their figures. What was added last
//! starts first: written last it hears of the model as well.

mod imp;
mod own_properties;

use glib::prelude::*;

pub use own_properties::Scope;

glib::wrapper! {
    /// The element `nvhealth`: posts events and figures of the whole process on its pipeline's bus.
    pub struct NvHealth(ObjectSubclass<imp::NvHealth>) @extends gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "nvhealth", gst::Rank::NONE, NvHealth::static_type())
}
