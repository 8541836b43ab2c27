//! The properties that say which processor an `nvbatch` owns or uses.

use gst::prelude::*;

use crate::{
    inference::{DecoderKind, ExecutionProvider, ModelConfig},
    runtime::{Error, ErrorCode, Origin, ProcessorConfig},
};

/// As set; every field is a property of the same name.
#[derive(Debug, Clone)]
pub struct ProcessorSettings {
    pub processor_id: String,
    /// `None`: some other element owns the processor.
    pub model: Option<String>,
    model_info: Option<String>,
    labels: Option<String>,
    decoder: DecoderKind,
    execution_provider: ExecutionProvider,
    device_id: i32,
    provider_options: Option<gst::Structure>,
    instances: u32,
    intra_op_threads: u32,
    max_batch_size: u32,
    max_latency: u64,
    queue_capacity: u32,
    response_timeout: u64,
    startup_timeout: u64,
    batch_join_timeout: u64,
}

const SECOND: u64 = gst::ClockTime::SECOND.nseconds();

impl Default for ProcessorSettings {
    fn default() -> Self {
        Self {
            processor_id: "default".into(),
            model: None,
            model_info: None,
            labels: None,
            decoder: DecoderKind::default(),
            execution_provider: ExecutionProvider::default(),
            device_id: 0,
            provider_options: None,
            instances: 0,
            intra_op_threads: 0,
            max_batch_size: 0,
            max_latency: 20 * gst::ClockTime::MSECOND.nseconds(),
            queue_capacity: 0,
            response_timeout: 5 * SECOND,
            startup_timeout: 30 * SECOND,
            batch_join_timeout: 10 * SECOND,
        }
    }
}

impl ProcessorSettings {
    /// Sets the property if it is one of [`specs`].
    pub fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        // GObject has checked the type by its specification.
        fn put<'a, T: glib::value::FromValue<'a>>(field: &mut T, value: &'a glib::Value) {
            if let Ok(value) = value.get() {
                *field = value;
            }
        }
        fn put_text(field: &mut Option<String>, value: &glib::Value) {
            put(field, value);
            *field = field.take().filter(|text| !text.is_empty());
        }
        match name {
            "processor-id" => self.processor_id = value.get::<Option<String>>().ok().flatten().unwrap_or_default(),
            "model" => put_text(&mut self.model, value),
            "model-info" => put_text(&mut self.model_info, value),
            "labels" => put_text(&mut self.labels, value),
            "decoder" => put(&mut self.decoder, value),
            "execution-provider" => put(&mut self.execution_provider, value),
            "device-id" => put(&mut self.device_id, value),
            "provider-options" => put(&mut self.provider_options, value),
            "instances" => put(&mut self.instances, value),
            "intra-op-threads" => put(&mut self.intra_op_threads, value),
            "max-batch-size" => put(&mut self.max_batch_size, value),
            "max-latency" => put(&mut self.max_latency, value),
            "queue-capacity" => put(&mut self.queue_capacity, value),
            "response-timeout" => put(&mut self.response_timeout, value),
            "startup-timeout" => put(&mut self.startup_timeout, value),
            "batch-join-timeout" => put(&mut self.batch_join_timeout, value),
            _ => return false,
        }
        true
    }

    /// Its value, if it is one of [`specs`].
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "processor-id" => self.processor_id.to_value(),
            "model" => self.model.to_value(),
            "model-info" => self.model_info.to_value(),
            "labels" => self.labels.to_value(),
            "decoder" => self.decoder.to_value(),
            "execution-provider" => self.execution_provider.to_value(),
            "device-id" => self.device_id.to_value(),
            "provider-options" => self.provider_options.to_value(),
            "instances" => self.instances.to_value(),
            "intra-op-threads" => self.intra_op_threads.to_value(),
            "max-batch-size" => self.max_batch_size.to_value(),
            "max-latency" => self.max_latency.to_value(),
            "queue-capacity" => self.queue_capacity.to_value(),
            "response-timeout" => self.response_timeout.to_value(),
            "startup-timeout" => self.startup_timeout.to_value(),
            "batch-join-timeout" => self.batch_join_timeout.to_value(),
            _ => return None,
        })
    }

    /// Refuses an id that names nothing.
    pub fn check_id(&self) -> Result<(), Error> {
        if self.processor_id.is_empty() {
            return Err(Error::new(
                ErrorCode::InvalidConfig,
                "`processor-id` is empty: give the processor a name, or leave it at \"default\"",
            ));
        }
        Ok(())
    }

    /// What is asked of the runtime, where `model` is set.
    pub fn config(&self, model: &str, origin: Origin) -> ProcessorConfig {
        ProcessorConfig {
            id: self.processor_id.clone(),
            model: ModelConfig {
                model: model.into(),
                model_info: self.model_info.as_ref().map(Into::into),
                labels: self.labels.as_ref().map(Into::into),
                decoder: self.decoder,
                provider: self.execution_provider,
                device_id: self.device_id,
                provider_options: self.provider_options.as_deref().map(options).unwrap_or_default(),
                intra_op_threads: self.intra_op_threads as usize,
            },
            instances: self.instances as usize,
            max_batch_size: self.max_batch_size as usize,
            max_latency: self.max_latency,
            queue_capacity: self.queue_capacity as usize,
            response_timeout: self.response_timeout,
            startup_timeout: self.startup_timeout,
            batch_join_timeout: self.batch_join_timeout,
            origin,
        }
    }
}

