//! Results as regions of interest on a buffer: `docs/metadata.md` describes them for who reads them.

use std::{borrow::Cow, ops::ControlFlow};

use glib::prelude::*;

use crate::{
    inference::{Detection, Output},
    runtime::{Answer, Item},
};

/// Adds what was found in a frame of `width` x `height` pixels. `label` names a class by its number.
pub fn attach<'a>(
    buffer: &mut gst::BufferRef,
    (width, height): (u32, u32),
    processor_id: &str,
    output: &Output,
    label: impl Fn(u32) -> Cow<'a, str>,
) {
    let mut kinds = Kinds::default();
    for object in output.objects.iter().flatten() {
        let (label, detection) = kinds.detection(processor_id, object.label_id, &label, numbers(object, width, height));
        let rect = whole_pixels(object, width, height);
        gst_video::VideoRegionOfInterestMeta::add(buffer, label, rect).add_param(detection);
    }
    let Some((best, _)) = output.classes.as_deref().and_then(<[_]>::split_first) else { return };
    let mut roi = gst_video::VideoRegionOfInterestMeta::add(buffer, &label(best.label_id), (0, 0, width, height));
    for class in output.classes.iter().flatten() {
        let label = label(class.label_id);
        roi.add_param(classification(processor_id, &label, class.label_id, class.confidence));
    }
}

/// Adds the classes of objects to the regions that they are.
pub fn attach_to_objects<'a>(buffer: &mut gst::BufferRef, items: impl Iterator<Item = &'a Item>) {
    // In the order of the regions, as they were read.
    let mut items = items.filter_map(|item| Some((item.region_meta?, item.answer.as_deref()?))).peekable();
    for (index, mut roi) in buffer.iter_meta_mut::<gst_video::VideoRegionOfInterestMeta>().enumerate() {
        let Some((_, Answer { model, processor_id, classes })) = items.next_if(|(region, _)| *region == index) else {
            continue;
        };
        for class in classes {
            let label = model.label(class.label_id);
            roi.add_param(classification(processor_id, &label, class.label_id, class.confidence));
        }
    }
}

/// Whether [`attach`] would add anything.
pub fn has_any(output: &Output) -> bool {
    output.objects.as_ref().is_some_and(|objects| !objects.is_empty())
        || output.classes.as_ref().is_some_and(|classes| !classes.is_empty())
}

/// The fields of a detection that differ from object to object, in their order.
const NUMBERS: [&str; 5] = ["confidence", "x_min", "x_max", "y_min", "y_max"];

/// Their values; the edges are parts of the frame's sides.
fn numbers(object: &Detection, width: u32, height: u32) -> [f64; NUMBERS.len()] {
    let Detection { x, y, w, h, confidence, .. } = *object;
    let across = |x: f32| f64::from(x) / f64::from(width);
    let down = |y: f32| f64::from(y) / f64::from(height);
    [f64::from(confidence), across(x), across(x + w), down(y), down(y + h)]
}

/// The kinds of objects on a frame, each with what all detections of it have in common: to copy a structure and to change
/// its numbers takes half of the time that it takes to put one together.
#[derive(Default)]
struct Kinds<'a>(Vec<(u32, Cow<'a, str>, gst::Structure)>);

impl<'a> Kinds<'a> {
    /// The label, and a detection.
    fn detection(
        &mut self,
        processor_id: &str,
        label_id: u32,
        label: impl Fn(u32) -> Cow<'a, str>,
        numbers: [f64; NUMBERS.len()],
    ) -> (&str, gst::Structure) {
        let known = self.0.iter().position(|(id, ..)| *id == label_id);
        let index = known.unwrap_or_else(|| {
            let label = label(label_id);
            let detection = described("detection", processor_id, &label, label_id);
            let detection = NUMBERS.iter().fold(detection, |detection, number| detection.field(*number, 0.0));
            self.0.push((label_id, label, detection.build()));
            self.0.len() - 1
        });
        let (_, label, detection) = &self.0[index];
        let mut detection = detection.clone();
        // To look each of them up by its name takes longer than all else here.
        let mut numbers = numbers.into_iter();
        _ = detection.map_in_place(|_, value| {
            if value.is::<f64>()
                && let Some(number) = numbers.next()
            {
                *value = number.to_value();
            }
            ControlFlow::Continue(())
        });
        (label, detection)
    }
}

fn classification(processor_id: &str, label: &str, label_id: u32, confidence: f32) -> gst::Structure {
    described("classification", processor_id, label, label_id).field("confidence", f64::from(confidence)).build()
}

