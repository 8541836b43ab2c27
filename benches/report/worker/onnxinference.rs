//! GStreamer's own element: it runs the model within the stream, each stream with a model of its own.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use gst::prelude::*;

use super::{
    latency::{Inside, Latencies},
    streams::Streams,
};
use crate::job::{Figures, Job};

pub fn run(job: &Job) -> Figures {
    let streams = Streams::new(job, &line(job));
    let counted = Arc::new(AtomicU64::new(0));
    let latencies = job.source.live.map(|_| Arc::new(Latencies::default()));
    for (first, end) in streams.elements("first").iter().zip(streams.elements("end")) {
        let inside = latencies.clone().zip(first.static_pad("sink").map(|pad| Inside::watch(&pad)));
        let counted = counted.clone();
        let end = end.static_pad("sink").expect("a sink has it");
        end.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            counted.fetch_add(1, Ordering::Relaxed);
            if let Some((latencies, inside)) = &inside
                && let Some(pts) = info.buffer().and_then(|buffer| buffer.pts())
            {
                inside.leave(pts, latencies);
            }
            gst::PadProbeReturn::Ok
        });
    }
    streams.measure(job, latencies.as_deref(), || counted.load(Ordering::Relaxed))
}

/// Pictures that do not fit are brought to the model's size by GStreamer's converter, borders added as it does by
/// itself. `enable-all` is the best of the levels, see docs/benchmark.md. Since 1.28 layout and range are read from the
/// `.modelinfo` beside the model.
fn line(job: &Job) -> String {
    let (major, minor, ..) = gst::version();
    let described = if (major, minor) < (1, 28) { "input-image-format=chw input-tensor-scale=255" } else { "" };
    format!(
        "videoconvertscale name=first ! video/x-raw,format=RGB,width={0},height={0} \
         ! onnxinference model-file={1} optimization-level=enable-all {described} ! fakesink name=end",
        job.side, job.model
    )
}
