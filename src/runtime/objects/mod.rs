//! The objects that are on a frame, whoever put them there: regions of interest, and from GStreamer 1.24 on analytics
//! metadata. An object that is in both forms comes once.

#[cfg(feature = "v1_24")]
mod analytics;
mod regions;

use std::{borrow::Cow, ffi::CStr};

/// Most objects that are read from one frame, of each form. More than any detector finds, and soon enough read.
const MAX_OBJECTS: usize = 4096;

/// Names of GLib's live as long as the process; others are copied.
pub type Label = Cow<'static, str>;

/// What the metadata of a frame says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Annotations {
    /// In the order in which they are on the buffer: regions, then what is in analytics metadata only.
    pub objects: Vec<Object>,
    /// What is said of the frame as a whole.
    pub classes: Vec<NamedClass>,
}

/// One object. The box is in pixels of the frame, clipped to it, and not empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Empty where there is none.
    pub label: Label,
    pub label_id: Option<u32>,
    /// 0 to 1.
    pub confidence: Option<f32>,
    pub x: f32,
    pub y: f32,
    pub w: f32,
    pub h: f32,
    /// What classifiers say of it.
    pub classes: Vec<NamedClass>,
    pub track_id: Option<u64>,
    /// Which of the buffer's `GstVideoRegionOfInterestMeta` it is, from 0.
    pub region: Option<usize>,
    /// Its `GstAnalyticsODMtd` in the buffer's first `GstAnalyticsRelationMeta`.
    #[cfg(feature = "v1_24")]
    pub mtd: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NamedClass {
    pub label: Label,
    pub label_id: Option<u32>,
    /// 0 to 1.
    pub confidence: Option<f32>,
}

/// A box of whole pixels as the metadata has it, which may be anywhere: left, top, right, bottom.
type Edges = [i64; 4];

impl Annotations {
    /// Reads what is on a frame of `width` x `height` pixels. Boxes that have nothing in the frame are left out, and so
    /// is metadata of other types.
    pub fn read(buffer: &gst::BufferRef, (width, height): (u32, u32)) -> Self {
        let found = regions::read(buffer, (width, height));
        #[cfg(feature = "v1_24")]
        let found = analytics::join(found, buffer, (width, height));
        Self { objects: found.objects, classes: found.classes }
    }
}

/// What was read so far.
#[derive(Default)]
struct Found {
    objects: Vec<Object>,
    /// Of each of `objects`, before it was clipped.
    edges: Vec<Edges>,
    classes: Vec<NamedClass>,
}

/// The part of a box that is in the frame, as `x, y, w, h`. `None` where that is empty.
fn clipped([left, top, right, bottom]: [f64; 4], (width, height): (u32, u32)) -> Option<[f32; 4]> {
    let side = |start: f64, end: f64, limit: u32| {
        let (start, end) = (start.max(0.0), end.min(f64::from(limit)));
        // False for what is not a number as well.
        (end > start).then_some((start as f32, (end - start) as f32))
    };
    let ((x, w), (y, h)) = (side(left, right, width)?, side(top, bottom, height)?);
    Some([x, y, w, h])
}

fn edges(x: i64, y: i64, w: i64, h: i64) -> Edges {
    [x, y, x.saturating_add(w), y.saturating_add(h)]
}

/// Whoever measures confidence in another way than from 0 to 1 gets the nearest of these.
fn sane_confidence(confidence: f64) -> Option<f32> {
    (!confidence.is_nan()).then(|| confidence.clamp(0.0, 1.0) as f32)
}

/// The text of a quark of anybody's, who may have set none, or one that is not UTF-8.
fn quark_label(quark: glib::ffi::GQuark) -> Option<Label> {
    // SAFETY: it answers NULL to 0 and to numbers that are no quarks.
    let text = unsafe { glib::ffi::g_quark_to_string(quark) };
    if text.is_null() {
        return None;
    }
    // SAFETY: it is not NULL, ends with a zero, and the text of a quark lives for ever and does not change.
    let label = unsafe { CStr::from_ptr::<'static>(text) }.to_string_lossy();
    (!label.is_empty()).then_some(label)
}

#[cfg(test)]
mod tests;
