//! The components of a frame at the size of the picture, row by row, by linear interpolation between the centres of
//! the two nearest pixels of each axis (what OpenCV calls `INTER_LINEAR`, with which detectors are commonly trained).

use gst_video::VideoChromaSite;

use super::frame::Planes;
use crate::inference::Region;

/// Weights are in 1/256: the weighted sum of two bytes then fits 16 bits, which vectorises well.
const ONE: u16 = 256;

/// Reads regions of frames of one format, whose components are bytes ([`super::eight_bit::is_eight_bit`]). What it knows
/// of the last region is written over by the next, so that no region needs new memory.
pub struct Sampler {
    planes: Vec<PlaneSampler>,
    /// One row of each component at the width of the picture, in the order of the format's components.
    rows: [Vec<u8>; 3],
}

struct PlaneSampler {
    plane: usize,
    /// What a row is subsampled by, as a power of two, and whether its samples are cosited.
    h_sub: u32,
    cosited: bool,
    down: Axis,
    components: Vec<ComponentSampler>,
    /// A row between two rows of the frame.
    between: Vec<u8>,
}

struct ComponentSampler {
    component: usize,
    /// Byte of the first pixel of a row, and the distance to the next.
    first: usize,
    step: usize,
    w_sub: u32,
    cosited: bool,
    across: Axis,
    way: Way,
}

/// How the picture's samples are read from a row of the frame.
enum Way {
    /// The picture is as wide as the region: bytes as they are.
    Same,
    /// The positions of `across` are in bytes; so are the distance to the second pixel, and the end of the last pixel of
    /// a row: `across.first[i] + step < end` for all `i`.
    Between { step: usize, end: usize },
}

/// Where each sample of the picture lies on one axis of a component: between `first[i]` and the one after it, nearer
/// to that by `weight[i]`.
#[derive(Default)]
struct Axis {
    first: Vec<u32>,
    weight: Vec<u16>,
    /// Distance from the first sample to the second: 0 where the component has only one.
    next: usize,
}

impl Axis {
    /// `from` pixels of the frame become `to` of the picture. The component has a sample every `1 << subsampling`
    /// pixels: at the centre of the first of them where `cosited`, else in their middle.
    fn fit(&mut self, from: usize, to: usize, subsampling: u32, cosited: bool) {
        let samples = from.div_ceil(1 << subsampling);
        let period = f64::from(1 << subsampling);
        let places = (0..to).map(|i| {
            let pixel = (i as f64 + 0.5) * from as f64 / to as f64;
            let sample = if cosited { (pixel - 0.5) / period } else { pixel / period - 0.5 };
            let sample = sample.clamp(0.0, (samples - 1) as f64);
            let first = (sample.floor() as usize).min(samples.saturating_sub(2));
            (first as u32, ((sample - first as f64) * f64::from(ONE)).round() as u16)
        });
        self.first.clear();
        self.weight.clear();
        for (first, weight) in places {
            self.first.push(first);
            self.weight.push(weight);
        }
        self.next = usize::from(samples > 1);
    }

    fn is_identity(&self) -> bool {
        self.first.iter().zip(&self.weight).enumerate().all(|(i, (&first, &weight))| {
            // The last sample is reached from the one before it.
            i == first as usize + usize::from(weight / ONE) && weight % ONE == 0
        })
    }
}

impl Sampler {
    /// For frames like `frame`; [`Sampler::fit`] says what of them is read.
    pub fn new(frame: &gst_video::VideoInfo) -> Self {
        let format = frame.format_info();
        let site = frame.chroma_site();
        let mut planes: Vec<PlaneSampler> = Vec::new();
        let components = (format.n_components() as usize).min(3);
        for component in 0..components {
            let (w_sub, h_sub) = (format.w_sub()[component], format.h_sub()[component]);
            let sampler = ComponentSampler {
                component,
                first: format.poffset()[component] as usize,
                step: format.pixel_stride()[component] as usize,
                w_sub,
                cosited: w_sub > 0 && site.contains(VideoChromaSite::H_COSITED),
                across: Axis::default(),
                way: Way::Same,
            };
            let plane = format.plane()[component] as usize;
            match planes.iter_mut().find(|sampler| sampler.plane == plane) {
                Some(of_plane) => of_plane.components.push(sampler),
                None => planes.push(PlaneSampler {
                    plane,
                    h_sub,
                    cosited: h_sub > 0 && site.contains(VideoChromaSite::V_COSITED),
                    down: Axis::default(),
                    components: vec![sampler],
                    between: Vec::new(),
                }),
            }
        }
        Self { planes, rows: Default::default() }
    }

