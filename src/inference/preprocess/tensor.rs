//! From rows of channels, 0 to 255, to a frame's place in the input tensor.

use crate::inference::{Error, ErrorKind, InputSpec, Layout, Placement};

/// Grey of the bars beside a letterboxed picture.
const BORDER: u8 = 114;

/// How the bytes of each channel become numbers of the tensor.
pub enum Numbers {
    Float32 {
        scale: [f32; 3],
        offset: [f32; 3],
    },
    /// The number of each byte, as the bits of an IEEE 754 half.
    Float16 {
        table: Box<[[u16; 256]; 3]>,
    },
    Uint8,
}

/// A frame's place in the tensor, as numbers of type `T`.
pub struct Slot<'a, T> {
    pub numbers: &'a mut [T],
    pub layout: Layout,
    pub channels: usize,
    pub placement: &'a Placement,
}

impl Numbers {
    pub fn new(input: &InputSpec) -> Self {
        let InputSpec { scale, offset, .. } = *input;
        match input.element {
            crate::inference::ElementType::Float32 => Self::Float32 { scale, offset },
            crate::inference::ElementType::Float16 => {
                let half = |c: usize, p: usize| half::f16::from_f32(p as f32 * scale[c] + offset[c]).to_bits();
                Self::Float16 { table: Box::new(std::array::from_fn(|c| std::array::from_fn(|p| half(c, p)))) }
            }
            crate::inference::ElementType::Uint8 => Self::Uint8,
        }
    }
}

/// `bytes` as numbers of type `T`; an error where they are not aligned to it.
pub fn as_numbers<T: Plain>(bytes: &mut [u8]) -> Result<&mut [T], Error> {
    // SAFETY: every bit pattern is a value of a `Plain` type.
    match unsafe { bytes.align_to_mut::<T>() } {
        ([], numbers, []) => Ok(numbers),
        _ => Err(Error::new(ErrorKind::InvalidConfig, "The place of a frame is not aligned to the model's numbers.")),
    }
}

/// Numbers of which every bit pattern is a value.
///
/// # Safety
///
/// That has to be true of the type.
pub unsafe trait Plain: Copy {}
// SAFETY: so are these.
unsafe impl Plain for f32 {}
// SAFETY: so are these.
unsafe impl Plain for u16 {}
// SAFETY: so are these.
unsafe impl Plain for u8 {}

impl<T: Copy> Slot<'_, T> {
    /// Writes row `y` of the picture. `number` turns a byte of a channel into a number.
    #[inline(always)]
    pub fn write_row(&mut self, y: usize, rows: [&[u8]; 3], number: impl Fn(usize, u8) -> T) {
        let Placement { model_width, model_height, x, y: top, width, .. } = *self.placement;
        let row = (top + y) * model_width + x;
        match (self.layout, self.channels) {
            (Layout::Nhwc, 3) => {
                let (pixels, _) = self.numbers[row * 3..][..width * 3].as_chunks_mut::<3>();
                for (pixel, ((&a, &b), &c)) in pixels.iter_mut().zip(rows[0].iter().zip(rows[1]).zip(rows[2])) {
                    *pixel = [number(0, a), number(1, b), number(2, c)];
                }
            }
            (_, channels) => {
                for (channel, bytes) in rows.into_iter().enumerate().take(channels) {
                    let out = &mut self.numbers[channel * model_width * model_height + row..][..width];
                    for (out, &byte) in out.iter_mut().zip(bytes) {
                        *out = number(channel, byte);
                    }
                }
            }
        }
    }

    /// Fills what the picture leaves free with grey.
    pub fn write_border(&mut self, number: impl Fn(usize, u8) -> T) {
        let Placement { model_width, model_height, x, y, width, height, .. } = *self.placement;
        let grey: [T; 3] = std::array::from_fn(|channel| number(channel, BORDER));
        let (planes, depth) = match self.layout {
            Layout::Nchw => (self.channels, 1),
            Layout::Nhwc => (1, self.channels),
        };
        let row_length = model_width * depth;
        for plane in 0..planes {
            let grey = &grey[plane..plane + depth];
            let rows = &mut self.numbers[plane * model_height * row_length..][..model_height * row_length];
            let (above, rest) = rows.split_at_mut(y * row_length);
            let (beside, below) = rest.split_at_mut(height * row_length);
            fill(above, grey);
            fill(below, grey);
            if width < model_width {
                for row in beside.chunks_exact_mut(row_length) {
                    fill(&mut row[..x * depth], grey);
                    fill(&mut row[(x + width) * depth..], grey);
                }
            }
        }
    }
}

#[inline(always)]
fn fill<T: Copy>(numbers: &mut [T], pixel: &[T]) {
    match pixel {
        [one] => numbers.fill(*one),
        _ => numbers.chunks_exact_mut(pixel.len()).for_each(|out| out.copy_from_slice(pixel)),
    }
}
