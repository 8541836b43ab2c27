//! Where a feed's video comes from: whether it crosses the network in the clear, and who decodes it.

use glib::prelude::*;
use parking_lot::Mutex;

use super::{
    Error, ErrorCode, Feed, RtspSecurity,
    health::{Health, Severity},
    redact,
    upstream::{Decoding, decoding, find_upstream},
};

/// RTSP without TLS, over whatever transport; `rtsps` and its kin are TLS.
const PLAIN_RTSP: [&str; 5] = ["rtsp", "rtspt", "rtspu", "rtsph", "rtsp-sdp"];
/// Properties in which elements keep what they read.
const ADDRESSES: [&str; 2] = ["location", "uri"];

/// What is to be done about the source of a feed.
#[derive(Debug, Clone, PartialEq)]
enum SourceVerdict {
    Accepted,
    /// Plain RTSP that is taken with a warning. The address has no secret in it.
    Doubtful {
        redacted_uri: String,
    },
    Refused(Error),
}

/// Applies the feed's `rtsp-security` to what is upstream of its element.
#[derive(Default)]
pub struct SourceCheck {
    /// The address that was warned of already. A leaf.
    doubtful_uri: Mutex<Option<String>>,
    /// What was told already. A leaf.
    decoding: Mutex<Option<Decoding>>,
}

impl SourceCheck {
    /// To be called before a frame is taken, with each change of caps. Warns, once for each address, or refuses. Tells
    /// who decodes, once for each decoder.
    pub fn check(
        &self,
        element: &impl IsA<gst::Element>,
        pad: &gst::Pad,
        feed: &Feed,
        health: &Health,
    ) -> Result<(), Error> {
        let redacted_uri = match judge_source(pad, feed.rtsp_security()) {
            SourceVerdict::Refused(error) => return Err(error),
            SourceVerdict::Accepted => None,
            SourceVerdict::Doubtful { redacted_uri } => Some(redacted_uri),
        };
        if let Some(redacted_uri) = redacted_uri {
            self.warn_of(redacted_uri, element, feed, health);
        }
        let decoding = decoding(pad);
        if self.decoding.lock().replace(decoding.clone()).as_ref() != Some(&decoding) {
            health.emit(|| {
                feed.event("decode-decision", Severity::Info)
                    .text("outcome", decoding.outcome.as_str())
                    .text("detail", decoding.detail)
            });
        }
        Ok(())
    }

    fn warn_of(&self, redacted_uri: String, element: &impl IsA<gst::Element>, feed: &Feed, health: &Health) {
        if self.doubtful_uri.lock().replace(redacted_uri.clone()).as_ref() != Some(&redacted_uri) {
            gst::element_warning!(
                element,
                gst::ResourceError::Settings,
                ("{redacted_uri} is not encrypted: use the camera's rtsps:// address, or set `rtsp-security` to allow-insecure")
            );
            health.emit(|| feed.event("insecure-source", Severity::Warning).text("redacted-uri", redacted_uri));
        }
    }
}

/// Looks upstream of `pad` for plain RTSP, and says what `policy` makes of it. Sees through bins as far as pads are
/// linked; not through elements that only hand data over, such as `appsrc` or `intervideosrc`.
fn judge_source(pad: &gst::Pad, policy: RtspSecurity) -> SourceVerdict {
    if policy == RtspSecurity::AllowInsecure {
        return SourceVerdict::Accepted;
    }
    let Some(uri) = plain_rtsp_upstream(pad) else { return SourceVerdict::Accepted };
    let redacted_uri = redact::text(&uri);
    if policy == RtspSecurity::PreferTls {
        return SourceVerdict::Doubtful { redacted_uri };
    }
    SourceVerdict::Refused(Error::new(
        ErrorCode::InsecureSourceRejected,
        format!(
            "{redacted_uri} is not encrypted and `rtsp-security` is require-tls: use the camera's rtsps:// address, or set `rtsp-security` to prefer-tls"
        ),
    ))
}

fn plain_rtsp_upstream(pad: &gst::Pad) -> Option<String> {
    find_upstream(pad, plain_rtsp_address)
}

fn plain_rtsp_address(element: &gst::Element) -> Option<String> {
    ADDRESSES.into_iter().find_map(|name| {
        let spec = element.find_property(name)?;
        let readable = spec.flags().contains(glib::ParamFlags::READABLE) && spec.value_type() == glib::Type::STRING;
        let address =
            readable.then(|| element.property_value(name).get::<Option<String>>().ok().flatten()).flatten()?;
        is_plain_rtsp(&address).then_some(address)
    })
}

pub(super) fn is_plain_rtsp(address: &str) -> bool {
    let address = address.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    address
        .split_once("://")
        .is_some_and(|(scheme, _)| PLAIN_RTSP.iter().any(|plain| scheme.eq_ignore_ascii_case(plain)))
}

#[cfg(test)]
mod tests {
    use gst::prelude::*;

    use super::*;

    /// An element that keeps an address in `location` and needs neither a network nor a plugin.
    fn source(address: &str) -> gst::Element {
        gst::init().unwrap();
        gst::ElementFactory::make("filesrc").property("location", address).build().unwrap()
    }

    fn element(factory: &str) -> gst::Element {
        gst::init().unwrap();
        gst::ElementFactory::make(factory).build().unwrap()
    }

