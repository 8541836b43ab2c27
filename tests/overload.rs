//! Far more frames than the model can take: what is in memory stays bounded, and all feeds get their share.

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use common::{Started, count, model, stats};
use gst::prelude::*;

const SIDE: usize = 64;
/// Frames of a feed that are in work at most: 2 x (instances + 1) x batch.
const ROOM: usize = 2 * (1 + 1) * 2;

/// A frame's memory that says when it is given back.
struct Counted(Vec<u8>, Arc<AtomicUsize>);

impl AsMut<[u8]> for Counted {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Goes straight into a feed: no element before it keeps a frame.
struct Camera {
    feed: Started,
    pad: gst::Pad,
    alive: Arc<AtomicUsize>,
    frames: u64,
}

impl Camera {
    fn new(properties: &str) -> Self {
        let feed = Started::playing(&format!("nvfeed async=false message=false leaky=downstream {properties}"));
        let pad = gst::Pad::new(gst::PadDirection::Src);
        pad.set_active(true).unwrap();
        pad.link(&feed.element.static_pad("sink").unwrap()).unwrap();
        let caps: gst::Caps = "video/x-raw,format=GRAY8,width=64,height=64,framerate=30/1".parse().unwrap();
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(pad.push_event(gst::event::StreamStart::new("camera")));
        assert!(pad.push_event(gst::event::Caps::new(&caps)));
        assert!(pad.push_event(gst::event::Segment::new(&segment)));
        Self { feed, pad, alive: Arc::default(), frames: 0 }
    }

    fn push(&mut self) {
        self.alive.fetch_add(1, Ordering::Relaxed);
        // Grey enough for a run to take its time.
        let mut buffer = gst::Buffer::from_mut_slice(Counted(vec![1; SIDE * SIDE], self.alive.clone()));
        buffer.make_mut().set_pts(gst::ClockTime::from_mseconds(33 * self.frames));
        self.frames += 1;
        self.pad.push(buffer).unwrap();
    }

    fn count(&self, name: &str) -> u64 {
        count(&stats(&self.feed.element), name)
    }
}

fn owner(id: &str) -> Started {
    Started::playing(&format!(
        "nvbatch processor-id={id} decoder=tensors instances=1 max-batch-size=2 model={}",
        model("slow")
    ))
}

/// `max-queued` and 2 x (instances + 1) batches in flight.
#[test]
fn memory_is_bounded_and_every_drop_counted() {
    let _owner = owner("bounded");
    let mut camera = Camera::new("processor-id=bounded max-queued=3");
    for _ in 0..2000 {
        camera.push();
        let alive = camera.alive.load(Ordering::Relaxed);
        assert!(alive <= 3 + ROOM, "{alive} frames are in memory");
        let stats = stats(&camera.feed.element);
        assert!(count(&stats, "queued") <= 3 && count(&stats, "in-flight") <= ROOM as u64, "{stats}");
    }
    assert_eq!(camera.count("received"), 2000);
    assert!(camera.count("dropped") > 0);
    camera.feed.set_state(gst::State::Null).unwrap();
    assert_eq!(camera.alive.load(Ordering::Relaxed), 0);
}

#[test]
fn equal_feeds_get_equal_shares_and_a_higher_priority_more() {
    let _owner = owner("shares");
    let mut cameras: Vec<_> = (0..4).map(|_| Camera::new("processor-id=shares max-in-flight=1 max-queued=1")).collect();
    let mut prior = Camera::new("processor-id=shares max-in-flight=1 max-queued=1 priority=1");
    // All of them always have a frame that waits.
    while cameras.iter().map(|camera| camera.count("results")).min().unwrap() < 40 {
        cameras.iter_mut().for_each(Camera::push);
        prior.push();
    }
    let shares: Vec<_> = cameras.iter().map(|camera| camera.count("results")).collect();
    let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
    assert!(most - least <= 2, "{shares:?}");
    assert!(prior.count("results") > *most, "{} of the higher priority, {shares:?}", prior.count("results"));
}