fn described(name: &str, processor_id: &str, label: &str, label_id: u32) -> gst::structure::Builder {
    gst::Structure::builder(name)
        .field("processor_id", processor_id)
        .field("label", label)
        // As DL Streamer has it; no model has so many classes that it would not fit.
        .field("label_id", i32::try_from(label_id).unwrap_or(i32::MAX))
}

/// The box by whole pixels, `(x, y, w, h)`: its edges rounded, at least one pixel, inside the frame.
pub fn whole_pixels(object: &Detection, width: u32, height: u32) -> (u32, u32, u32, u32) {
    let side = |start: f32, length: f32, limit: u32| {
        let first = (start.round().max(0.0) as u32).min(limit.saturating_sub(1));
        let end = ((start + length).round() as u32).min(limit).max(first + 1);
        (first, end - first)
    };
    let (x, w) = side(object.x, object.w, width);
    let (y, h) = side(object.y, object.h, height);
    (x, y, w, h)
}

#[cfg(test)]
mod tests {
    use gst_video::VideoRegionOfInterestMeta;

    use super::*;
    use crate::inference::Class;

    fn label(id: u32) -> Cow<'static, str> {
        ["circle", "square"].get(id as usize).map_or_else(|| id.to_string().into(), |name| (*name).into())
    }

    fn object(x: f32, y: f32, w: f32, h: f32) -> Detection {
        Detection { label_id: 1, confidence: 0.5, x, y, w, h }
    }

    #[test]
    fn each_object_is_a_region_with_its_detection() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let objects = vec![object(10.4, 20.6, 30.0, 40.0), Detection { label_id: 7, ..object(0.0, 0.0, 200.0, 100.0) }];
        let output = Output { objects: Some(objects), ..Output::default() };
        assert!(has_any(&output));
        attach(buffer.make_mut(), (200, 100), "det", &output, label);
        let rois: Vec<_> = buffer.iter_meta::<VideoRegionOfInterestMeta>().collect();
        assert_eq!(rois.len(), 2);
        assert_eq!((rois[0].roi_type(), rois[0].rect()), ("square", (10, 21, 30, 40)));
        let detection = rois[0].param("detection").unwrap();
        assert_eq!(detection.get::<String>("label").unwrap(), "square");
        assert_eq!(detection.get::<String>("processor_id").unwrap(), "det");
        assert_eq!(detection.get::<i32>("label_id").unwrap(), 1);
        assert_eq!(detection.get::<f64>("confidence").unwrap(), 0.5);
        let edge = |name| detection.get::<f64>(name).unwrap();
        assert!((edge("x_min") - 0.052).abs() < 1e-6 && (edge("x_max") - 0.202).abs() < 1e-6);
        assert!((edge("y_min") - 0.206).abs() < 1e-6 && (edge("y_max") - 0.606).abs() < 1e-6);
        assert_eq!((rois[1].roi_type(), rois[1].rect()), ("7", (0, 0, 200, 100)), "a class without a label");
    }

    #[test]
    fn classes_are_on_one_region_over_the_frame_the_best_first() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let classes = vec![Class { label_id: 1, confidence: 0.75 }, Class { label_id: 0, confidence: 0.25 }];
        let output = Output { classes: Some(classes), ..Output::default() };
        attach(buffer.make_mut(), (64, 48), "cls", &output, label);
        let rois: Vec<_> = buffer.iter_meta::<VideoRegionOfInterestMeta>().collect();
        assert_eq!(rois.len(), 1);
        assert_eq!((rois[0].roi_type(), rois[0].rect()), ("square", (0, 0, 64, 48)));
        let labels: Vec<_> = rois[0].params().map(|param| param.get::<String>("label").unwrap()).collect();
        assert_eq!(labels, ["square", "circle"]);
        assert_eq!(rois[0].param("classification").unwrap().get::<f64>("confidence").unwrap(), 0.75);
    }

    #[test]
    fn what_found_nothing_adds_nothing() {
        gst::init().unwrap();
        let output = Output { objects: Some(Vec::new()), classes: Some(Vec::new()), tensors: Some(Vec::new()) };
        let mut buffer = gst::Buffer::new();
        attach(buffer.make_mut(), (64, 48), "det", &output, label);
        assert!(!has_any(&output) && buffer.iter_meta::<VideoRegionOfInterestMeta>().next().is_none());
    }

    #[test]
    fn a_region_has_at_least_a_pixel_and_stays_inside() {
        assert_eq!(whole_pixels(&object(5.0, 5.0, 0.1, 0.1), 10, 10), (5, 5, 1, 1));
        assert_eq!(whole_pixels(&object(9.9, 9.9, 0.1, 0.1), 10, 10), (9, 9, 1, 1));
        assert_eq!(whole_pixels(&object(0.0, 0.0, 1.0, 1.0), 1, 1), (0, 0, 1, 1));
    }
}
