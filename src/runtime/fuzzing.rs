//! Where the targets in `fuzz/` come in, as [`crate::inference::fuzzing`].

use std::{cell::OnceCell, str::FromStr};

use gst::prelude::*;

use super::{Annotations, CustomPipelinePolicy, Items, ManagedFeedConfig, RegionSettings, redact, source};
use crate::inference::Region;

pub use super::tuning::settings_cache;

/// The fields of a structure for `add-feed`, as GStreamer reads them from text.
pub fn add_feed(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    start();
    let Some(structure) = structure(&format!("feed, {text}")) else { return };
    let checked = ManagedFeedConfig::from_structure(&structure).and_then(|config| {
        config.check(CustomPipelinePolicy::AllowTrusted)?;
        config.check(CustomPipelinePolicy::Reject).map(|()| config)
    });
    match checked {
        Ok(config) => {
            let decode = config.settings.decode;
            assert!((0.0..=1.0).contains(&decode.threshold) && (0.0..=1.0).contains(&decode.iou_threshold));
            assert!(config.settings.interval > 0 && !config.processor_id.is_empty());
        }
        Err(error) => assert!(!error.message.contains(char::is_control), "{error:?}"),
    }
}

/// Whatever spelling GStreamer takes for RTSP without TLS is that here.
pub fn addresses(bytes: &[u8]) {
    thread_local! {
        /// `None` where the system has none.
        static RTSPSRC: OnceCell<Option<gst::URIHandler>> = const { OnceCell::new() };
    }
    let Ok(text) = str::from_utf8(bytes) else { return };
    let is_plain = source::is_plain_rtsp(text);
    let scheme = text.split_once(':').map(|(scheme, _)| scheme.trim().to_ascii_lowercase()).unwrap_or_default();
    // A session description behind `rtsp-sdp:` goes to a parser of GStreamer's, which has critical warnings of its own.
    if text.contains('\0') || scheme.ends_with("-sdp") {
        return;
    }
    start();
    let is_taken = RTSPSRC.with(|rtspsrc| {
        let make = || gst::ElementFactory::make("rtspsrc").build().ok()?.dynamic_cast().ok();
        rtspsrc.get_or_init(make).as_ref().is_some_and(|rtspsrc| rtspsrc.set_uri(text).is_ok())
    });
    let has_tls = scheme.starts_with("rtsps");
    assert!(!is_taken || is_plain != has_tls, "{text:?}");
}

/// A password in an address, with anything in it and around it: the text before, the password's two halves around a
/// word that is looked for, and the text behind, a line each. The first character says where it stands.
pub fn redaction(bytes: &[u8]) {
    const WORD: &str = "hUnTeR2";
    let Ok(text) = str::from_utf8(bytes) else { return };
    assert!(redact::text(text).chars().count() <= 515);
    assert!(!redact::text(text).contains(char::is_control));
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let (kind, [before, first, second, behind]) = (next(), std::array::from_fn(|_| next()));
    let printable: String = text.chars().filter(|c| !c.is_control()).collect();
    if printable.to_lowercase().contains(&WORD.to_lowercase()) {
        return;
    }
    let password = format!("{first}{WORD}{second}");
    let is_one_word = |c: char| !c.is_whitespace() && !c.is_control();
    let given = match kind.bytes().next().unwrap_or_default() % 4 {
        0 if password.chars().all(is_one_word) => format!("{before} rtsp://user:{password}@cam/1 {behind}"),
        1 if password.chars().all(is_one_word) => format!("{before} RTSPS://{first}:{password}@cam:554/?a=b {behind}"),
        2 if password.chars().all(|c| is_one_word(c) && c != '&') => {
            format!("{before} http://cam/?password={password}&x=1 {behind}")
        }
        3 => format!("{before}\nAuthorization: Basic {password}\n{behind}"),
        _ => return,
    };
    for shown in [redact::text(&given), redact::secrets(&given)] {
        assert!(!shown.contains(WORD), "{given:?} became {shown:?}");
    }
}

