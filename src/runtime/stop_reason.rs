//! Why a feed does not take part any more.

use super::health::{Event, Severity};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    Eos,
    Requested,
    Shutdown,
    /// With what went wrong.
    Error(String),
    /// A managed feed failed too often; with what went wrong last.
    RestartLimit(String),
}

impl StopReason {
    /// `feed-stopped`.
    pub(super) fn into_event(self) -> Event {
        let (severity, reason, detail) = match self {
            Self::Eos => (Severity::Info, "eos", None),
            Self::Requested => (Severity::Info, "requested", None),
            Self::Shutdown => (Severity::Info, "shutdown", None),
            Self::Error(detail) => (Severity::Error, "error", Some(detail)),
            Self::RestartLimit(detail) => (Severity::Error, "restart-limit", Some(detail)),
        };
        let event = Event::new("feed-stopped", severity).text("reason", reason);
        match detail {
            Some(detail) => event.text("detail", detail),
            None => event,
        }
    }
}
