//! From a frame as it comes to its place in the batch.

use super::{Error, InputSpec, Placement};

/// Writes frames of one kind (their caps) as one model wants them. Keeps its tables and its scratch memory between
/// frames; made anew when either side changes.
pub struct Preprocessor {}

impl Preprocessor {
    pub fn new(_frame: &gst_video::VideoInfo, _input: &InputSpec) -> Result<Self, Error> {
        Ok(Self {})
    }

    /// Where the frame lies in the model's input.
    pub fn placement(&self) -> Placement {
        unreachable!()
    }

    /// Writes `frame` to `slot`, which is [`InputSpec::frame_bytes`] long and aligned to the model's element type.
    /// Every byte of `slot` is written.
    pub fn write(&mut self, _frame: &gst::BufferRef, _slot: &mut [u8]) -> Result<(), Error> {
        Ok(())
    }
}