/// Regions of interest of anybody's on a frame, and what is cut out for them:
/// `frame 1920,1080`, `margin 0.5`, `roi x,y,w,h label`, `param` with a structure for the region before.
pub fn regions(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    start();
    let mut buffer = gst::Buffer::new();
    let mut frame = (1920, 1080);
    let mut settings = RegionSettings::default();
    let mut region: Option<Foreign> = None;
    for line in text.lines().take(200) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (numbers, label) = rest.split_once(' ').unwrap_or((rest, ""));
        let numbers: Vec<u32> = numbers.split(',').filter_map(|number| number.parse().ok()).collect();
        match (word, &numbers[..]) {
            ("frame", &[width @ 1..=32768, height @ 1..=32768]) => frame = (width, height),
            ("margin", _) => settings.margin = rest.parse::<f32>().unwrap_or_default().clamp(0.0, 10.0),
            ("class", _) => settings.object_class = rest.into(),
            ("every", &[frames]) => settings.reclassify_interval = frames,
            ("roi", &[x, y, w, h]) => {
                region.take().into_iter().for_each(|region| add(&mut buffer, region));
                region = Some(Foreign { label: label.replace('\0', ""), rect: (x, y, w, h), params: Vec::new() });
            }
            ("param", _) => {
                if let (Some(region), Some(param)) = (&mut region, structure(rest)) {
                    region.params.push(param);
                }
            }
            _ => (),
        }
    }
    region.into_iter().for_each(|region| add(&mut buffer, region));
    let (width, height) = (frame.0 as f32, frame.1 as f32);
    for object in Annotations::read(&buffer, frame).objects {
        let [x, y, w, h] = [object.x, object.y, object.w, object.h];
        assert!(x >= 0.0 && y >= 0.0 && w > 0.0 && h > 0.0 && x + w <= width && y + h <= height, "{object:?}");
        assert!(object.confidence.is_none_or(|confidence| (0.0..=1.0).contains(&confidence)), "{object:?}");
        let Some(cut) = Region::around([x, y, w, h], settings.margin, frame) else { continue };
        for Region { x, y, width, height } in [cut, cut.aligned((1, 1), (frame.0 as usize, frame.1 as usize))] {
            assert!(width > 0 && height > 0 && x + width <= frame.0 as usize && y + height <= frame.1 as usize);
        }
    }
    _ = Items::read(&buffer, frame, &settings).iter().count();
}

/// A region on its way onto the buffer.
struct Foreign {
    label: String,
    rect: (u32, u32, u32, u32),
    params: Vec<gst::Structure>,
}

fn add(buffer: &mut gst::Buffer, region: Foreign) {
    let buffer = buffer.make_mut();
    let mut meta = gst_video::VideoRegionOfInterestMeta::add(buffer, &region.label, region.rect);
    region.params.into_iter().for_each(|param| meta.add_param(param));
}

/// `None` also for what GStreamer's own parser does not take without a critical warning: a name that is none.
fn structure(text: &str) -> Option<gst::Structure> {
    const NESTED: [&str; 7] = ["struct", "buffer", "caps", "tag", "sample", "event", "meta"];
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "/-_.:+".contains(c))
    };
    let lower = text.to_ascii_lowercase();
    let is_sound = !text.contains('\0')
        && text.split(',').next().is_some_and(is_name)
        && !NESTED.iter().any(|word| lower.contains(word));
    if is_sound { gst::Structure::from_str(text).ok() } else { None }
}

fn start() {
    gst::init().expect("GStreamer starts");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::fuzzing::replay;

    #[test]
    fn the_corpus_is_read() {
        replay("add_feed", add_feed);
        replay("addresses", addresses);
        replay("redaction", redaction);
        replay("regions", regions);
        replay("settings_cache", settings_cache);
    }
}
