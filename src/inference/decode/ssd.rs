//! SSD as TensorFlow's object detection exports it, suppressed by the model.
//!
//! Four tensors, known by their GStreamer tensor ids, else by name, else by shape and type: boxes `[N, M, 4]` (top,
//! left, bottom, right, 0 to 1 of the model's input), scores `[N, M]`, classes `[N, M]` and how many of the M rows count
//! `[N]` or `[N, 1]`.
//!
//! Classes are taken as they are, as GStreamer's `ssdtensordec` does: the label of class k is line k of the list,
//! counted from 0. TensorFlow's full models count their classes from 1, so that their label lists begin with a line for
//! the background; its TFLite exports count from 0.

use super::boxes::{Candidate, Suppression, detect};
use super::choose::{is_float, named, sole};
use super::cut::{Slot, class_number};
use super::{DecodeParams, DecoderHints, OutputSpec, TensorView};
use crate::inference::{Error, Output, Placement};

#[derive(Debug, Clone)]
pub(super) struct Ssd {
    boxes: Slot,
    scores: Slot,
    classes: Slot,
    count: Slot,
}

/// How one of the four tensors is recognised.
struct Role {
    what: &'static str,
    ids: &'static [&'static str],
    names: &'static [&'static str],
    word: &'static str,
    shape: fn(&OutputSpec) -> bool,
}

const BOXES: Role = Role {
    what: "boxes [N, M, 4]",
    ids: &["ssd-mobilenet-v1-variant-1-out-boxes"],
    names: &["detection_boxes", "boxes"],
    word: "box",
    shape: |spec| is_float(spec) && matches!(spec.dims[..], [_, _, None | Some(4)]),
};
const SCORES: Role = Role {
    what: "scores [N, M]",
    ids: &["ssd-mobilenet-v1-variant-1-out-scores"],
    names: &["detection_scores", "scores"],
    word: "score",
    shape: |spec| is_float(spec) && per_box(spec),
};
const CLASSES: Role = Role {
    what: "classes [N, M]",
    ids: &["ssd-mobilenet-v1-variant-1-out-classes"],
    names: &["detection_classes", "classes", "labels"],
    word: "class",
    shape: per_box,
};
const COUNT: Role = Role {
    what: "count [N]",
    ids: &["generic-variant-1-out-count", "ssd-mobilenet-v1-variant-1-out-num-detections"],
    names: &["num_detections", "count"],
    word: "num",
    shape: |spec| matches!(spec.dims[..], [_] | [_, Some(1)]),
};

/// `[N, M]`
fn per_box(spec: &OutputSpec) -> bool {
    matches!(spec.dims[..], [_, rows] if rows != Some(1))
}

impl Role {
    fn find<'a>(&self, outputs: &'a [OutputSpec]) -> Result<&'a OutputSpec, String> {
        // TensorFlow writes `detection_boxes:0`.
        let bare = |spec: &OutputSpec| spec.name.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let fits = |spec: &&OutputSpec| (self.shape)(spec);
        sole(outputs.iter().filter(|spec| spec.id.as_deref().is_some_and(|id| self.ids.contains(&id))))
            .or_else(|| sole(outputs.iter().filter(|spec| self.names.contains(&bare(spec).as_str())).filter(fits)))
            .or_else(|| sole(outputs.iter().filter(|spec| named(spec, self.word)).filter(fits)))
            .or_else(|| {
                // Scores and classes have one shape; whole numbers are classes.
                let right_type = |spec: &&OutputSpec| self.what != CLASSES.what || !is_float(spec);
                sole(outputs.iter().filter(fits).filter(right_type))
            })
            .ok_or_else(|| format!("its {} cannot be told from the other outputs", self.what))
    }
}

impl Ssd {
    pub(super) fn fit(hints: &DecoderHints) -> Result<Self, String> {
        let roles = [BOXES, SCORES, CLASSES, COUNT];
        let found = roles.iter().map(|role| role.find(&hints.outputs)).collect::<Result<Vec<_>, _>>();
        let Ok([boxes, scores, classes, count]) = found.as_deref() else {
            let reason = found.err().unwrap_or_default();
            return Err(format!(
                "{reason}; give the outputs the ids {} in a .modelinfo",
                roles.map(|r| r.ids[0]).join(", ")
            ));
        };
        Ok(Self {
            boxes: Slot::new(boxes),
            scores: Slot::new(scores),
            classes: Slot::new(classes),
            count: Slot::new(count),
        })
    }

    pub(super) fn decode(
        &self,
        outputs: &[TensorView],
        index: usize,
        batch: usize,
        params: &DecodeParams,
        placement: &Placement,
    ) -> Result<Output, Error> {
        let cut = |slot: &Slot| slot.cut(outputs, index, batch);
        let (boxes, scores, classes, count) =
            (cut(&self.boxes)?, cut(&self.scores)?, cut(&self.classes)?, cut(&self.count)?);
        let [rows, 4] = boxes.shape()? else { return Err(boxes.error("should have four numbers a box")) };
        for per_box in [&scores, &classes] {
            if per_box.shape()? != [rows] {
                return Err(per_box.error(&format!("should have one number for each of {rows} boxes")));
            }
        }
        if count.data.len() != 1 {
            return Err(count.error("should be one number a frame"));
        }
        // A count that is no number counts nothing.
        let rows = rows.min(class_number(count.data.at(0)).unwrap_or(0) as usize);
        let (width, height) = (placement.model_width as f32, placement.model_height as f32);
        detect(params, placement, Suppression::InModel, |candidates| {
            for row in 0..rows {
                let score = scores.data.at(row);
                let class = class_number(classes.data.at(row));
                let Some(class) = class.filter(|_| score >= params.threshold) else { continue };
                let [y1, x1, y2, x2] = [0, 1, 2, 3].map(|i| boxes.data.at(row * 4 + i));
                let corners = [x1 * width, y1 * height, x2 * width, y2 * height];
                candidates.extend(Candidate::from_corners(row, class, score, corners));
            }
            Ok(())
        })
    }
}