    /// The blocks of pixels that share a sample: a region begins with a whole one. As powers of two, across and down.
    pub fn block(&self) -> (u32, u32) {
        let components = || self.planes.iter().flat_map(|plane| &plane.components);
        let across = components().map(|component| component.w_sub).max().unwrap_or(0);
        (across, self.planes.iter().map(|plane| plane.h_sub).max().unwrap_or(0))
    }

    /// Brings `region` to `width` x `height`. It begins with a whole [`Sampler::block`].
    pub fn fit(&mut self, region: Region, width: usize, height: usize) {
        for plane in &mut self.planes {
            plane.down.fit(region.height, height, plane.h_sub, plane.cosited);
            let mut row_bytes = 0;
            for component in &mut plane.components {
                let ComponentSampler { first, step, w_sub, across, .. } = component;
                row_bytes = row_bytes.max(region.width.div_ceil(1 << *w_sub) * *step);
                across.fit(region.width, width, *w_sub, component.cosited);
                component.way = if across.is_identity() {
                    Way::Same
                } else {
                    across.first.iter_mut().for_each(|pixel| *pixel = *pixel * *step as u32 + *first as u32);
                    let step = across.next * *step;
                    Way::Between { step, end: across.first.iter().max().map_or(0, |&last| last as usize + step + 1) }
                };
                self.rows[component.component].resize(width, 0);
            }
            plane.between.resize(row_bytes, 0);
        }
    }

    /// Where in each plane a region begins that has its first pixel at `x`, `y`.
    pub fn crop<'a>(&self, frame: &Planes<'a>, (x, y): (usize, usize)) -> Planes<'a> {
        let mut planes = Planes { data: frame.data, stride: frame.stride };
        for sampler in &self.planes {
            // All components of a plane that begins with a whole block agree on where that is.
            let column = sampler.components.first().map_or(0, |component| (x >> component.w_sub) * component.step);
            let start = (y >> sampler.h_sub) * frame.stride[sampler.plane] + column;
            planes.data[sampler.plane] = frame.data[sampler.plane].get(start..).unwrap_or_default();
        }
        planes
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
            let [a, b, c] = &mut self.rows;
            match (sampler.triples(), sampler.pairs()) {
                (Some([0, 1, 2]), _) => split(row, [a, b, c]),
                (Some([2, 1, 0]), _) => split(row, [c, b, a]),
                (_, Some(pairs)) => pairs.sample(row, &mut self.rows),
                _ => {
                    for sampler in &sampler.components {
                        sampler.sample(row, &mut self.rows[sampler.component]);
                    }
                }
            }
        }
        let [a, b, c] = &self.rows;
        [a, b, c]
    }
}

impl PlaneSampler {
    /// Where the three components of a pixel lie that are read as they are and have nothing between them.
    #[inline(always)]
    fn triples(&self) -> Option<[usize; 3]> {
        let components: &[_; 3] = self.components.as_slice().try_into().ok()?;
        let whole = components.iter().all(|component| component.step == 3 && matches!(component.way, Way::Same));
        whole.then(|| components.each_ref().map(|component| component.first))
    }

    /// The two components of a plane that has nothing else in it, read between pixels.
    #[inline(always)]
    fn pairs(&self) -> Option<Pairs<'_>> {
        let components: &[_; 2] = self.components.as_slice().try_into().ok()?;
        let [first, second] = if components[0].first == 0 { [0, 1] } else { [1, 0] }.map(|index| &components[index]);
        match (&first.way, &second.way) {
            (Way::Between { step: 2, .. }, &Way::Between { step: 2, end })
                if (first.first, second.first) == (0, 1) && first.w_sub == second.w_sub =>
            {
                Some(Pairs { components: [first.component, second.component], across: &first.across, end })
            }
            _ => None,
        }
    }
}

