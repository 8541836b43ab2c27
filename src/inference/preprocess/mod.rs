//! From a frame as it comes to its place in the batch.
//!
//! A frame is read row by row of the picture that the model sees: [`sampler`] brings its components to the picture's
//! size, [`color`] makes the model's channels of them, [`tensor`] writes those as the model's numbers. What lies
//! between are single rows, which stay in the processor's first cache. The sampler reads every format of 8-bit
//! components; the others pass through GStreamer's video converter first ([`eight_bit`]). The two fields of an
//! interlaced frame are read as the one picture that they lie in.

mod border;
mod color;
mod eight_bit;
mod frame;
mod sampler;
mod tensor;
#[cfg(test)]
mod tests;

pub use border::Border;

use color::ColorTransform;
use eight_bit::{EightBit, is_eight_bit};
use frame::{Frame, Planes};
use sampler::Sampler;
use tensor::{Numbers, Plain, Slot, as_numbers};

use super::{Error, ErrorKind, Fit, InputSpec, Layout, Placement, Region};

/// Writes frames of one kind (their caps), or regions of them, as one model wants them. Keeps its tables and its scratch
/// memory between frames; made anew when either side changes.
pub struct Preprocessor {
    frame: gst_video::VideoInfo,
    /// For frames of formats that the sampler does not read.
    eight_bit: Option<EightBit>,
    painter: Painter,
}

/// Paints a picture of 8-bit planes into a slot.
struct Painter {
    placement: Placement,
    fit: Fit,
    layout: Layout,
    channels: usize,
    slot_bytes: usize,
    sampler: Sampler,
    color: ColorTransform,
    numbers: Numbers,
    has_avx2: bool,
}

impl Preprocessor {
    /// `InvalidConfig` for a format that GStreamer's video converter does not read and for frames of single fields.
    pub fn new(frame: &gst_video::VideoInfo, input: &InputSpec) -> Result<Self, Error> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidConfig, message));
        if !frame.is_valid() || frame.width() == 0 || frame.height() == 0 {
            return invalid("Frames without a format or a size cannot be read.".into());
        }
        if matches!(
            frame.interlace_mode(),
            gst_video::VideoInterlaceMode::Fields | gst_video::VideoInterlaceMode::Alternate
        ) {
            return invalid("Buffers that hold single fields cannot be read. Put a deinterlace before.".into());
        }
        let slot_bytes = [input.height, input.color.channels(), input.element.size()]
            .into_iter()
            .try_fold(input.width, usize::checked_mul)
            .filter(|&bytes| bytes > 0 && isize::try_from(bytes).is_ok());
        let Some(slot_bytes) = slot_bytes else {
            return invalid(format!("A model input of {}x{} pixels cannot be filled.", input.width, input.height));
        };
        let eight_bit = if is_eight_bit(&frame.format_info()) { None } else { Some(EightBit::new(frame)?) };
        let readable = eight_bit.as_ref().map_or(frame, EightBit::info);
        let whole = Region::whole(frame.width() as usize, frame.height() as usize);
        let placement = Placement::new(whole, input.width, input.height, input.fit);
        let mut sampler = Sampler::new(readable);
        sampler.fit(whole, placement.width, placement.height);
        let painter = Painter {
            placement,
            fit: input.fit,
            layout: input.layout,
            channels: input.color.channels(),
            slot_bytes,
            sampler,
            color: ColorTransform::new(readable, input.color, placement.width),
            numbers: Numbers::new(input),
            has_avx2: has_avx2(),
        };
        Ok(Self { frame: frame.clone(), eight_bit, painter })
    }

    /// Writes `frame`, or a region of it, to `slot`, and returns where in the model's input it lies. A region is widened
    /// to whole samples of chroma, and no pixel around it has a part in the picture. `slot` is [`InputSpec::frame_bytes`]
    /// long and aligned to the model's element type. Every byte of it is written, but for bars that are there already:
    /// `border` goes with the memory of `slot`, and is new where anybody else wrote there. `InvalidFrame` where the
    /// buffer does not hold what its caps say.
    pub fn write(
        &mut self,
        frame: &gst::BufferRef,
        region: Option<Region>,
        slot: &mut [u8],
        border: &mut Border,
    ) -> Result<Placement, Error> {
        let whole = Region::whole(self.frame.width() as usize, self.frame.height() as usize);
        self.painter.look_at(region.unwrap_or(whole), (whole.width, whole.height));
        let frame = Frame::map(frame, &self.frame)?;
        match &mut self.eight_bit {
            None => self.painter.paint(&frame.planes(), slot, border),
            Some(eight_bit) => self.painter.paint(&eight_bit.convert(&frame)?, slot, border),
        }?;
        Ok(self.painter.placement)
    }
}

