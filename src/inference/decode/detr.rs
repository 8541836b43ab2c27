//! DETR and its descendants: each query is an object or nothing, so that there is nothing to suppress.
//!
//! Two tensors: boxes `[N, Q, 4]` (centre x, centre y, width, height, 0 to 1 of the model's input) and logits
//! `[N, Q, D]`. The number of labels C tells the two kinds of logits apart: D = C + 1 is DETR, a softmax whose last
//! class means "no object"; D = C is Deformable DETR, RT-DETR and the like, one sigmoid a class. A query counts
//! once, with its best class.

use super::boxes::{Candidate, Suppression, detect};
use super::choose::{describe, is_float, named, sole};
use super::cut::{Slot, Softmax, best_class};
use super::{DecodeParams, DecoderHints, OutputSpec, TensorView};
use crate::inference::{Error, Output, Placement};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activation {
    /// Over all classes and "no object", which is the last.
    Softmax,
    Sigmoid,
}

#[derive(Debug, Clone)]
pub(super) struct Detr {
    boxes: Slot,
    logits: Slot,
    activation: Activation,
    pub classes: usize,
    /// Number of queries, where it is fixed.
    pub queries: Option<usize>,
}

impl Detr {
    pub(super) fn fit(hints: &DecoderHints) -> Result<Self, String> {
        let cubes = || hints.outputs.iter().filter(|spec| is_float(spec) && spec.dims.len() == 3);
        let of_four = || cubes().filter(|spec| matches!(spec.dims[2], None | Some(4)));
        let boxes = sole(of_four().filter(|spec| named(spec, "box")))
            .or_else(|| sole(of_four()))
            .ok_or("there is no one output of boxes [N, Q, 4]")?;
        let Some(classes) = hints.classes else {
            return Err("the number of labels decides how its logits are read: set labels=".into());
        };
        let with_nothing = classes.checked_add(1);
        let counts = |spec: &&OutputSpec| [Some(classes), with_nothing].contains(&spec.dims[2]);
        let others = || cubes().filter(|spec| spec.name != boxes.name);
        let logits = sole(others().filter(|spec| named(spec, "logits")))
            .or_else(|| sole(others().filter(counts)))
            .ok_or_else(|| format!("there is no one output of logits [N, Q, D] for {classes} labels"))?;
        let activation = match logits.dims[2] {
            width if width == Some(classes) => Activation::Sigmoid,
            width if width.is_some() && width == with_nothing => Activation::Softmax,
            _ => {
                return Err(format!(
                    "{} is neither [N, Q, {classes}] (a sigmoid for each of {classes} labels) nor one wider (a softmax with \
                     \"no object\"): set labels= to a list that fits",
                    describe(logits)
                ));
            }
        };
        let queries = boxes.dims[1].or(logits.dims[1]);
        Ok(Self { boxes: Slot::new(boxes), logits: Slot::new(logits), activation, classes, queries })
    }

    pub(super) fn decode(
        &self,
        outputs: &[TensorView],
        index: usize,
        batch: usize,
        params: &DecodeParams,
        placement: &Placement,
    ) -> Result<Output, Error> {
        let boxes = self.boxes.cut(outputs, index, batch)?;
        let logits = self.logits.cut(outputs, index, batch)?;
        let [queries, 4] = boxes.shape()? else { return Err(boxes.error("should have four numbers a box")) };
        let width = self.classes + usize::from(self.activation == Activation::Softmax);
        if logits.shape()? != [queries, width] {
            return Err(logits.error(&format!("should have {queries} queries of {width} logits")));
        }
        let (model_width, model_height) = (placement.model_width as f32, placement.model_height as f32);
        detect(params, placement, Suppression::InModel, |candidates| {
            for query in 0..queries {
                let row = (query * width..(query + 1) * width).map(|i| logits.data.at(i));
                let Some((class, logit)) = best_class(row.clone().take(self.classes)) else { continue };
                let confidence = match self.activation {
                    Activation::Sigmoid => 1.0 / (1.0 + (-logit).exp()),
                    Activation::Softmax => Softmax::over(row).of(logit),
                };
                if confidence >= params.threshold {
                    let [x, y, w, h] = [0, 1, 2, 3].map(|i| boxes.data.at(query * 4 + i));
                    let center = [x * model_width, y * model_height, w * model_width, h * model_height];
                    candidates.extend(Candidate::from_center(query, class, confidence, center));
                }
            }
            Ok(())
        })
    }
}
