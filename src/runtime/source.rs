//! Where a feed's video comes from: whether it crosses the network in the clear.

use std::collections::HashSet;

use glib::prelude::*;
use gst::prelude::*;
use parking_lot::Mutex;

use super::{
    Error, ErrorCode, Feed, RtspSecurity,
    health::{Event, Health, Severity},
};

/// RTSP without TLS, over whatever transport; `rtsps` and its kin are TLS.
const PLAIN_RTSP: [&str; 5] = ["rtsp", "rtspt", "rtspu", "rtsph", "rtsp-sdp"];
/// Properties in which elements keep what they read.
const ADDRESSES: [&str; 2] = ["location", "uri"];
/// Ends of the names of query parameters that hold a secret.
const SECRETS: [&str; 3] = ["password", "token", "key"];
/// Longest text from outside that is passed on, in characters.
const MAX_TEXT: usize = 256;

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
}

impl SourceCheck {
    /// To be called before a frame is taken. Warns, once for each address, or refuses.
    pub fn check(
        &self,
        element: &impl IsA<gst::Element>,
        pad: &gst::Pad,
        feed: &Feed,
        health: &Health,
    ) -> Result<(), Error> {
        let redacted_uri = match judge_source(pad, feed.rtsp_security()) {
            SourceVerdict::Accepted => return Ok(()),
            SourceVerdict::Refused(error) => return Err(error),
            SourceVerdict::Doubtful { redacted_uri } => redacted_uri,
        };
        if self.doubtful_uri.lock().replace(redacted_uri.clone()).as_ref() != Some(&redacted_uri) {
            gst::element_warning!(
                element,
                gst::ResourceError::Settings,
                ("{redacted_uri} is not encrypted: use the camera's rtsps:// address, or set `rtsp-security` to allow-insecure")
            );
            health.emit(|| {
                Event::new("insecure-source", Severity::Warning)
                    .of_feed(feed.id(), feed.name())
                    .text("redacted-uri", redacted_uri)
            });
        }
        Ok(())
    }
}

/// Looks upstream of `pad` for plain RTSP, and says what `policy` makes of it. Sees through bins as far as pads are
/// linked; not through elements that only hand data over, such as `appsrc` or `intervideosrc`.
fn judge_source(pad: &gst::Pad, policy: RtspSecurity) -> SourceVerdict {
    if policy == RtspSecurity::AllowInsecure {
        return SourceVerdict::Accepted;
    }
    let Some(uri) = plain_rtsp_upstream(pad) else { return SourceVerdict::Accepted };
    let redacted_uri = redact(&uri);
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
    let mut seen = HashSet::new();
    let mut open = vec![pad.clone()];
    while let Some(pad) = open.pop() {
        if !seen.insert(pad.clone()) {
            continue;
        }
        if pad.direction() == gst::PadDirection::Sink {
            open.extend(pad.peer());
        } else if let Some(element) = pad.parent_element() {
            if let Some(uri) = plain_rtsp_address(&element) {
                return Some(uri);
            }
            match pad.downcast_ref::<gst::GhostPad>() {
                Some(ghost) => open.extend(ghost.target()),
                None => open.extend(linked_inside(&pad)),
            }
        } else if let Some(ghost) = pad.parent().and_downcast::<gst::GhostPad>() {
            // The inner side of a bin's sink pad.
            open.push(ghost.upcast());
        }
    }
    None
}

/// The sink pads of the element that feed this source pad.
fn linked_inside(pad: &gst::Pad) -> Vec<gst::Pad> {
    let mut links = Vec::new();
    let mut iterator = pad.iterate_internal_links();
    loop {
        match iterator.next() {
            Ok(Some(link)) => links.push(link),
            Err(gst::IteratorError::Resync) => {
                links.clear();
                iterator.resync();
            }
            Ok(None) | Err(gst::IteratorError::Error) => return links,
        }
    }
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

/// Text from GStreamer on one line, each address in it as [`redact`] gives it.
pub(super) fn redact_text(text: &str) -> String {
    let word = |word: &str| if word.contains("://") { redact(word) } else { word.to_owned() };
    let mut redacted = String::new();
    for text in text.split_whitespace() {
        if redacted.len() > 2 * MAX_TEXT {
            redacted.push_str(" ...");
            break;
        }
        if !redacted.is_empty() {
            redacted.push(' ');
        }
        redacted.push_str(&word(text));
    }
    redacted
}

/// The address with everything secret replaced by `***`, without control characters, and not too long.
pub(super) fn redact(uri: &str) -> String {
    let clean: String = uri.chars().filter(|c| !c.is_control()).collect();
    let clean = clean.trim();
    let (scheme, rest) = clean.split_once("://").unwrap_or(("", clean));
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let mut redacted = format!("{scheme}://");
    match end_of_user(rest) {
        Some(end) => {
            redacted.push_str("***");
            redacted.push_str(rest.get(end..).unwrap_or_default());
        }
        None => redacted.push_str(rest),
    }
    for (index, parameter) in query.iter().flat_map(|query| query.split('&')).enumerate() {
        redacted.push(if index == 0 { '?' } else { '&' });
        match parameter.split_once('=') {
            Some((name, _)) if SECRETS.iter().any(|secret| name.to_ascii_lowercase().ends_with(secret)) => {
                redacted.push_str(name);
                redacted.push_str("=***");
            }
            _ => redacted.push_str(parameter),
        }
    }
    match redacted.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}...", redacted.get(..end).unwrap_or_default()),
        None => redacted,
    }
}

/// Where `user:password` ends in what follows `://`: at an `@`. A password may hold a `/` that should have been escaped;
/// what stands before it is no port then.
fn end_of_user(rest: &str) -> Option<usize> {
    let authority = rest.split('/').next().unwrap_or_default();
    let has_port = |(_, port): (&str, &str)| port.bytes().all(|byte| byte.is_ascii_digit());
    authority.rfind('@').or_else(|| {
        let is_host = authority.rsplit_once(':').is_none_or(has_port);
        if is_host { None } else { rest.rfind('@') }
    })
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

    #[test]
    fn secrets_do_not_get_out() {
        for (uri, redacted) in [
            ("rtsp://cam:554/1", "rtsp://cam:554/1"),
            ("rtsp://user:pw@cam:554/1", "rtsp://***@cam:554/1"),
            ("rtsp://user@cam/1", "rtsp://***@cam/1"),
            ("rtsp://user:p@w@cam/1", "rtsp://***@cam/1"),
            ("rtsp://user:p/w@cam/1", "rtsp://***@cam/1"),
            ("rtsp://cam/stream@1", "rtsp://cam/stream@1"),
            ("rtsp://cam/1?a=b&Access_Token=abc&key=1&last", "rtsp://cam/1?a=b&Access_Token=***&key=***&last"),
            (" rtsp://cam/\u{1b}[31m1\n", "rtsp://cam/[31m1"),
        ] {
            assert_eq!(redact(uri), redacted);
        }
        assert!(redact(&format!("rtsp://cam/{}", "ü".repeat(1000))).chars().count() < 300);
    }
}
