//! A model and its arithmetic.
//!
//! This room knows how a model wants to see a picture ([`InputSpec`]), how a picture becomes the model's input
//! ([`Preprocessor`]), how ONNX Runtime is loaded and run ([`Model`], [`Session`]) and what the numbers that come
//! out mean ([`Decoder`]). It knows no feed, no processor and no thread: whoever calls it brings those.

mod arithmetic;
mod decode;
mod description;
mod ending;
mod error;
mod file;
mod fingerprint;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod geometry;
mod image;
mod input;
mod labels;
mod library;
mod literal;
mod metadata;
mod model;
mod modelinfo;
mod output;
mod preprocess;
mod provider;
mod session;
mod standard;
mod text;
mod threads;
mod trial;
mod weights;

pub use decode::{DecodeParams, Decoder, DecoderHints, DecoderKind, OutputSpec, TensorView, TensorViewData};
pub use description::{ModelDescription, ModelInterface, TensorSpec, describe};
pub use error::{Error, ErrorKind, RAISE_LIMIT_OF_THREADS};
pub use geometry::{Placement, Region};
pub use input::{BatchDim, ColorOrder, ElementType, Fit, InputSpec, Layout};
pub use model::{Model, ModelConfig};
pub use output::{Class, Detection, Output, Tensor, TensorData};
pub use preprocess::{Border, Preprocessor};
pub use provider::ExecutionProvider;
pub use session::Session;
pub use standard::{DimsOrder, StandardTensor};
pub(crate) use weights::release_freed_memory;
