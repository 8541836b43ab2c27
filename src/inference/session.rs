//! One instance of a model: runs one batch at a time.

use super::{Error, TensorView};

/// One instance of a model. Not shared: whoever runs it owns it.
#[derive(Debug)]
pub struct Session {}

impl Session {
    /// Runs the model over the first `frames` frames of `input`, one after the other in the model's own layout and
    /// type ([`super::InputSpec`]), and hands its outputs to `read` where ONNX Runtime put them: nothing is copied.
    ///
    /// `input` is aligned to its element type. A model with a fixed batch reads all of its frames, so `input` then
    /// has room for that many; what lies behind `frames` is computed and ignored.
    pub fn run<R>(
        &mut self,
        _input: &[u8],
        _frames: usize,
        _read: impl FnOnce(&[TensorView]) -> R,
    ) -> Result<R, Error> {
        unreachable!()
    }
}
