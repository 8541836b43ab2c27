pub mod inference;
pub mod runtime;
