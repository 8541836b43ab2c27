//! One frame's share of one output tensor, and reading numbers from it whatever their type.

use super::{OutputSpec, TensorView, TensorViewData};
use crate::inference::{Error, ErrorKind, description::shown};

/// A number that stands for a real one.
pub(super) trait Real: Copy {
    fn real(self) -> f32;
}

impl Real for f32 {
    #[inline(always)]
    fn real(self) -> f32 {
        self
    }
}

/// IEEE 754 half precision by its bits, as [`TensorViewData::Float16`] holds it.
impl Real for u16 {
    /// Moves the bits to where single precision has them and corrects the exponent's bias (127 - 15) by a
    /// multiplication, which is exact and normalises subnormal numbers on the way. No branch, so that it vectorises.
    #[inline(always)]
    fn real(self) -> f32 {
        const TWO_TO_112: f32 = f32::from_bits((112 + 127) << 23);
        const FIRST_BEYOND_HALF: f32 = 65536.0;
        let magnitude = f32::from_bits(u32::from(self & 0x7fff) << 13) * TWO_TO_112;
        let exponent_of_infinity = if magnitude >= FIRST_BEYOND_HALF { f32::INFINITY.to_bits() } else { 0 };
        f32::from_bits(magnitude.to_bits() | exponent_of_infinity | u32::from(self & 0x8000) << 16)
    }
}

impl<'a> TensorViewData<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Float32(data) => data.len(),
            Self::Float16(data) => data.len(),
            Self::Uint8(data) => data.len(),
            Self::Int8(data) => data.len(),
            Self::Int32(data) => data.len(),
            Self::Int64(data) => data.len(),
            Self::Bool(data) => data.len(),
        }
    }

    fn slice(self, range: std::ops::Range<usize>) -> Option<Self> {
        Some(match self {
            Self::Float32(data) => Self::Float32(data.get(range)?),
            Self::Float16(data) => Self::Float16(data.get(range)?),
            Self::Uint8(data) => Self::Uint8(data.get(range)?),
            Self::Int8(data) => Self::Int8(data.get(range)?),
            Self::Int32(data) => Self::Int32(data.get(range)?),
            Self::Int64(data) => Self::Int64(data.get(range)?),
            Self::Bool(data) => Self::Bool(data.get(range)?),
        })
    }

    /// The number at `i`, or NaN where there is none: both are left out by every decoder.
    pub(super) fn at(&self, i: usize) -> f32 {
        let number = match self {
            Self::Float32(data) => data.get(i).copied(),
            Self::Float16(data) => data.get(i).map(|n| n.real()),
            Self::Uint8(data) => data.get(i).map(|&n| f32::from(n)),
            Self::Int8(data) => data.get(i).map(|&n| f32::from(n)),
            Self::Int32(data) => data.get(i).map(|&n| n as f32),
            Self::Int64(data) => data.get(i).map(|&n| n as f32),
            Self::Bool(data) => data.get(i).map(|&n| f32::from(u8::from(n))),
        };
        number.unwrap_or(f32::NAN)
    }
}

/// Which output a decoder reads, as known when the model was loaded.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    name: String,
    /// The model's own batch, where it is fixed.
    fixed_batch: Option<usize>,
}

impl Slot {
    pub(super) fn new(spec: &OutputSpec) -> Self {
        Self { name: spec.name.clone(), fixed_batch: spec.dims.first().copied().flatten() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What `outputs` hold for frame `index` of `batch`.
    ///
    /// The first axis is the batch: as long as the run's, or longer where the model's batch is fixed and the run
    /// was padded. A tensor without such an axis belongs to the frame as a whole if the frame was alone.
    pub(super) fn cut<'a>(&self, outputs: &[TensorView<'a>], index: usize, batch: usize) -> Result<Cut<'a>, Error> {
        let Some(view) = outputs.iter().find(|view| view.name == self.name) else {
            return Err(run_failed(format!("The model ran without giving its output `{}`.", shown(&self.name))));
        };
        let whole = Cut { name: view.name, dims: view.dims, data: view.data };
        if whole.numbers()? != view.data.len() {
            let message = format!("holds {} numbers, which is not what its dimensions say", view.data.len());
            return Err(whole.error(&message));
        }
        let axis = view.dims.first().and_then(|&first| usize::try_from(first).ok());
        match axis {
            Some(length) if length == batch || (length > batch && self.fixed_batch == Some(length)) => {
                let (stride, dims) = (view.data.len().checked_div(length).unwrap_or(0), &view.dims[1..]);
                let data = if index < batch { view.data.slice(index * stride..(index + 1) * stride) } else { None };
                let data = data.ok_or_else(|| whole.error(&format!("has no frame {index} in a batch of {batch}")))?;
                Ok(Cut { dims, data, ..whole })
            }
            _ if batch == 1 && index == 0 => Ok(whole),
            _ => Err(whole.error(&format!("does not have the run's batch of {batch} as its first dimension"))),
        }
    }
}

/// One output for one frame: the batch axis is gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut<'a> {
    pub name: &'a str,
    pub dims: &'a [i64],
    pub data: TensorViewData<'a>,
}

impl Cut<'_> {
    /// The dimensions, if there are `N` of them.
    pub(super) fn shape<const N: usize>(&self) -> Result<[usize; N], Error> {
        let mut shape = [0; N];
        if self.dims.len() != N {
            return Err(self.error(&format!("should have {N} dimensions behind the batch")));
        }
        for (length, &dim) in shape.iter_mut().zip(self.dims) {
            *length = usize::try_from(dim).map_err(|_| self.error("has a negative dimension"))?;
        }
        Ok(shape)
    }

    /// How many numbers the dimensions ask for.
    fn numbers(&self) -> Result<usize, Error> {
        let product = self.dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim.try_into().ok()?));
        product.ok_or_else(|| self.error("has impossible dimensions"))
    }

    /// An error that names this output and what it was when it came.
    pub(super) fn error(&self, what: &str) -> Error {
        let (dims, more) = match self.dims.get(..16) {
            Some(first) => (first, " and more"),
            None => (self.dims, ""),
        };
        run_failed(format!("Output `{}` came with dimensions {dims:?}{more} and {what}.", shown(self.name)))
    }
}

fn run_failed(message: String) -> Error {
    Error::new(ErrorKind::RunFailed, message)
}

/// The normaliser of `exp(x) / sum(exp)`, taken over the finite ones of some numbers; what is not finite has no share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Softmax {
    max: f32,
    sum: f32,
}

impl Softmax {
    pub(super) fn over(numbers: impl Iterator<Item = f32> + Clone) -> Self {
        let finite = numbers.filter(|n| n.is_finite());
        let max = finite.clone().fold(f32::NEG_INFINITY, f32::max);
        Self { max, sum: finite.map(|n| (n - max).exp()).sum() }
    }

    pub(super) fn of(&self, number: f32) -> f32 {
        (number - self.max).exp() / self.sum
    }
}

/// The greatest of the finite numbers and where it stands; the first of equal ones.
pub(super) fn best_class(scores: impl Iterator<Item = f32>) -> Option<(u32, f32)> {
    let mut best = None;
    for (class, score) in (0u32..).zip(scores) {
        if score.is_finite() && best.is_none_or(|(_, most)| score > most) {
            best = Some((class, score));
        }
    }
    best
}

/// A class that a model gives as a number, whatever its type. `None` where it is no class.
pub(super) fn class_number(number: f32) -> Option<u32> {
    let rounded = number.round();
    (rounded >= 0.0 && rounded < u32::MAX as f32).then_some(rounded as u32)
}
