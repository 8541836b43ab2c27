//! What a feed is asked to do; every field is a property of `nvfeed` and of a linked `nvbatch`.

use std::sync::Arc;

use super::clock::Time;
use crate::inference::DecodeParams;

/// What happens to a frame for which there is no room; as in `queue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNvLeaky")]
pub enum Leaky {
    /// `Downstream` for a live source, `No` for others.
    #[default]
    #[enum_value(name = "Downstream for a live source, no for others", nick = "auto")]
    Auto,
    /// Upstream waits.
    #[enum_value(name = "Not leaky: upstream waits", nick = "no")]
    No,
    /// The new frame is dropped.
    #[enum_value(name = "Leaky on upstream: the new frame is dropped", nick = "upstream")]
    Upstream,
    /// The oldest waiting frame is dropped.
    #[enum_value(name = "Leaky on downstream: the oldest waiting frame is dropped", nick = "downstream")]
    Downstream,
}

/// What is done about a camera whose video comes over the network in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNvRtspSecurity")]
pub enum RtspSecurity {
    #[enum_value(name = "Take plain RTSP without a word", nick = "allow-insecure")]
    AllowInsecure,
    #[default]
    #[enum_value(name = "Warn about plain RTSP", nick = "prefer-tls")]
    PreferTls,
    #[enum_value(name = "Refuse plain RTSP before the first frame", nick = "require-tls")]
    RequireTls,
}

/// What of a frame is inferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNvRegion")]
pub enum RegionKind {
    #[default]
    #[enum_value(name = "The whole frame", nick = "frame")]
    Frame,
    #[enum_value(name = "Each object that upstream found", nick = "objects")]
    Objects,
}

/// Properties of a linked `nvbatch` only.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RegionSettings {
    pub kind: RegionKind,
    /// Added to an object on each side, as a fraction of its size.
    pub margin: f32,
    /// Labels with commas between; empty: all objects.
    pub object_class: Arc<str>,
    /// An object with a track is inferred every so many frames; 0 and 1: in each.
    pub reclassify_interval: u32,
}

impl RegionSettings {
    /// Whether objects of that label are inferred.
    pub fn wants(&self, label: &str) -> bool {
        let mut labels = self.object_class.split(',').map(str::trim).filter(|label| !label.is_empty()).peekable();
        labels.peek().is_none() || labels.any(|wanted| wanted == label)
    }
}

/// Changeable while frames flow.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedSettings {
    pub decode: DecodeParams,
    /// Every n-th frame is inferred; at least 1.
    pub interval: u32,
    pub leaky: Leaky,
    /// Frames that may wait to be taken; 0: [`FeedSettings::AUTO_MAX_QUEUED`].
    pub max_queued: u32,
    /// Frames taken whose result is not out; 0: as many as the processor can have in work.
    pub max_in_flight: u32,
    /// A frame that waited longer is dropped; 0: none.
    pub deadline: Time,
    pub priority: i32,
    /// How long the feed waits for its processor; 0 fails at once where it is not there.
    pub attach_timeout: Time,
    /// 0: off.
    pub stall_timeout: Time,
    pub rtsp_security: RtspSecurity,
    pub regions: RegionSettings,
}

impl FeedSettings {
    pub const AUTO_MAX_QUEUED: usize = 2;

    pub fn max_queued(&self) -> usize {
        match self.max_queued {
            0 => Self::AUTO_MAX_QUEUED,
            set => set as usize,
        }
    }
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self {
            decode: DecodeParams { threshold: 0.25, iou_threshold: 0.7, max_detections: 300 },
            interval: 1,
            leaky: Leaky::Auto,
            max_queued: 0,
            max_in_flight: 0,
            deadline: 0,
            priority: 0,
            attach_timeout: 10_000_000_000,
            stall_timeout: 5_000_000_000,
            rtsp_security: RtspSecurity::default(),
            regions: RegionSettings::default(),
        }
    }
}
