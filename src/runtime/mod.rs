//! The process-wide runtime: feeds, processors, limits, results.
//!
//! It knows GStreamer's types and knows no element. Its locks, in the order in which they may be taken: the registry;
//! then a processor's or a feed's state (never one under the other); then leaves (counters, rings, the pool's queue).
//! None is held while anything outside is called.

mod agenda;
mod batch;
mod broadcast;
mod clock;
mod coalesce;
pub mod config;
mod counters;
mod error;
mod event;
mod failure;
mod feed;
mod figures;
mod former;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod health;
mod histogram;
mod instance;
pub mod interpreter;
mod lane;
mod lifetime;
mod limits;
pub mod managed;
mod monitor;
mod object;
mod objects;
mod origin;
mod output;
mod owners;
mod panics;
mod places;
mod pool;
mod processor;
mod processors;
pub mod properties;
mod redact;
mod registry;
mod result;
mod runs;
mod settings;
mod shutdown;
mod source;
mod startup;
mod stop_reason;
mod threads;
mod timers;
mod told;
mod tuning;
mod upstream;
mod watch;

use once_cell::sync::Lazy;

pub use broadcast::Broadcast;
pub use clock::wall_clock;
pub use config::{CustomPipelinePolicy, RuntimeConfig};
pub use counters::{DropCause, FeedCounters, Timing};
pub use error::{Error, ErrorCode};
pub use failure::Failure;
pub use feed::{
    Answer, Collected, Delivery, Feed, FeedConfig, FeedListener, FeedSnapshot, Findings, Frame, FrameCaps, FrameTimes,
    Inferred, Item, Items, Outcome, Qos, Rejected,
};
pub use figures::{RingSnapshot, RuntimeSnapshot};
pub use health::{Event, Field, Health, HealthEvent, Severity, Subscription};
pub use lifetime::ElementRuntime;
pub use limits::{Limits, ProcessorConfig};
pub use managed::{FeedTicket, ManagedFeedConfig, ManagedSource, RestartPolicy};
pub use object::NvRuntime;
pub use objects::{Annotations, Label, NamedClass, Object};
pub use origin::Origin;
pub use output::Output;
pub use owners::{OwnedFeed, OwnedProcessor};
pub use processor::{Processor, ProcessorSnapshot};
pub use registry::Runtime;
pub use result::FrameResult;
pub use settings::{FeedSettings, Leaky, RegionKind, RegionSettings, RtspSecurity};
pub use source::SourceCheck;
pub use stop_reason::StopReason;
pub use threads::Detached;
pub use timers::Repeating;

static CAT: Lazy<gst::DebugCategory> =
    Lazy::new(|| gst::DebugCategory::new("nextvision", gst::DebugColorFlags::empty(), Some("NextVision runtime")));
