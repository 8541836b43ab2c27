//! From candidate boxes to detections: order, suppression, and the way back to the frame.

use std::cell::RefCell;
use std::cmp::Ordering;

use super::DecodeParams;
use crate::inference::{Detection, Error, Output, Placement};

/// A box that may become a detection; corners in pixels of the model's input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Where the model had it; decides between equal confidences.
    index: usize,
    class: u32,
    confidence: f32,
    x1: f32,
    y1: f32,
    x2: f32,
    y2: f32,
}

impl Candidate {
    /// `None` where a number is not finite or nothing lies between the corners.
    pub(super) fn from_corners(
        index: usize,
        class: u32,
        confidence: f32,
        [x1, y1, x2, y2]: [f32; 4],
    ) -> Option<Candidate> {
        let finite = [confidence, x1, y1, x2, y2].iter().all(|n| n.is_finite());
        (finite && x1 < x2 && y1 < y2).then_some(Self { index, class, confidence, x1, y1, x2, y2 })
    }

    /// The same from centre, width and height.
    pub(super) fn from_center(index: usize, class: u32, confidence: f32, [x, y, w, h]: [f32; 4]) -> Option<Candidate> {
        Self::from_corners(index, class, confidence, [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0])
    }

    fn area(&self) -> f32 {
        (self.x2 - self.x1) * (self.y2 - self.y1)
    }

    /// Intersection over union.
    fn iou(&self, other: &Self) -> f32 {
        let w = self.x2.min(other.x2) - self.x1.max(other.x1);
        let h = self.y2.min(other.y2) - self.y1.max(other.y1);
        let intersection = w.max(0.0) * h.max(0.0);
        intersection / (self.area() + other.area() - intersection)
    }

    /// The more confident first, then the one that the model had first.
    fn order(&self, other: &Self) -> Ordering {
        other.confidence.total_cmp(&self.confidence).then(self.index.cmp(&other.index))
    }
}

/// Whether the decoder still has to tell apart what the model said twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suppression {
    /// Greedy non-maximum suppression within each class.
    PerClass,
    /// The model does it.
    InModel,
}

thread_local! {
    /// Kept between frames, so that gathering does not allocate.
    static CANDIDATES: RefCell<Vec<Candidate>> = const { RefCell::new(Vec::new()) };
}

/// Gathers candidates, suppresses, keeps at most `max_detections` of them, and maps these to the frame. As in
/// Ultralytics' `non_max_suppression` the overlaps are those in the model's input, before anything is clipped; a box
/// that lies outside of the picture is left out at the end.
pub(super) fn detect(
    params: &DecodeParams,
    placement: &Placement,
    suppression: Suppression,
    gather: impl FnOnce(&mut Vec<Candidate>) -> Result<(), Error>,
) -> Result<Output, Error> {
    CANDIDATES.with_borrow_mut(|candidates| {
        candidates.clear();
        gather(candidates)?;
        candidates.sort_unstable_by(Candidate::order);
        if suppression == Suppression::PerClass {
            suppress(candidates, params);
        }
        let kept = candidates.iter().take(params.max_detections);
        let objects = kept.filter_map(|candidate| {
            let &Candidate { class, confidence, x1, y1, x2, y2, .. } = candidate;
            let [x, y, w, h] = placement.to_frame(x1, y1, x2, y2)?;
            // Nothing keeps a model from scores beyond 1.
            Some(Detection { label_id: class, confidence: confidence.min(1.0), x, y, w, h })
        });
        Ok(Output { objects: Some(objects.collect()), ..Output::default() })
    })
}

/// Moves the survivors of the sorted `candidates` to the front and drops the rest. Each is held only against those
/// that stay, of which there are at most `max_detections`: that bounds the work when everything passes the threshold.
fn suppress(candidates: &mut Vec<Candidate>, params: &DecodeParams) {
    let mut kept = 0;
    for i in 0..candidates.len() {
        if kept == params.max_detections {
            break;
        }
        let candidate = candidates[i];
        let covered = |other: &Candidate| other.class == candidate.class && candidate.iou(other) > params.iou_threshold;
        if !candidates[..kept].iter().any(covered) {
            candidates[kept] = candidate;
            kept += 1;
        }
    }
    candidates.truncate(kept);
}
