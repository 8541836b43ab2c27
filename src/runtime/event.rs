//! Health events: what is told, and as which structure.

use std::sync::Arc;

use super::{origin::Origin, redact};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Info,
    Warning,
    Error,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Event {
    pub name: &'static str,
    pub severity: Severity,
    pub feed: Option<(u64, String)>,
    pub processor: Option<Arc<str>>,
    pub fields: Vec<(&'static str, Field)>,
    /// Whose elements it is about, where that is known.
    pub(super) origins: Vec<Origin>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    Count(u64),
    /// Nanoseconds.
    Duration(u64),
    Text(String),
    /// How much of it happened since this event was last told; events that come together are added up.
    Sum(u64),
    /// Nanoseconds; the longest of events that come together.
    Longest(u64),
}

impl Event {
    pub fn new(name: &'static str, severity: Severity) -> Self {
        Self { name, severity, feed: None, processor: None, fields: Vec::new(), origins: Vec::new() }
    }

    pub fn of_feed(mut self, id: u64, name: &str) -> Self {
        self.feed = Some((id, redact::text(name)));
        self
    }

    pub fn of_processor(mut self, id: &Arc<str>) -> Self {
        self.processor = Some(id.clone());
        self
    }

    pub fn count(self, name: &'static str, count: u64) -> Self {
        self.field(name, Field::Count(count))
    }

    pub fn duration(self, name: &'static str, nanoseconds: u64) -> Self {
        self.field(name, Field::Duration(nanoseconds))
    }

    /// Text may come from outside: secrets and control characters are taken out, and it is cut where it is too long.
    pub fn text(self, name: &'static str, text: impl AsRef<str>) -> Self {
        self.field(name, Field::Text(redact::text(text.as_ref())))
    }

    pub fn sum(self, name: &'static str, amount: u64) -> Self {
        self.field(name, Field::Sum(amount))
    }

    pub fn longest(self, name: &'static str, nanoseconds: u64) -> Self {
        self.field(name, Field::Longest(nanoseconds))
    }

    fn field(mut self, name: &'static str, field: Field) -> Self {
        self.fields.push((name, field));
        self
    }

    /// `ring` is the name of what was not taken away in time: `output` or `health`.
    pub(super) fn output_lagged(ring: &'static str, messages_lost: u64) -> Self {
        Self::new("output-lagged", Severity::Warning).text("ring", ring).sum("messages-lost", messages_lost)
    }
}

/// An event as it is told: numbered and dated.
#[derive(Debug, Clone)]
pub struct HealthEvent {
    /// One count a process: a gap is a loss.
    pub seq: u64,
    /// Nanoseconds since the epoch.
    pub time: u64,
    /// Events that this subscriber lost right before this one.
    pub lost: u64,
    pub event: Arc<Event>,
}

impl HealthEvent {
    /// The `nv-health` structure.
    pub fn to_structure(&self) -> gst::Structure {
        let event = &self.event;
        let mut structure = gst::Structure::builder("nv-health")
            .field("event", event.name)
            .field("severity", event.severity.as_str())
            .field("seq", self.seq)
            .field("time", self.time);
        if self.lost > 0 {
            structure = structure.field("lost", self.lost);
        }
        if let Some((id, name)) = &event.feed {
            structure = structure.field("feed-id", id).field("feed-name", name);
        }
        if let Some(processor) = &event.processor {
            structure = structure.field("processor-id", &**processor);
        }
        for (name, field) in &event.fields {
            structure = match field {
                Field::Count(value) | Field::Duration(value) | Field::Sum(value) | Field::Longest(value) => {
                    structure.field(*name, value)
                }
                Field::Text(text) => structure.field(*name, text),
            };
        }
        structure.build()
    }

    /// Whether it is about a feed or a processor whose element is in the same pipeline.
    pub fn comes_from(&self, pipeline: &Origin) -> bool {
        self.event.origins.iter().any(|origin| origin == pipeline)
    }
}
