//! Tensors as GStreamer's own tensor decoders read them, for `decoder=tensors`.
//!
//! A tensor goes by an id of GStreamer's tensor id registry
//! (<https://gstreamer.freedesktop.org/documentation/analytics/>), which fixes its dimensions, their order and its type.
//! The ids come from the `.modelinfo`, or from the task that Ultralytics writes into the model:
//!
//! | task | outputs | ids |
//! |---|---|---|
//! | `detect` | `[N, 4+C, A]` | `yolo-v8-out` |
//! | `segment` | `[N, 4+C+M, A]`, `[N, M, H, W]` | `yolo-v8-segmentation-out-detections`, `-protos` |
//! | `classify` | `[N, C]`, a distribution | `classification-generic-softmaxed-out` |
//!
//! GStreamer's decoders take it that the tensors are about the frame: those of the YOLO family read boxes in pixels of
//! the frame, that of SSD in parts of its sides. A model's boxes are about its input, which shows the frame scaled and
//! perhaps letterboxed. So the boxes are moved into the frame here, and clipped to it: what the decoders compute is then right.

mod boxes;
mod protos;

use std::sync::Arc;

use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

use super::{Decoder, DecoderHints, DecoderKind, Fit, OutputSpec, Placement, Tensor, TensorData};

/// In which order the registry has the dimensions of a tensor. It changes nothing in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DimsOrder {
    #[default]
    RowMajor,
    ColMajor,
}

/// What GStreamer knows of one output of a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StandardTensor {
    /// What the tensor holds, by the registry; the output's own name where nothing says it.
    pub id: Arc<str>,
    /// What it is part of, by the registry; `None` where nothing says what it holds.
    pub group: Option<Arc<str>>,
    pub order: DimsOrder,
    /// The last axis but those of a box has as many rows as there are objects in the frame: the registry leaves it open.
    pub open_rows: bool,
    content: Content,
}

/// What has to be done to a frame's share of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Content {
    #[default]
    AsItIs,
    /// Boxes and scores, `[4+C, A]`, or where they are in `rows` `[A, 4+C]`.
    YoloBoxes { rows: bool },
    /// `[M, H, W]`
    YoloProtos,
    /// `[M, 4]`
    SsdBoxes,
    /// One number for each box.
    SsdColumn,
    /// One number.
    SsdCount,
    /// `[C]`, perhaps with axes of length 1 behind it.
    Classes,
}

const YOLO: &str = "yolo-v8-out";
const SEGMENTATION: &str = "yolo-v8-segmentation-out";
const SEGMENTATION_DETECTIONS: &str = "yolo-v8-segmentation-out-detections";
const SEGMENTATION_PROTOS: &str = "yolo-v8-segmentation-out-protos";
const SSD: &str = "ssd-mobilenet-v1-variant-1-out";
const SSD_BOXES: &str = "ssd-mobilenet-v1-variant-1-out-boxes";
const SSD_SCORES: &str = "ssd-mobilenet-v1-variant-1-out-scores";
const SSD_CLASSES: &str = "ssd-mobilenet-v1-variant-1-out-classes";
const SSD_COUNT: &str = "generic-variant-1-out-count";
const LOGITS: &str = "classification-generic-out";
const SOFTMAXED: &str = "classification-generic-softmaxed-out";

/// Whether the pictures of a model with such an output are letterboxed unless it says otherwise.
pub(super) fn is_letterboxed(id: &str) -> bool {
    id.starts_with("yolo")
}

/// What GStreamer knows of each output, in the order of `hints.outputs`. `orders` are those that the `.modelinfo` gives
/// them, `group` is its `group-id`.
pub(super) fn describe(hints: &DecoderHints, orders: &[Option<DimsOrder>], group: Option<&str>) -> Vec<StandardTensor> {
    // The axes of a YOLO are told from the shapes, as its decoder does it.
    let yolo = Decoder::new(&DecoderHints { kind: DecoderKind::Auto, ..hints.clone() }).ok();
    let yolo = yolo.as_ref().and_then(Decoder::v8_boxes);
    let has_ids = hints.outputs.iter().any(|spec| spec.id.is_some());
    let describe = |(index, spec): (usize, &OutputSpec)| {
        let v8 = yolo.filter(|(name, _)| *name == spec.name);
        let of_task = if has_ids { None } else { id_of_task(hints, spec, v8.is_some()) };
        let id = spec.id.as_deref().or(of_task);
        let order = orders.get(index).copied().flatten().unwrap_or_default();
        standard(id, spec, v8.is_some_and(|(_, rows)| rows), order, group)
    };
    hints.outputs.iter().enumerate().map(describe).collect()
}

