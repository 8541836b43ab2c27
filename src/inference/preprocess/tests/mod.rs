//! Preprocessing seen from outside: a frame goes in, numbers come out.

mod bad_frames;
mod border;
mod crop;
mod formats;
mod numbers;
mod regions;
mod scaling;

use gst_video::{VideoFormat, VideoInfo};

use super::{Border, Preprocessor};
use crate::inference::{ColorOrder, ElementType, Error, Fit, InputSpec, Layout, Region};

fn info(format: VideoFormat, width: u32, height: u32) -> VideoInfo {
    gst::init().unwrap();
    VideoInfo::builder(format, width, height).build().unwrap()
}

fn info_of(format: VideoFormat, width: u32, height: u32, colorimetry: &str) -> VideoInfo {
    gst::init().unwrap();
    VideoInfo::builder(format, width, height).colorimetry(&colorimetry.parse().unwrap()).build().unwrap()
}

fn frame(bytes: impl Into<Vec<u8>>) -> gst::Buffer {
    gst::init().unwrap();
    gst::Buffer::from_mut_slice(bytes.into())
}

/// All numbers of the slot. The slot is full of something else before, as when another feed had it.
fn write(preprocessor: &mut Preprocessor, frame: &gst::BufferRef, input: &InputSpec) -> Result<Vec<f32>, Error> {
    write_region(preprocessor, frame, None, input)
}

fn write_region(
    preprocessor: &mut Preprocessor,
    frame: &gst::BufferRef,
    region: Option<Region>,
    input: &InputSpec,
) -> Result<Vec<f32>, Error> {
    let mut memory = vec![u64::MAX / 3; input.frame_bytes().div_ceil(8)];
    // SAFETY: the bytes of initialised integers.
    let (_, slot, _) = unsafe { memory.align_to_mut::<u8>() };
    let slot = &mut slot[..input.frame_bytes()];
    preprocessor.write(frame, region, slot, &mut Border::default())?;
    Ok(match input.element {
        ElementType::Float32 => slot.as_chunks().0.iter().map(|&bytes| f32::from_ne_bytes(bytes)).collect(),
        ElementType::Float16 => {
            slot.as_chunks().0.iter().map(|&bytes| half::f16::from_ne_bytes(bytes).to_f32()).collect()
        }
        ElementType::Uint8 => slot.iter().map(|&byte| f32::from(byte)).collect(),
    })
}

fn preprocess(info: &VideoInfo, frame: &gst::BufferRef, input: &InputSpec) -> Vec<f32> {
    write(&mut Preprocessor::new(info, input).unwrap(), frame, input).unwrap()
}

/// `frame` in the format of `to`, by GStreamer's video converter.
fn convert(frame: &gst::Buffer, from: &VideoInfo, to: &VideoInfo) -> gst::Buffer {
    let converter = gst_video::VideoConverter::new(from, to, None).unwrap();
    let source = gst_video::VideoFrame::from_buffer_readable(frame.clone(), from).unwrap();
    let memory = gst::Buffer::from_mut_slice(vec![0u8; to.size()]);
    let mut target = gst_video::VideoFrame::from_buffer_writable(memory, to).unwrap();
    converter.frame(&source, &mut target);
    target.into_buffer()
}

/// Slow waves of colour.
fn smooth_picture(width: u32, height: u32) -> (VideoInfo, gst::Buffer) {
    rgb_picture(width, height, |x, y| {
        let wave = |fx: f64, fy: f64| 127.5 + 80.0 * (fx * x + fy * y).sin();
        [wave(5.0, 2.0), wave(-3.0, 6.0), wave(4.0, -5.0)]
    })
}

/// Waves under hard-edged stripes, with noise of brightness.
fn detailed_picture(width: u32, height: u32) -> (VideoInfo, gst::Buffer) {
    let mut seed = 1u32;
    rgb_picture(width, height, move |x, y| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(seed >> 24) / 255.0 * 60.0 - 30.0;
        let stripe = if ((x * 23.0) as u32 + (y * 17.0) as u32).is_multiple_of(2) { 40.0 } else { -40.0 };
        let wave = |fx: f64, fy: f64| 127.5 + stripe + noise + 30.0 * (fx * x + fy * y).sin();
        [wave(5.0, 2.0), wave(-3.0, 6.0), wave(4.0, -5.0)]
    })
}

/// A picture of RGB pixels by their places, both from 0 to 1.
fn rgb_picture(width: u32, height: u32, mut pixel: impl FnMut(f64, f64) -> [f64; 3]) -> (VideoInfo, gst::Buffer) {
    let info = info(VideoFormat::Rgb, width, height);
    let mut bytes = vec![0; info.size()];
    for (y, row) in bytes.chunks_exact_mut(info.stride()[0] as usize).enumerate() {
        for (x, out) in row.chunks_exact_mut(3).take(width as usize).enumerate() {
            let color = pixel(x as f64 / f64::from(width), y as f64 / f64::from(height));
            out.copy_from_slice(&color.map(|value| value.clamp(0.0, 255.0) as u8));
        }
    }
    (info, frame(bytes))
}

fn mean_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32
}
