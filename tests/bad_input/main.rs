//! What users get wrong, and what goes wrong by itself: each is a clear error with a way out, the process lives on, and
//! whoever has nothing to do with it notices nothing.

#[path = "../common/mod.rs"]
mod common;

mod bystander;
mod frames;
mod library;
mod locations;
mod models;
mod processors;
