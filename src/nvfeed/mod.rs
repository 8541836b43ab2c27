//! SECTION:element-nvfeed
//! @title: nvfeed
//! @short_description: the end of a video stream whose frames are looked at by a shared neural network
//!
//! Every frame that comes in is handed to the processor `processor-id`, which #nvbatch declares in this pipeline or in
//! any other one of the process. The frames of all feeds of a processor are batched together. Results come as `nv-result`
//! element messages, through the #nvfeed::result signal and, with #nvfeed:location set, as lines of JSON. Video goes no further.
//!
//! The processor may appear after the feed: the feed waits for `attach-timeout`. End of stream is posted when the
//! last result is out.
//!
//! ## Example
//!
//! ```text
//! gst-launch-1.0 nvbatch processor-id=det model=models/shapes.onnx videotestsrc num-buffers=100 ! nvfeed processor-id=det location=-
//! ```
//!
//! Prints what the detector sees in a hundred test pictures, one JSON object a line.

mod argument;
mod imp;
mod location;
mod outlet;
mod own_properties;
mod pause;
mod throttle;

use std::panic::{AssertUnwindSafe, catch_unwind};

use glib::prelude::*;

glib::wrapper! {
    /// The element `nvfeed`: takes a video stream and gives out what its processor says about it.
    pub struct NvFeed(ObjectSubclass<imp::NvFeed>) @extends gst_base::BaseSink, gst::Element, gst::Object;
}

impl NvFeed {
    /// Connects to the signal `result`: `handler` gets each `nv-result`, in order, on a thread of the runtime. It may block,
    /// and then only this feed waits.
    ///
    /// If it panics that is logged, and it gets the next result all the same. A handler that was connected by the signal's
    /// name ends the process when it panics, as with any signal: the panic would have to cross GLib, which is C.
    pub fn connect_result(
        &self,
        handler: impl Fn(&Self, &gst::StructureRef) + Send + Sync + 'static,
    ) -> glib::SignalHandlerId {
        self.connect(outlet::RESULT_SIGNAL, false, move |arguments| {
            let [feed, result] = arguments else { return None };
            if let (Ok(feed), Ok(result)) = (feed.get::<&Self>(), result.get::<&gst::StructureRef>())
                && catch_unwind(AssertUnwindSafe(|| handler(feed, result))).is_err()
            {
                gst::error!(imp::CAT, obj = feed, "a handler of results panicked; it gets the next one all the same");
            }
            None
        })
    }
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "nvfeed", gst::Rank::NONE, NvFeed::static_type())
}
