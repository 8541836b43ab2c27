//! Objects and classes as a result tells them, whoever found them.

use std::borrow::Cow;

use serde::Serialize;

use super::objects::{NamedClass, Object};
use crate::inference::{Class, Detection, ModelDescription};

/// What is not known is left out.
#[derive(Serialize)]
pub struct ToldObject<'a> {
    label: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f32>,
    x: f32,
    y: f32,
    w: f32,
    h: f32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    classes: Vec<ToldClass<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    track_id: Option<u64>,
}

#[derive(Serialize)]
pub struct ToldClass<'a> {
    label: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f32>,
}

impl<'a> ToldObject<'a> {
    pub fn detected(object: &Detection, model: &'a ModelDescription) -> Self {
        let &Detection { label_id, confidence, x, y, w, h } = object;
        let (label, classes) = (model.label(label_id), Vec::new());
        Self { label, label_id: Some(label_id), confidence: Some(confidence), x, y, w, h, classes, track_id: None }
    }

    pub fn to_value(&self) -> glib::SendValue {
        let mut structure = gst::Structure::builder("object")
            .field("label", &*self.label)
            .field_if_some("label-id", self.label_id)
            .field_if_some("confidence", self.confidence)
            .field("x", self.x)
            .field("y", self.y)
            .field("w", self.w)
            .field("h", self.h)
            .field_if_some("track-id", self.track_id);
        if !self.classes.is_empty() {
            structure = structure.field("classes", gst::Array::new(self.classes.iter().map(ToldClass::to_value)));
        }
        glib::SendValue::from_owned(structure.build())
    }
}

impl<'a> From<&'a Object> for ToldObject<'a> {
    fn from(object: &'a Object) -> Self {
        Self {
            label: Cow::Borrowed(&object.label),
            label_id: object.label_id,
            confidence: object.confidence,
            x: object.x,
            y: object.y,
            w: object.w,
            h: object.h,
            classes: object.classes.iter().map(Into::into).collect(),
            track_id: object.track_id,
        }
    }
}

impl<'a> ToldClass<'a> {
    pub fn inferred(class: &Class, model: &'a ModelDescription) -> Self {
        let &Class { label_id, confidence } = class;
        Self { label: model.label(label_id), label_id: Some(label_id), confidence: Some(confidence) }
    }

    pub fn to_value(&self) -> glib::SendValue {
        let structure = gst::Structure::builder("class")
            .field("label", &*self.label)
            .field_if_some("label-id", self.label_id)
            .field_if_some("confidence", self.confidence)
            .build();
        glib::SendValue::from_owned(structure)
    }
}

impl<'a> From<&'a NamedClass> for ToldClass<'a> {
    fn from(class: &'a NamedClass) -> Self {
        Self { label: Cow::Borrowed(&class.label), label_id: class.label_id, confidence: class.confidence }
    }
}
