//! How long a frame takes from its buffer to its place in the batch, on one thread. Prints a table.

use std::time::Instant;

use gst_video::VideoFormat;
use gstnextvision::inference::{BatchDim, Border, ColorOrder, ElementType, Fit, InputSpec, Layout, Preprocessor};

const WARM_UP: usize = 20;
const FRAMES: usize = 200;

fn main() {
    gst::init().expect("GStreamer starts");
    println!("{:<12}{:>12}  {:<28}{:>10}{:>10}", "format", "frame", "model", "best us", "median us");
    let detector = |element, layout| input(640, 640, Fit::Letterbox, element, layout);
    let classifier = |element, layout| input(224, 224, Fit::Stretch, element, layout);
    use {ElementType::*, Layout::*};
    for format in [VideoFormat::Nv12, VideoFormat::I420, VideoFormat::Yuy2, VideoFormat::Rgb, VideoFormat::Bgrx] {
        measure(format, 1920, 1080, &detector(Float32, Nchw));
    }
    measure(VideoFormat::P01010le, 1920, 1080, &detector(Float32, Nchw));
    measure(VideoFormat::I42010le, 1920, 1080, &detector(Float32, Nchw));
    measure(VideoFormat::Nv12, 3840, 2160, &detector(Float32, Nchw));
    measure(VideoFormat::Nv12, 320, 240, &detector(Float32, Nchw));
    measure(VideoFormat::Nv12, 1920, 1080, &classifier(Float32, Nchw));
    for element in [Float32, Float16, Uint8] {
        for layout in [Nchw, Nhwc] {
            measure(VideoFormat::Rgb, 224, 224, &classifier(element, layout));
        }
    }
}

fn input(width: usize, height: usize, fit: Fit, element: ElementType, layout: Layout) -> InputSpec {
    InputSpec {
        name: "images".into(),
        layout,
        element,
        color: ColorOrder::Rgb,
        fit,
        width,
        height,
        batch: BatchDim::Dynamic,
        scale: [1.0 / 255.0; 3],
        offset: [0.0; 3],
    }
}

fn measure(format: VideoFormat, width: u32, height: u32, input: &InputSpec) {
    let info = gst_video::VideoInfo::builder(format, width, height).build().expect("a valid size");
    let bytes: Vec<u8> = (0..info.size() as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let buffer = gst::Buffer::from_mut_slice(bytes);
    let mut preprocessor = Preprocessor::new(&info, input).expect("a readable format");
    let mut border = Border::default();
    let mut slot = vec![0f32; input.frame_bytes().div_ceil(4)];
    // SAFETY: every `f32` is four bytes, and bytes need no alignment.
    let slot = unsafe { std::slice::from_raw_parts_mut(slot.as_mut_ptr().cast::<u8>(), input.frame_bytes()) };
    let mut micros: Vec<f64> = (0..WARM_UP + FRAMES)
        .map(|_| {
            let start = Instant::now();
            preprocessor.write(&buffer, None, slot, &mut border).expect("a whole frame");
            start.elapsed().as_secs_f64() * 1e6
        })
        .skip(WARM_UP)
        .collect();
    micros.sort_by(f64::total_cmp);
    let model = format!("{}x{} {:?} {:?}", input.width, input.height, input.element, input.layout);
    println!(
        "{:<12}{:>12}  {model:<28}{:>10.0}{:>10.0}",
        format.to_str().as_str(),
        format!("{width}x{height}"),
        micros[0],
        micros[FRAMES / 2]
    );
}
