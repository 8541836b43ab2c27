//! Tensors in the caps, by which GStreamer's tensor decoders are negotiated from 1.28 on.
//!
//! Caps say what tensors each frame carries, down to their dimensions, and a model may leave those open until it ran.
//! With `decoder=tensors` the caps, and what follows them, therefore leave with the first frame, and anew where its
//! tensors are others than before. Where there is no model yet they wait only for who cannot do without tensors.

use gst::prelude::*;

use super::tensors::{self, FrameTensor};
use crate::{
    inference::DimsOrder,
    runtime::{Error, ErrorCode},
};

const TENSORS: &str = "tensors";

/// One tensor as caps have it.
#[derive(Debug, Clone, PartialEq)]
struct TensorCaps {
    group: std::sync::Arc<str>,
    id: std::sync::Arc<str>,
    order: DimsOrder,
    element: &'static str,
    dims: Vec<i32>,
}

/// What the source pad has to be told with the next frame.
#[derive(Debug, Default)]
pub struct Announcement {
    /// Upstream's.
    caps: Option<gst::Caps>,
    /// What came after caps that did not leave yet.
    held: Option<Vec<gst::Event>>,
    announced: Vec<TensorCaps>,
}

impl Announcement {
    /// Takes an event on its way out. It comes back where it may leave at once: `plain` says whether caps
    /// may leave without tensors.
    pub fn event(&mut self, event: gst::Event, plain: bool) -> Option<gst::Event> {
        if let gst::EventView::Caps(caps) = event.view() {
            self.caps = Some(caps.caps_owned());
            self.announced.clear();
            if plain && self.held.is_none() {
                return Some(event);
            }
            self.held.get_or_insert_default();
            return None;
        }
        match &mut self.held {
            Some(held) => {
                held.push(event);
                None
            }
            None => Some(event),
        }
    }

    /// The caps that have to leave before a frame with `tensors`, if any.
    pub fn before_frame(&mut self, tensors: &[FrameTensor]) -> Option<gst::Caps> {
        let tensors: Vec<_> = tensors.iter().filter_map(TensorCaps::new).collect();
        if self.held.is_none() && tensors == self.announced {
            return None;
        }
        self.announced = tensors;
        let mut caps = self.caps.clone()?;
        if !self.announced.is_empty() {
            announce(caps.make_mut(), &self.announced);
        }
        Some(caps)
    }

    /// The caps that did not leave yet, where a frame says nothing of tensors.
    pub fn held_caps(&self) -> Option<gst::Caps> {
        self.held.as_ref().and(self.caps.clone())
    }

    /// What waited for the caps, which have left.
    pub fn released(&mut self) -> Vec<gst::Event> {
        self.held.take().unwrap_or_default()
    }

    /// What a flush leaves.
    pub fn flush(&mut self) {
        if let Some(held) = &mut self.held {
            held.retain(|event| {
                event.is_sticky() && !matches!(event.type_(), gst::EventType::Segment | gst::EventType::Eos)
            });
        }
    }
}

impl TensorCaps {
    /// `None` where nobody could know what the tensor is.
    fn new(FrameTensor { standard, tensor }: &FrameTensor) -> Option<Self> {
        let (_, element) = tensors::element(&tensor.data);
        let mut dims: Vec<_> = tensor.dims.iter().map(|&dim| i32::try_from(dim).unwrap_or(i32::MAX)).collect();
        if standard.open_rows
            && let Some(rows) = dims.get_mut(1)
        {
            *rows = 0;
        }
        let group = standard.group.clone()?;
        Some(Self { group, id: standard.id.clone(), order: standard.order, element, dims })
    }

    fn to_caps(&self) -> gst::Caps {
        let order = match self.order {
            DimsOrder::RowMajor => "row-major",
            DimsOrder::ColMajor => "col-major",
        };
        gst::Caps::builder("tensor/strided")
            .field("tensor-id", &*self.id)
            .field("dims", gst::Array::new(&self.dims))
            .field("dims-order", order)
            .field("type", self.element)
            .build()
    }
}

