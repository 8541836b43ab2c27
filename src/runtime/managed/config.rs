//! What a managed feed is to be: as a plain type, and as `add-feed` gets it.

use std::{borrow::Cow, path::PathBuf};

use glib::{ParamFlags, ParamSpec, prelude::*};

use super::{
    backoff::RestartPolicy,
    value::{convert, expectation, show},
};
use crate::runtime::{CustomPipelinePolicy, Error, ErrorCode, FeedSettings, clock::Time, properties, redact, source};

/// Where a managed feed gets its video.
#[derive(Debug, Clone, PartialEq)]
pub enum ManagedSource {
    /// file, rtsp and its kin, http(s) or v4l2.
    Uri(String),
    /// A launch fragment that ends in video, raw or encoded. Can do all that the process may.
    Pipeline(String),
}

/// Schemes that a uri may have, and whether the end of such a stream is only a lost connection.
const SCHEMES: [(&str, bool); 14] = [
    ("file", false),
    ("http", false),
    ("https", false),
    ("rtsp", true),
    ("rtspu", true),
    ("rtspt", true),
    ("rtsph", true),
    ("rtsp-sdp", true),
    ("rtsps", true),
    ("rtspsu", true),
    ("rtspst", true),
    ("rtspsh", true),
    ("rtsps-sdp", true),
    ("v4l2", true),
];

impl ManagedSource {
    /// Fit to be shown: without secrets.
    pub fn redacted(&self) -> String {
        match self {
            Self::Uri(uri) => redact::text(uri),
            Self::Pipeline(pipeline) => redact::text(pipeline),
        }
    }

    /// As GStreamer gets it. Over `rtsps://` it would ask for UDP first, and the video would come in the clear.
    pub(super) fn secured(uri: &str) -> Cow<'_, str> {
        match uri.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("rtsps") => format!("rtspst://{rest}").into(),
            _ => uri.into(),
        }
    }

    /// Whether a stream that ends is to be connected again.
    pub(super) fn reconnects(&self) -> bool {
        let Self::Uri(uri) = self else { return false };
        SCHEMES.iter().any(|&(scheme, reconnects)| reconnects && has_scheme(uri, scheme))
    }
}

/// A feed whose pipeline the runtime builds, restarts and ends.
#[derive(Debug, Clone, PartialEq)]
pub struct ManagedFeedConfig {
    pub source: ManagedSource,
    /// `None`: `feed-` and its id.
    pub name: Option<String>,
    pub processor_id: String,
    /// Results are written there too, one JSON object a line.
    pub location: Option<PathBuf>,
    /// At its end the stream starts again.
    pub looping: bool,
    /// Frames are taken when they are due, not as fast as they can be read.
    pub sync: bool,
    pub settings: FeedSettings,
    pub restarts: RestartPolicy,
}

const DEFAULT_PROCESSOR_ID: &str = "default";

impl ManagedFeedConfig {
    pub fn new(source: ManagedSource) -> Self {
        Self {
            source,
            name: None,
            processor_id: DEFAULT_PROCESSOR_ID.into(),
            location: None,
            looping: false,
            sync: false,
            settings: FeedSettings::default(),
            restarts: RestartPolicy::default(),
        }
    }

    pub fn from_uri(uri: impl Into<String>) -> Self {
        Self::new(ManagedSource::Uri(uri.into()))
    }

    /// Reads the fields that `docs/runtime.md` lists, whatever the structure's name; `_` in a field's name is as good as `-`.
    pub fn from_structure(structure: &gst::StructureRef) -> Result<Self, Error> {
        let specs = specs();
        let mut config = Self::from_uri("");
        let (mut uri, mut pipeline) = (None, None);
        for (field, given) in structure.iter() {
            let name = field.replace('_', "-");
            let name = if name == "name" { "feed-name" } else { &name };
            let Some(spec) = specs.iter().find(|spec| spec.name() == name) else {
                let known: Vec<_> = specs.iter().map(|spec| spec.name()).collect();
                return Err(invalid(format!(
                    "add-feed knows no field `{field}` (its value is {}): it knows {}",
                    show(given),
                    known.join(", ")
                )));
            };
            let value = convert(spec, given).ok_or_else(|| {
                invalid(format!("`{field}` of add-feed cannot be {}: it is {}", show(given), expectation(spec)))
            })?;
            let text = || value.get::<String>().unwrap_or_default();
            match name {
                "uri" => uri = Some(text()),
                "pipeline" => pipeline = Some(text()),
                "feed-name" if config.name.as_ref().is_some_and(|name| *name != text()) => {
                    return Err(invalid("`name` and `feed-name` of add-feed differ: give one of them"));
                }
                "feed-name" => config.name = Some(text()),
                "processor-id" => config.processor_id = text(),
                "location" => config.location = Some(text().into()),
                "loop" => config.looping = value.get().unwrap_or_default(),
                "sync" => config.sync = value.get().unwrap_or_default(),
                "max-restarts" => config.restarts.max_restarts = value.get().ok(),
                "restart-delay" => config.restarts.delay = value.get().unwrap_or_default(),
                "max-restart-delay" => config.restarts.max_delay = value.get().unwrap_or_default(),
                "restart-window" => config.restarts.window = value.get().unwrap_or_default(),
                _ => _ = properties::set(&mut config.settings, name, &value),
            }
        }
        config.source = match (uri, pipeline) {
            (Some(uri), None) => ManagedSource::Uri(uri),
            (None, Some(pipeline)) => ManagedSource::Pipeline(pipeline),
            (None, None) => {
                return Err(invalid("add-feed got neither `uri` nor `pipeline`: set `uri` to what is to be watched"));
            }
            (Some(_), Some(_)) => return Err(invalid("add-feed got `uri` and `pipeline`: set one of them")),
        };
        Ok(config)
    }

