//! Chains of models: an `nvbatch` that infers each object that another element found.

#[path = "../common/mod.rs"]
mod common;
#[path = "../detections/truth.rs"]
#[allow(dead_code)]
mod truth;

mod bad_input;
mod classes;
mod ends;
mod real;
mod stage;
mod tracks;
