//! The GStreamer pipeline of one run of a managed feed: a source, what decodes it, an `nvfeed`.

use gst::prelude::*;

use super::{
    config::{ManagedFeedConfig, ManagedSource, invalid},
    ticket::FeedTicket,
};
use crate::runtime::{CAT, Error, properties, redact};

/// What a run ends with.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    Eos,
    Failed(Failure),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Without secrets.
    pub detail: String,
    /// It would be the same the next time.
    pub lasting: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { lasting: is_lasting(error.code.as_str()), detail: redact::text(&error.message) }
    }
}

/// Codes of `nv-error` that no restart cures.
fn is_lasting(code: &str) -> bool {
    matches!(code, "insecure-source-rejected" | "invalid-config" | "shutdown-in-progress" | "feed-not-found")
}

/// Whether a fragment can be built at all: starts nothing.
pub fn check(source: &ManagedSource) -> Result<(), Error> {
    match source {
        ManagedSource::Uri(_) => Ok(()),
        ManagedSource::Pipeline(fragment) => parse(fragment).map(drop),
    }
}

/// A pipeline in NULL. Its end is told to `ended`, on whatever thread notices it; that may be more than once.
pub fn build(
    config: &ManagedFeedConfig,
    name: &str,
    ticket: &FeedTicket,
    ended: impl Fn(End) + Send + Sync + 'static,
) -> Result<gst::Pipeline, Error> {
    let pipeline = gst::Pipeline::new();
    let feed = feed(config, name)?;
    feed.set_context(&ticket.to_context());
    let video = match &config.source {
        ManagedSource::Uri(uri) => decoded(uri)?,
        ManagedSource::Pipeline(fragment) => parse(fragment)?,
    };
    pipeline.add_many([&video, &feed]).map_err(|error| invalid(error.to_string()))?;
    link_video(&video, &feed);
    if let Some(bus) = pipeline.bus() {
        // Nobody reads this bus: nothing may pile up on it.
        bus.set_sync_handler(move |_, message| {
            match message.view() {
                gst::MessageView::Eos(_) => ended(End::Eos),
                gst::MessageView::Error(error) => ended(End::Failed(failure(error))),
                _ => {}
            }
            gst::BusSyncReply::Drop
        });
    }
    Ok(pipeline)
}

fn feed(config: &ManagedFeedConfig, name: &str) -> Result<gst::Element, Error> {
    let feed = make("nvfeed")?;
    feed.set_property("feed-name", name);
    feed.set_property("processor-id", &config.processor_id);
    feed.set_property("location", config.location.as_ref().map(|path| path.to_string_lossy().into_owned()));
    feed.set_property("message", false);
    feed.set_property("sync", config.sync);
    for spec in properties::specs() {
        if let Some(value) = properties::get(&config.settings, spec.name()) {
            feed.set_property_from_value(spec.name(), &value);
        }
    }
    Ok(feed)
}

/// An element that reads the uri and gives out its video, raw, in system memory.
fn decoded(uri: &str) -> Result<gst::Element, Error> {
    let decoder = make("uridecodebin")?;
    decoder.set_property("uri", &*ManagedSource::secured(uri));
    decode_video_only(&decoder);
    decoder.connect("source-setup", false, |arguments| {
        let source = arguments.get(1)?.get::<gst::Element>().ok()?;
        if source.factory().is_some_and(|factory| factory.name() == "rtspsrc") {
            // What is not video is not even asked for.
            source.connect("select-stream", false, |arguments| {
                let caps = arguments.get(2)?.get::<gst::Caps>().ok()?;
                let media = caps.structure(0).and_then(|structure| structure.get::<String>("media").ok());
                Some(media.is_none_or(|media| media == "video").to_value())
            });
        }
        None
    });
    Ok(decoder)
}

/// The fragment with a decoder behind it, which lets raw video through.
fn parse(fragment: &str) -> Result<gst::Element, Error> {
    let wrong = |reason: String| {
        let fragment = redact::text(fragment);
        invalid(format!("`pipeline` '{fragment}' cannot be built: {}", redact::text(&reason)))
    };
    let bin = gst::parse::bin_from_description_with_name_full(
        &format!("{fragment} ! decodebin name={DECODER}"),
        false,
        "source",
        None,
        gst::ParseFlags::FATAL_ERRORS | gst::ParseFlags::NO_SINGLE_ELEMENT_BINS,
    )
    .map_err(|error| wrong(error.message().into()))?;
    let bin = bin.downcast::<gst::Bin>().map_err(|_| wrong("it is no chain of elements".into()))?;
    let decoder = bin.by_name(DECODER).ok_or_else(|| wrong(format!("an element of it is named {DECODER}")))?;
    decode_video_only(&decoder);
    let inside = bin.downgrade();
    decoder.connect_pad_added(move |decoder, pad| {
        let Some(bin) = inside.upgrade() else { return };
        let shown = gst::GhostPad::with_target(pad).and_then(|ghost| {
            ghost.set_active(true)?;
            bin.add_pad(&ghost)
        });
        if let Err(error) = shown {
            gst::element_error!(decoder, gst::CoreError::Pad, ("{error}"));
        }
    });
    let inside = bin.downgrade();
    decoder.connect_no_more_pads(move |_| {
        if let Some(bin) = inside.upgrade() {
            bin.no_more_pads();
        }
    });
    Ok(bin.upcast())
}

const DECODER: &str = "nv-decoder";

/// Sound and the like come out as they are, and need no decoder.
fn decode_video_only(decoder: &gst::Element) {
    decoder.connect("autoplug-continue", false, |arguments| {
        let caps = arguments.get(2)?.get::<gst::Caps>().ok()?;
        let name = caps.structure(0)?.name();
        let is_other = ["audio/", "text/", "subpicture/"].iter().any(|kind| name.starts_with(kind));
        Some((!is_other).to_value())
    });
}

/// The first video goes to the feed; a source without any is an error.
fn link_video(video: &gst::Element, feed: &gst::Element) {
    let Some(sink) = feed.static_pad("sink") else { return };
    let first = sink.clone();
    video.connect_pad_added(move |video, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let is_video = caps.structure(0).is_some_and(|structure| structure.name() == "video/x-raw");
        if !is_video || first.is_linked() {
            gst::debug!(CAT, obj = pad, "{caps} is not looked at");
        } else if let Err(error) = pad.link(&first) {
            gst::element_error!(video, gst::CoreError::Negotiation, ("the video cannot be used: {error}"));
        }
    });
    video.connect_no_more_pads(move |video| {
        if !sink.is_linked() {
            gst::element_error!(video, gst::StreamError::WrongType, ("the source has no video"));
        }
    });
}

fn make(factory: &str) -> Result<gst::Element, Error> {
    gst::ElementFactory::make(factory).build().map_err(|_| {
        invalid(format!(
            "there is no element `{factory}`: register this plugin and install GStreamer's base plugins (gst-plugins-base)"
        ))
    })
}

fn failure(error: &gst::message::Error) -> Failure {
    let code = error.details().and_then(|details| details.get::<String>("code").ok());
    let mut detail = redact::text(error.error().message());
    // The first line says which line of GStreamer's source it was.
    let more = error.debug().and_then(|debug| debug.split_once('\n').map(|(_, more)| redact::text(more)));
    if let Some(more) = more.filter(|more| !more.is_empty() && *more != detail) {
        detail = format!("{detail}: {more}");
    }
    Failure { lasting: code.is_some_and(|code| is_lasting(&code)), detail }
}
