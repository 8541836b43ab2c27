//! Where a feed's video comes from: whether it crosses the network in the clear, and who decodes it.

use glib::prelude::*;
use gst::prelude::*;
use parking_lot::Mutex;

use super::{
    Error, ErrorCode, Feed, RtspSecurity,
    health::{Health, Severity},
    redact,
    upstream::{Decoding, decoding, find_upstream},
};

/// RTSP without TLS, over whatever transport; `rtsps` and its kin are TLS.
const PLAIN_RTSP: [&str; 5] = ["rtsp", "rtspt", "rtspu", "rtsph", "rtsp-sdp"];
/// Reads RTSP, and has in it what receives the video where that does not come through the RTSP connection.
const RTSP_SOURCE: &str = "rtspsrc";
const UDP_SOURCE: &str = "udpsrc";
/// Video is encrypted where it is decrypted by this.
const SRTP_DECODER: &str = "srtpdec";
/// Properties in which elements keep what they read.
const ADDRESSES: [&str; 2] = ["location", "uri"];

/// What is to be done about the source of a feed.
#[derive(Debug, Clone, PartialEq)]
enum SourceVerdict {
    Accepted,
    /// Taken with a warning.
    Doubtful(Insecure),
    Refused(Error),
}

/// A source whose video can be read by others.
#[derive(Debug, Clone, PartialEq)]
struct Insecure {
    /// Without secrets.
    redacted_uri: String,
    way: Way,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// There is no TLS at all.
    Plain,
    /// Only what is said about the video goes through TLS.
    VideoBesideTls,
}

impl Insecure {
    fn new(uri: &str, way: Way) -> Self {
        Self { redacted_uri: redact::text(uri), way }
    }
}

/// What is wrong, and what to do about it at the camera.
impl std::fmt::Display for Insecure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let uri = &self.redacted_uri;
        match self.way {
            Way::Plain => write!(f, "{uri} is not encrypted: use the camera's rtsps:// address"),
            Way::VideoBesideTls => write!(
                f,
                "{uri} sends its video over UDP, which is not encrypted: use rtspst:// in place of rtsps://, or set `protocols` of rtspsrc to tcp"
            ),
        }
    }
}

/// Applies the feed's `rtsp-security` to what is upstream of its element.
#[derive(Default)]
pub struct SourceCheck {
    /// What was warned of already. A leaf.
    doubtful: Mutex<Option<Insecure>>,
    /// What was told already. A leaf.
    decoding: Mutex<Option<Decoding>>,
}

