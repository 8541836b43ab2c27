use std::fmt;

/// What kind of thing went wrong; the runtime turns it into the `code` of an `nv-error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The model file is not there or cannot be read.
    ModelNotFound,
    /// The file is there and is not a model that this plugin can run.
    ModelInvalid,
    /// The execution provider that was asked for is not in the library, or does not start.
    ProviderUnavailable,
    /// ONNX Runtime is missing, too old, or not ONNX Runtime.
    OnnxRuntimeMissing,
    /// The system gives the process no more threads.
    NoThread,
    /// A setting contradicts another one or the model.
    InvalidConfig,
    /// One frame cannot be read as its caps say.
    InvalidFrame,
    /// The model ran and failed, or its outputs are not what its decoder reads.
    RunFailed,
}

/// The way out where there is no thread to be had.
pub const RAISE_LIMIT_OF_THREADS: &str = "raise the limit of threads (`ulimit -u`, or the container's `pids` limit)";

/// An error with a message that says what was wrong, with which value, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub kind: ErrorKind,
    pub message: String,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
