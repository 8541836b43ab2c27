//! A stage for one `nvbatch` with `region=objects`: frames with regions go in, frames with classes come out.

use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;
use parking_lot::{Mutex, MutexGuard};

use crate::common::{LONG, Started, count, init, model, stats};

/// Every frame is a band of red, one of green and one of blue, each of 30x60 pixels.
pub const WIDTH: usize = 90;
pub const HEIGHT: usize = 60;

pub const RED: [u32; 4] = [4, 10, 20, 20];
pub const GREEN: [u32; 4] = [32, 10, 26, 40];
pub const BLUE: [u32; 4] = [62, 0, 28, 60];

/// One object on a frame, before it is inferred.
#[derive(Clone, Copy)]
pub struct Roi {
    pub label: &'static str,
    pub bounds: [u32; 4],
    pub track: Option<i32>,
}

impl Roi {
    pub fn new(label: &'static str, bounds: [u32; 4]) -> Self {
        Self { label, bounds, track: None }
    }

    pub fn tracked(track: i32, bounds: [u32; 4]) -> Self {
        Self { label: "thing", bounds, track: Some(track) }
    }
}

pub fn caps() -> gst::Caps {
    let (width, height) = (WIDTH as i32, HEIGHT as i32);
    let caps = gst_video::VideoCapsBuilder::new().format(gst_video::VideoFormat::Rgb);
    caps.width(width).height(height).framerate(gst::Fraction::new(10, 1)).build()
}

/// Rows of RGB are padded to four bytes.
const STRIDE: usize = (WIDTH * 3).next_multiple_of(4);

/// A frame of bands of `brightness`, with regions.
pub fn frame(number: u64, rois: &[Roi], brightness: u8) -> gst::Buffer {
    let mut bytes = vec![0; STRIDE * HEIGHT];
    for row in bytes.chunks_exact_mut(STRIDE) {
        for (x, pixel) in row.chunks_exact_mut(3).take(WIDTH).enumerate() {
            pixel[x / 30] = brightness;
        }
    }
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    let filled = buffer.make_mut();
    filled.set_pts(number * gst::ClockTime::from_mseconds(100));
    for &Roi { label, bounds: [x, y, w, h], track } in rois {
        let mut meta = VideoRegionOfInterestMeta::add(filled, label, (x, y, w, h));
        if let Some(id) = track {
            meta.add_param(gst::Structure::builder("object_id").field("id", id).build());
        }
    }
    buffer
}

/// An element outside of any pipeline that owns a classifier: the class is the brightest of the three channels.
pub fn classifier(id: &str, options: &str) -> Started {
    Started::playing(&format!("nvbatch processor-id={id} model={} decoder=classifier {options}", model("mean")))
}

/// One of the figures of the processor that an element owns.
pub fn figure(owner: &Started, name: &str) -> u64 {
    count(&owner.element.property::<gst::Structure>("stats"), name)
}

/// `appsrc ! nvbatch ! appsink`.
pub struct Stage {
    pub pipeline: Started,
    pub source: gst::Element,
    pub element: gst::Element,
    pub sink: gst::Element,
}

impl Stage {
    pub fn new(id: &str, options: &str) -> Self {
        let line = format!(
            "appsrc name=in format=time ! nvbatch name=b processor-id={id} region=objects threshold=0 {options} \
             ! appsink name=out sync=false async=false"
        );
        let pipeline = Started::new(&line);
        let [source, element, sink] = ["in", "b", "out"].map(|name| pipeline.child(name));
        source.set_property("caps", caps());
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, source, element, sink }
    }

    pub fn push(&self, buffer: &gst::Buffer) {
        assert_eq!(self.source.emit_by_name::<gst::FlowReturn>("push-buffer", &[buffer]), gst::FlowReturn::Ok);
    }

    pub fn end(&self) {
        assert_eq!(self.source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]), gst::FlowReturn::Ok);
    }

    /// The next frame; `None` at the end of the stream.
    pub fn pull(&self) -> Option<gst::Buffer> {
        let sample = self.sink.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&LONG.nseconds()]);
        let Some(sample) = sample else {
            assert!(self.sink.property::<bool>("eos"), "no frame and no end: {:?}", self.stats());
            return None;
        };
        Some(sample.buffer_owned().unwrap())
    }

    /// Everything that comes until the end of the stream, which is in order.
    pub fn pull_all(&self) -> Vec<gst::Buffer> {
        self.end();
        let buffers: Vec<_> = std::iter::from_fn(|| self.pull()).collect();
        assert!(buffers.is_sorted_by_key(|buffer| buffer.pts()));
        buffers
    }

    pub fn stats(&self) -> gst::Structure {
        stats(&self.element)
    }
}

/// What is said of each region: the numbers of its classes, the surest first, and how sure.
pub fn classes(buffer: &gst::BufferRef) -> Vec<Vec<(i32, f64)>> {
    let class = |param: &gst::StructureRef| (param.get("label_id").unwrap(), param.get("confidence").unwrap());
    let of_region = |roi: gst::MetaRef<VideoRegionOfInterestMeta>| {
        roi.params().filter(|param| param.name() == "classification").map(class).collect()
    };
    buffer.iter_meta::<VideoRegionOfInterestMeta>().map(of_region).collect()
}

/// The surest class of each region.
pub fn best(buffer: &gst::BufferRef) -> Vec<Option<i32>> {
    classes(buffer).iter().map(|classes| classes.first().map(|&(id, _)| id)).collect()
}

/// The runtime is the process's, and some tests shut it down: one at a time.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    init();
    TURN.lock()
}
