//! The end of everything, with real pipelines: nothing of ours is left behind, whatever was going on. The runtime is the
//! process's, so these tests run one after the other.

#[path = "../common/mod.rs"]
mod common;
mod house;

mod callers;
mod frames;
mod panics;
mod places;
mod races;
mod repeat;
mod stuck;