    /// Refuses what can be seen to be wrong before anything is started.
    pub(in crate::runtime) fn check(&self, policy: CustomPipelinePolicy) -> Result<(), Error> {
        if self.processor_id.is_empty() {
            return Err(invalid("`processor-id` is empty: set it to the `processor-id` of an `nvbatch`"));
        }
        match &self.source {
            ManagedSource::Uri(uri) => self.check_uri(uri),
            ManagedSource::Pipeline(_) if policy == CustomPipelinePolicy::Reject => Err(Error::new(
                ErrorCode::CustomPipelineRejected,
                format!(
                    "`pipeline` is '{}', and `custom-pipeline-policy` is reject: use `uri`, or set the policy of the runtime to allow-trusted if whoever adds feeds may do all that this process may",
                    self.source.redacted()
                ),
            )),
            ManagedSource::Pipeline(_) => Ok(()),
        }
    }

    fn check_uri(&self, uri: &str) -> Result<(), Error> {
        if !SCHEMES.iter().any(|(scheme, _)| has_scheme(uri, scheme)) {
            return Err(invalid(format!(
                "`uri` cannot be '{}': it starts with file:///, rtsp://, rtsps://, http://, https:// or v4l2:///",
                redact::text(uri)
            )));
        }
        source::check_address(uri, self.settings.rtsp_security)
    }
}

fn has_scheme(uri: &str, scheme: &str) -> bool {
    uri.split_once("://").is_some_and(|(is, rest)| is.eq_ignore_ascii_case(scheme) && !rest.is_empty())
}

pub(super) fn invalid(message: impl AsRef<str>) -> Error {
    Error::new(ErrorCode::InvalidConfig, message)
}

