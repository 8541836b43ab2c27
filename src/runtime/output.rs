//! All results of all feeds of the process, for whoever listens.

use std::sync::Arc;

use super::{
    broadcast::Broadcast,
    event::Event,
    feed::{Findings, Frame},
    health::Health,
    result::FrameResult,
};

/// Gives out each result as an `nv-result`.
pub type Output = Broadcast<Arc<gst::Structure>>;

/// Tells a result of a feed; returns what it built. Builds nothing where nobody listens.
pub(super) fn send(
    output: &Output,
    health: &Health,
    (id, name): (u64, &str),
    frame: &Frame,
    findings: Findings,
) -> Option<Arc<gst::Structure>> {
    if !output.is_wanted() {
        return None;
    }
    let told = FrameResult::new(id, name, frame, findings).shared_structure();
    let lost = output.send(|| told.clone()).lost;
    if lost > 0 {
        health.emit(|| Event::output_lagged("output", lost));
    }
    Some(told)
}
