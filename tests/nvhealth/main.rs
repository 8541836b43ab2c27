//! Health events, each provoked by what it tells of, and the element that posts them.

#[path = "../common/mod.rs"]
mod common;

mod element;
mod feeds;
mod flow;
mod processors;
mod watch;
