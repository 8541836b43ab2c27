//! One instance of a model: runs one batch at a time.

use std::fmt;
use std::sync::Arc;

use half::f16;
use half::slice::HalfFloatSliceExt;
use ort::session::SessionInputValue;
use ort::value::{DynValue, PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType};

use super::weights::{SharedSession, Weights};
use super::{BatchDim, ElementType, Error, ErrorKind, InputSpec, Layout, TensorView, TensorViewData};

/// One instance of a model. Not shared: whoever runs it owns it.
pub struct Session {
    session: SharedSession,
    input: InputSpec,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("input", &self.input).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(weights: &Arc<Weights>, input: &InputSpec) -> Result<Self, Error> {
        let session = weights.session().map_err(|reason| {
            Error::new(ErrorKind::ModelInvalid, format!("one more instance of the model does not start: {reason}"))
        })?;
        Ok(Self { session, input: input.clone() })
    }

    /// Runs the model over the first `frames` frames of `input`, one after the other in the model's own layout and
    /// type ([`super::InputSpec`]), and hands its outputs to `read` where ONNX Runtime put them: nothing is copied.
    ///
    /// `input` is aligned to its element type. A model with a fixed batch reads all of its frames, so `input` then
    /// has room for that many; what lies behind `frames` is computed and ignored.
    pub fn run<R>(&mut self, input: &[u8], frames: usize, read: impl FnOnce(&[TensorView]) -> R) -> Result<R, Error> {
        let input = input_tensor(&self.input, input, frames)?;
        let outputs = self.session.get_mut().run([input]).map_err(|reason| failed(reason.message()))?;
        let views = outputs
            .keys()
            .enumerate()
            .map(|(index, name)| view(name, &outputs[index]))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(read(&views))
    }
}

/// The frames as a tensor, where they lie.
fn input_tensor<'a>(spec: &InputSpec, bytes: &'a [u8], frames: usize) -> Result<SessionInputValue<'a>, Error> {
    let batch = match spec.batch {
        BatchDim::Dynamic => frames,
        BatchDim::Fixed(batch) => batch,
    };
    if frames == 0 || frames > batch {
        return Err(failed(&format!("a run of {frames} frames, where the model takes 1 to {batch}")));
    }
    let taken = spec.frame_bytes().checked_mul(batch).and_then(|needed| bytes.get(..needed));
    let Some(taken) = taken else {
        let (have, each) = (bytes.len(), spec.frame_bytes());
        return Err(failed(&format!("the input has {have} bytes, too few for {batch} frames of {each} bytes")));
    };
    let dims = match spec.layout {
        Layout::Nchw => [batch, spec.color.channels(), spec.height, spec.width],
        Layout::Nhwc => [batch, spec.height, spec.width, spec.color.channels()],
    };
    match spec.element {
        ElementType::Float32 => tensor(dims, aligned::<f32>(taken)?),
        ElementType::Float16 => tensor(dims, aligned::<f16>(taken)?),
        ElementType::Uint8 => tensor(dims, taken),
    }
}

fn tensor<'a, T>(dims: [usize; 4], data: &'a [T]) -> Result<SessionInputValue<'a>, Error>
where
    T: PrimitiveTensorElementType + fmt::Debug + Clone + 'static,
{
    let tensor = TensorRef::from_array_view((dims, data)).map_err(|reason| failed(reason.message()))?;
    Ok(tensor.into())
}

/// A number of which every pattern of bits is a value.
trait Plain: Copy {}
impl Plain for f32 {}
impl Plain for f16 {}

fn aligned<T: Plain>(bytes: &[u8]) -> Result<&[T], Error> {
    // SAFETY: every pattern of bits is a value of a `Plain` type.
    match unsafe { bytes.align_to::<T>() } {
        ([], numbers, []) => Ok(numbers),
        _ => Err(failed("the input does not lie at a multiple of its element's size")),
    }
}

fn view<'a>(name: &'a str, value: &'a DynValue) -> Result<TensorView<'a>, Error> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(unread(name, &value.dtype().to_string()));
    };
    let data = match ty {
        TensorElementType::Float32 => TensorViewData::Float32(numbers(value)?),
        TensorElementType::Float16 => TensorViewData::Float16(numbers::<f16>(value)?.reinterpret_cast()),
        TensorElementType::Uint8 => TensorViewData::Uint8(numbers(value)?),
        TensorElementType::Int8 => TensorViewData::Int8(numbers(value)?),
        TensorElementType::Int32 => TensorViewData::Int32(numbers(value)?),
        TensorElementType::Int64 => TensorViewData::Int64(numbers(value)?),
        TensorElementType::Bool => TensorViewData::Bool(numbers(value)?),
        other => return Err(unread(name, &format!("{other:?}").to_lowercase())),
    };
    Ok(TensorView { name, dims: shape, data })
}

fn numbers<T: PrimitiveTensorElementType>(value: &DynValue) -> Result<&[T], Error> {
    value.try_extract_tensor::<T>().map(|(_, numbers)| numbers).map_err(|reason| failed(reason.message()))
}

fn unread(name: &str, kind: &str) -> Error {
    failed(&format!(
        "output {name} is of type {kind}, which cannot be read; export the model without it or with a Cast"
    ))
}

fn failed(reason: &str) -> Error {
    Error::new(ErrorKind::RunFailed, format!("the model did not run: {reason}"))
}
