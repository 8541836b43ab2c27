//! What a model gives, whatever it said before: shapes, types and numbers.

use super::{
    super::{Decoder, DecoderHints, DecoderKind, Output, Placement, TensorView, TensorViewData, standard},
    case::Case,
};

/// More numbers than that of one output take long and find no more.
const MAX_NUMBERS: usize = 1 << 14;

pub fn decode_yolo(bytes: &[u8]) {
    decode(DecoderKind::Yolo, bytes);
}

pub fn decode_yolo_end2end(bytes: &[u8]) {
    decode(DecoderKind::YoloEnd2end, bytes);
}

pub fn decode_ssd(bytes: &[u8]) {
    decode(DecoderKind::Ssd, bytes);
}

pub fn decode_detr(bytes: &[u8]) {
    decode(DecoderKind::Detr, bytes);
}

pub fn decode_classifier(bytes: &[u8]) {
    decode(DecoderKind::Classifier, bytes);
}

pub fn decode_tensors(bytes: &[u8]) {
    decode(DecoderKind::Tensors, bytes);
}

fn decode(kind: DecoderKind, bytes: &[u8]) {
    let case = Case::read(bytes);
    let (input_width, input_height) = case.input;
    let hints = DecoderHints {
        kind,
        outputs: case.outputs.clone(),
        task: case.task.clone(),
        classes: case.classes,
        input_width,
        input_height,
    };
    let decoder = match Decoder::new(&hints) {
        Ok(decoder) => decoder,
        Err(error) => return super::assert_printable(&error.message),
    };
    assert_eq!(decoder.kind(), kind);
    let dims: Vec<Vec<i64>> = case
        .outputs
        .iter()
        .map(|spec| {
            let declared = || spec.dims.iter().map(|dim| dim.map_or(case.batch as i64, |dim| dim as i64)).collect();
            case.came.get(&spec.name).cloned().unwrap_or_else(declared)
        })
        .collect();
    let data: Vec<Numbers> = std::iter::zip(&case.outputs, &dims)
        .map(|(spec, dims)| Numbers::read(&spec.element, numbers_of(dims), &case.numbers))
        .collect();
    let views: Vec<TensorView> = std::iter::zip(&case.outputs, std::iter::zip(&dims, &data))
        .map(|(spec, (dims, data))| TensorView { name: &spec.name, dims, data: data.view() })
        .collect();
    let placement = Placement::new(case.seen(), input_width, input_height, case.fit);
    match decoder.decode(&views, case.index, case.batch, &case.params, &placement) {
        Ok(output) => {
            check(&output, &case, &placement);
            let tensors = standard::describe(&hints, &[], None);
            for (tensor, standard) in output.tensors.into_iter().flatten().zip(tensors) {
                let tensor = standard.of_frame(tensor, &placement);
                assert_eq!(tensor.dims.first(), Some(&1));
            }
        }
        Err(error) => super::assert_printable(&error.message),
    }
}

/// What whoever gets an output may take for granted.
fn check(output: &Output, case: &Case, placement: &Placement) {
    let params = &case.params;
    let confidences = |confidences: &[f32]| {
        assert!(confidences.is_sorted_by(|a, b| a >= b), "{confidences:?}");
        assert!(confidences.iter().all(|n| (params.threshold..=1.0).contains(n)), "{confidences:?}");
    };
    if let Some(objects) = &output.objects {
        assert!(objects.len() <= params.max_detections);
        confidences(&objects.iter().map(|object| object.confidence).collect::<Vec<_>>());
        let [left, top, width, height] =
            [placement.region.x, placement.region.y, placement.region.width, placement.region.height].map(|n| n as f32);
        for object in objects {
            // In pixels: single precision has 24 bits.
            const ROUNDING: f32 = 0.01;
            let inside = |at: f32, length: f32, start: f32, limit: f32| {
                length > 0.0 && at >= start && at + length <= start + limit + ROUNDING
            };
            assert!(inside(object.x, object.w, left, width), "{object:?}");
            assert!(inside(object.y, object.h, top, height), "{object:?}");
        }
    }
    if let Some(classes) = &output.classes {
        confidences(&classes.iter().map(|class| class.confidence).collect::<Vec<_>>());
    }
}

/// How many numbers a tensor of these dimensions has, as ONNX Runtime would give it; some where that is impossible.
fn numbers_of(dims: &[i64]) -> usize {
    let numbers = dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim.try_into().ok()?));
    numbers.filter(|&numbers| numbers <= MAX_NUMBERS).unwrap_or(MAX_NUMBERS)
}

enum Numbers {
    Float32(Vec<f32>),
    Float16(Vec<u16>),
    Uint8(Vec<u8>),
    Int8(Vec<i8>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Bool(Vec<bool>),
}

impl Numbers {
    /// `count` little-endian numbers from `bytes`, over and over.
    fn read(element: &str, count: usize, bytes: &[u8]) -> Self {
        fn each<T, const N: usize>(bytes: &[u8], count: usize, read: fn([u8; N]) -> T) -> Vec<T> {
            let whole = bytes.as_chunks::<N>().0;
            let whole = if whole.is_empty() { &[[0; N]] } else { whole };
            whole.iter().cycle().take(count).map(|&bytes| read(bytes)).collect()
        }
        match element {
            "float16" => Self::Float16(each(bytes, count, u16::from_le_bytes)),
            "uint8" => Self::Uint8(each(bytes, count, u8::from_le_bytes)),
            "int8" => Self::Int8(each(bytes, count, i8::from_le_bytes)),
            "int32" => Self::Int32(each(bytes, count, i32::from_le_bytes)),
            "int64" => Self::Int64(each(bytes, count, i64::from_le_bytes)),
            "bool" => Self::Bool(each(bytes, count, |[byte]| byte & 1 == 1)),
            _ => Self::Float32(each(bytes, count, f32::from_le_bytes)),
        }
    }

    fn view(&self) -> TensorViewData<'_> {
        match self {
            Self::Float32(data) => TensorViewData::Float32(data),
            Self::Float16(data) => TensorViewData::Float16(data),
            Self::Uint8(data) => TensorViewData::Uint8(data),
            Self::Int8(data) => TensorViewData::Int8(data),
            Self::Int32(data) => TensorViewData::Int32(data),
            Self::Int64(data) => TensorViewData::Int64(data),
            Self::Bool(data) => TensorViewData::Bool(data),
        }
    }
}
