//! # nvbatch
//!
//! SECTION:element-nvbatch
//!
//! Loads a model and runs it over every stream of the process that asks for it. The frames of all streams are
//! batched together.
//!
//! With `model` set it owns the processor `processor-id`: the model is loaded from NULL to READY and freed from READY to
//! NULL. Without `model` it uses the processor of that id, whichever pipeline owns it, now or later.
//!
//! It can stand alone, with nothing linked: then it declares a processor that others use. Linked, it passes on
//! every frame as it came, in order, with what was found as metadata (`docs/metadata.md`). It works on a thread of
//! its own, so no `queue` is needed before or after it.
//!
//! ## Examples
//!
//! A processor for one stream that ends in `nvfeed`:
//! ```text
//! gst-launch-1.0 -m nvbatch processor-id=det model=models/shapes.onnx \
//!     videotestsrc num-buffers=10 ! nvfeed processor-id=det
//! ```
//!
//! In the middle of a chain, its results as metadata:
//! ```text
//! gst-launch-1.0 filesrc location=clip.mp4 ! decodebin ! nvbatch model=models/shapes.onnx ! videoconvert ! autovideosink
//! ```
//!
//! A second model on each object that the first one found:
//! ```text
//! gst-launch-1.0 filesrc location=clip.mp4 ! decodebin ! nvbatch processor-id=det model=models/shapes.onnx \
//!     ! nvbatch processor-id=cls model=models/shapes-cls.onnx region=objects ! nvfeed processor-id=""
//! ```
//!
//! Two streams that share one model:
//! ```text
//! gst-launch-1.0 \
//!     filesrc location=a.mp4 ! decodebin ! nvbatch processor-id=det model=models/shapes.onnx ! fakesink \
//!     filesrc location=b.mp4 ! decodebin ! nvbatch processor-id=det ! fakesink
//! ```

#[cfg(feature = "v1_24")]
mod analytics;
mod imp;
mod notices;
mod processor_properties;
mod region_properties;
mod roi;
mod stream;
#[cfg(feature = "v1_28")]
mod tensor_caps;
#[cfg(feature = "v1_26")]
mod tensors;

use glib::prelude::*;

glib::wrapper! {
    pub struct NvBatch(ObjectSubclass<imp::NvBatch>) @extends gst::Element, gst::Object;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "nvbatch", gst::Rank::NONE, NvBatch::static_type())
}
