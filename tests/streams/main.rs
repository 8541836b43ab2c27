//! Streams as applications drive them, through real processors: seeks, pauses, changes, ends.

#[path = "../common/mod.rs"]
mod common;

mod changes;
mod drops;
mod ends;
mod phase;
mod processors;
mod seeks;
