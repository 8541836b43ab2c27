//! Object detections in `GstAnalyticsRelationMeta`, with the classifications and tracks that are related to them.

use std::collections::{BTreeSet, HashMap, HashSet};

use glib::translate::{IntoGlib, UnsafeFrom};
use gst_analytics::{
    AnalyticsClassificationMtd, AnalyticsMtd, AnalyticsMtdRef, AnalyticsODMtd, AnalyticsRelationMeta,
    AnalyticsTrackingMtd, RelTypes, ffi, prelude::*,
};

use super::{Edges, Found, Label, MAX_OBJECTS, NamedClass, Object, clipped, edges, quark_label, sane_confidence};

type Relations<'a> = gst::MetaRef<'a, AnalyticsRelationMeta>;

/// Adds what is in the buffer's analytics metadata to what its regions say.
pub fn join(mut found: Found, buffer: &gst::BufferRef, frame: (u32, u32)) -> Found {
    let Some(relations) = buffer.meta::<AnalyticsRelationMeta>() else { return found };
    let regions = ByLeft::new(&found.edges);
    let mut is_joined = vec![false; found.objects.len()];
    let classifications = related::<AnalyticsClassificationMtd>(&relations);
    let tracks = related::<AnalyticsTrackingMtd>(&relations);
    for detection in relations.iter::<AnalyticsODMtd>().take(MAX_OBJECTS) {
        let Ok(place) = detection.location() else { continue };
        let edges = edges(place.x.into(), place.y.into(), place.w.into(), place.h.into());
        let Some([x, y, w, h]) = clipped(edges.map(|edge| edge as f64), frame) else { continue };
        let label = object_type(&detection).unwrap_or_default();
        let id = detection.id();
        let classes =
            of_object(&classifications, id).filter_map(|id| relations.mtd(id)).flat_map(|mtd| classes(&mtd)).collect();
        let track_id = of_object(&tracks, id).filter_map(|id| relations.mtd(id)).find_map(|mtd| track_id(&mtd));
        let is_same = |region: usize| !is_joined[region] && found.objects[region].label == label;
        if let Some((_, region)) = regions.near(&edges).filter(|&(_, region)| is_same(region)).min() {
            is_joined[region] = true;
            let object = &mut found.objects[region];
            object.confidence = object.confidence.or_else(|| sane_confidence(place.loc_conf_lvl.into()));
            object.track_id = object.track_id.or(track_id);
            object.mtd = Some(id);
            add_classes(&mut object.classes, classes);
            continue;
        }
        found.objects.push(Object {
            label,
            label_id: None,
            confidence: sane_confidence(place.loc_conf_lvl.into()),
            x,
            y,
            w,
            h,
            classes,
            track_id,
            region: None,
            mtd: Some(id),
        });
    }
    let of_objects: HashSet<u32> = classifications.iter().map(|&(_, id)| id).collect();
    let of_frame = relations.iter::<AnalyticsClassificationMtd>().filter(|mtd| !of_objects.contains(&mtd.id()));
    add_classes(&mut found.classes, of_frame.flat_map(|mtd| classes(&mtd)).collect());
    found
}

/// Boxes by where they begin, so that a thousand are not compared with a thousand.
struct ByLeft {
    boxes: Vec<(Edges, usize)>,
}

impl ByLeft {
    fn new(boxes: &[Edges]) -> Self {
        let mut boxes: Vec<_> = boxes.iter().copied().zip(0..).collect();
        boxes.sort_unstable();
        Self { boxes }
    }

    /// The numbers of the boxes that lie within a pixel of `edges`, behind how far off they are.
    fn near(&self, edges: &Edges) -> impl Iterator<Item = (u64, usize)> {
        let left = edges[0];
        let first = self.boxes.partition_point(|(other, _)| other[0] < left - 1);
        let begins_there = self.boxes.iter().skip(first).take_while(move |(other, _)| other[0] <= left + 1);
        let edges = *edges;
        begins_there.filter_map(move |&(other, number)| {
            let apart = other.into_iter().zip(edges).map(|(a, b)| a.abs_diff(b));
            apart.clone().all(|apart| apart <= 1).then(|| (apart.sum(), number))
        })
    }
}