/// Adds `tensors` to those that upstream has announced.
fn announce(caps: &mut gst::CapsRef, tensors: &[TensorCaps]) {
    for structure in caps.iter_mut() {
        let mut groups =
            structure.get::<gst::Structure>(TENSORS).unwrap_or_else(|_| gst::Structure::new_empty("tensorgroups"));
        for (first, tensor) in tensors.iter().enumerate() {
            let is_of_group = |other: &&TensorCaps| other.group == tensor.group;
            if !tensors[..first].iter().any(|other| is_of_group(&other)) {
                let group = tensors.iter().filter(is_of_group);
                groups.set(&*tensor.group, gst::UniqueList::new(group.map(|tensor| tensor.to_caps().to_send_value())));
            }
        }
        structure.set(TENSORS, groups);
    }
}

/// Whether who takes `caps` takes none without tensors.
pub fn are_wanted(caps: &gst::Caps) -> bool {
    caps.size() > 0 && caps.iter().all(|structure| structure.has_field(TENSORS))
}

/// What stands between `caps` and what `pad` is linked to.
pub enum Refusal {
    /// Frames would not get through.
    Fatal(Error),
    /// They get through, and nothing is done to them.
    Idle(Error),
}

/// Whether whatever `pad` is linked to takes `caps`, where tensors are at stake.
pub fn refusal(pad: &gst::Pad, caps: &gst::Caps) -> Option<Refusal> {
    let peer = pad.peer()?;
    let wanted = pad.peer_query_caps(None);
    let gives_tensors = caps.iter().any(|structure| structure.has_field(TENSORS));
    if !(gives_tensors || are_wanted(&wanted)) || caps.is_subset(&wanted) {
        return None;
    }
    let name = peer.parent_element().map_or_else(|| peer.name(), |element| element.name());
    let (given, taken) = (list(caps), list(&wanted));
    let error = Error::new(
        ErrorCode::InvalidConfig,
        format!(
            "{name} does not take the tensors of this nvbatch: given are {given}; taken are {taken}. Set decoder=tensors, \
             link an element that takes what is given (tensordecodebin looks for one), or give the outputs their ids in \
             the model's .modelinfo"
        ),
    );
    let gets_through = !gives_tensors && pad.peer_query_accept_caps(caps);
    Some(if gets_through { Refusal::Idle(error) } else { Refusal::Fatal(error) })
}

/// The tensors of `caps` for a message.
fn list(caps: &gst::Caps) -> String {
    let mut tensors: Vec<String> = Vec::new();
    for groups in caps.iter().filter_map(|structure| structure.get::<gst::Structure>(TENSORS).ok()) {
        let lists = groups.iter().filter_map(|(_, list)| list.get::<gst::UniqueList>().ok());
        for tensor in
            lists.flat_map(|list| list.iter().filter_map(|tensor| tensor.get().ok()).collect::<Vec<gst::Caps>>())
        {
            tensors.extend(tensor.iter().map(|tensor| {
                let field = |name| tensor.value(name).ok().and_then(|value| value.serialize().ok());
                let [id, element, dims, order] = ["tensor-id", "type", "dims", "dims-order"].map(field);
                let parts = [id, element, dims, order].into_iter().flatten().map(String::from);
                let text = parts.collect::<Vec<_>>().join(" ");
                // As gst-inspect-1.0 has it, without the types that it has too.
                let types = ["(int)", "(string)", "(GstIntRange)"];
                types.iter().fold(text, |text, name| text.replace(name, "")).replace("2147483647", "max")
            }));
        }
    }
    if tensors.is_empty() {
        return if caps.is_any() || caps.is_empty() { caps.to_string() } else { "no tensors that have an id".into() };
    }
    tensors.join(", ")
}

/// Answers what caps `sink` takes: those of downstream, where tensors may be added on the way. False where `query` is about
/// something else.
pub fn answer(sink: &gst::Pad, src: &gst::Pad, query: &mut gst::QueryRef) -> bool {
    match query.view_mut() {
        gst::QueryViewMut::Caps(query) => {
            let caps = taken(sink, src);
            query.set_result(&match query.filter() {
                Some(filter) => filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
                None => caps,
            });
        }
        gst::QueryViewMut::AcceptCaps(query) => {
            let accepted = query.caps().is_subset(&taken(sink, src));
            query.set_result(accepted);
        }
        _ => return false,
    }
    true
}

