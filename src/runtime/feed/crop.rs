//! Frames whose crop meta is of another size than their caps. GStreamer's own elements crop to the size that they put
//! into the caps; whoever does not, means the crop all the same: it is the frame, and its boxes are in its pixels.

use std::sync::Arc;

use super::FrameCaps;

#[derive(Default)]
pub(super) struct Crops {
    /// The caps that were cropped last, and what they became.
    last: Option<(Arc<FrameCaps>, Arc<FrameCaps>)>,
    generations: u64,
}

impl Crops {
    /// The generation of caps that are new.
    pub fn next_generation(&mut self) -> u64 {
        self.generations += 1;
        self.generations
    }

    /// The caps that a frame should have come under, and the frame with what it takes to be read under those.
    pub fn caps_of(&mut self, buffer: gst::Buffer, caps: Arc<FrameCaps>) -> (gst::Buffer, Arc<FrameCaps>) {
        let crop = buffer.meta::<gst_video::VideoCropMeta>().map(|crop| crop.rect());
        let Some((_, _, width, height)) = crop else { return (buffer, caps) };
        if (width, height) == (caps.info.width(), caps.info.height()) {
            return (buffer, caps);
        }
        let Some(cropped) = self.cropped(&caps, width, height) else { return (buffer, caps) };
        (with_layout(buffer, &caps.info), cropped)
    }

    /// `None` where there is no picture of that size.
    fn cropped(&mut self, caps: &Arc<FrameCaps>, width: u32, height: u32) -> Option<Arc<FrameCaps>> {
        if let Some((from, cropped)) = &self.last
            && Arc::ptr_eq(from, caps)
            && (cropped.info.width(), cropped.info.height()) == (width, height)
        {
            return Some(cropped.clone());
        }
        // More than there is, which the video meta says at the latest, is an error of who reads the frame.
        if width == 0 || height == 0 {
            return None;
        }
        let info = gst_video::VideoInfo::builder(caps.info.format(), width, height)
            .colorimetry(&caps.info.colorimetry())
            .chroma_site(caps.info.chroma_site())
            .fps(caps.info.fps())
            .interlace_mode(caps.info.interlace_mode())
            .build()
            .ok()?;
        let cropped = Arc::new(FrameCaps { info, generation: self.next_generation() });
        self.last = Some((caps.clone(), cropped.clone()));
        Some(cropped)
    }
}

/// Says in the buffer how its memory is laid out, where only the caps said so. The memory stays the same.
fn with_layout(mut buffer: gst::Buffer, info: &gst_video::VideoInfo) -> gst::Buffer {
    if buffer.meta::<gst_video::VideoMeta>().is_none() {
        let flags = gst_video::VideoFrameFlags::empty();
        let (format, width, height) = (info.format(), info.width(), info.height());
        // Where the buffer is too small for that, whoever reads it says so.
        _ = gst_video::VideoMeta::add_full(
            buffer.make_mut(),
            flags,
            format,
            width,
            height,
            info.offset(),
            info.stride(),
        );
    }
    buffer
}
