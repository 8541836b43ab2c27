//! What trials prepare for batches, in place of cameras' frames.

use std::{iter::Cycle, slice};

use crate::{
    inference::{Border, InputSpec, Preprocessor},
    runtime::{Error, ErrorCode},
};

/// Bytes of all pictures: more than a core's own caches hold, as are the frames of many cameras.
const BYTES: usize = 4 << 20;
/// Where the model's are small.
const MOST: usize = 64;

/// Pictures of the model's size. What scaling costs is the same in a batch of any size.
pub struct Pictures<'a> {
    input: &'a InputSpec,
    info: gst_video::VideoInfo,
    buffers: Vec<gst::Buffer>,
}

impl<'a> Pictures<'a> {
    pub fn new(input: &'a InputSpec) -> Result<Self, Error> {
        let (width, height) = (input.width, input.height);
        let none = || {
            let message = format!(
                "no memory for a picture of {width}x{height} pixels to try settings with: set `instances`, \
                 `intra-op-threads` and `max-batch-size`"
            );
            Error::new(ErrorCode::InvalidConfig, message)
        };
        let side = |pixels: usize| u32::try_from(pixels).map_err(|_| none());
        let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, side(width)?, side(height)?);
        let info = info.build().map_err(|_| none())?;
        let buffer = |_| {
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(info.size()).map_err(|_| none())?;
            // Written, so that it is memory and not the system's one page of zeros.
            bytes.resize(info.size(), 0u8);
            Ok(gst::Buffer::from_mut_slice(bytes))
        };
        let count = (BYTES / info.size().max(1)).clamp(1, MOST);
        let buffers = (0..count).map(buffer).collect::<Result<_, Error>>()?;
        Ok(Self { input, info, buffers })
    }

    /// Of one of them in a batch.
    pub fn frame_bytes(&self) -> usize {
        self.input.frame_bytes()
    }

    pub fn writer(&self) -> Result<Writer<'_>, Error> {
        let preprocessor = Preprocessor::new(&self.info, self.input)?;
        Ok(Writer { preprocessor, frame_bytes: self.frame_bytes(), pictures: self.buffers.iter().cycle() })
    }
}

/// Writes one picture after the other, as it is done for the frames of streams.
pub struct Writer<'a> {
    preprocessor: Preprocessor,
    frame_bytes: usize,
    pictures: Cycle<slice::Iter<'a, gst::Buffer>>,
}

impl Writer<'_> {
    /// Fills a batch.
    pub fn write(&mut self, batch: &mut [u8]) -> Result<(), Error> {
        for (place, picture) in batch.chunks_exact_mut(self.frame_bytes).zip(&mut self.pictures) {
            self.preprocessor.write(picture, None, place, &mut Border::default())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        inference::{ColorOrder, ElementType, Layout},
        runtime::batch::BatchBuffer,
    };

    fn input(element: ElementType, color: ColorOrder, side: usize) -> InputSpec {
        InputSpec { layout: Layout::Nchw, element, color, offset: [2.0; 3], ..InputSpec::of_bytes(side, side) }
    }

    #[test]
    fn batches_are_filled_with_the_numbers_of_the_model() {
        gst::init().unwrap();
        let filled = |element, color| {
            let input = input(element, color, 6);
            let pictures = Pictures::new(&input).unwrap();
            // Of another alignment than the numbers' it would be refused.
            let mut batch = BatchBuffer::new(input.frame_bytes(), 3).unwrap();
            batch.bytes().fill(0xaa);
            pictures.writer().unwrap().write(batch.bytes()).unwrap();
            batch.bytes().to_vec()
        };
        // Black, and 2 is added to it but where numbers are whole.
        assert_eq!(filled(ElementType::Float32, ColorOrder::Rgb), 2f32.to_ne_bytes().repeat(6 * 6 * 3 * 3));
        assert_eq!(filled(ElementType::Float16, ColorOrder::Bgr), [0x00, 0x40].repeat(6 * 6 * 3 * 3));
        assert_eq!(filled(ElementType::Uint8, ColorOrder::Gray), [0; 6 * 6 * 3]);
    }

    #[test]
    fn they_are_more_than_a_cache_and_no_more_than_needed() {
        gst::init().unwrap();
        let count = |side| Pictures::new(&input(ElementType::Float32, ColorOrder::Rgb, side)).unwrap().buffers.len();
        assert_eq!([count(1), count(224), count(640), count(2000)], [64, 27, 3, 1]);
    }
}
