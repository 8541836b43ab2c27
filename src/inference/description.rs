//! What a model is, as far as anything outside ONNX Runtime has to know it.

use super::{Decoder, Error, ErrorKind, InputSpec, ModelConfig};

/// A model described: its input, its labels, and how its outputs are read.
#[derive(Debug, Clone)]
pub struct ModelDescription {
    pub input: InputSpec,
    /// One label a class; may be shorter than the model has classes (a warning then).
    pub labels: Vec<String>,
    pub decoder: Decoder,
}

impl ModelDescription {
    /// The label of a class, or its number where no label is known.
    pub fn label(&self, label_id: u32) -> std::borrow::Cow<'_, str> {
        match self.labels.get(label_id as usize) {
            Some(label) => label.as_str().into(),
            None => label_id.to_string().into(),
        }
    }
}

/// One input or output tensor as ONNX Runtime names it.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSpec {
    pub name: String,
    /// ONNX's name of the type in lower case: `float32`, `float16`, `uint8`, `int64`, `string`, ...
    pub element: String,
    /// `None` where the model leaves the dimension open.
    pub dims: Vec<Option<usize>>,
}

/// All that ONNX Runtime says about a model's outside.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelInterface {
    pub inputs: Vec<TensorSpec>,
    pub outputs: Vec<TensorSpec>,
    /// What the exporter wrote into the file (`metadata_props`).
    pub metadata: std::collections::BTreeMap<String, String>,
}

/// Puts together what is known of a model: first what `config` says, then the `.modelinfo`, then the exporter's
/// metadata, then the shapes. Returns warnings beside the description. Reads the `.modelinfo` and the labels file.
pub fn describe(_config: &ModelConfig, _interface: &ModelInterface) -> Result<(ModelDescription, Vec<String>), Error> {
    Err(Error::new(ErrorKind::ModelInvalid, "not written yet"))
}
