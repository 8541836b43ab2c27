//! Results as `GstAnalyticsRelationMeta`, which GStreamer's own overlays and trackers read from 1.24 on.

use std::borrow::Cow;

use glib::Quark;
use gst_analytics::{AnalyticsRelationMeta, AnalyticsRelationMetaInitParams, RelTypes, prelude::*};

use super::roi::whole_pixels;
use crate::{
    inference::{Class, Output},
    runtime::{Answer, Item},
};

/// Room for an object with its header, in bytes. What needs more gets more: it is only where growing begins.
const ENTRY: usize = 72;

/// Adds what was found in a frame of `width` x `height` pixels to what is there already. `label` names a class by its
/// number.
pub fn attach<'a>(
    buffer: &mut gst::BufferRef,
    (width, height): (u32, u32),
    output: &Output,
    label: impl Fn(u32) -> Cow<'a, str>,
) -> Result<(), glib::BoolError> {
    let quark = |label_id| Quark::from_str(&*label(label_id));
    if buffer.meta::<AnalyticsRelationMeta>().is_none() {
        let entries = output.objects.as_ref().map_or(0, Vec::len) + 1;
        AnalyticsRelationMeta::add_full(buffer, &AnalyticsRelationMetaInitParams::new(entries, entries * ENTRY));
    }
    let Some(mut relations) = buffer.meta_mut::<AnalyticsRelationMeta>() else { return Ok(()) };
    for object in output.objects.iter().flatten() {
        let (x, y, w, h) = whole_pixels(object, width, height);
        let pixels = |length: u32| i32::try_from(length).unwrap_or(i32::MAX);
        let kind = quark(object.label_id);
        relations.add_od_mtd(kind, pixels(x), pixels(y), pixels(w), pixels(h), object.confidence)?;
    }
    if let Some(classes) = output.classes.as_deref().filter(|classes| !classes.is_empty()) {
        let (levels, quarks): (Vec<f32>, Vec<Quark>) =
            classes.iter().map(|class| (class.confidence, quark(class.label_id))).unzip();
        relations.add_cls_mtd(&levels, &quarks)?;
    }
    Ok(())
}

/// Adds the classes of objects, each related to the detection that it is of.
pub fn attach_to_objects<'a>(
    buffer: &mut gst::BufferRef,
    items: impl Iterator<Item = &'a Item>,
) -> Result<(), glib::BoolError> {
    let Some(mut relations) = buffer.meta_mut::<AnalyticsRelationMeta>() else { return Ok(()) };
    for item in items {
        let (Some(object), Some(Answer { model, classes, .. })) = (item.mtd, item.answer.as_deref()) else { continue };
        if !classes.is_empty() {
            classify(&mut relations, object, classes, |label| model.label(label))?;
        }
    }
    Ok(())
}

/// Relations are looked for from the object by some and from its classes by others.
fn classify<'a>(
    relations: &mut gst::MetaRefMut<AnalyticsRelationMeta, gst::meta::Standalone>,
    object: u32,
    classes: &[Class],
    label: impl Fn(u32) -> Cow<'a, str>,
) -> Result<(), glib::BoolError> {
    let quark = |class: &Class| Quark::from_str(&*label(class.label_id));
    let (levels, quarks): (Vec<f32>, Vec<Quark>) = classes.iter().map(|class| (class.confidence, quark(class))).unzip();
    let classification = relations.add_cls_mtd(&levels, &quarks)?.id();
    relations.set_relation(RelTypes::RELATE_TO, object, classification)?;
    relations.set_relation(RelTypes::RELATE_TO, classification, object)
}

#[cfg(test)]
mod tests {
    use gst_analytics::{AnalyticsClassificationMtd, AnalyticsODMtd};

    use super::*;
    use crate::inference::Detection;

    fn label(id: u32) -> Cow<'static, str> {
        ["circle", "square"].get(id as usize).map_or_else(|| id.to_string().into(), |name| (*name).into())
    }

    #[test]
    fn objects_and_classes_join_what_others_said() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.make_mut();
        AnalyticsRelationMeta::add(buffer).add_od_mtd(Quark::from_str("theirs"), 1, 2, 3, 4, 0.5).unwrap();
        let output = Output {
            objects: Some(vec![Detection { label_id: 1, confidence: 0.75, x: 10.4, y: 20.6, w: 30.0, h: 40.0 }]),
            classes: Some(vec![Class { label_id: 7, confidence: 0.75 }, Class { label_id: 0, confidence: 0.25 }]),
            ..Output::default()
        };
        attach(buffer, (200, 100), &output, label).unwrap();
        assert_eq!(buffer.iter_meta::<AnalyticsRelationMeta>().count(), 1);
        let relations = buffer.meta::<AnalyticsRelationMeta>().unwrap();
        let objects: Vec<_> = relations
            .iter::<AnalyticsODMtd>()
            .map(|object| {
                let place = object.location().unwrap();
                let bounds = (place.x, place.y, place.w, place.h);
                (object.obj_type().unwrap().as_str().to_string(), bounds, place.loc_conf_lvl)
            })
            .collect();
        let expected = [("theirs".to_owned(), (1, 2, 3, 4), 0.5), ("square".to_owned(), (10, 21, 30, 40), 0.75)];
        assert_eq!(objects, expected);
        let classes = relations.iter::<AnalyticsClassificationMtd>().next().unwrap();
        let classes: Vec<_> =
            (0..classes.len()).map(|n| (classes.quark(n).as_str().to_string(), classes.level(n))).collect();
        assert_eq!(classes, [("7".to_owned(), 0.75), ("circle".to_owned(), 0.25)]);
    }

    #[test]
    fn classes_of_an_object_are_related_to_it_both_ways() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        let buffer = buffer.make_mut();
        let mut relations = AnalyticsRelationMeta::add(buffer);
        let kind = Quark::from_str("theirs");
        let ids = [1, 20].map(|x| relations.add_od_mtd(kind, x, 2, 3, 4, 0.5).unwrap().id());
        let classes = vec![Class { label_id: 1, confidence: 0.75 }, Class { label_id: 0, confidence: 0.25 }];
        classify(&mut relations, ids[1], &classes, label).unwrap();
        let relations = buffer.meta::<AnalyticsRelationMeta>().unwrap();
        let of_object = |id| relations.iter_direct_related::<AnalyticsClassificationMtd>(id, RelTypes::RELATE_TO);
        assert_eq!(of_object(ids[0]).count(), 0);
        let classes = of_object(ids[1]).next().unwrap();
        let levels: Vec<_> = (0..classes.len()).map(|index| classes.level(index)).collect();
        assert_eq!(levels, [0.75, 0.25]);
        let back = relations.iter_direct_related::<AnalyticsODMtd>(classes.id(), RelTypes::RELATE_TO).next().unwrap();
        assert_eq!(back.id(), ids[1]);
    }
}
