//! A result as it is told: the `nv-result` structure, and the same as one line of JSON.

use std::sync::Arc;

use half::f16;
use serde::{Serialize, Serializer};

use super::{
    clock,
    counters::Timing,
    feed::{Frame, Inferred},
};
use crate::inference::{Class, Detection, Tensor, TensorData};

/// What the processor says about one frame of one feed.
pub struct FrameResult<'a> {
    feed_id: u64,
    feed_name: &'a str,
    frame: &'a Frame,
    inferred: &'a Inferred,
    /// Nanoseconds since the epoch.
    time: u64,
}

impl<'a> FrameResult<'a> {
    /// Dated now, unless it was told already.
    pub fn new(feed_id: u64, feed_name: &'a str, frame: &'a Frame, inferred: &'a Inferred) -> Self {
        let told = inferred.told.as_ref().and_then(|told| told.get("time").ok());
        Self { feed_id, feed_name, frame, inferred, time: told.unwrap_or_else(clock::wall_clock) }
    }

    /// As [`FrameResult::to_structure`], built once for everybody who wants it.
    pub fn shared_structure(&self) -> Arc<gst::Structure> {
        self.inferred.told.clone().unwrap_or_else(|| Arc::new(self.to_structure()))
    }

    /// `nv-result`; field names have `-` where JSON has `_`. Lists are `GstValueArray`s.
    pub fn to_structure(&self) -> gst::Structure {
        let (frame, output) = (self.frame, &self.inferred.output);
        let mut structure = gst::Structure::builder("nv-result")
            .field("feed-id", self.feed_id)
            .field("feed-name", self.feed_name)
            .field("processor-id", &*self.inferred.processor_id)
            .field("frame", frame.number)
            .field_if_some("pts", frame.pts.map(gst::ClockTime::nseconds))
            .field_if_some("running-time", frame.running_time.map(gst::ClockTime::nseconds))
            .field("time", self.time)
            .field("width", frame.caps.info.width())
            .field("height", frame.caps.info.height());
        if let Some(objects) = &output.objects {
            structure = structure.field("objects", gst::Array::new(objects.iter().map(|object| self.object(object))));
        }
        if let Some(classes) = &output.classes {
            structure = structure.field("classes", gst::Array::new(classes.iter().map(|class| self.class(class))));
        }
        if let Some(tensors) = &output.tensors {
            structure = structure.field("tensors", gst::Array::new(tensors.iter().map(tensor)));
        }
        structure.field("timing", timing(&self.inferred.timing)).build()
    }

    /// One JSON object without line breaks; numbers that are not finite are `null`.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let (frame, output) = (self.frame, &self.inferred.output);
        let labelled = |label_id: u32| self.inferred.model.label(label_id);
        serde_json::to_string(&Json {
            feed_id: self.feed_id,
            feed_name: self.feed_name,
            processor_id: &self.inferred.processor_id,
            frame: frame.number,
            pts: frame.pts.map(gst::ClockTime::nseconds),
            running_time: frame.running_time.map(gst::ClockTime::nseconds),
            time: self.time,
            width: frame.caps.info.width(),
            height: frame.caps.info.height(),
            objects: output.objects.as_ref().map(|objects| {
                let object = |&Detection { label_id, confidence, x, y, w, h }: &Detection| JsonObject {
                    label: labelled(label_id),
                    label_id,
                    confidence,
                    x,
                    y,
                    w,
                    h,
                };
                objects.iter().map(object).collect()
            }),
            classes: output.classes.as_ref().map(|classes| {
                let class = |&Class { label_id, confidence }: &Class| JsonClass {
                    label: labelled(label_id),
                    label_id,
                    confidence,
                };
                classes.iter().map(class).collect()
            }),
            tensors: output.tensors.as_ref().map(|tensors| {
                let tensor = |tensor: &'a Tensor| JsonTensor {
                    name: &tensor.name,
                    r#type: type_name(&tensor.data),
                    dims: &tensor.dims,
                    data: JsonData(&tensor.data),
                };
                tensors.iter().map(tensor).collect()
            }),
            timing: JsonTiming::from(&self.inferred.timing),
        })
    }

    fn object(&self, object: &Detection) -> glib::SendValue {
        let structure = gst::Structure::builder("object")
            .field("label", &*self.inferred.model.label(object.label_id))
            .field("label-id", object.label_id)
            .field("confidence", object.confidence)
            .field("x", object.x)
            .field("y", object.y)
            .field("w", object.w)
            .field("h", object.h)
            .build();
        glib::SendValue::from(&structure)
    }

    fn class(&self, class: &Class) -> glib::SendValue {
        let structure = gst::Structure::builder("class")
            .field("label", &*self.inferred.model.label(class.label_id))
            .field("label-id", class.label_id)
            .field("confidence", class.confidence)
            .build();
        glib::SendValue::from(&structure)
    }
}

