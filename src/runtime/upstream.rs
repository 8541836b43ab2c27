//! What is upstream of a pad: elements, as far as pads are linked, through bins.

use std::collections::HashSet;

use gst::prelude::*;

/// Who decodes a feed's video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decoding {
    pub outcome: Decoder,
    /// Which decoder it is, or why none is known.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoder {
    Hardware,
    Software,
    Unknown,
}

impl Decoder {
    /// Of the class in its factory's metadata.
    fn of_class(class: &str) -> Self {
        if class.contains("Hardware") { Self::Hardware } else { Self::Software }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hardware => "hardware",
            Self::Software => "software",
            Self::Unknown => "unknown",
        }
    }
}

/// The nearest decoder upstream of `pad`. That it is hardware it says itself, in the class of its factory.
pub(super) fn decoding(pad: &gst::Pad) -> Decoding {
    let decoder = find_upstream(pad, |element| {
        let factory = element.factory().filter(|_| !element.is::<gst::Bin>())?;
        let class = factory.metadata("klass")?.to_owned();
        class.contains("Decoder").then(|| (factory.name(), class))
    });
    match decoder {
        Some((name, class)) => Decoding { outcome: Decoder::of_class(&class), detail: name.into() },
        None => Decoding { outcome: Decoder::Unknown, detail: "no decoder is linked upstream".into() },
    }
}

/// The first that `wanted` finds in an element upstream of `pad`. Sees through bins as far as pads are linked; not
/// through elements that only hand data over, such as `appsrc` or `intervideosrc`.
pub(super) fn find_upstream<R>(pad: &gst::Pad, wanted: impl Fn(&gst::Element) -> Option<R>) -> Option<R> {
    let mut seen = HashSet::new();
    let mut open = vec![pad.clone()];
    while let Some(pad) = open.pop() {
        if !seen.insert(pad.clone()) {
            continue;
        }
        if pad.direction() == gst::PadDirection::Sink {
            open.extend(pad.peer());
        } else if let Some(element) = pad.parent_element() {
            if let Some(found) = wanted(&element) {
                return Some(found);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream_of(factories: &[&str]) -> Option<Decoding> {
        gst::init().unwrap();
        let pipeline = gst::Pipeline::new();
        let make = |name: &&str| gst::ElementFactory::make(name).build().ok();
        let Some(chain) = factories.iter().map(make).collect::<Option<Vec<_>>>() else {
            println!("skipped: one of {factories:?} is not there");
            return None;
        };
        pipeline.add_many(&chain).unwrap();
        for pair in chain.windows(2) {
            pair[0].link_pads_full(None, &pair[1], None, gst::PadLinkCheck::empty()).unwrap();
        }
        Some(decoding(&chain.last()?.static_pad("sink").unwrap()))
    }

    #[test]
    fn the_nearest_decoder_decides() {
        for (chain, outcome, detail) in [
            (&["videotestsrc", "jpegenc", "jpegdec", "identity", "fakesink"][..], Decoder::Software, "jpegdec"),
            (&["avdec_h264", "videoconvert", "fakesink"], Decoder::Software, "avdec_h264"),
            (&["videotestsrc", "fakesink"], Decoder::Unknown, "no decoder is linked upstream"),
        ] {
            if let Some(found) = upstream_of(chain) {
                assert_eq!(found, Decoding { outcome, detail: detail.into() });
            }
        }
    }

    #[test]
    fn a_decoder_that_says_so_is_hardware() {
        assert_eq!(Decoder::of_class("Codec/Decoder/Video/Hardware"), Decoder::Hardware);
        assert_eq!(Decoder::of_class("Codec/Decoder/Video"), Decoder::Software);
    }
}
