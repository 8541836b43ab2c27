//! What the numbers that come out of a model mean.

mod boxes;
mod choose;
mod classifier;
mod cut;
mod detr;
mod end2end;
#[cfg(test)]
mod reference;
mod ssd;
mod tensors;
#[cfg(test)]
mod tests;
mod yolo;

use super::{Error, Output, Placement};

/// The families of outputs that are understood; the `decoder` property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNvDecoder")]
pub enum DecoderKind {
    #[default]
    #[enum_value(name = "By the shapes and the metadata of the model", nick = "auto")]
    Auto,
    #[enum_value(name = "YOLO v5 and v8 to v11: boxes that overlap are suppressed", nick = "yolo")]
    Yolo,
    #[enum_value(name = "YOLO v10 and 26: boxes come without overlap", nick = "yolo-end2end")]
    YoloEnd2end,
    #[enum_value(name = "SSD: boxes, scores, classes, count", nick = "ssd")]
    Ssd,
    #[enum_value(name = "DETR and RT-DETR: boxes and logits", nick = "detr")]
    Detr,
    #[enum_value(name = "Classes of the whole frame", nick = "classifier")]
    Classifier,
    #[enum_value(name = "The tensors as they are", nick = "tensors")]
    Tensors,
}

impl DecoderKind {
    /// As the property has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Yolo => "yolo",
            Self::YoloEnd2end => "yolo-end2end",
            Self::Ssd => "ssd",
            Self::Detr => "detr",
            Self::Classifier => "classifier",
            Self::Tensors => "tensors",
        }
    }
}

/// What a feed wants to be told; changeable from frame to frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeParams {
    /// Least confidence, 0 to 1.
    pub threshold: f32,
    /// Of two boxes of one class that overlap more than this (intersection over union) the less confident goes.
    pub iou_threshold: f32,
    pub max_detections: usize,
}

/// One output tensor of a run, where ONNX Runtime put it: the whole batch.
#[derive(Debug, Clone, Copy)]
pub struct TensorView<'a> {
    pub name: &'a str,
    /// The first one is the batch, where the tensor has one.
    pub dims: &'a [i64],
    pub data: TensorViewData<'a>,
}

#[derive(Debug, Clone, Copy)]
pub enum TensorViewData<'a> {
    Float32(&'a [f32]),
    /// IEEE 754 half precision, by its bits.
    Float16(&'a [u16]),
    Uint8(&'a [u8]),
    Int8(&'a [i8]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Bool(&'a [bool]),
}

/// One output tensor as known before the first run.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputSpec {
    pub name: String,
    /// ONNX's name of the type in lower case.
    pub element: String,
    /// The batch first; `None` where the model leaves the dimension open.
    pub dims: Vec<Option<usize>>,
    /// The tensor id that a `.modelinfo` gives it, such as `yolo-v8-out`.
    pub id: Option<String>,
}

/// What choosing and checking a decoder goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderHints {
    pub kind: DecoderKind,
    pub outputs: Vec<OutputSpec>,
    /// `task` of the exporter's metadata: `detect`, `classify`, ...
    pub task: Option<String>,
    /// Number of classes, where labels or metadata tell it.
    pub classes: Option<usize>,
    /// Of the model's input, in pixels.
    pub input_width: usize,
    pub input_height: usize,
}

/// Reads one frame's share of a run's outputs.
///
/// In every family a number that is not finite counts as not there: such a score is no class's best, and a box with
/// one is no box.
#[derive(Debug, Clone)]
pub struct Decoder(Family);

#[derive(Debug, Clone)]
enum Family {
    Yolo(yolo::Yolo),
    End2end(end2end::End2end),
    Ssd(ssd::Ssd),
    Detr(detr::Detr),
    Classifier(classifier::Classifier),
    Tensors(tensors::Tensors),
}

impl Decoder {
    /// Chooses the decoder (`kind` Auto) or checks that the one asked for can read these outputs. An error says which
    /// outputs there are and what to set: `ModelInvalid` where nothing can be chosen, `InvalidConfig` where the one
    /// asked for does not fit.
    pub fn new(hints: &DecoderHints) -> Result<Self, Error> {
        choose::choose(hints).map(Self)
    }

    /// Never `Auto`.
    pub fn kind(&self) -> DecoderKind {
        match self.0 {
            Family::Yolo(_) => DecoderKind::Yolo,
            Family::End2end(_) => DecoderKind::YoloEnd2end,
            Family::Ssd(_) => DecoderKind::Ssd,
            Family::Detr(_) => DecoderKind::Detr,
            Family::Classifier(_) => DecoderKind::Classifier,
            Family::Tensors(_) => DecoderKind::Tensors,
        }
    }

    /// Number of classes, where the shapes tell it.
    pub fn classes(&self) -> Option<usize> {
        match &self.0 {
            Family::Yolo(yolo) => yolo.classes,
            Family::Detr(detr) => Some(detr.classes),
            Family::Classifier(classifier) => classifier.classes,
            Family::End2end(_) | Family::Ssd(_) | Family::Tensors(_) => None,
        }
    }

    /// The name of the output that has the boxes of a YOLO v8 in pixels, and whether each of its rows is a box (`[N, A, 4+C]`).
    pub(super) fn v8_boxes(&self) -> Option<(&str, bool)> {
        match &self.0 {
            Family::Yolo(yolo) => yolo.v8_boxes(),
            _ => None,
        }
    }

    /// What frame `index` of a run with `batch` frames says, in pixels of the frame that `placement` describes.
    /// Objects and classes come the surest first; of equally sure ones the one that the model has first.
    ///
    /// Fails with `RunFailed` where the outputs are not what the model said when it was loaded.
    pub fn decode(
        &self,
        outputs: &[TensorView],
        index: usize,
        batch: usize,
        params: &DecodeParams,
        placement: &Placement,
    ) -> Result<Output, Error> {
        match &self.0 {
            Family::Yolo(yolo) => yolo.decode(outputs, index, batch, params, placement),
            Family::End2end(end2end) => end2end.decode(outputs, index, batch, params, placement),
            Family::Ssd(ssd) => ssd.decode(outputs, index, batch, params, placement),
            Family::Detr(detr) => detr.decode(outputs, index, batch, params, placement),
            Family::Classifier(classifier) => classifier.decode(outputs, index, batch, params),
            Family::Tensors(tensors) => tensors.decode(outputs, index, batch),
        }
    }
}
