//! Our own way: one `nvfeed` a pipeline, all with one processor, everything automatic.

use std::sync::Arc;

use gst::prelude::*;

use super::{
    latency::{Inside, Latencies},
    streams::Streams,
};
use crate::job::{Figures, Job};

/// The end of a feed's line.
pub const FEED: &str = "nvfeed name=feed processor-id=bench message=false";

pub fn run(job: &Job) -> Figures {
    let owner = owner(job);
    let streams = Streams::new(job, FEED);
    let feeds = streams.elements("feed");
    let latencies = job.source.live.map(|_| follow(&feeds));
    let results = || feeds.iter().map(results).sum();
    let figures = streams.measure(job, latencies.as_deref(), results);
    drop(streams);
    owner.set_state(gst::State::Null).expect("the processor stops");
    figures
}

/// The processor, ready.
pub fn owner(job: &Job) -> gst::Element {
    gstnextvision::plugin_register_static().expect("the plugin registers");
    let owner = gst::parse::launch(&format!("nvbatch processor-id=bench decoder=tensors model={}", job.model))
        .expect("the processor's line");
    owner.set_state(gst::State::Playing).expect("the model loads");
    owner
}

pub fn results(feed: &gst::Element) -> u64 {
    feed.property::<gst::Structure>("stats").get("results").expect("a count")
}

/// Takes every result, as an application does.
fn follow(feeds: &[gst::Element]) -> Arc<Latencies> {
    let latencies = Arc::new(Latencies::default());
    for feed in feeds {
        let inside = Inside::watch(&feed.static_pad("sink").expect("a sink has it"));
        let latencies = latencies.clone();
        feed.connect("result", false, move |arguments| {
            let result = arguments[1].get::<&gst::StructureRef>().expect("a result");
            let pts = result.get("pts").expect("the source gives times");
            inside.leave(gst::ClockTime::from_nseconds(pts), &latencies);
            None
        });
    }
    latencies
}