/// A provider takes text only: numbers and booleans are written as GStreamer writes them (`4`, `0.5`, `true`).
fn options(structure: &gst::StructureRef) -> Vec<(String, String)> {
    let text = |value: &glib::SendValue| match value.get::<String>() {
        Ok(text) => Some(text),
        Err(_) => value.serialize().ok().map(Into::into),
    };
    structure.iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?))).collect()
}

/// The specifications; [`ProcessorSettings::set`] and [`ProcessorSettings::get`] know each of them.
pub fn specs() -> Vec<glib::ParamSpec> {
    let d = ProcessorSettings::default();
    let ready = glib::ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_READY;
    let text = |name: &str, nick: &str, blurb: &str, default: Option<&str>| {
        glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).default_value(default).flags(ready).build()
    };
    let count = |name: &str, nick: &str, blurb: &str, default: u32| {
        glib::ParamSpecUInt::builder(name).nick(nick).blurb(blurb).default_value(default).flags(ready).build()
    };
    let time = |name: &str, nick: &str, blurb: &str, default: u64| {
        glib::ParamSpecUInt64::builder(name).nick(nick).blurb(blurb).default_value(default).flags(ready).build()
    };
    vec![
        text(
            "processor-id",
            "Processor ID",
            "Name of the processor in this process: owned where model is set, else used",
            Some(&d.processor_id),
        ),
        text("model", "Model", "Path of the ONNX model; unset uses the processor that another element owns", None),
        text(
            "model-info",
            "Model info",
            "Path of the model's .modelinfo file (unset = the one beside the model, if it is there)",
            None,
        ),
        text("labels", "Labels", "Path of a text file with one label a line (unset = the model's own metadata)", None),
        glib::ParamSpecEnum::builder_with_default("decoder", d.decoder)
            .nick("Decoder")
            .blurb("How the outputs of the model are read")
            .flags(ready)
            .build(),
        glib::ParamSpecEnum::builder_with_default("execution-provider", d.execution_provider)
            .nick("Execution provider")
            .blurb("Who computes; one that is named and missing is an error")
            .flags(ready)
            .build(),
        glib::ParamSpecInt::builder("device-id")
            .nick("Device ID")
            .blurb("Number of the device, where the execution provider has several")
            .minimum(0)
            .default_value(d.device_id)
            .flags(ready)
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("provider-options")
            .nick("Provider options")
            .blurb("Options of the execution provider, passed on as they are")
            .flags(ready)
            .build(),
        count("instances", "Instances", "Workers that run batches at the same time (0 = auto)", d.instances),
        count("intra-op-threads", "Intra-op threads", "Threads inside one run (0 = auto)", d.intra_op_threads),
        count("max-batch-size", "Max batch size", "Most frames of one run (0 = auto)", d.max_batch_size),
        time(
            "max-latency",
            "Max latency",
            "Longest that a frame waits for others to fill its batch, in nanoseconds",
            d.max_latency,
        ),
        count(
            "queue-capacity",
            "Queue capacity",
            "Frames of all feeds that may wait (0 = four times the batch size times the instances, and at least two for \
             each feed whose stream waits for room)",
            d.queue_capacity,
        ),
        time(
            "response-timeout",
            "Response timeout",
            "A run that takes longer is given up, in nanoseconds",
            d.response_timeout,
        ),
        time(
            "startup-timeout",
            "Startup timeout",
            "Longest that loading and warming up may take, in nanoseconds",
            d.startup_timeout,
        ),
        time(
            "batch-join-timeout",
            "Batch join timeout",
            "How long the end waits for runs under way, in nanoseconds",
            d.batch_join_timeout,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_can_be_read_and_written_and_starts_at_its_default() {
        gst::init().unwrap();
        let mut settings = ProcessorSettings::default();
        for spec in specs() {
            let value = settings.get(spec.name()).unwrap_or_else(|| panic!("{} cannot be read", spec.name()));
            // GLib writes a structure that is not there with complaints.
            if spec.name() == "provider-options" {
                assert_eq!(value.get::<Option<gst::Structure>>().unwrap(), None);
            } else {
                assert_eq!(format!("{value:?}"), format!("{:?}", spec.default_value()), "{}", spec.name());
            }
            assert!(settings.set(spec.name(), &value), "{} cannot be written", spec.name());
        }
        assert!(settings.set("device-id", &3.to_value()));
        assert_eq!(settings.config("a.onnx", Origin::default()).model.device_id, 3);
        assert!(!settings.set("colour", &3.to_value()) && settings.get("colour").is_none());
    }

    #[test]
    fn options_of_a_provider_become_text() {
        gst::init().unwrap();
        let mut settings = ProcessorSettings::default();
        let structure = gst::Structure::builder("provider")
            .field("arena", "same as requested")
            .field("streams", 4)
            .field("graph", true)
            .build();
        settings.set("provider-options", &structure.to_value());
        let options = settings.config("a.onnx", Origin::default()).model.provider_options;
        let expected = [("arena", "same as requested"), ("streams", "4"), ("graph", "true")];
        assert_eq!(options, expected.map(|(name, value)| (name.to_string(), value.to_string())));
    }

    #[test]
    fn an_empty_path_is_no_path_and_an_empty_id_is_refused() {
        let mut settings = ProcessorSettings::default();
        settings.set("model", &"".to_value());
        assert_eq!(settings.model, None);
        assert!(settings.check_id().is_ok());
        settings.set("processor-id", &None::<String>.to_value());
        assert_eq!(settings.check_id().unwrap_err().code, ErrorCode::InvalidConfig);
    }
}
