//! What a model says about one frame, in the frame's own terms.

/// One object. The box is in pixels of the frame that came in, clipped to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    pub label_id: u32,
    /// 0 to 1.
    pub confidence: f32,
    pub x: f32,
    pub y: f32,
    pub w: f32,
    pub h: f32,
}

/// One class of a classifier.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Class {
    pub label_id: u32,
    /// 0 to 1.
    pub confidence: f32,
}

/// The numbers of one output tensor, for one frame.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorData {
    Float32(Vec<f32>),
    /// IEEE 754 half precision, by its bits.
    Float16(Vec<u16>),
    Uint8(Vec<u8>),
    Int8(Vec<i8>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Bool(Vec<bool>),
}

/// One output tensor, cut to one frame: the batch axis is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub name: String,
    pub dims: Vec<usize>,
    pub data: TensorData,
}

/// What the model says about one frame. A part that the model does not have is `None`; one in which it found nothing
/// is empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Output {
    pub objects: Option<Vec<Detection>>,
    pub classes: Option<Vec<Class>>,
    pub tensors: Option<Vec<Tensor>>,
}
