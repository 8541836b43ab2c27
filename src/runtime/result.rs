//! A result as it is told: the `nv-result` structure, and the same as one line of JSON.

use super::feed::{Frame, Inferred};

/// What the processor says about one frame of one feed.
pub struct FrameResult<'a> {
    pub feed_id: u64,
    pub feed_name: &'a str,
    pub frame: &'a Frame,
    pub inferred: &'a Inferred,
}

impl FrameResult<'_> {
    /// `nv-result`; field names have `-` where JSON has `_`.
    pub fn to_structure(&self) -> gst::Structure {
        gst::Structure::new_empty("nv-result")
    }

    /// One JSON object without line breaks.
    pub fn to_json(&self) -> String {
        String::new()
    }
}