fn taken(sink: &gst::Pad, src: &gst::Pad) -> gst::Caps {
    let mut downstream = src.peer_query_caps(None);
    if downstream.iter().any(|structure| structure.has_field(TENSORS)) {
        downstream.make_mut().iter_mut().for_each(|structure| structure.remove_field(TENSORS));
    }
    downstream.intersect_with_mode(&sink.pad_template_caps(), gst::CapsIntersectMode::First)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{StandardTensor, Tensor, TensorData};

    fn video() -> gst::Caps {
        gst::Caps::builder("video/x-raw").field("width", 64).build()
    }

    fn boxes(rows: usize) -> Vec<FrameTensor> {
        let mut standard = StandardTensor::default();
        (standard.id, standard.group) = ("boxes".into(), Some("group".into()));
        let data = TensorData::Float32(vec![0.0; rows * 4]);
        vec![FrameTensor { standard, tensor: Tensor { name: "out".into(), dims: vec![1, rows, 4], data } }]
    }

    fn types(events: &[gst::Event]) -> Vec<gst::EventType> {
        events.iter().map(|event| event.type_()).collect()
    }

    #[test]
    fn caps_and_what_follows_wait_for_the_first_frame() {
        gst::init().unwrap();
        let mut announcement = Announcement::default();
        let begin = gst::event::StreamStart::new("stream");
        assert!(announcement.event(begin, false).is_some(), "what comes before does not wait");
        assert!(announcement.event(gst::event::Caps::new(&video()), false).is_none());
        let segment = gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new());
        assert!(announcement.event(segment, false).is_none());
        assert_eq!(announcement.held_caps(), Some(video()));

        let caps = announcement.before_frame(&boxes(2)).unwrap();
        assert!(caps.is_fixed() && list(&caps).starts_with("boxes float32 < 1, 2, 4 > row-major"), "{}", list(&caps));
        assert_eq!(types(&announcement.released()), [gst::EventType::Segment]);
        assert_eq!((announcement.before_frame(&boxes(2)), announcement.held_caps()), (None, None));
        assert!(announcement.event(gst::event::Eos::new(), false).is_some());
    }

    #[test]
    fn other_tensors_and_none_are_announced_anew() {
        gst::init().unwrap();
        let mut announcement = Announcement::default();
        _ = announcement.event(gst::event::Caps::new(&video()), false);
        let first = announcement.before_frame(&boxes(2));
        _ = announcement.released();
        assert!(announcement.before_frame(&boxes(3)).is_some_and(|caps| Some(caps) != first));
        assert_eq!(announcement.before_frame(&[]), Some(video()));
        assert_eq!(announcement.before_frame(&[]), None);
    }

    #[test]
    fn a_model_without_tensors_holds_nothing_up() {
        gst::init().unwrap();
        let mut announcement = Announcement::default();
        assert!(announcement.event(gst::event::Caps::new(&video()), true).is_some());
        assert_eq!(announcement.before_frame(&[]), None);
    }

    #[test]
    fn a_flush_leaves_the_caps_and_takes_the_segment() {
        gst::init().unwrap();
        let mut announcement = Announcement::default();
        _ = announcement.event(gst::event::Caps::new(&video()), false);
        _ = announcement.event(gst::event::Tag::new(gst::TagList::new()), false);
        _ = announcement.event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()), false);
        announcement.flush();
        assert_eq!(announcement.before_frame(&[]), Some(video()));
        assert_eq!(types(&announcement.released()), [gst::EventType::Tag]);
    }

    #[test]
    fn tensors_of_others_stay_announced() {
        gst::init().unwrap();
        let mut announcement = Announcement::default();
        let theirs = gst::Structure::builder("tensorgroups").field("theirs", 1).build();
        let caps = gst::Caps::builder("video/x-raw").field("tensors", theirs).build();
        _ = announcement.event(gst::event::Caps::new(&caps), false);
        let caps = announcement.before_frame(&boxes(2)).unwrap();
        let groups = caps.structure(0).unwrap().get::<gst::Structure>(TENSORS).unwrap();
        assert_eq!(groups.fields().map(|name| name.as_str()).collect::<Vec<_>>(), ["theirs", "group"]);
    }
}
