//! Frames of formats that the sampler does not read, brought to ones that it does.

use gst_video::{VideoFormat, VideoFormatInfo, prelude::*};

use super::frame::{Frame, Planes};
use crate::inference::{Error, ErrorKind};

/// Whether each component of a pixel is one byte at a fixed distance from the next: what the sampler reads.
pub fn is_eight_bit(format: &VideoFormatInfo) -> bool {
    let components = format.n_components().min(3) as usize;
    components > 0
        && !format.is_complex()
        && !format.is_tiled()
        && !format.has_palette()
        && (0..components).all(|c| format.depth()[c] == 8 && format.shift()[c] == 0 && format.pixel_stride()[c] > 0)
}

/// GStreamer's video converter, used for nothing but the memory layout and the depth: size, colour matrix, range and
/// chroma sites stay, so that the sampler makes the same picture of every format.
pub struct EightBit {
    converter: gst_video::VideoConverter,
    picture: gst_video::VideoFrame<gst_video::video_frame::Writable>,
    info: gst_video::VideoInfo,
}

impl EightBit {
    pub fn new(frame: &gst_video::VideoInfo) -> Result<Self, Error> {
        let unreadable = |error: glib::BoolError| {
            Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "Frames of format {} ({}x{}) cannot be read: {}. Put a videoconvert before, or ask the source for \
                     a format such as NV12, I420 or RGB.",
                    frame.format().to_str(),
                    frame.width(),
                    frame.height(),
                    error.message
                ),
            )
        };
        let info = gst_video::VideoInfo::builder(sibling(&frame.format_info()), frame.width(), frame.height())
            .colorimetry(&frame.colorimetry())
            .chroma_site(frame.chroma_site())
            .fps(frame.fps())
            .interlace_mode(frame.interlace_mode())
            .build()
            .map_err(unreadable)?;
        let mut config = gst_video::VideoConverterConfig::new();
        config.set_threads(1);
        let converter = gst_video::VideoConverter::new(frame, &info, Some(config)).map_err(unreadable)?;
        let memory = gst::Buffer::from_mut_slice(vec![0u8; info.size()]);
        let picture = gst_video::VideoFrame::from_buffer_writable(memory, &info)
            .map_err(|_| unreadable(glib::bool_error!("its 8-bit picture cannot be mapped")))?;
        Ok(Self { converter, picture, info })
    }

    /// What the pictures that come out look like.
    pub fn info(&self) -> &gst_video::VideoInfo {
        &self.info
    }

    pub fn convert(&mut self, frame: &Frame) -> Planes<'_> {
        self.converter.frame_ref(frame.mapped(), &mut self.picture.as_mut_video_frame_ref());
        let mut planes = Planes::default();
        for plane in 0..self.picture.n_planes() as usize {
            planes.data[plane] = self.picture.plane_data(plane as u32).unwrap_or_default();
            planes.stride[plane] = self.picture.plane_stride()[plane] as usize;
        }
        planes
    }
}

/// The 8-bit format that keeps the most of `format`: its colour model and where it can its chroma subsampling.
fn sibling(format: &VideoFormatInfo) -> VideoFormat {
    if format.is_rgb() {
        return VideoFormat::Rgb;
    }
    if !format.is_yuv() {
        return VideoFormat::Gray8;
    }
    match (format.w_sub()[1], format.h_sub()[1]) {
        (1, 1) => VideoFormat::I420,
        (1, 0) => VideoFormat::Y42b,
        _ => VideoFormat::Y444,
    }
}
