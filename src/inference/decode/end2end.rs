//! YOLO that has suppressed its boxes already: v10 and 26, and any Ultralytics export with `nms=True`.
//!
//! One tensor `[N, M, 6]`: left, top, right, bottom (in pixels of the model's input), score, class. Rows that the model
//! does not need have scores near zero.

use super::boxes::{Candidate, Suppression, detect};
use super::choose::{anchors_per_cell, describe, pick};
use super::cut::{Slot, class_number};
use super::{DecodeParams, DecoderHints, TensorView};
use crate::inference::{Error, Output, Placement};

const COLUMNS: usize = 6;
const ID: &str = "yolo-26-end2end-out";
/// Ultralytics' default of `max_det`.
const USUAL_ROWS: usize = 300;

#[derive(Debug, Clone)]
pub(super) struct End2end {
    slot: Slot,
    /// Whether it can be nothing else: six columns are also what YOLO v8 has for two classes and v5 for one.
    pub evident: bool,
}

impl End2end {
    pub(super) fn fit(hints: &DecoderHints) -> Result<Self, String> {
        let Some(spec) = pick(hints, &[ID], |dims| matches!(dims, [_, _, None | Some(COLUMNS)])) else {
            return Err("it has not exactly one output [N, M, 6]".into());
        };
        let &[_, rows, columns @ (None | Some(COLUMNS))] = &spec.dims[..] else {
            return Err(format!("{} is not [N, M, 6]", describe(spec)));
        };
        let evident = spec.id.as_deref() == Some(ID)
            || (columns.is_some()
                && rows.is_none_or(|rows| anchors_per_cell(hints, rows).is_none())
                && (rows == Some(USUAL_ROWS) || hints.classes.is_some_and(|classes| !(1..=2).contains(&classes))));
        Ok(Self { slot: Slot::new(spec), evident })
    }

    pub(super) fn decode(
        &self,
        outputs: &[TensorView],
        index: usize,
        batch: usize,
        params: &DecodeParams,
        placement: &Placement,
    ) -> Result<Output, Error> {
        let cut = self.slot.cut(outputs, index, batch)?;
        let [rows, COLUMNS] = cut.shape()? else { return Err(cut.error("should have six columns")) };
        detect(params, placement, Suppression::InModel, |candidates| {
            for row in 0..rows {
                let [x1, y1, x2, y2, score, class] = [0, 1, 2, 3, 4, 5].map(|i| cut.data.at(row * COLUMNS + i));
                let Some(class) = class_number(class).filter(|_| score >= params.threshold) else { continue };
                candidates.extend(Candidate::from_corners(row, class, score, [x1, y1, x2, y2]));
            }
            Ok(())
        })
    }
}