fn timing(timing: &Timing) -> gst::Structure {
    gst::Structure::builder("timing")
        .field("queue-ns", timing.queue)
        .field("preprocess-ns", timing.preprocess)
        .field("inference-ns", timing.inference)
        .field("total-ns", timing.total)
        .field("batch-size", timing.batch_size)
        .build()
}

fn tensor(tensor: &Tensor) -> glib::SendValue {
    let data = match &tensor.data {
        TensorData::Float32(data) => gst::Array::new(data),
        TensorData::Float16(data) => gst::Array::new(data.iter().map(|&bits| f16::from_bits(bits).to_f32())),
        TensorData::Uint8(data) => gst::Array::new(data.iter().map(|&value| i32::from(value))),
        TensorData::Int8(data) => gst::Array::new(data.iter().map(|&value| i32::from(value))),
        TensorData::Int32(data) => gst::Array::new(data),
        TensorData::Int64(data) => gst::Array::new(data),
        TensorData::Bool(data) => gst::Array::new(data),
    };
    let structure = gst::Structure::builder("tensor")
        .field("name", &tensor.name)
        .field("type", type_name(&tensor.data))
        .field("dims", gst::Array::new(tensor.dims.iter().map(|&dim| dim as u64)))
        .field("data", data)
        .build();
    glib::SendValue::from(&structure)
}

fn type_name(data: &TensorData) -> &'static str {
    match data {
        TensorData::Float32(_) => "float32",
        TensorData::Float16(_) => "float16",
        TensorData::Uint8(_) => "uint8",
        TensorData::Int8(_) => "int8",
        TensorData::Int32(_) => "int32",
        TensorData::Int64(_) => "int64",
        TensorData::Bool(_) => "bool",
    }
}

#[derive(Serialize)]
struct Json<'a> {
    feed_id: u64,
    feed_name: &'a str,
    processor_id: &'a str,
    frame: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    running_time: Option<u64>,
    time: u64,
    width: u32,
    height: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<Vec<JsonObject<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<JsonClass<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensors: Option<Vec<JsonTensor<'a>>>,
    timing: JsonTiming,
}

#[derive(Serialize)]
struct JsonObject<'a> {
    label: std::borrow::Cow<'a, str>,
    label_id: u32,
    confidence: f32,
    x: f32,
    y: f32,
    w: f32,
    h: f32,
}

#[derive(Serialize)]
struct JsonClass<'a> {
    label: std::borrow::Cow<'a, str>,
    label_id: u32,
    confidence: f32,
}

#[derive(Serialize)]
struct JsonTensor<'a> {
    name: &'a str,
    r#type: &'static str,
    dims: &'a [usize],
    data: JsonData<'a>,
}

#[derive(Serialize)]
struct JsonTiming {
    queue_ns: u64,
    preprocess_ns: u64,
    inference_ns: u64,
    total_ns: u64,
    batch_size: u32,
}

impl From<&Timing> for JsonTiming {
    fn from(timing: &Timing) -> Self {
        Self {
            queue_ns: timing.queue,
            preprocess_ns: timing.preprocess,
            inference_ns: timing.inference,
            total_ns: timing.total,
            batch_size: timing.batch_size,
        }
    }
}

struct JsonData<'a>(&'a TensorData);

impl Serialize for JsonData<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            TensorData::Float32(data) => data.serialize(serializer),
            TensorData::Float16(data) => serializer.collect_seq(data.iter().map(|&bits| f16::from_bits(bits).to_f32())),
            TensorData::Uint8(data) => data.serialize(serializer),
            TensorData::Int8(data) => data.serialize(serializer),
            TensorData::Int32(data) => data.serialize(serializer),
            TensorData::Int64(data) => data.serialize(serializer),
            TensorData::Bool(data) => data.serialize(serializer),
        }
    }
}
