//! From the components of a frame to the channels of the model, both 0 to 255.

use crate::inference::ColorOrder;

/// Fraction bits of the coefficients: the largest of all matrices, 2.2, still fits 16 bits.
const FRACTION: u32 = 13;

/// A linear map from up to three components to the model's channels, applied to rows of pixels.
pub struct ColorTransform {
    channels: Vec<Channel>,
    /// The model's channels, one row each.
    rows: [Vec<u8>; 3],
}

enum Channel {
    /// One of the components as it is.
    Component(usize),
    /// A weighted sum of components (index, coefficient) and an offset, in fixed point.
    Sum { terms: [(usize, i16); 3], offset: i32 },
}

impl ColorTransform {
    /// For frames like `frame`, by the colour matrix and the range that their caps give.
    pub fn new(frame: &gst_video::VideoInfo, color: ColorOrder, width: usize) -> Self {
        let mut rows = to_rgb(frame);
        match color {
            ColorOrder::Rgb => {}
            ColorOrder::Bgr => rows.reverse(),
            ColorOrder::Gray => rows = vec![to_gray(frame)],
        }
        let (offsets, scales) = frame.range_offsets(frame.colorimetry().range());
        let channels: Vec<_> = rows.iter().map(|row| Channel::new(row, &offsets, &scales)).collect();
        Self { channels, rows: std::array::from_fn(|_| vec![0; width]) }
    }

    /// Pixels of a row from now on.
    pub fn set_width(&mut self, width: usize) {
        self.rows.iter_mut().for_each(|row| row.resize(width, 0));
    }

    /// A row of each channel of the model, from a row of each component. A grey model has only the first.
    #[inline(always)]
    pub fn apply<'a>(&'a mut self, components: [&'a [u8]; 3]) -> [&'a [u8]; 3] {
        let mut channels: [&[u8]; 3] = [&[]; 3];
        for ((channel, row), out) in self.channels.iter().zip(&mut self.rows).zip(&mut channels) {
            *out = match channel {
                Channel::Component(index) => components[*index],
                Channel::Sum { terms: [a, b, c], offset } => {
                    let pixels = components[a.0].iter().zip(components[b.0]).zip(components[c.0]);
                    for (out, ((&x, &y), &z)) in row.iter_mut().zip(pixels) {
                        let term = |value: u8, coefficient: i16| i32::from(value) * i32::from(coefficient);
                        let sum = term(x, a.1) + term(y, b.1) + term(z, c.1) + offset;
                        *out = (sum >> FRACTION).clamp(0, 255) as u8;
                    }
                    row
                }
            };
        }
        channels
    }
}

impl Channel {
    /// `row` weighs components from 0 to 1 (chroma from -0.5 to 0.5); byte `v` of component `i` stands for
    /// `(v - offsets[i]) / scales[i]`.
    fn new(row: &[f64], offsets: &[i32; 4], scales: &[i32; 4]) -> Self {
        let one = f64::from(1 << FRACTION);
        let mut terms = [(0, 0); 3];
        let mut offset = 0.5;
        for (index, &weight) in row.iter().enumerate() {
            let coefficient = weight * 255.0 / f64::from(scales[index]);
            terms[index] = (index, (coefficient * one).round() as i16);
            offset -= coefficient * f64::from(offsets[index]);
        }
        match terms.iter().position(|&(_, coefficient)| f64::from(coefficient) == one) {
            Some(term) if offset == 0.5 && terms.iter().filter(|(_, coefficient)| *coefficient != 0).count() == 1 => {
                Self::Component(terms[term].0)
            }
            _ => Self::Sum { terms, offset: (offset * one).round() as i32 },
        }
    }
}

/// Red, green and blue as weighted sums of the frame's components.
fn to_rgb(frame: &gst_video::VideoInfo) -> Vec<Vec<f64>> {
    if frame.is_gray() {
        return vec![vec![1.0]; 3];
    }
    if frame.is_rgb() {
        return vec![vec![1.0, 0.0, 0.0], vec![0.0, 1.0, 0.0], vec![0.0, 0.0, 1.0]];
    }
    let (kr, kb) = luma_weights(frame);
    let kg = 1.0 - kr - kb;
    let (red, blue) = (2.0 * (1.0 - kr), 2.0 * (1.0 - kb));
    vec![vec![1.0, 0.0, red], vec![1.0, -blue * kb / kg, -red * kr / kg], vec![1.0, blue, 0.0]]
}

/// Grey is the frame's own luma, or the luma of ITU-R BT.601 for RGB frames (as Pillow and OpenCV do).
fn to_gray(frame: &gst_video::VideoInfo) -> Vec<f64> {
    if frame.is_rgb() { vec![0.299, 0.587, 0.114] } else { vec![1.0] }
}

/// Kr and Kb of the caps' colour matrix: how much red and blue weigh in luma. Where caps name none, that which
/// GStreamer takes for frames of this height: BT.709 or BT.601.
fn luma_weights(frame: &gst_video::VideoInfo) -> (f64, f64) {
    let unnamed = if frame.height() > 576 { (0.2126, 0.0722) } else { (0.2990, 0.1140) };
    frame.colorimetry().matrix().kr_kb().unwrap_or(unnamed)
}
