//! All results of all feeds of the process, for whoever listens.

use std::sync::Arc;

use super::{
    broadcast::Broadcast,
    event::Event,
    feed::{Frame, Inferred},
    health::Health,
    result::FrameResult,
};

/// Gives out each result as an `nv-result`.
pub type Output = Broadcast<Arc<gst::Structure>>;

/// Tells a result of a feed. Builds nothing where nobody listens, and otherwise leaves what it built in `inferred`.
pub(super) fn send(output: &Output, health: &Health, (id, name): (u64, &str), frame: &Frame, inferred: &mut Inferred) {
    if !output.is_wanted() {
        return;
    }
    let told = FrameResult::new(id, name, frame, inferred).shared_structure();
    inferred.told = Some(told.clone());
    let lost = output.send(|| told).lost;
    if lost > 0 {
        health.emit(|| Event::output_lagged("output", lost));
    }
}
