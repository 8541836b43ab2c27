//! One score a class for the whole picture: `[N, C]` or `[N, C, 1, 1]`, C at least 2.
//!
//! Scores that are not a distribution yet go through a softmax. The tensor id says it (`classification-generic-out`,
//! `classification-generic-softmaxed-out`); without one a frame's scores are a distribution if all lie between 0 and 1
//! and they sum up to 1. Independent probabilities (several classes at once) are kept as they are by the second id.
//!
//! Classes of at least the threshold are reported, the surest first: none where the model is sure of nothing. A
//! threshold of 0 reports them all.

use super::choose::{describe, pick};
use super::cut::{Slot, Softmax};
use super::{DecodeParams, DecoderHints, TensorView};
use crate::inference::{Class, Error, Output};

const LOGITS_ID: &str = "classification-generic-out";
const SOFTMAXED_ID: &str = "classification-generic-softmaxed-out";
/// How far from 1 the sum of a distribution may be: 1000 classes of half precision are wrong by half of that.
const TOLERANCE: f32 = 1e-3;

#[derive(Debug, Clone)]
pub(super) struct Classifier {
    slot: Slot,
    pub classes: Option<usize>,
    /// `None`: to be seen from the numbers.
    softmaxed: Option<bool>,
}

/// The classes of an output's dimensions behind the batch.
fn classes<T: Copy + PartialEq>(dims: &[T], one: T) -> Option<T> {
    match *dims {
        [classes] => Some(classes),
        [classes, a, b] if a == one && b == one => Some(classes),
        _ => None,
    }
}

impl Classifier {
    pub(super) fn fit(hints: &DecoderHints) -> Result<Self, String> {
        let shape = |dims: &[Option<usize>]| classes(dims.get(1..).unwrap_or_default(), Some(1));
        let spec = pick(hints, &[LOGITS_ID, SOFTMAXED_ID], |dims| shape(dims).is_some())
            // Of several the one that has as many scores as there are labels.
            .or_else(|| pick(hints, &[], |dims| shape(dims).is_some_and(|c| c.is_some() && c == hints.classes)))
            .ok_or("it has not exactly one output [N, C]")?;
        let classes = shape(&spec.dims).ok_or_else(|| format!("{} is not [N, C]", describe(spec)))?;
        if classes.is_some_and(|classes| classes < 2) {
            return Err(format!("{} has fewer than two classes to choose from", describe(spec)));
        }
        let softmaxed = match spec.id.as_deref() {
            Some(LOGITS_ID) => Some(false),
            Some(SOFTMAXED_ID) => Some(true),
            _ => None,
        };
        Ok(Self { slot: Slot::new(spec), classes, softmaxed })
    }

    /// Whether there is a label for each class.
    pub(super) fn matches(&self, hints: &DecoderHints) -> bool {
        self.classes.is_some() && self.classes == hints.classes
    }

    pub(super) fn decode(
        &self,
        outputs: &[TensorView],
        index: usize,
        batch: usize,
        params: &DecodeParams,
    ) -> Result<Output, Error> {
        let cut = self.slot.cut(outputs, index, batch)?;
        let Some(came) = classes(cut.dims, 1) else { return Err(cut.error("should be one score a class")) };
        if self.classes.is_some_and(|known| usize::try_from(came) != Ok(known)) {
            return Err(cut.error(&format!("should have {} classes", self.classes.unwrap_or_default())));
        }
        let scores = (0..cut.data.len()).map(|i| cut.data.at(i));
        let softmax = match self.softmaxed.unwrap_or_else(|| is_distribution(scores.clone())) {
            true => None,
            false => Some(Softmax::over(scores.clone())),
        };
        let mut found: Vec<Class> = (0u32..)
            .zip(scores)
            .filter(|(_, score)| score.is_finite())
            .map(|(label_id, score)| {
                // Nothing keeps a model from scores beyond 1.
                Class { label_id, confidence: softmax.map_or(score.min(1.0), |softmax| softmax.of(score)) }
            })
            .filter(|class| class.confidence >= params.threshold)
            .collect();
        // Stable: of equal ones the first class comes first.
        found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        found.truncate(params.max_detections);
        Ok(Output { classes: Some(found), ..Output::default() })
    }
}

/// Of the finite scores, as everywhere here.
fn is_distribution(scores: impl Iterator<Item = f32> + Clone) -> bool {
    let finite = scores.filter(|score| score.is_finite());
    finite.clone().all(|score| (0.0..=1.0).contains(&score)) && (finite.sum::<f32>() - 1.0).abs() <= TOLERANCE
}