    fn bin_of(elements: &[&gst::Element], ghosts: &[(&str, &gst::Element)]) -> gst::Element {
        let bin = gst::Bin::new();
        bin.add_many(elements.iter().copied()).unwrap();
        gst::Element::link_many(elements.iter().copied()).unwrap();
        for (name, element) in ghosts {
            bin.add_pad(&gst::GhostPad::with_target(&element.static_pad(name).unwrap()).unwrap()).unwrap();
        }
        bin.upcast()
    }

    fn upstream_of(chain: &[&gst::Element]) -> Option<String> {
        let sink = element("fakesink");
        let pipeline = gst::Pipeline::new();
        pipeline.add_many(chain.iter().copied().chain([&sink])).unwrap();
        gst::Element::link_many(chain.iter().copied().chain([&sink])).unwrap();
        plain_rtsp_upstream(&sink.static_pad("sink").unwrap())
    }

    #[test]
    fn plain_spellings() {
        for plain in ["rtsp://cam/1", "RTSP://cam/1", "  rtspt://cam", "\trtspu://cam", "RtspH://cam", "rtsp-sdp://cam"]
        {
            assert!(is_plain_rtsp(plain), "{plain}");
        }
        for other in ["rtsps://cam", "RTSPS://cam", "rtspst://cam", "http://cam/rtsp://x", "/rtsp/file.mp4", "rtsp", ""]
        {
            assert!(!is_plain_rtsp(other), "{other}");
        }
    }

    #[test]
    fn finds_the_source_through_elements_and_bins() {
        let uri = "rtsp://cam/1";
        assert_eq!(upstream_of(&[&source(uri)]).as_deref(), Some(uri));
        assert_eq!(upstream_of(&[&source(uri), &element("identity"), &element("queue")]).as_deref(), Some(uri));

        let inner = source(uri);
        let source_bin = bin_of(&[&inner], &[("src", &inner)]);
        let nested = bin_of(&[&source_bin], &[("src", &source_bin)]);
        let identity = element("identity");
        let filter = bin_of(&[&identity], &[("sink", &identity), ("src", &identity)]);
        assert_eq!(upstream_of(&[&nested, &filter]).as_deref(), Some(uri));
        assert_eq!(upstream_of(&[&source("rtsps://cam/1"), &element("identity")]), None);
        assert_eq!(upstream_of(&[&element("identity")]), None);
    }

    #[test]
    fn finds_it_from_inside_a_bin_and_among_several_inputs() {
        let (pipeline, plain, sink) = (gst::Pipeline::new(), source("RTSP://cam/1"), element("fakesink"));
        let sink_bin = bin_of(&[&sink], &[("sink", &sink)]);
        let (funnel, file) = (element("funnel"), source("/video.mp4"));
        pipeline.add_many([&file, &plain, &funnel, &sink_bin]).unwrap();
        file.link(&funnel).unwrap();
        plain.link(&funnel).unwrap();
        funnel.link(&sink_bin).unwrap();
        assert_eq!(plain_rtsp_upstream(&sink.static_pad("sink").unwrap()).as_deref(), Some("RTSP://cam/1"));
    }

    #[test]
    fn another_stream_of_a_multiqueue_is_not_upstream() {
        let (pipeline, queue) = (gst::Pipeline::new(), element("multiqueue"));
        pipeline.add(&queue).unwrap();
        let sinks = ["/video.mp4", "rtsp://cam/1"].map(|address| {
            let (source, sink) = (source(address), element("fakesink"));
            pipeline.add_many([&source, &sink]).unwrap();
            source.link(&queue).unwrap();
            queue.link(&sink).unwrap();
            sink.static_pad("sink").unwrap()
        });
        assert_eq!(sinks.map(|sink| plain_rtsp_upstream(&sink).is_some()), [false, true]);
    }

    #[test]
    fn reads_the_address_of_rtspsrc() {
        gst::init().unwrap();
        let Ok(rtspsrc) = gst::ElementFactory::make("rtspsrc").build() else {
            println!("skipped: no rtspsrc (gstreamer1.0-plugins-good)");
            return;
        };
        rtspsrc.set_property("location", "rtspt://user:secret@cam/1");
        assert_eq!(plain_rtsp_address(&rtspsrc).as_deref(), Some("rtspt://user:secret@cam/1"));
        rtspsrc.set_property("location", "rtsps://cam/1");
        assert_eq!(plain_rtsp_address(&rtspsrc), None);
    }

    #[test]
    fn the_policy_decides() {
        let (source, sink) = (source("rtsp://user:secret@cam/1"), element("fakesink"));
        source.link(&sink).unwrap();
        let pad = sink.static_pad("sink").unwrap();
        assert_eq!(judge_source(&pad, RtspSecurity::AllowInsecure), SourceVerdict::Accepted);
        assert_eq!(
            judge_source(&pad, RtspSecurity::PreferTls),
            SourceVerdict::Doubtful { redacted_uri: "rtsp://***@cam/1".into() }
        );
        let SourceVerdict::Refused(error) = judge_source(&pad, RtspSecurity::RequireTls) else {
            panic!("plain RTSP was not refused")
        };
        assert_eq!(error.code, ErrorCode::InsecureSourceRejected);
        assert!(error.message.contains("***@cam/1") && !error.message.contains("secret"), "{error}");
    }
}