/// The fields of `add-feed`.
fn specs() -> Vec<ParamSpec> {
    let text = |name| glib::ParamSpecString::builder(name).flags(ParamFlags::READWRITE).build();
    let flag = |name| glib::ParamSpecBoolean::builder(name).flags(ParamFlags::READWRITE).build();
    let time = |name, default: Time| {
        glib::ParamSpecUInt64::builder(name).default_value(default).flags(ParamFlags::READWRITE).build()
    };
    let restarts = RestartPolicy::default();
    let mut specs = vec![
        text("uri"),
        text("pipeline"),
        text("feed-name"),
        text("processor-id"),
        text("location"),
        flag("loop"),
        flag("sync"),
        glib::ParamSpecUInt::builder("max-restarts").build(),
        time("restart-delay", restarts.delay),
        time("max-restart-delay", restarts.max_delay),
        time("restart-window", restarts.window),
    ];
    specs.extend(properties::specs());
    specs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Leaky, RtspSecurity};

    fn read(structure: &str) -> Result<ManagedFeedConfig, Error> {
        gst::init().unwrap();
        ManagedFeedConfig::from_structure(&structure.parse::<gst::Structure>().unwrap())
    }

    #[test]
    fn reads_every_kind_of_field_in_the_types_that_people_use() {
        let config = read(
            "feed, uri=file:///a.mp4, feed_name=gate, processor-id=det, location=/out, loop=true, sync=(string)yes, \
             max-restarts=(int)3, restart-delay=(string)5, max-restart-delay=(guint64)70, restart-window=(int)9, \
             threshold=(double)0.5, iou-threshold=(int)1, interval=(int)2, leaky=downstream, priority=-4, deadline=(int)8",
        )
        .unwrap();
        let mut expected = ManagedFeedConfig::from_uri("file:///a.mp4");
        expected.name = Some("gate".into());
        expected.processor_id = "det".into();
        expected.location = Some("/out".into());
        (expected.looping, expected.sync) = (true, true);
        expected.restarts = RestartPolicy { max_restarts: Some(3), delay: 5, max_delay: 70, window: 9 };
        expected.settings.decode.threshold = 0.5;
        expected.settings.decode.iou_threshold = 1.0;
        (expected.settings.interval, expected.settings.leaky) = (2, Leaky::Downstream);
        (expected.settings.priority, expected.settings.deadline) = (-4, 8);
        assert_eq!(config, expected);
        assert_eq!(read("feed, uri=file:///a, name=x, feed-name=x").unwrap().name.as_deref(), Some("x"));
    }

    #[test]
    fn every_property_of_a_feed_is_a_field_in_its_own_type() {
        gst::init().unwrap();
        for spec in properties::specs() {
            let mut structure = gst::Structure::builder("feed").field("uri", "file:///a").build();
            // SAFETY: numbers and enums may go to any thread.
            let value = unsafe { spec.default_value().clone().into_send_value() };
            structure.set_value(spec.name(), value);
            let config = ManagedFeedConfig::from_structure(&structure).unwrap();
            assert_eq!(config.settings, FeedSettings::default(), "{}", spec.name());
        }
    }

    #[test]
    fn names_the_field_the_value_and_what_would_do() {
        for (structure, parts) in [
            ("feed, uri=file:///a, colour=red", ["colour", "red", "threshold"]),
            ("feed, uri=(int)5", ["uri", "5", "text"]),
            ("feed, uri=(string)\"\"", ["uri", "''", "text"]),
            ("feed, uri=file:///a, threshold=high", ["threshold", "high", "0 to 1"]),
            ("feed, uri=file:///a, threshold=(double)1.5", ["threshold", "1.5", "0 to 1"]),
            ("feed, uri=file:///a, threshold=(double)nan", ["threshold", "", "0 to 1"]),
            ("feed, uri=file:///a, interval=(int)-1", ["interval", "-1", "from 1"]),
            ("feed, uri=file:///a, interval=(int)0", ["interval", "0", "from 1"]),
            ("feed, uri=file:///a, interval=(guint64)5000000000", ["interval", "5000000000", "4294967295"]),
            ("feed, uri=file:///a, interval=(double)2.5", ["interval", "2.5", "whole"]),
            ("feed, uri=file:///a, leaky=sideways", ["leaky", "sideways", "downstream"]),
            ("feed, uri=file:///a, leaky=(int)77", ["leaky", "77", "downstream"]),
            ("feed, uri=file:///a, loop=(fraction)1/2", ["loop", "1/2", "true or false"]),
            ("feed, uri=file:///a, loop=perhaps", ["loop", "perhaps", "true or false"]),
            ("feed, uri=file:///a, restart-delay=(int)-5", ["restart-delay", "-5", "0 to"]),
            ("feed, uri=file:///a, pipeline=videotestsrc", ["uri", "pipeline", "one"]),
            ("feed, uri=file:///a, name=a, feed-name=b", ["name", "feed-name", "differ"]),
            ("feed, loop=true", ["uri", "pipeline", "neither"]),
        ] {
            let error = read(structure).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidConfig);
            assert!(parts.iter().all(|part| error.message.contains(part)), "{structure}: {error}");
        }
    }

    #[test]
    fn uris_are_those_that_can_be_watched() {
        let check = |uri: &str| ManagedFeedConfig::from_uri(uri).check(CustomPipelinePolicy::Reject);
        for uri in ["file:///a", "RTSP://cam/1", "rtspst://cam", "http://h/v", "https://h/v", "v4l2:///dev/video0"] {
            check(uri).unwrap();
        }
        for uri in ["/a.mp4", "", "file://", "exec:///bin/sh", "ftp://user:secret@h/v", "rtsp:cam", "ü"] {
            let error = check(uri).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidConfig, "{uri}");
            assert!(!error.message.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_is_not_allowed_is_refused_without_telling_secrets() {
        let mut config = ManagedFeedConfig::from_uri("rtsp://user:secret@cam/1");
        config.settings.rtsp_security = RtspSecurity::RequireTls;
        let insecure = config.check(CustomPipelinePolicy::Reject).unwrap_err();
        config.source = ManagedSource::Pipeline("rtspsrc location=rtsp://user:secret@cam/1".into());
        let custom = config.check(CustomPipelinePolicy::Reject).unwrap_err();
        config.check(CustomPipelinePolicy::AllowTrusted).unwrap();
        assert_eq!(insecure.code, ErrorCode::InsecureSourceRejected);
        assert_eq!(custom.code, ErrorCode::CustomPipelineRejected);
        for error in [insecure, custom] {
            assert!(error.message.contains("***@cam/1") && !error.message.contains("secret"), "{error}");
        }
    }

    #[test]
    fn video_goes_through_tls_where_the_address_has_it() {
        for (uri, asked_for) in [
            ("rtsps://cam/1", "rtspst://cam/1"),
            ("RTSPS://u:p@cam", "rtspst://u:p@cam"),
            ("rtspsu://cam", "rtspsu://cam"),
            ("rtsp://cam", "rtsp://cam"),
            ("file:///rtsps://a", "file:///rtsps://a"),
        ] {
            assert_eq!(ManagedSource::secured(uri), asked_for);
        }
    }

    #[test]
    fn cameras_are_connected_again_and_files_are_not() {
        for (uri, again) in [("rtsp://cam", true), ("RTSPS://cam", true), ("v4l2:///dev/video0", true)] {
            assert_eq!(ManagedSource::Uri(uri.into()).reconnects(), again);
        }
        for uri in ["file:///a", "https://h/v"] {
            assert!(!ManagedSource::Uri(uri.into()).reconnects());
        }
    }
}
