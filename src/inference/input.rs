//! How a model wants its input: the destination of preprocessing.

/// Order of the axes of one input tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `[batch, channel, row, column]`
    Nchw,
    /// `[batch, row, column, channel]`
    Nhwc,
}

/// Type of one number of the input tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementType {
    Float32,
    Float16,
    Uint8,
}

impl ElementType {
    /// Size of one number in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::Float32 => 4,
            Self::Float16 => 2,
            Self::Uint8 => 1,
        }
    }
}

/// What the channels are, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorOrder {
    Rgb,
    Bgr,
    Gray,
}

impl ColorOrder {
    pub fn channels(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Gray => 1,
        }
    }
}

/// How a picture of another shape is brought to the model's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Scaled evenly, centred, the rest filled with grey (114), as detectors of the YOLO family are trained.
    Letterbox,
    /// Scaled on each axis by itself until it fits.
    Stretch,
}

/// The batch axis of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchDim {
    Dynamic,
    /// The model takes exactly so many frames a run; what is missing is padded.
    Fixed(usize),
}

/// Everything that preprocessing has to know of a model.
///
/// A pixel `p` (0 to 255) of channel `c` is written as `p * scale[c] + offset[c]` for the floating types and as it
/// is for `Uint8`. `scale` and `offset` are in the order of the model's channels (`color`); a grey model reads index 0.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSpec {
    /// Name of the input tensor.
    pub name: String,
    pub layout: Layout,
    pub element: ElementType,
    pub color: ColorOrder,
    pub fit: Fit,
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    pub batch: BatchDim,
    pub scale: [f32; 3],
    pub offset: [f32; 3],
}

impl InputSpec {
    /// Size of one frame of the input tensor in bytes.
    pub fn frame_bytes(&self) -> usize {
        self.width * self.height * self.color.channels() * self.element.size()
    }
}

#[cfg(test)]
impl InputSpec {
    /// Of a model that takes RGB bytes as they are: what preprocessing makes of a frame, before it becomes numbers.
    pub fn of_bytes(width: usize, height: usize) -> Self {
        Self {
            name: "images".into(),
            layout: Layout::Nhwc,
            element: ElementType::Uint8,
            color: ColorOrder::Rgb,
            fit: Fit::Stretch,
            width,
            height,
            batch: BatchDim::Dynamic,
            scale: [1.0; 3],
            offset: [0.0; 3],
        }
    }
}
