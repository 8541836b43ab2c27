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
    frame: gst_video::VideoInfo,
    /// Where the picture lies in what is converted: its origin, and the whole.
    crop: Option<((u32, u32), (u32, u32))>,
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
        let size = (frame.width(), frame.height());
        let info = like(frame, sibling(&frame.format_info()), size).map_err(unreadable)?;
        let converter = gst_video::VideoConverter::new(frame, &info, Some(config())).map_err(unreadable)?;
        let memory = gst::Buffer::from_mut_slice(vec![0u8; info.size()]);
        let picture = gst_video::VideoFrame::from_buffer_writable(memory, &info)
            .map_err(|_| unreadable(glib::bool_error!("its 8-bit picture cannot be mapped")))?;
        Ok(Self { converter, picture, info, frame: frame.clone(), crop: None })
    }

    /// What the pictures that come out look like.
    pub fn info(&self) -> &gst_video::VideoInfo {
        &self.info
    }

    /// `InvalidFrame` where the converter cannot read the part of the frame that its crop meta names.
    pub fn convert(&mut self, frame: &Frame) -> Result<Planes<'_>, Error> {
        self.look_at(frame).map_err(|error| {
            Error::new(ErrorKind::InvalidFrame, format!("A cropped frame cannot be read: {error}."))
        })?;
        self.converter.frame_ref(frame.mapped(), &mut self.picture.as_mut_video_frame_ref());
        let mut planes = Planes::default();
        for plane in 0..self.picture.n_planes() as usize {
            planes.data[plane] = self.picture.plane_data(plane as u32).unwrap_or_default();
            planes.stride[plane] = self.picture.plane_stride()[plane] as usize;
        }
        Ok(planes)
    }

    /// Has the converter read from the origin of `frame`'s picture on. Decoders crop all frames of a stream alike.
    fn look_at(&mut self, frame: &Frame) -> Result<(), glib::BoolError> {
        let (origin, whole) = (frame.origin(), (frame.mapped().width(), frame.mapped().height()));
        let crop = (origin != (0, 0)).then_some((origin, whole));
        if crop == self.crop {
            return Ok(());
        }
        let mut config = config();
        let mut from = self.frame.clone();
        if let Some(((x, y), (width, height))) = crop {
            from = like(&self.frame, self.frame.format(), (width, height))?;
            let pixels =
                |length: u32| i32::try_from(length).map_err(|_| glib::bool_error!("{length} pixels are too many"));
            config.set_src_x(pixels(x)?);
            config.set_src_y(pixels(y)?);
            config.set_src_width(Some(pixels(self.frame.width())?));
            config.set_src_height(Some(pixels(self.frame.height())?));
        }
        self.converter = gst_video::VideoConverter::new(&from, &self.info, Some(config))?;
        self.crop = crop;
        Ok(())
    }
}

fn config() -> gst_video::VideoConverterConfig {
    let mut config = gst_video::VideoConverterConfig::new();
    config.set_threads(1);
    config
}

/// Frames of another layout or size that look the same.
fn like(
    frame: &gst_video::VideoInfo,
    format: VideoFormat,
    (width, height): (u32, u32),
) -> Result<gst_video::VideoInfo, glib::BoolError> {
    gst_video::VideoInfo::builder(format, width, height)
        .colorimetry(&frame.colorimetry())
        .chroma_site(frame.chroma_site())
        .fps(frame.fps())
        .interlace_mode(frame.interlace_mode())
        .build()
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