impl SourceCheck {
    /// To be called before a frame is taken, with each segment and change of caps. Warns, once for each address, or refuses. Tells
    /// who decodes, once for each decoder.
    pub fn check(
        &self,
        element: &impl IsA<gst::Element>,
        pad: &gst::Pad,
        feed: &Feed,
        health: &Health,
    ) -> Result<(), Error> {
        match judge_source(pad, feed.rtsp_security()) {
            SourceVerdict::Refused(error) => return Err(error),
            SourceVerdict::Accepted => {}
            SourceVerdict::Doubtful(insecure) => self.warn_of(insecure, element, feed, health),
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

    fn warn_of(&self, insecure: Insecure, element: &impl IsA<gst::Element>, feed: &Feed, health: &Health) {
        if self.doubtful.lock().replace(insecure.clone()).as_ref() != Some(&insecure) {
            gst::element_warning!(
                element,
                gst::ResourceError::Settings,
                ("{insecure}, or set `rtsp-security` to allow-insecure")
            );
            health
                .emit(|| feed.event("insecure-source", Severity::Warning).text("redacted-uri", insecure.redacted_uri));
        }
    }
}

/// Looks upstream of `pad` for plain RTSP, and says what `policy` makes of it. Sees through bins as far as pads are
/// linked; not through elements that only hand data over, such as `appsrc` or `intervideosrc`.
fn judge_source(pad: &gst::Pad, policy: RtspSecurity) -> SourceVerdict {
    if policy == RtspSecurity::AllowInsecure {
        return SourceVerdict::Accepted;
    }
    let Some(insecure) = insecure_upstream(pad) else { return SourceVerdict::Accepted };
    match policy {
        RtspSecurity::RequireTls => SourceVerdict::Refused(refusal(&insecure)),
        _ => SourceVerdict::Doubtful(insecure),
    }
}

fn refusal(insecure: &Insecure) -> Error {
    Error::new(
        ErrorCode::InsecureSourceRejected,
        format!("{insecure}; `rtsp-security` is require-tls, and prefer-tls would take it with a warning"),
    )
}

fn insecure_upstream(pad: &gst::Pad) -> Option<Insecure> {
    find_upstream(pad, |element| {
        let plain = plain_rtsp_address(element).map(|uri| Insecure::new(&uri, Way::Plain));
        plain.or_else(|| receives_in_the_clear(element))
    })
}

/// Whether this receives for a source of RTSP what that could not get through its TLS connection, and nothing decrypts.
/// The `rtsp-security` of `rtsps://` alone says nothing: GStreamer asks for UDP first, and cameras agree.
fn receives_in_the_clear(element: &gst::Element) -> Option<Insecure> {
    if !is_made_by(element, UDP_SOURCE) {
        return None;
    }
    let ancestors = std::iter::successors(element.parent(), |object| object.parent());
    let source =
        ancestors.filter_map(|object| object.downcast::<gst::Bin>().ok()).find(|bin| is_made_by(bin, RTSP_SOURCE))?;
    let decrypts = source.iterate_recurse().into_iter().flatten().any(|element| is_made_by(&element, SRTP_DECODER));
    let uri = address(source.upcast_ref(), "location").unwrap_or_default();
    (!decrypts).then(|| Insecure::new(&uri, Way::VideoBesideTls))
}

fn is_made_by(element: &impl IsA<gst::Element>, factory: &str) -> bool {
    element.factory().is_some_and(|made_by| made_by.name() == factory)
}

fn plain_rtsp_address(element: &gst::Element) -> Option<String> {
    ADDRESSES.into_iter().filter_map(|name| address(element, name)).find(|address| is_plain_rtsp(address))
}

fn address(element: &gst::Element, property: &str) -> Option<String> {
    let spec = element.find_property(property)?;
    let readable = spec.flags().contains(glib::ParamFlags::READABLE) && spec.value_type() == glib::Type::STRING;
    readable.then(|| element.property_value(property).get::<Option<String>>().ok().flatten()).flatten()
}

/// Refuses an address before anything is connected to it.
pub(super) fn check_address(uri: &str, policy: RtspSecurity) -> Result<(), Error> {
    if policy == RtspSecurity::RequireTls && is_plain_rtsp(uri) {
        return Err(refusal(&Insecure::new(uri, Way::Plain)));
    }
    Ok(())
}

pub(super) fn is_plain_rtsp(address: &str) -> bool {
    let address = address.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    address
        .split_once("://")
        .is_some_and(|(scheme, _)| PLAIN_RTSP.iter().any(|plain| scheme.eq_ignore_ascii_case(plain)))
}

#[cfg(test)]
mod tests {
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
        found(&sink.static_pad("sink").unwrap())
    }

    fn found(pad: &gst::Pad) -> Option<String> {
        insecure_upstream(pad).map(|insecure| insecure.redacted_uri)
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
        assert_eq!(found(&sink.static_pad("sink").unwrap()).as_deref(), Some("RTSP://cam/1"));
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
        assert_eq!(sinks.map(|sink| found(&sink).is_some()), [false, true]);
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
            SourceVerdict::Doubtful(Insecure { redacted_uri: "rtsp://***@cam/1".into(), way: Way::Plain })
        );
        let SourceVerdict::Refused(error) = judge_source(&pad, RtspSecurity::RequireTls) else {
            panic!("plain RTSP was not refused")
        };
        assert_eq!(error.code, ErrorCode::InsecureSourceRejected);
        assert!(error.message.contains("***@cam/1") && !error.message.contains("secret"), "{error}");
    }
}
