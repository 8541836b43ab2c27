//! A model as loaded: described, and ready to be run by any number of instances.

use std::path::PathBuf;

use super::{DecoderKind, Error, ModelDescription, Session};

/// Who computes; the `execution-provider` property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNvExecutionProvider")]
pub enum ExecutionProvider {
    /// The best that loads.
    #[default]
    #[enum_value(name = "The best that loads", nick = "auto")]
    Auto,
    #[enum_value(name = "CPU", nick = "cpu")]
    Cpu,
    #[enum_value(name = "CUDA", nick = "cuda")]
    Cuda,
    #[enum_value(name = "TensorRT", nick = "tensorrt")]
    Tensorrt,
    #[enum_value(name = "OpenVINO", nick = "openvino")]
    Openvino,
    #[enum_value(name = "MIGraphX", nick = "migraphx")]
    Migraphx,
}

/// Everything that decides how a model is loaded and read.
#[derive(Debug, Clone, Default)]
pub struct ModelConfig {
    pub model: PathBuf,
    /// `None`: the file of the same name with `.modelinfo` beside the model, if it is there.
    pub model_info: Option<PathBuf>,
    /// `None`: the labels in the model's own metadata.
    pub labels: Option<PathBuf>,
    pub decoder: DecoderKind,
    pub provider: ExecutionProvider,
    pub device_id: i32,
    /// Passed to the provider as they are.
    pub provider_options: Vec<(String, String)>,
    /// Threads inside one instance's run, at least 1.
    pub intra_op_threads: usize,
}

/// A loaded model. Its weights are in memory once, whatever the number of sessions.
#[derive(Debug)]
pub struct Model {}

impl Model {
    /// Reads, checks and prepares the model; may take long. Loads ONNX Runtime where that has not happened yet.
    pub fn load(_config: &ModelConfig) -> Result<Self, Error> {
        Ok(Self {})
    }

    pub fn description(&self) -> &ModelDescription {
        unreachable!()
    }

    /// The provider that runs it: never `Auto`.
    pub fn provider(&self) -> ExecutionProvider {
        ExecutionProvider::Cpu
    }

    /// What its user should know though the model works, such as fewer labels than classes.
    pub fn warnings(&self) -> &[String] {
        &[]
    }

    /// One more instance of the model.
    pub fn session(&self) -> Result<Session, Error> {
        unreachable!()
    }
}
