//! YOLO with its boxes still to be suppressed: v5 (and v7, YOLOX) and v8 to v12.
//!
//! One tensor holds everything. Each anchor has a box (centre x, centre y, width, height, in pixels of the model's
//! input) and one score a class, which v5 multiplies by how sure it is that there is an object at all:
//!
//! | layout | dimensions | exporter |
//! |---|---|---|
//! | v8 | `[N, 4 + C, A]` | Ultralytics |
//! | v8, transposed | `[N, A, 4 + C]` | models exported for runtimes that want rows |
//! | v5 | `[N, A, 5 + C]` | YOLOv5, YOLOv7, YOLOX with decoding inside |
//!
//! As in Ultralytics' `non_max_suppression(multi_label=False)` an anchor counts once, with its best class. Boxes between
//! 0 and 1 are read as such only where the tensor id says so (`yolo-v8-out-normalized`): nothing else tells them
//! from small boxes.

use super::boxes::{Candidate, Suppression, detect};
use super::choose::{anchors_per_cell, describe, pick};
use super::cut::{Real, Slot, best_class};
use super::{DecodeParams, DecoderHints, OutputSpec, TensorView, TensorViewData};
use crate::inference::{Error, Output, Placement};

const V8_ID: &str = "yolo-v8-out";
const NORMALIZED_ID: &str = "yolo-v8-out-normalized";
const OBJECTNESS_ID: &str = "yolox-out";
const IDS: [&str; 3] = [V8_ID, NORMALIZED_ID, OBJECTNESS_ID];

/// Anchors whose best scores are worked out together: their scores stay in the first cache.
const BLOCK: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// v8: `[4 + C, A]`
    Channels,
    /// v8, transposed: `[A, 4 + C]`
    Rows,
    /// v5: `[A, 5 + C]`
    RowsWithObjectness,
}

impl Layout {
    /// How many numbers of an anchor come before its class scores.
    fn head(self) -> usize {
        if self == Self::RowsWithObjectness { 5 } else { 4 }
    }

    /// Anchors, and numbers an anchor.
    fn split<T>(self, [first, second]: [T; 2]) -> (T, T) {
        if self == Self::Channels { (second, first) } else { (first, second) }
    }

