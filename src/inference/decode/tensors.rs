//! The outputs as they are, cut to one frame.

use super::choose::describe;
use super::cut::{Cut, Slot};
use super::{DecoderHints, TensorView, TensorViewData};
use crate::inference::{Error, Output, Tensor, TensorData};

#[derive(Debug, Clone)]
pub(super) struct Tensors {
    slots: Vec<Slot>,
}

impl Tensors {
    pub(super) fn fit(hints: &DecoderHints) -> Result<Self, String> {
        const ELEMENTS: [&str; 7] = ["float32", "float16", "uint8", "int8", "int32", "int64", "bool"];
        if hints.outputs.is_empty() {
            return Err("it has no outputs".into());
        }
        match hints.outputs.iter().find(|spec| !ELEMENTS.contains(&spec.element.as_str())) {
            Some(spec) => Err(format!("{} is not one of the types {}", describe(spec), ELEMENTS.join(", "))),
            None => Ok(Self { slots: hints.outputs.iter().map(Slot::new).collect() }),
        }
    }

    pub(super) fn decode(&self, outputs: &[TensorView], index: usize, batch: usize) -> Result<Output, Error> {
        let copies = self.slots.iter().map(|slot| slot.cut(outputs, index, batch).map(|cut| copy(&cut)));
        Ok(Output { tensors: Some(copies.collect::<Result<_, _>>()?), ..Output::default() })
    }
}

fn copy(cut: &Cut) -> Tensor {
    let data = match cut.data {
        TensorViewData::Float32(data) => TensorData::Float32(data.to_vec()),
        TensorViewData::Float16(data) => TensorData::Float16(data.to_vec()),
        TensorViewData::Uint8(data) => TensorData::Uint8(data.to_vec()),
        TensorViewData::Int8(data) => TensorData::Int8(data.to_vec()),
        TensorViewData::Int32(data) => TensorData::Int32(data.to_vec()),
        TensorViewData::Int64(data) => TensorData::Int64(data.to_vec()),
        TensorViewData::Bool(data) => TensorData::Bool(data.to_vec()),
    };
    // `Slot::cut` lets no negative dimension through.
    let dims = cut.dims.iter().map(|&dim| dim.unsigned_abs() as usize).collect();
    Tensor { name: cut.name.to_owned(), dims, data }
}