/// Pairs of an object and something of type `T` that are related, whichever of both says so.
fn related<T: AnalyticsMtd>(relations: &Relations) -> BTreeSet<(u32, u32)> {
    let any = RelTypes::ANY;
    let by_object = relations.iter::<AnalyticsODMtd>().flat_map(|object| {
        let id = object.id();
        relations.iter_direct_related::<T>(id, any).map(move |other| (id, other.id()))
    });
    let by_other = relations.iter::<T>().flat_map(|other| {
        let id = other.id();
        relations.iter_direct_related::<AnalyticsODMtd>(id, any).map(move |object| (object.id(), id))
    });
    by_object.chain(by_other).collect()
}

/// What `pairs` relate to `object`.
fn of_object(pairs: &BTreeSet<(u32, u32)>, object: u32) -> impl Iterator<Item = u32> {
    pairs.range((object, 0)..=(object, u32::MAX)).map(|&(_, other)| other)
}

fn object_type(object: &AnalyticsMtdRef<AnalyticsODMtd>) -> Option<Label> {
    object.obj_type().and_then(|quark| quark_label(quark.into_glib()))
}

/// Not by the bindings, which take for granted that each class has a name.
fn classes(classification: &AnalyticsMtdRef<AnalyticsClassificationMtd>) -> Vec<NamedClass> {
    // SAFETY: the reference that it is made of outlives it.
    let mtd = unsafe { ffi::GstAnalyticsMtd::unsafe_from(classification) };
    let mtd: *const ffi::GstAnalyticsClsMtd = (&raw const mtd).cast();
    let class = |index| {
        // SAFETY: a classification's type is the same as that of any other metadata, and it has more classes than `index`.
        let (level, quark) = unsafe {
            (ffi::gst_analytics_cls_mtd_get_level(mtd, index), ffi::gst_analytics_cls_mtd_get_quark(mtd, index))
        };
        Some(NamedClass { label: quark_label(quark)?, label_id: None, confidence: sane_confidence(level.into()) })
    };
    (0..classification.len()).filter_map(class).collect()
}

/// Not by the bindings, which take for granted that it was seen at some time.
fn track_id(track: &AnalyticsMtdRef<AnalyticsTrackingMtd>) -> Option<u64> {
    let (mut id, mut first_seen, mut last_seen, mut lost) = (0, 0, 0, glib::ffi::GFALSE);
    // SAFETY: the reference that it is made of outlives it; a track's type is the same as that of any other metadata, and
    // all it writes is in the four variables.
    let known = unsafe {
        let mtd = ffi::GstAnalyticsMtd::unsafe_from(track);
        ffi::gst_analytics_tracking_mtd_get_info(
            (&raw const mtd).cast(),
            &mut id,
            &mut first_seen,
            &mut last_seen,
            &mut lost,
        )
    };
    (known != glib::ffi::GFALSE).then_some(id)
}

/// Adds classes but for those that are there already, as they are where one classifier writes both forms.
fn add_classes(known: &mut Vec<NamedClass>, more: Vec<NamedClass>) {
    if known.is_empty() {
        *known = more;
        return;
    }
    let new: Vec<_> = {
        let there: HashMap<&str, Option<f32>> = known.iter().map(|class| (&*class.label, class.confidence)).collect();
        let is_new = |class: &NamedClass| match (there.get(&*class.label), class.confidence) {
            (None, _) => true,
            (Some(Some(known)), Some(confidence)) => (known - confidence).abs() > 1e-3,
            (Some(_), _) => false,
        };
        more.into_iter().filter(is_new).collect()
    };
    known.extend(new);
}
