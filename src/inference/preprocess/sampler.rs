//! The components of a frame at the size of the picture, row by row, by linear interpolation between the centres of
//! the two nearest pixels of each axis (what OpenCV calls `INTER_LINEAR`, with which detectors are commonly trained).

use gst_video::VideoChromaSite;

use super::frame::Planes;

/// Weights are in 1/256: the weighted sum of two bytes then fits 16 bits, which vectorises well.
const ONE: u16 = 256;

/// Reads frames of one format and size, whose components are bytes ([`super::eight_bit::is_eight_bit`]).
pub struct Sampler {
    planes: Vec<PlaneSampler>,
    /// One row of each component at the width of the picture, in the order of the format's components.
    rows: [Vec<u8>; 3],
}

struct PlaneSampler {
    plane: usize,
    down: Axis,
    components: Vec<ComponentSampler>,
    /// A row between two rows of the frame.
    between: Vec<u8>,
}

struct ComponentSampler {
    component: usize,
    across: Across,
}

enum Across {
    /// The picture is as wide as the frame: bytes `first`, `first + step`, ... as they are.
    Same { first: usize, step: usize },
    /// `axis` with its positions in bytes, the distance in bytes to the second pixel, and the end of the last pixel
    /// of a row: `axis.first[i] + step < end` for all `i`.
    Between { axis: Axis, step: usize, end: usize },
}

/// Where each sample of the picture lies on one axis of a component: between `first[i]` and the one after it, nearer
/// to that by `weight[i]`.
struct Axis {
    first: Vec<u32>,
    weight: Vec<u16>,
    /// Distance from the first sample to the second: 0 where the component has only one.
    next: usize,
}

impl Axis {
    /// `from` pixels of the frame become `to` of the picture. The component has a sample every `1 << subsampling`
    /// pixels: at the centre of the first of them where `cosited`, else in their middle.
    fn new(from: usize, to: usize, subsampling: u32, cosited: bool) -> Self {
        let samples = from.div_ceil(1 << subsampling);
        let period = f64::from(1 << subsampling);
        let (first, weight) = (0..to)
            .map(|i| {
                let pixel = (i as f64 + 0.5) * from as f64 / to as f64;
                let sample = if cosited { (pixel - 0.5) / period } else { pixel / period - 0.5 };
                let sample = sample.clamp(0.0, (samples - 1) as f64);
                let first = (sample.floor() as usize).min(samples.saturating_sub(2));
                (first as u32, ((sample - first as f64) * f64::from(ONE)).round() as u16)
            })
            .unzip();
        Self { first, weight, next: usize::from(samples > 1) }
    }

    fn is_identity(&self) -> bool {
        self.first.iter().zip(&self.weight).enumerate().all(|(i, (&first, &weight))| {
            // The last sample is reached from the one before it.
            i == first as usize + usize::from(weight / ONE) && weight % ONE == 0
        })
    }
}

impl Sampler {
    /// Brings frames like `frame` to `width` x `height`.
    pub fn new(frame: &gst_video::VideoInfo, width: usize, height: usize) -> Self {
        let format = frame.format_info();
        let site = frame.chroma_site();
        let mut planes: Vec<PlaneSampler> = Vec::new();
        let mut rows = [const { Vec::new() }; 3];
        for (component, row) in rows.iter_mut().enumerate().take(format.n_components() as usize) {
            row.resize(width, 0);
            let (w_sub, h_sub) = (format.w_sub()[component], format.h_sub()[component]);
            let (step, first) = (format.pixel_stride()[component] as usize, format.poffset()[component] as usize);
            let mut axis =
                Axis::new(frame.width() as usize, width, w_sub, w_sub > 0 && site.contains(VideoChromaSite::H_COSITED));
            let across = if axis.is_identity() {
                Across::Same { first, step }
            } else {
                axis.first.iter_mut().for_each(|pixel| *pixel = *pixel * step as u32 + first as u32);
                let step = axis.next * step;
                let end = axis.first.iter().max().map_or(0, |&last| last as usize + step + 1);
                Across::Between { axis, step, end }
            };
            let component_sampler = ComponentSampler { component, across };
            let plane = format.plane()[component] as usize;
            let row_bytes = format.scale_width(component as u8, frame.width()) as usize * step;
            match planes.iter_mut().find(|sampler| sampler.plane == plane) {
                Some(sampler) => {
                    sampler.components.push(component_sampler);
                    sampler.between.resize(sampler.between.len().max(row_bytes), 0);
                }
                None => planes.push(PlaneSampler {
                    plane,
                    down: Axis::new(
                        frame.height() as usize,
                        height,
                        h_sub,
                        h_sub > 0 && site.contains(VideoChromaSite::V_COSITED),
                    ),
                    components: vec![component_sampler],
                    between: vec![0; row_bytes],
                }),
            }
        }
        Self { planes, rows }
    }

    /// Row `y` of the picture: a slice for each component of the frame, empty for those it does not have.
    #[inline(always)]
    pub fn row(&mut self, frame: &Planes, y: usize) -> [&[u8]; 3] {
        for sampler in &mut self.planes {
            let (data, stride) = (frame.data[sampler.plane], frame.stride[sampler.plane]);
            let length = sampler.between.len();
            let (first, weight) = (sampler.down.first[y] as usize, sampler.down.weight[y]);
            let upper = &data[first * stride..][..length];
            let lower = &data[(first + sampler.down.next) * stride..][..length];
            let row = match weight {
                0 => upper,
                ONE => lower,
                _ => {
                    for ((out, &a), &b) in sampler.between.iter_mut().zip(upper).zip(lower) {
                        *out = mix(a, b, weight);
                    }
                    &sampler.between
                }
            };
            for ComponentSampler { component, across } in &sampler.components {
                across.sample(row, &mut self.rows[*component]);
            }
        }
        let [a, b, c] = &self.rows;
        [a, b, c]
    }
}

impl Across {
    #[inline(always)]
    fn sample(&self, row: &[u8], out: &mut [u8]) {
        match self {
            Self::Same { first, step: 1 } => out.copy_from_slice(&row[*first..][..out.len()]),
            Self::Same { first, step: 2 } => pick::<2>(row, *first, out),
            Self::Same { first, step: 3 } => pick::<3>(row, *first, out),
            Self::Same { first, step: 4 } => pick::<4>(row, *first, out),
            Self::Same { first, step } => {
                out.iter_mut().zip(row[*first..].iter().step_by(*step)).for_each(|(out, &byte)| *out = byte);
            }
            Self::Between { axis, step, end } => {
                let row = &row[..*end];
                for ((out, &first), &weight) in out.iter_mut().zip(&axis.first).zip(&axis.weight) {
                    let first = first as usize;
                    // SAFETY: `row` is `end` long, and `first + step < end`. Checked indexing takes twice the time.
                    let (a, b) = unsafe { (*row.get_unchecked(first), *row.get_unchecked(first + step)) };
                    *out = mix(a, b, weight);
                }
            }
        }
    }
}

/// Byte `first` of each `STEP` bytes.
#[inline(always)]
fn pick<const STEP: usize>(row: &[u8], first: usize, out: &mut [u8]) {
    let (pixels, _) = row.as_chunks::<STEP>();
    for (out, pixel) in out.iter_mut().zip(pixels) {
        *out = pixel[first];
    }
}

#[inline(always)]
fn mix(a: u8, b: u8, weight: u16) -> u8 {
    ((u16::from(a) * (ONE - weight) + u16::from(b) * weight + ONE / 2) / ONE) as u8
}
