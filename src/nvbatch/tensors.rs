//! Tensors as `GstTensorMeta`, which GStreamer's own tensor decoders read from 1.26 on: `docs/metadata.md`.

use glib::Quark;
use gst::MetaAPIExt;
use gst_analytics::{Tensor as GstTensor, TensorDataType, TensorDimOrder, TensorMeta};

use crate::{
    inference::{DimsOrder, StandardTensor, Tensor, TensorData},
    runtime::Inferred,
};

/// One tensor of one frame, with what GStreamer knows of it.
pub struct FrameTensor {
    pub standard: StandardTensor,
    pub tensor: Tensor,
}

/// Takes the tensors out of what was inferred. They are then about the frame.
pub fn take(inferred: &mut Inferred) -> Vec<FrameTensor> {
    let tensors = inferred.output.tensors.take().unwrap_or_default();
    let known = inferred.model.tensors.iter().cloned();
    let of_frame = |(tensor, standard): (Tensor, StandardTensor)| FrameTensor {
        tensor: standard.of_frame(tensor, &inferred.placement),
        standard,
    };
    tensors.into_iter().zip(known).map(of_frame).collect()
}

/// Adds `tensors`, whose memory it takes over, as one meta beside those that are there.
pub fn attach(buffer: &mut gst::BufferRef, tensors: Vec<FrameTensor>) {
    if !tensors.is_empty() {
        let tensors: Vec<GstTensor> = tensors.into_iter().map(to_gst).collect();
        add(buffer).set(tensors.into());
    }
}

/// A new meta. `TensorMeta::add` gives the one that is there already in early GStreamer 1.26, and setting tensors
/// there would end those of others.
fn add(buffer: &mut gst::BufferRef) -> gst::MetaRefMut<'_, TensorMeta, gst::meta::Standalone> {
    // SAFETY: the buffer is writable, since it is borrowed so; the meta that it gets is of the type of this info, needs no
    // parameters, and belongs to the buffer. It is added where memory lasts, else GLib ends the process.
    unsafe {
        let info = gst_analytics::ffi::gst_tensor_meta_get_info();
        let meta = gst::ffi::gst_buffer_add_meta(buffer.as_mut_ptr(), info, std::ptr::null_mut());
        TensorMeta::from_mut_ptr(buffer, meta.cast())
    }
}

fn to_gst(FrameTensor { standard, tensor }: FrameTensor) -> GstTensor {
    let (element, _) = element(&tensor.data);
    let dims = &tensor.dims;
    GstTensor::new_simple(id(&standard.id), element, memory(tensor.data), order(standard.order), dims)
}

/// GStreamer's type for the numbers, and its name in caps.
pub fn element(data: &TensorData) -> (TensorDataType, &'static str) {
    match data {
        TensorData::Float32(_) => (TensorDataType::Float32, "float32"),
        TensorData::Float16(_) => (TensorDataType::Float16, "float16"),
        // It has no type for truth: 0 and 1 are numbers.
        TensorData::Uint8(_) | TensorData::Bool(_) => (TensorDataType::Uint8, "uint8"),
        TensorData::Int8(_) => (TensorDataType::Int8, "int8"),
        TensorData::Int32(_) => (TensorDataType::Int32, "int32"),
        TensorData::Int64(_) => (TensorDataType::Int64, "int64"),
    }
}

/// Before 1.28 the only decoder there is, `ssdobjectdetector`, knew its tensors by other ids.
fn id(id: &str) -> Quark {
    let older = match id {
        "ssd-mobilenet-v1-variant-1-out-boxes" => "Gst.Model.ObjectDetector.Boxes",
        "ssd-mobilenet-v1-variant-1-out-scores" => "Gst.Model.ObjectDetector.Scores",
        "ssd-mobilenet-v1-variant-1-out-classes" => "Gst.Model.ObjectDetector.Classes",
        "generic-variant-1-out-count" => "Gst.Model.ObjectDetector.NumDetections",
        other => other,
    };
    let (major, minor, ..) = gst::version();
    Quark::from_str(if (major, minor) < (1, 27) { older } else { id })
}

