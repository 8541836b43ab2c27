//! A model as loaded: described, and ready to be run by any number of instances.

use std::path::PathBuf;
use std::sync::Arc;

use ort::value::ValueType;

use super::library::{self, Library, library};
use super::weights::{Weights, read_file};
use super::{
    DecoderKind, Error, ErrorKind, ExecutionProvider, ModelDescription, ModelInterface, Session, TensorSpec, describe,
};

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
pub struct Model {
    weights: Arc<Weights>,
    description: ModelDescription,
    warnings: Vec<String>,
}

impl Model {
    /// Reads, checks and prepares the model; may take long. Loads ONNX Runtime where that has not happened yet.
    pub fn load(config: &ModelConfig) -> Result<Self, Error> {
        let (weights, interface) = prepare(config)?;
        let (description, warnings) = describe(config, &interface)?;
        Ok(Self { weights: Arc::new(weights), description, warnings })
    }

    pub fn description(&self) -> &ModelDescription {
        &self.description
    }

    /// The provider that runs it: never `Auto`.
    pub fn provider(&self) -> ExecutionProvider {
        self.weights.provider()
    }

    /// What its user should know though the model works, such as fewer labels than classes.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// One more instance of the model.
    pub fn session(&self) -> Result<Session, Error> {
        Session::new(&self.weights, &self.description.input)
    }
}

/// The model ready for sessions with the provider that is asked for, and what it says about itself.
pub(super) fn prepare(config: &ModelConfig) -> Result<(Weights, ModelInterface), Error> {
    if matches!(config.provider, ExecutionProvider::Auto | ExecutionProvider::Cpu)
        && let Some((key, _)) = config.provider_options.first()
    {
        let message = format!(
            "provider-options sets {key:?}, and execution-provider={} takes no options: name the provider that they are for",
            config.provider.nick()
        );
        return Err(Error::new(ErrorKind::InvalidConfig, message));
    }
    let file = read_file(&config.model)?;
    let library = library()?;
    let path = config.model.display();
    let mut failures = Vec::new();
    for provider in config.provider.candidates()? {
        match Weights::new(library, config, provider, file.clone(), interface) {
            Ok(prepared) => return Ok(prepared),
            Err(reason) if provider == ExecutionProvider::Cpu => {
                let message = format!("model {path}: ONNX Runtime cannot load it: {}", one_line(reason.message()));
                return Err(Error::new(ErrorKind::ModelInvalid, message));
            }
            Err(reason) => {
                let failure = format!("{} does not start: {}", provider.nick(), one_line(reason.message()));
                library::log_warning(&format!("model {path}: {failure}"));
                failures.push(failure);
            }
        }
    }
    Err(provider_failure(library, config, file, &failures.join("; ")))
}

/// Why a provider that was asked for failed: the model is at fault if the CPU cannot load it either.
fn provider_failure(library: &'static Library, config: &ModelConfig, file: Vec<u8>, failures: &str) -> Error {
    let on_cpu = ModelConfig { provider: ExecutionProvider::Cpu, provider_options: Vec::new(), ..config.clone() };
    let path = config.model.display();
    match Weights::new(library, &on_cpu, ExecutionProvider::Cpu, file, interface) {
        Ok(_) => Error::new(
            ErrorKind::ProviderUnavailable,
            format!(
                "model {path}: {failures}. Check the device, its driver and provider-options, or set execution-provider=cpu"
            ),
        ),
        Err(reason) => Error::new(
            ErrorKind::ModelInvalid,
            format!("model {path}: ONNX Runtime cannot load it: {}", one_line(reason.message())),
        ),
    }
}

/// ONNX Runtime breaks its messages over lines.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn interface(session: &ort::session::Session) -> ort::Result<ModelInterface> {
    let metadata = session.metadata()?;
    let specs = |outlets: &[ort::value::Outlet]| outlets.iter().map(|o| tensor_spec(o.name(), o.dtype())).collect();
    Ok(ModelInterface {
        inputs: specs(session.inputs()),
        outputs: specs(session.outputs()),
        metadata: metadata
            .custom_keys()?
            .into_iter()
            .filter_map(|key| metadata.custom(&key).map(|value| (key, value)))
            .collect(),
    })
}

fn tensor_spec(name: &str, dtype: &ValueType) -> TensorSpec {
    let (element, dims) = match dtype {
        // The names of `ort`'s variants are ONNX's.
        ValueType::Tensor { ty, shape, .. } => {
            (format!("{ty:?}").to_lowercase(), shape.iter().map(|&dim| usize::try_from(dim).ok()).collect())
        }
        ValueType::Sequence(_) => ("sequence".into(), Vec::new()),
        ValueType::Map { .. } => ("map".into(), Vec::new()),
        ValueType::Optional(_) => ("optional".into(), Vec::new()),
    };
    TensorSpec { name: name.into(), element, dims }
}