    /// Whether there are as many anchors as the model's input has places for them.
    fn fills_grid(self, anchors: usize, hints: &DecoderHints) -> bool {
        match anchors_per_cell(hints, anchors) {
            Some(1) => true,
            each => each.is_some() && self == Self::RowsWithObjectness,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Yolo {
    slot: Slot,
    layout: Layout,
    /// Where the model leaves it open, what comes decides.
    pub classes: Option<usize>,
    normalized: bool,
    /// Whether more than the order of the dimensions speaks for YOLO.
    pub evident: bool,
    /// Whether it looks like the RT-DETR that Ultralytics exports: `[N, 300, 4 + C]` too, but with other boxes.
    pub as_many_rows_as_queries: bool,
}

impl Yolo {
    pub(super) fn fit(hints: &DecoderHints) -> Result<Self, String> {
        if let Some(task @ ("segment" | "pose" | "obb" | "classify")) = hints.task.as_deref() {
            return Err(format!("its metadata say that its task is `{task}`, and yolo reads `detect`"));
        }
        let Some(spec) = pick(hints, &IDS, |dims| dims.len() == 3) else {
            return Err("it has not exactly one output [N, 4+C, A], [N, A, 4+C] or [N, A, 5+C]".into());
        };
        let &[_, first, second] = &spec.dims[..] else {
            return Err(format!("{} has not three dimensions", describe(spec)));
        };
        let dims = [first, second];
        let id = spec.id.as_deref().unwrap_or_default();
        let layout = layout(dims, id, hints).map_err(|reason| format!("{} {reason}", describe(spec)))?;
        let (anchors, channels) = layout.split(dims);
        let classes = channels.and_then(|channels| channels.checked_sub(layout.head()));
        if has_masks(classes, hints) {
            return Err(format!(
                "{} comes with the masks of a segmentation, which no decoder reads yet",
                describe(spec)
            ));
        }
        Ok(Self {
            slot: Slot::new(spec),
            layout,
            classes,
            normalized: id == NORMALIZED_ID,
            evident: IDS.contains(&id)
                || hints.task.as_deref() == Some("detect")
                || (classes.is_some() && classes == hints.classes)
                || anchors.is_some_and(|anchors| layout.fills_grid(anchors, hints)),
            as_many_rows_as_queries: !IDS.contains(&id) && layout == Layout::Rows && anchors == Some(300),
        })
    }

    /// As [`super::Decoder::v8_boxes`] has it.
    pub(super) fn v8_boxes(&self) -> Option<(&str, bool)> {
        match self.layout {
            Layout::RowsWithObjectness => None,
            _ if self.normalized => None,
            layout => Some((self.slot.name(), layout == Layout::Rows)),
        }
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
        let (anchors, channels) = self.layout.split(cut.shape()?);
        match (channels.checked_sub(self.layout.head()), self.classes) {
            (None, _) => return Err(cut.error("has no room for a box")),
            (Some(came), Some(known)) if came != known => {
                return Err(cut.error(&format!("should have {known} classes")));
            }
            _ => {}
        }
        let scale = match self.normalized {
            true => [placement.model_width as f32, placement.model_height as f32],
            false => [1.0, 1.0],
        };
        let scan = Scan { anchors, channels, threshold: params.threshold, scale };
        detect(params, placement, Suppression::PerClass, |candidates| match cut.data {
            TensorViewData::Float32(data) => self.gather(data, scan, candidates),
            TensorViewData::Float16(data) => self.gather(data, scan, candidates),
            _ => Err(cut.error("does not hold float32 or float16 numbers")),
        })
    }

    fn gather<T: Real>(&self, data: &[T], scan: Scan, candidates: &mut Vec<Candidate>) -> Result<(), Error> {
        if scan.anchors > 0 && scan.channels > 0 {
            match self.layout {
                Layout::Channels => scan.channels_first(data, candidates),
                Layout::Rows | Layout::RowsWithObjectness => scan.rows(data, self.layout.head(), candidates),
            }
        }
        Ok(())
    }
}

/// Whether what would be classes beyond the labels are the coefficients of as many masks `[N, M, H, W]`.
fn has_masks(classes: Option<usize>, hints: &DecoderHints) -> bool {
    let beyond = classes.zip(hints.classes).and_then(|(classes, labels)| classes.checked_sub(labels));
    let masks = |spec: &OutputSpec| matches!(spec.dims[..], [_, masks, _, _] if masks.is_some() && masks == beyond);
    hints.outputs.iter().any(masks)
}

/// The layout that everything known about the tensor leaves over. `dims` are those behind the batch.
///
/// The labels may be fewer than the classes, so that their number prefers a layout and excludes none.
fn layout(dims: [Option<usize>; 2], id: &str, hints: &DecoderHints) -> Result<Layout, String> {
    let mut possible = vec![Layout::Channels, Layout::Rows, Layout::RowsWithObjectness];
    possible.retain(|layout| match id {
        OBJECTNESS_ID => *layout == Layout::RowsWithObjectness,
        V8_ID | NORMALIZED_ID => *layout != Layout::RowsWithObjectness,
        _ => true,
    });
    possible.retain(|layout| layout.split(dims).1.is_none_or(|channels| channels > layout.head()));
    if possible.is_empty() {
        return Err("has no room for boxes and classes".into());
    }
    let mut prefer = |better: &dyn Fn(Layout, Option<usize>, Option<usize>) -> bool| {
        let better = |layout: &Layout| {
            let (anchors, channels) = layout.split(dims);
            better(*layout, anchors, channels)
        };
        if possible.iter().any(better) {
            possible.retain(better);
        }
    };
    // Before what is known of the channels: a model that leaves them open has the anchors where they are known.
    prefer(&|layout, anchors, _| anchors.is_some_and(|anchors| layout.fills_grid(anchors, hints)));
    prefer(&|_, _, channels| channels.is_some());
    prefer(&|layout, _, channels| {
        let classes = channels.map(|channels| channels - layout.head());
        classes.is_some() && classes == hints.classes
    });
    prefer(&|_, anchors, channels| anchors.zip(channels).is_some_and(|(anchors, channels)| channels < anchors));
    prefer(&|layout, _, _| layout == Layout::Channels && [V8_ID, NORMALIZED_ID].contains(&id));
    match possible[..] {
        [layout] => Ok(layout),
        _ => {
            Err("may be [N, 4+C, A], [N, A, 4+C] or [N, A, 5+C]: set labels= to tell the number of classes C, or give \
                  the tensor the id yolo-v8-out (4+C) or yolox-out (5+C) in a .modelinfo"
                .into())
        }
    }
}

/// Lifts each of `best` to its score where that is greater, which a NaN never is.
#[inline(always)]
fn raise<T: Real>(best: &mut [f32], scores: &[T]) {
    for (best, score) in best.iter_mut().zip(scores) {
        // One instruction where `f32::max` is several.
        let score = score.real();
        *best = if score > *best { score } else { *best };
    }
}

/// The greatest of the scores. In lanes, so that no comparison waits for the one before.
fn greatest<T: Real>(scores: &[T]) -> f32 {
    let mut best = [f32::NEG_INFINITY; 16];
    for lanes in scores.chunks(best.len()) {
        raise(&mut best, lanes);
    }
    best.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

#[derive(Debug, Clone, Copy)]
struct Scan {
    anchors: usize,
    /// Numbers an anchor.
    channels: usize,
    threshold: f32,
    scale: [f32; 2],
}

impl Scan {
    /// Reads `[channels, anchors]` in the order of the memory: one class after the other for a block of anchors, first
    /// only for the best score of each, and again for the class of the few that pass.
    fn channels_first<T: Real>(&self, data: &[T], candidates: &mut Vec<Candidate>) {
        let at = |channel: usize, anchor: usize| data[channel * self.anchors + anchor].real();
        let scores = &data[4 * self.anchors..];
        for start in (0..self.anchors).step_by(BLOCK) {
            let end = (start + BLOCK).min(self.anchors);
            let mut best = [f32::NEG_INFINITY; BLOCK];
            for class in scores.chunks_exact(self.anchors) {
                raise(&mut best, &class[start..end]);
            }
            for (anchor, _) in (start..end).zip(best).filter(|(_, best)| *best >= self.threshold) {
                let scores = (4..self.channels).map(|channel| at(channel, anchor));
                self.push(anchor, 1.0, scores, [0, 1, 2, 3].map(|channel| at(channel, anchor)), candidates);
            }
        }
    }

    /// Reads `[anchors, channels]`.
    fn rows<T: Real>(&self, data: &[T], head: usize, candidates: &mut Vec<Candidate>) {
        for (anchor, row) in data.chunks_exact(self.channels).enumerate() {
            let (head, scores) = row.split_at(head);
            let &[x, y, w, h, ref objectness @ ..] = head else { return };
            let objectness = objectness.first().map_or(1.0, |objectness| objectness.real());
            // Scores are at most 1: nothing that fails here could pass as a product.
            if objectness >= self.threshold && objectness * greatest(scores) >= self.threshold {
                let scores = scores.iter().map(|score| score.real());
                self.push(anchor, objectness, scores, [x, y, w, h].map(T::real), candidates);
            }
        }
    }

    fn push(
        &self,
        anchor: usize,
        objectness: f32,
        scores: impl Iterator<Item = f32>,
        [x, y, w, h]: [f32; 4],
        candidates: &mut Vec<Candidate>,
    ) {
        let Some((class, score)) = best_class(scores) else { return };
        let confidence = objectness * score;
        if confidence >= self.threshold {
            let [sx, sy] = self.scale;
            candidates.extend(Candidate::from_center(anchor, class, confidence, [x * sx, y * sy, w * sx, h * sy]));
        }
    }
}
