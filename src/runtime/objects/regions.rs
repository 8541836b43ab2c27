//! Regions of interest: ours as `docs/metadata.md` has them, DL Streamer's, and those that say no more than where.

use gst_video::VideoRegionOfInterestMeta;

use super::{Found, Label, MAX_OBJECTS, NamedClass, Object, clipped, edges, quark_label, sane_confidence};

/// The structure with what a detector says of its object.
const DETECTION: &str = "detection";
/// One structure for each class, where a classifier says several.
const CLASSIFICATION: &str = "classification";
/// DL Streamer's structure with the number of a track, in `id`.
const OBJECT_ID: &str = "object_id";

pub fn read(buffer: &gst::BufferRef, frame: (u32, u32)) -> Found {
    let mut found = Found::default();
    for (index, region) in buffer.iter_meta::<VideoRegionOfInterestMeta>().enumerate().take(MAX_OBJECTS) {
        let (x, y, w, h) = region.rect();
        let edges = edges(x.into(), y.into(), w.into(), h.into());
        let said = Said::by(&region);
        let covers_frame = x == 0 && y == 0 && w >= frame.0 && h >= frame.1;
        if covers_frame && said.detection.is_none() && !said.classes.is_empty() {
            found.classes.extend(said.classes);
            continue;
        }
        let rect = edges.map(|edge| edge as f64);
        let finer = said.detection.and_then(|detection| finer_edges(detection, frame)).filter(|finer| {
            // The region may have been scaled or moved since, which nobody does to its parameters.
            finer.iter().zip(rect).all(|(finer, whole)| (finer - whole).abs() <= 1.0)
        });
        let Some([x, y, w, h]) = clipped(finer.unwrap_or(rect), frame) else { continue };
        found.edges.push(edges);
        found.objects.push(Object {
            label: said.label.unwrap_or_default(),
            label_id: said.detection.and_then(label_id),
            confidence: said.detection.and_then(confidence),
            x,
            y,
            w,
            h,
            classes: said.classes,
            track_id: said.track_id,
            region: Some(index),
            #[cfg(feature = "v1_24")]
            mtd: None,
        });
    }
    found
}

/// What the parameters of one region say.
struct Said<'a> {
    label: Option<Label>,
    /// Of the object itself.
    detection: Option<&'a gst::StructureRef>,
    classes: Vec<NamedClass>,
    track_id: Option<u64>,
}

impl<'a> Said<'a> {
    fn by(region: &'a VideoRegionOfInterestMeta) -> Self {
        let label = region_type(region);
        let detection = region.param(DETECTION).or_else(|| {
            // Under a name that we do not know: of the object itself is what says nothing else than its label.
            let of_object = |param: &&gst::StructureRef| {
                param.name() != CLASSIFICATION
                    && param.has_field("confidence")
                    && text(param, "label").is_none_or(|text| Some(text) == label.as_deref())
            };
            region.params().find(of_object)
        });
        let mut said = Self { label, detection, classes: Vec::new(), track_id: None };
        for param in region.params() {
            if said.detection.is_some_and(|detection| std::ptr::eq(detection, param)) || param.name() == DETECTION {
                continue;
            }
            if param.name() == OBJECT_ID {
                said.track_id = said.track_id.or_else(|| whole(param, "id"));
            } else if let Some(label) = text(param, "label") {
                said.classes.push(NamedClass {
                    label: label.to_owned().into(),
                    label_id: label_id(param),
                    confidence: confidence(param),
                });
            }
        }
        if said.label.is_none() {
            said.label =
                said.detection.and_then(|detection| text(detection, "label")).map(|text| text.to_owned().into());
        }
        said
    }
}

fn region_type(region: &VideoRegionOfInterestMeta) -> Option<Label> {
    // `roi_type` of the bindings takes for granted that there is one.
    // SAFETY: the type is a transparent wrapper of the C structure, and the borrow keeps it alive.
    let raw = unsafe { &*std::ptr::from_ref(region).cast::<gst_video::ffi::GstVideoRegionOfInterestMeta>() };
    quark_label(raw.roi_type)
}

/// The box as our own parameters and those of DL Streamer have it, in parts of the frame.
fn finer_edges(detection: &gst::StructureRef, (width, height): (u32, u32)) -> Option<[f64; 4]> {
    let edge = |name, length: u32| Some(number(detection, name)? * f64::from(length));
    Some([edge("x_min", width)?, edge("y_min", height)?, edge("x_max", width)?, edge("y_max", height)?])
}

fn confidence(param: &gst::StructureRef) -> Option<f32> {
    number(param, "confidence").and_then(sane_confidence)
}

fn label_id(param: &gst::StructureRef) -> Option<u32> {
    whole(param, "label_id").and_then(|id| u32::try_from(id).ok())
}

fn text<'a>(param: &'a gst::StructureRef, name: &str) -> Option<&'a str> {
    param.get::<&str>(name).ok().filter(|text| !text.is_empty())
}

/// Any type of number that there is.
fn number(param: &gst::StructureRef, name: &str) -> Option<f64> {
    param.value(name).ok()?.transform::<f64>().ok()?.get().ok()
}

/// A number of any type of integers; none that is negative.
fn whole(param: &gst::StructureRef, name: &str) -> Option<u64> {
    let value = param.value(name).ok()?;
    if !value.type_().is_a(glib::Type::U64) {
        let signed = value.transform::<i64>().ok()?.get::<i64>().ok()?;
        return u64::try_from(signed).ok();
    }
    value.get().ok()
}