/// The decoders of 1.28.0 ask for column-major in their caps and look for row-major in the meta; 1.28.1 put that right.
fn order(order: DimsOrder) -> TensorDimOrder {
    let (major, minor, micro, _) = gst::version();
    match order {
        DimsOrder::ColMajor if (major, minor, micro) != (1, 28, 0) => TensorDimOrder::ColMajor,
        _ => TensorDimOrder::RowMajor,
    }
}

/// The numbers as a buffer, without copying them.
fn memory(data: TensorData) -> gst::Buffer {
    match data {
        TensorData::Float32(data) => gst::Buffer::from_slice(Bytes(data)),
        TensorData::Float16(data) => gst::Buffer::from_slice(Bytes(data)),
        TensorData::Uint8(data) => gst::Buffer::from_slice(data),
        TensorData::Int8(data) => gst::Buffer::from_slice(Bytes(data)),
        TensorData::Int32(data) => gst::Buffer::from_slice(Bytes(data)),
        TensorData::Int64(data) => gst::Buffer::from_slice(Bytes(data)),
        TensorData::Bool(data) => gst::Buffer::from_slice(Bytes(data)),
    }
}

/// Types without padding, whose bytes are therefore all there.
trait Plain: Copy + Send + 'static {}

impl Plain for f32 {}
impl Plain for u16 {}
impl Plain for i8 {}
impl Plain for i32 {}
impl Plain for i64 {}
impl Plain for bool {}

struct Bytes<T>(Vec<T>);

impl<T: Plain> AsRef<[u8]> for Bytes<T> {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the bytes are those of the vector, which is borrowed as long as they are; a plain type has no byte
        // that is not set, and a byte has no alignment.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), size_of_val(&self.0[..])) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, dims: &[usize], data: TensorData) -> FrameTensor {
        let mut standard = StandardTensor::default();
        standard.id = name.into();
        FrameTensor { standard, tensor: Tensor { name: name.into(), dims: dims.into(), data } }
    }

    #[test]
    fn tensors_of_every_type_are_there_beside_those_of_others() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.make_mut();
        attach(buffer, vec![tensor("theirs", &[1], TensorData::Uint8(vec![7]))]);
        let all = [
            (TensorDataType::Float32, TensorData::Float32(vec![1.0, 2.0]), 8),
            (TensorDataType::Float16, TensorData::Float16(vec![1, 2]), 4),
            (TensorDataType::Uint8, TensorData::Uint8(vec![1, 2]), 2),
            (TensorDataType::Int8, TensorData::Int8(vec![-1, 2]), 2),
            (TensorDataType::Int32, TensorData::Int32(vec![1, 2]), 8),
            (TensorDataType::Int64, TensorData::Int64(vec![1, 2]), 16),
            (TensorDataType::Uint8, TensorData::Bool(vec![true, false]), 2),
        ];
        attach(buffer, all.iter().map(|(_, data, _)| tensor("ours", &[1, 2], data.clone())).collect());
        let metas: Vec<_> = buffer.iter_meta::<TensorMeta>().collect();
        assert_eq!(metas.len(), 2);
        assert_eq!(metas[0].as_slice()[0].id(), Quark::from_str("theirs"));
        for (there, (element, _, bytes)) in metas[1].as_slice().iter().zip(&all) {
            assert_eq!((there.data_type(), there.dims(), there.data().size()), (*element, &[1, 2][..], *bytes));
        }
        let floats = metas[1].as_slice()[0].data().map_readable().unwrap();
        assert_eq!(floats.as_slice(), [1.0f32.to_ne_bytes(), 2.0f32.to_ne_bytes()].concat());
    }

    #[test]
    fn no_tensors_are_no_meta() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        attach(buffer.make_mut(), Vec::new());
        attach(buffer.make_mut(), vec![tensor("empty", &[1, 0, 6], TensorData::Float32(Vec::new()))]);
        assert_eq!(buffer.iter_meta::<TensorMeta>().count(), 1, "a tensor without numbers is one");
    }
}
