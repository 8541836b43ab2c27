//! A result as it is told: the `nv-result` structure, and the same as one line of JSON.

use std::sync::Arc;

use half::f16;
use serde::{Serialize, Serializer};

use super::{
    clock,
    counters::Timing,
    feed::{Findings, Frame},
    told::{ToldClass, ToldObject},
};
use crate::inference::{Tensor, TensorData};

/// What there is to say about one frame of one feed.
pub struct FrameResult<'a> {
    feed_id: u64,
    feed_name: &'a str,
    frame: &'a Frame,
    findings: Findings<'a>,
    /// Nanoseconds since the epoch.
    time: u64,
}

impl<'a> FrameResult<'a> {
    /// Dated now, unless it was told already.
    pub fn new(feed_id: u64, feed_name: &'a str, frame: &'a Frame, findings: Findings<'a>) -> Self {
        let told = findings.told().and_then(|told| told.get("time").ok());
        Self { feed_id, feed_name, frame, findings, time: told.unwrap_or_else(clock::wall_clock) }
    }

    /// As [`FrameResult::to_structure`], built once for everybody who wants it.
    pub fn shared_structure(&self) -> Arc<gst::Structure> {
        self.findings.told().cloned().unwrap_or_else(|| Arc::new(self.to_structure()))
    }

    /// `nv-result`; field names have `-` where JSON has `_`. Lists are `GstValueArray`s.
    pub fn to_structure(&self) -> gst::Structure {
        let frame = self.frame;
        let mut structure = gst::Structure::builder("nv-result")
            .field("feed-id", self.feed_id)
            .field("feed-name", self.feed_name)
            .field("processor-id", self.processor_id())
            .field("frame", frame.number)
            .field_if_some("pts", frame.pts.map(gst::ClockTime::nseconds))
            .field_if_some("running-time", frame.running_time.map(gst::ClockTime::nseconds))
            .field("time", self.time)
            .field("width", frame.caps.info.width())
            .field("height", frame.caps.info.height());
        if let Some(objects) = self.objects() {
            structure = structure.field("objects", gst::Array::new(objects.map(|object| object.to_value())));
        }
        if let Some(classes) = self.classes() {
            structure = structure.field("classes", gst::Array::new(classes.map(|class| class.to_value())));
        }
        if let Some(tensors) = self.tensors() {
            structure = structure.field("tensors", gst::Array::new(tensors.iter().map(tensor)));
        }
        structure.field("timing", timing(self.findings.timing())).build()
    }

    /// One JSON object without line breaks; numbers that are not finite are `null`.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let frame = self.frame;
        serde_json::to_string(&Json {
            feed_id: self.feed_id,
            feed_name: self.feed_name,
            processor_id: self.processor_id(),
            frame: frame.number,
            pts: frame.pts.map(gst::ClockTime::nseconds),
            running_time: frame.running_time.map(gst::ClockTime::nseconds),
            time: self.time,
            width: frame.caps.info.width(),
            height: frame.caps.info.height(),
            objects: self.objects().map(Iterator::collect),
            classes: self.classes().map(Iterator::collect),
            tensors: self.tensors().map(|tensors| {
                let tensor = |tensor: &'a Tensor| JsonTensor {
                    name: &tensor.name,
                    r#type: type_name(&tensor.data),
                    dims: &tensor.dims,
                    data: JsonData(&tensor.data),
                };
                tensors.iter().map(tensor).collect()
            }),
            timing: JsonTiming::from(self.findings.timing()),
        })
    }

    /// Empty where the feed only collects.
    fn processor_id(&self) -> &'a str {
        match self.findings {
            Findings::Inferred(inferred) => &inferred.processor_id,
            Findings::Collected(_) => "",
        }
    }

    fn objects(&self) -> Option<Box<dyn Iterator<Item = ToldObject<'a>> + 'a>> {
        match self.findings {
            Findings::Inferred(inferred) => {
                let objects = inferred.output.objects.as_ref()?;
                Some(Box::new(objects.iter().map(|object| ToldObject::detected(object, &inferred.model))))
            }
            Findings::Collected(collected) => Some(Box::new(collected.annotations.objects.iter().map(Into::into))),
        }
    }

    fn classes(&self) -> Option<Box<dyn Iterator<Item = ToldClass<'a>> + 'a>> {
        match self.findings {
            Findings::Inferred(inferred) => {
                let classes = inferred.output.classes.as_ref()?;
                Some(Box::new(classes.iter().map(|class| ToldClass::inferred(class, &inferred.model))))
            }
            Findings::Collected(collected) => {
                let classes = &collected.annotations.classes;
                let classes: Box<dyn Iterator<Item = _>> = Box::new(classes.iter().map(Into::into));
                (!collected.annotations.classes.is_empty()).then_some(classes)
            }
        }
    }

    fn tensors(&self) -> Option<&'a [Tensor]> {
        match self.findings {
            Findings::Inferred(inferred) => inferred.output.tensors.as_deref(),
            Findings::Collected(_) => None,
        }
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
    glib::SendValue::from_owned(structure)
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
    objects: Option<Vec<ToldObject<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<ToldClass<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tensors: Option<Vec<JsonTensor<'a>>>,
    timing: JsonTiming,
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
