//! Preprocessing against GStreamer's converter as `videoconvertscale` runs it, on one thread: from 1080p NV12 to 640 wide.

use std::time::Instant;

use gst_video::{VideoFormat, VideoInfo};
use gstnextvision::inference::{BatchDim, Border, ColorOrder, ElementType, Fit, InputSpec, Layout, Preprocessor};

use crate::job::Conversion;

const SIDE: usize = 640;
/// Rows that the picture has within the square, proportions kept.
const ROWS: u32 = 360;
const FRAMES: usize = 100;

/// Both in turn, frame by frame: what disturbs one disturbs the other.
pub fn run() -> Conversion {
    let info = VideoInfo::builder(VideoFormat::Nv12, 1920, 1080).build().expect("a valid size");
    let bytes: Vec<u8> = (0..info.size() as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let buffer = gst::Buffer::from_mut_slice(bytes);

    let input = InputSpec {
        name: "images".into(),
        layout: Layout::Nchw,
        element: ElementType::Float32,
        color: ColorOrder::Rgb,
        fit: Fit::Letterbox,
        width: SIDE,
        height: SIDE,
        batch: BatchDim::Dynamic,
        scale: [1.0 / 255.0; 3],
        offset: [0.0; 3],
    };
    let mut preprocessor = Preprocessor::new(&info, &input).expect("a readable format");
    let mut border = Border::default();
    let mut place = vec![0f32; input.frame_bytes() / 4];
    // SAFETY: floats are plain bytes, and any alignment of theirs suits bytes.
    let place = unsafe { std::slice::from_raw_parts_mut(place.as_mut_ptr().cast::<u8>(), input.frame_bytes()) };

    let mut converter = gst_check::Harness::new("videoconvertscale");
    let small = VideoInfo::builder(VideoFormat::Rgb, SIDE as u32, ROWS).build().expect("a valid size");
    converter.set_caps(info.to_caps().expect("caps"), small.to_caps().expect("caps"));

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..FRAMES {
        ours.push(millis(|| _ = preprocessor.write(&buffer, None, place, &mut border).expect("a whole frame")));
        theirs.push(millis(|| drop(converter.push_and_pull(buffer.clone()).expect("a picture"))));
    }
    Conversion { ours_ms: median(ours), converter_ms: median(theirs) }
}

fn millis(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