/// The id that the exporter's task gives an output, where the shapes are those of the task.
fn id_of_task(hints: &DecoderHints, spec: &OutputSpec, is_v8: bool) -> Option<&'static str> {
    let axes: Vec<usize> = hints.outputs.iter().map(|spec| spec.dims.len()).collect();
    match (hints.task.as_deref()?, &axes[..], spec.dims.len()) {
        ("detect", ..) if is_v8 => Some(YOLO),
        ("segment", [3, 4] | [4, 3], 3) => Some(SEGMENTATION_DETECTIONS),
        ("segment", [3, 4] | [4, 3], 4) => Some(SEGMENTATION_PROTOS),
        // Ultralytics exports its classifiers with their softmax.
        ("classify", [2], 2) => Some(SOFTMAXED),
        _ => None,
    }
}

fn standard(
    id: Option<&str>,
    spec: &OutputSpec,
    rows: bool,
    order: DimsOrder,
    group_of_file: Option<&str>,
) -> StandardTensor {
    use DimsOrder::{ColMajor, RowMajor};
    let (content, group, order) = match id {
        Some(YOLO) => (Content::YoloBoxes { rows }, Some(YOLO), ColMajor),
        Some(SEGMENTATION_DETECTIONS) => (Content::YoloBoxes { rows: false }, Some(SEGMENTATION), ColMajor),
        Some(SEGMENTATION_PROTOS) => (Content::YoloProtos, Some(SEGMENTATION), ColMajor),
        Some(SSD_BOXES) => (Content::SsdBoxes, Some(SSD), RowMajor),
        Some(SSD_SCORES | SSD_CLASSES) => (Content::SsdColumn, Some(SSD), RowMajor),
        Some(SSD_COUNT) => (Content::SsdCount, Some(SSD), RowMajor),
        Some(id @ (LOGITS | SOFTMAXED)) => (Content::Classes, Some(id), RowMajor),
        other => (Content::AsItIs, other.map(|id| group_of_file.unwrap_or(id)), order),
    };
    StandardTensor {
        id: id.unwrap_or(&spec.name).into(),
        group: group.map(Into::into),
        order,
        open_rows: matches!(content, Content::SsdBoxes | Content::SsdColumn),
        content,
    }
}

impl StandardTensor {
    /// A frame's share of the output as the decoders read it. The frame is the first and only one of a batch: the first
    /// dimension is 1.
    pub fn of_frame(&self, tensor: Tensor, placement: &Placement) -> Tensor {
        let Tensor { name, mut dims, mut data } = tensor;
        let numbers = dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
        match (self.content, &dims[..]) {
            (Content::YoloBoxes { rows }, &[first, second]) => {
                let mut boxes = floats(data);
                if rows {
                    boxes = transposed(&boxes, second);
                    dims.swap(0, 1);
                }
                boxes::yolo(&mut boxes, if rows { first } else { second }, placement);
                data = TensorData::Float32(boxes);
            }
            (Content::YoloProtos, &[masks, height, width]) => {
                let (side, planes) = protos::square(floats(data), [masks, height, width], placement);
                dims = vec![masks, side[0], side[1]];
                data = TensorData::Float32(planes);
            }
            (Content::SsdBoxes, &[_, 4]) => {
                let mut boxes = floats(data);
                boxes::ssd(&mut boxes, placement);
                data = TensorData::Float32(boxes);
            }
            (Content::SsdColumn, _) => data = TensorData::Float32(floats(data)),
            (Content::SsdCount, _) => {
                data = TensorData::Float32(floats(data));
                dims.clear();
            }
            (Content::Classes, _) => {
                if !matches!(data, TensorData::Uint8(_)) {
                    data = TensorData::Float32(floats(data));
                }
                dims = numbers.into_iter().collect();
            }
            _ => (),
        }
        dims.insert(0, 1);
        Tensor { name, dims, data }
    }
}