/// See [`PlaneSampler::pairs`]. Both components lie at the same places: one read serves the four bytes of two samples.
struct Pairs<'a> {
    components: [usize; 2],
    /// The first component's.
    across: &'a Axis,
    /// The second component's. That begins one byte later and is as wide, so `across.first[i] + 3 < end` for all `i`.
    end: usize,
}

impl Pairs<'_> {
    #[inline(always)]
    fn sample(&self, row: &[u8], rows: &mut [Vec<u8>; 3]) {
        let Ok([a, b]) = rows.get_disjoint_mut(self.components) else { return };
        let row = &row[..self.end];
        for (((a, b), &first), &weight) in a.iter_mut().zip(b).zip(&self.across.first).zip(&self.across.weight) {
            // SAFETY: `row` is `end` long, and `first + 3 < end`.
            let bytes = unsafe { row.as_ptr().add(first as usize).cast::<[u8; 4]>().read() };
            let bytes = u32::from_le_bytes(bytes);
            *a = mix_alternate(bytes, weight);
            *b = mix_alternate(bytes >> 8, weight);
        }
    }
}

impl ComponentSampler {
    #[inline(always)]
    fn sample(&self, row: &[u8], out: &mut [u8]) {
        let first = self.first;
        match (&self.way, self.step) {
            (Way::Same, 1) => out.copy_from_slice(&row[first..][..out.len()]),
            (Way::Same, 2) => pick(row, out, |pixel| (u16::from_le_bytes(*pixel) >> (8 * first)) as u8),
            (Way::Same, 4) => pick(row, out, |pixel| (u32::from_le_bytes(*pixel) >> (8 * first)) as u8),
            (Way::Same, step) => {
                out.iter_mut().zip(row[first..].iter().step_by(step)).for_each(|(out, &byte)| *out = byte);
            }
            (Way::Between { step: 1, end }, 1) => {
                let row = &row[..*end];
                for ((out, &first), &weight) in out.iter_mut().zip(&self.across.first).zip(&self.across.weight) {
                    // SAFETY: `row` is `end` long, and `first + 1 < end`.
                    let bytes = unsafe { row.as_ptr().add(first as usize).cast::<[u8; 2]>().read() };
                    let bytes = u32::from(u16::from_le_bytes(bytes));
                    *out = mix_alternate(bytes | bytes << 8, weight);
                }
            }
            (Way::Between { step, end }, _) => {
                let row = &row[..*end];
                for ((out, &first), &weight) in out.iter_mut().zip(&self.across.first).zip(&self.across.weight) {
                    let first = first as usize;
                    // SAFETY: `row` is `end` long, and `first + step < end`. Checked indexing takes twice the time.
                    let (a, b) = unsafe { (*row.get_unchecked(first), *row.get_unchecked(first + step)) };
                    *out = mix(a, b, weight);
                }
            }
        }
    }
}

/// One byte of each `STEP` bytes. `byte` takes it out by a shift: where pixels are read with gaps, compilers leave those
/// at the end of a row to be read one by one.
#[inline(always)]
fn pick<const STEP: usize>(row: &[u8], out: &mut [u8], byte: impl Fn(&[u8; STEP]) -> u8) {
    let (pixels, _) = row.as_chunks::<STEP>();
    for (out, pixel) in out.iter_mut().zip(pixels) {
        *out = byte(pixel);
    }
}

/// All bytes of each three, in one pass.
#[inline(always)]
fn split(row: &[u8], [a, b, c]: [&mut [u8]; 3]) {
    let (pixels, _) = row.as_chunks::<3>();
    for (((a, b), c), pixel) in a.iter_mut().zip(b).zip(c).zip(pixels) {
        [*a, *b, *c] = *pixel;
    }
}

#[inline(always)]
fn mix(a: u8, b: u8, weight: u16) -> u8 {
    ((u16::from(a) * (ONE - weight) + u16::from(b) * weight + ONE / 2) / ONE) as u8
}

/// [`mix`] of the first and the third byte. One product has the sum: of (a + 2^16 b) and (w + 2^16 (256 - w)) the middle.
#[inline(always)]
fn mix_alternate(bytes: u32, weight: u16) -> u8 {
    let weights = u32::from(weight) | u32::from(ONE - weight) << 16;
    let half = u32::from(ONE / 2) << 16;
    ((bytes & 0x00FF_00FF).wrapping_mul(weights).wrapping_add(half) >> 24) as u8
}