impl Painter {
    /// What is painted from now on.
    fn look_at(&mut self, region: Region, frame: (usize, usize)) {
        let region = region.aligned(self.sampler.block(), frame);
        let Placement { region: before, model_width, model_height, .. } = self.placement;
        if region != before {
            self.placement = Placement::new(region, model_width, model_height, self.fit);
            self.sampler.fit(region, self.placement.width, self.placement.height);
            self.color.set_width(self.placement.width);
        }
    }

    fn paint(&mut self, frame: &Planes, slot: &mut [u8], border: &mut Border) -> Result<(), Error> {
        if slot.len() != self.slot_bytes {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("The place of a frame has {} bytes, the model wants {}.", slot.len(), self.slot_bytes),
            ));
        }
        let Region { x, y, .. } = self.placement.region;
        let frame = &self.sampler.crop(frame, (x, y));
        let Self { placement, layout, channels, sampler, color, numbers, has_avx2, .. } = self;
        // Unknown again until the picture is there: writing may end half-way.
        let has_border = std::mem::take(border) == Border::around(placement);
        let picture =
            Picture { frame, placement, has_border, layout: *layout, channels: *channels, has_avx2: *has_avx2 };
        match numbers {
            Numbers::Float32 { scale, offset } => {
                picture.paint::<f32>(sampler, color, slot, |c, byte| f32::from(byte) * scale[c] + offset[c])
            }
            Numbers::Float16 { table } => {
                picture.paint::<u16>(sampler, color, slot, |c, byte| table[c][usize::from(byte)])
            }
            Numbers::Uint8 => picture.paint::<u8>(sampler, color, slot, |_, byte| byte),
        }?;
        *border = Border::around(placement);
        Ok(())
    }
}

struct Picture<'a> {
    frame: &'a Planes<'a>,
    placement: &'a Placement,
    /// The bars beside it are in the slot already.
    has_border: bool,
    layout: Layout,
    channels: usize,
    has_avx2: bool,
}

impl Picture<'_> {
    fn paint<T: Plain>(
        &self,
        sampler: &mut Sampler,
        color: &mut ColorTransform,
        slot: &mut [u8],
        number: impl Fn(usize, u8) -> T,
    ) -> Result<(), Error> {
        let numbers = as_numbers::<T>(slot)?;
        let mut slot = Slot { numbers, layout: self.layout, channels: self.channels, placement: self.placement };
        if !self.has_border {
            slot.write_border(&number);
        }
        #[cfg(target_arch = "x86_64")]
        if self.has_avx2 {
            // SAFETY: the processor was asked whether it has AVX2.
            unsafe { paint_avx2(self.frame, sampler, color, &mut slot, number) };
            return Ok(());
        }
        paint(self.frame, sampler, color, &mut slot, number);
        Ok(())
    }
}

#[inline(always)]
fn paint<T: Plain>(
    frame: &Planes,
    sampler: &mut Sampler,
    color: &mut ColorTransform,
    slot: &mut Slot<T>,
    number: impl Fn(usize, u8) -> T,
) {
    for y in 0..slot.placement.height {
        slot.write_row(y, color.apply(sampler.row(frame, y)), &number);
    }
}

/// [`paint`], compiled for processors with AVX2: the same code in wider steps.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn paint_avx2<T: Plain>(
    frame: &Planes,
    sampler: &mut Sampler,
    color: &mut ColorTransform,
    slot: &mut Slot<T>,
    number: impl Fn(usize, u8) -> T,
) {
    paint(frame, sampler, color, slot, number);
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx2() -> bool {
    false
}
