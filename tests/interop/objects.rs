//! The objects on a frame as any element of GStreamer reads them.

use gst_analytics::{AnalyticsODMtd, AnalyticsRelationMeta, prelude::*};

#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    pub label: String,
    pub bounds: [i32; 4],
    pub confidence: f32,
}

#[cfg(feature = "v1_26")]
impl Object {
    /// Whether the other is the same but for rounding: each edge by a pixel or two.
    pub fn is_same_box(&self, other: &Self) -> bool {
        let edges = |[x, y, w, h]: [i32; 4]| [x, y, x + w, y + h];
        edges(self.bounds).into_iter().zip(edges(other.bounds)).all(|(one, other)| (one - other).abs() <= 2)
            && (self.confidence - other.confidence).abs() < 1e-3
    }
}

pub fn objects(frame: &gst::Sample) -> Vec<Object> {
    let Some(relations) = frame.buffer().unwrap().meta::<AnalyticsRelationMeta>() else { return Vec::new() };
    let objects = relations.iter::<AnalyticsODMtd>().map(|object| {
        let place = object.location().unwrap();
        let label = object.obj_type().map_or_else(String::new, |label| label.as_str().to_string());
        Object { label, bounds: [place.x, place.y, place.w, place.h], confidence: place.loc_conf_lvl }
    });
    objects.collect()
}