/// The numbers as single precision, which is what the decoders read.
fn floats(data: TensorData) -> Vec<f32> {
    match data {
        TensorData::Float32(data) => data,
        TensorData::Float16(bits) => {
            let mut floats = vec![0.0; bits.len()];
            bits.reinterpret_cast::<f16>().convert_to_f32_slice(&mut floats);
            floats
        }
        TensorData::Uint8(data) => data.into_iter().map(f32::from).collect(),
        TensorData::Int8(data) => data.into_iter().map(f32::from).collect(),
        TensorData::Int32(data) => data.into_iter().map(|n| n as f32).collect(),
        TensorData::Int64(data) => data.into_iter().map(|n| n as f32).collect(),
        TensorData::Bool(data) => data.into_iter().map(|n| f32::from(u8::from(n))).collect(),
    }
}

/// `data` of rows of `columns` numbers, column by column.
fn transposed(data: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| data.iter().skip(column).step_by(columns.max(1)).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::Region;

    fn spec(name: &str, dims: &[Option<usize>], id: Option<&str>) -> OutputSpec {
        OutputSpec { name: name.into(), element: "float32".into(), dims: dims.into(), id: id.map(Into::into) }
    }

    fn hints(outputs: Vec<OutputSpec>, task: Option<&str>) -> DecoderHints {
        let task = task.map(Into::into);
        let kind = DecoderKind::Tensors;
        DecoderHints { kind, outputs, task, classes: Some(3), input_width: 320, input_height: 320 }
    }

    fn ids(hints: &DecoderHints) -> Vec<(String, Option<String>)> {
        let tensors = describe(hints, &[], None);
        tensors.iter().map(|tensor| (tensor.id.to_string(), tensor.group.as_deref().map(Into::into))).collect()
    }

    fn frame() -> Placement {
        Placement::new(Region::whole(640, 320), 320, 320, Fit::Letterbox)
    }

    #[test]
    fn the_task_of_an_ultralytics_export_gives_the_ids() {
        let boxes = || spec("output0", &[None, Some(7), None], None);
        let found = |id: &str, group: &str| (id.to_owned(), Some(group.to_owned()));
        assert_eq!(ids(&hints(vec![boxes()], Some("detect"))), [found(YOLO, YOLO)]);
        let protos = spec("output1", &[None, Some(32), Some(80), Some(80)], None);
        let segment = hints(vec![spec("output0", &[None, Some(39), None], None), protos], Some("segment"));
        assert_eq!(
            ids(&segment),
            [found(SEGMENTATION_DETECTIONS, SEGMENTATION), found(SEGMENTATION_PROTOS, SEGMENTATION)]
        );
        let classify = hints(vec![spec("output0", &[None, Some(3)], None)], Some("classify"));
        assert_eq!(ids(&classify), [found(SOFTMAXED, SOFTMAXED)]);
    }

    #[test]
    fn what_nothing_names_goes_by_its_own_name_and_no_group() {
        let own = |name: &str| vec![(name.to_owned(), None)];
        assert_eq!(ids(&hints(vec![spec("yolo", &[None, Some(7), Some(2100)], None)], None)), own("yolo"));
        // The end-to-end export of the same task has other boxes.
        assert_eq!(
            ids(&hints(vec![spec("output0", &[None, Some(300), Some(6)], None)], Some("detect"))),
            own("output0")
        );
        assert_eq!(
            ids(&hints(vec![spec("output0", &[None, Some(56), Some(2100)], None)], Some("pose"))),
            own("output0")
        );
    }

    #[test]
    fn the_modelinfo_comes_before_the_task_and_names_what_we_do_not_know() {
        let named = hints(vec![spec("output0", &[None, Some(7), Some(2100)], Some("new-out-boxes"))], Some("detect"));
        let tensors = describe(&named, &[Some(DimsOrder::ColMajor)], Some("new-out"));
        assert_eq!((&*tensors[0].id, tensors[0].group.as_deref()), ("new-out-boxes", Some("new-out")));
        assert_eq!(tensors[0].order, DimsOrder::ColMajor);
        let named = hints(vec![spec("any", &[None, Some(7), Some(2100)], Some(YOLO))], None);
        let tensors = describe(&named, &[Some(DimsOrder::RowMajor)], Some("misspelt"));
        assert_eq!((tensors[0].group.as_deref(), tensors[0].order), (Some(YOLO), DimsOrder::ColMajor));
    }

    /// One anchor in the middle of the letterboxed picture, in both layouts and in half precision.
    #[test]
    fn boxes_are_about_the_frame_whatever_the_layout_and_type() {
        let anchor: [f32; 7] = [160.0, 160.0, 40.0, 20.0, 0.0, 1.0, 0.5];
        let other: [f32; 7] = [0.0; 7];
        let channels: Vec<f32> = anchor.into_iter().zip(other).flat_map(|(a, b)| [a, b]).collect();
        let rows: Vec<f32> = anchor.into_iter().chain(other).collect();
        let halves = channels.iter().map(|&n| f16::from_f32(n).to_bits()).collect();
        let cases = [
            (false, vec![7, 2], TensorData::Float32(channels)),
            (true, vec![2, 7], TensorData::Float32(rows)),
            (false, vec![7, 2], TensorData::Float16(halves)),
        ];
        for (rows, dims, data) in cases {
            let tensor = Tensor { name: "output0".into(), dims: dims.clone(), data };
            let standard = standard(Some(YOLO), &spec("output0", &[], None), rows, DimsOrder::RowMajor, None);
            let tensor = standard.of_frame(tensor, &frame());
            assert_eq!(tensor.dims, [1, 7, 2], "{dims:?}");
            let expected = [320.0, 0.0, 160.0, 0.0, 80.0, 0.0, 40.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.5, 0.0];
            assert_eq!(tensor.data, TensorData::Float32(expected.into()), "{dims:?}");
        }
    }

    #[test]
    fn each_id_has_the_dimensions_and_the_type_of_the_registry() {
        let standard = |id| standard(Some(id), &spec("out", &[], None), false, DimsOrder::RowMajor, None);
        let cases = [
            (SSD_BOXES, vec![1, 4], TensorData::Float16(vec![0; 4]), vec![1, 1, 4], TensorData::Float32(vec![0.0; 4])),
            (SSD_CLASSES, vec![2], TensorData::Int64(vec![1, 2]), vec![1, 2], TensorData::Float32(vec![1.0, 2.0])),
            (SSD_COUNT, vec![], TensorData::Int32(vec![9]), vec![1], TensorData::Float32(vec![9.0])),
            (SSD_COUNT, vec![1], TensorData::Float32(vec![9.0]), vec![1], TensorData::Float32(vec![9.0])),
            (LOGITS, vec![2, 1, 1], TensorData::Float16(vec![0; 2]), vec![1, 2], TensorData::Float32(vec![0.0; 2])),
            (LOGITS, vec![2], TensorData::Uint8(vec![1, 2]), vec![1, 2], TensorData::Uint8(vec![1, 2])),
            ("of-others", vec![2], TensorData::Int8(vec![1, 2]), vec![1, 2], TensorData::Int8(vec![1, 2])),
        ];
        for (id, dims, data, expected_dims, expected) in cases {
            let tensor = standard(id).of_frame(Tensor { name: "out".into(), dims, data }, &frame());
            assert_eq!((tensor.dims, tensor.data), (expected_dims, expected), "{id}");
        }
    }

    /// A model may give what its id does not promise: it stays as it is, and the decoder refuses it.
    #[test]
    fn dimensions_that_do_not_fit_the_id_are_left_alone() {
        for id in [YOLO, SEGMENTATION_PROTOS, SSD_BOXES] {
            let standard = standard(Some(id), &spec("out", &[], None), true, DimsOrder::RowMajor, None);
            let data = TensorData::Int8(vec![1, 2]);
            let tensor = standard.of_frame(Tensor { name: "out".into(), dims: vec![2], data: data.clone() }, &frame());
            assert_eq!((tensor.dims, tensor.data), (vec![1, 2], data), "{id}");
        }
    }
}
