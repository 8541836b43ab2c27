//! Everything that can be refused, with its code and the way out.

use std::{fmt, io};

use gst::prelude::*;

use super::redact;
use crate::inference::{self, RAISE_LIMIT_OF_THREADS};

/// The `code` of an `nv-error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    FeedLimitExceeded,
    FeedNotFound,
    ShutdownInProgress,
    DuplicateProcessorId,
    ProcessorMissing,
    ProcessorStartupTimeout,
    ModelInvalid,
    ModelNotFound,
    ProviderUnavailable,
    OnnxruntimeMissing,
    InvalidCapacity,
    InvalidConfig,
    ThreadSpawnFailed,
    CustomPipelineRejected,
    InsecureSourceRejected,
    AlreadyPaused,
    NotPaused,
}

impl ErrorCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FeedLimitExceeded => "feed-limit-exceeded",
            Self::FeedNotFound => "feed-not-found",
            Self::ShutdownInProgress => "shutdown-in-progress",
            Self::DuplicateProcessorId => "duplicate-processor-id",
            Self::ProcessorMissing => "processor-missing",
            Self::ProcessorStartupTimeout => "processor-startup-timeout",
            Self::ModelInvalid => "model-invalid",
            Self::ModelNotFound => "model-not-found",
            Self::ProviderUnavailable => "provider-unavailable",
            Self::OnnxruntimeMissing => "onnxruntime-missing",
            Self::InvalidCapacity => "invalid-capacity",
            Self::InvalidConfig => "invalid-config",
            Self::ThreadSpawnFailed => "thread-spawn-failed",
            Self::CustomPipelineRejected => "custom-pipeline-rejected",
            Self::InsecureSourceRejected => "insecure-source-rejected",
            Self::AlreadyPaused => "already-paused",
            Self::NotPaused => "not-paused",
        }
    }
}

/// An error with a message that says what was wrong, with which value, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub code: ErrorCode,
    pub message: String,
    /// The limit that was hit, for [`ErrorCode::FeedLimitExceeded`].
    pub max: Option<u32>,
}

impl Error {
    /// Values in the message may come from outside: secrets in them are hidden.
    pub fn new(code: ErrorCode, message: impl AsRef<str>) -> Self {
        Self { code, message: redact::secrets(message.as_ref()), max: None }
    }

    pub(super) fn feed_not_found(id: u64) -> Self {
        Self::new(
            ErrorCode::FeedNotFound,
            format!("there is no managed feed {id} (any more): use an id that add-feed gave, until its feed-stopped"),
        )
    }

    /// `what` is the thread, such as "a thread to load a model"; the system said why there is none.
    pub fn no_thread(what: impl fmt::Display, reason: &io::Error) -> Self {
        Self::new(
            ErrorCode::ThreadSpawnFailed,
            format!("cannot start {what}: {reason}; {RAISE_LIMIT_OF_THREADS}, or end other programs of this user"),
        )
    }

    pub(super) fn shutdown_in_progress() -> Self {
        Self::new(
            ErrorCode::ShutdownInProgress,
            "the runtime was shut down: set every nvbatch, nvfeed and nvhealth of this process to NULL, then start again",
        )
    }

    /// The `nv-error` structure that goes into an element error's details.
    pub fn details(&self) -> gst::Structure {
        let mut details =
            gst::Structure::builder("nv-error").field("code", self.code.as_str()).field("message", &self.message);
        if let Some(max) = self.max {
            details = details.field("max", max);
        }
        details.build()
    }

    /// Posts it as an error of `element`, with its [`Error::details`].
    pub fn post(&self, element: &impl IsA<gst::Element>) {
        self.post_as(element, self.resource_error());
    }

    /// As [`Error::post`] where GStreamer has a more fitting name for it.
    pub fn post_as(&self, element: &impl IsA<gst::Element>, name: gst::ResourceError) {
        self.post_message(element, gst::ElementMessageType::Error, name, &self.message);
    }

    /// Posts it as a warning that says `text`.
    pub fn post_warning(&self, element: &impl IsA<gst::Element>, text: &str) {
        self.post_message(element, gst::ElementMessageType::Warning, self.resource_error(), text);
    }

    fn post_message(
        &self,
        element: &impl IsA<gst::Element>,
        kind: gst::ElementMessageType,
        name: gst::ResourceError,
        text: &str,
    ) {
        let code = Some(self.code.as_str());
        element.message_full_with_details(
            kind,
            name,
            Some(text),
            code,
            file!(),
            module_path!(),
            line!(),
            self.details(),
        );
    }

    fn resource_error(&self) -> gst::ResourceError {
        use gst::ResourceError;
        match self.code {
            ErrorCode::FeedNotFound
            | ErrorCode::ProcessorMissing
            | ErrorCode::ModelNotFound
            | ErrorCode::ProviderUnavailable
            | ErrorCode::OnnxruntimeMissing => ResourceError::NotFound,
            ErrorCode::FeedLimitExceeded | ErrorCode::ShutdownInProgress | ErrorCode::DuplicateProcessorId => {
                ResourceError::Busy
            }
            ErrorCode::InvalidCapacity | ErrorCode::InvalidConfig => ResourceError::Settings,
            ErrorCode::CustomPipelineRejected | ErrorCode::InsecureSourceRejected => ResourceError::NotAuthorized,
            ErrorCode::ModelInvalid
            | ErrorCode::ProcessorStartupTimeout
            | ErrorCode::ThreadSpawnFailed
            | ErrorCode::AlreadyPaused
            | ErrorCode::NotPaused => ResourceError::Failed,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<inference::Error> for Error {
    fn from(error: inference::Error) -> Self {
        use inference::ErrorKind;
        let code = match error.kind {
            ErrorKind::ModelNotFound => ErrorCode::ModelNotFound,
            ErrorKind::ModelInvalid | ErrorKind::RunFailed => ErrorCode::ModelInvalid,
            ErrorKind::ProviderUnavailable => ErrorCode::ProviderUnavailable,
            ErrorKind::OnnxRuntimeMissing => ErrorCode::OnnxruntimeMissing,
            ErrorKind::NoThread => ErrorCode::ThreadSpawnFailed,
            ErrorKind::InvalidConfig | ErrorKind::InvalidFrame => ErrorCode::InvalidConfig,
        };
        Self::new(code, error.message)
    }
}
