//! One pipeline a feed, and the window in which its results are counted.

use std::{
    thread,
    time::{Duration, Instant},
};

use gst::prelude::*;

use super::{latency::Latencies, usage};
use crate::job::{Figures, Format, Job};

/// Longest that sources with an end may take to get there.
const LONGEST: gst::ClockTime = gst::ClockTime::from_seconds(100);

pub struct Streams(Vec<gst::Pipeline>);

impl Streams {
    /// A pipeline for each feed: the source, then `rest`.
    pub fn new(job: &Job, rest: &str) -> Self {
        let line = format!("{} ! {rest}", source(job));
        let pipeline = |_| gst::parse::launch(&line).expect("a feed's line").downcast().expect("a pipeline");
        Self((0..job.feeds).map(pipeline).collect())
    }

    /// The element called `name` of each of them.
    pub fn elements(&self, name: &str) -> Vec<gst::Element> {
        self.0.iter().map(|pipeline| pipeline.by_name(name).expect("the element is in the line")).collect()
    }

    /// Starts all, and counts in the window, or to the end of the sources where they have one.
    pub fn measure(&self, job: &Job, latencies: Option<&Latencies>, results: impl Fn() -> u64) -> Figures {
        let (mut cpu_before, mut begun) = (usage::cpu_seconds(), Instant::now());
        self.start(job);
        let mut before = 0;
        if job.frames.is_some() {
            self.wait_for_the_end();
        } else {
            thread::sleep(Duration::from_secs_f64(job.warm_up));
            latencies.inspect(|latencies| latencies.start());
            (before, cpu_before, begun) = (results(), usage::cpu_seconds(), Instant::now());
            thread::sleep(Duration::from_secs_f64(job.window));
        }
        let figures = Figures {
            frames: results() - before,
            seconds: begun.elapsed().as_secs_f64(),
            cpu_seconds: usage::cpu_seconds() - cpu_before,
            peak_mb: usage::peak_mb(),
            latency: latencies.and_then(Latencies::summary),
            library: None,
        };
        self.complain();
        figures
    }

    /// Each one when the job says so.
    fn start(&self, job: &Job) {
        let begun = Instant::now();
        for (feed, pipeline) in self.0.iter().enumerate() {
            let start = Duration::from_secs_f64(job.starts.get(feed).copied().unwrap_or(0.0));
            thread::sleep(start.saturating_sub(begun.elapsed()));
            pipeline.set_state(gst::State::Playing).expect("a feed starts");
        }
    }

    /// Lets all go on, or stand still.
    pub fn set_playing(&self, playing: bool) {
        let state = if playing { gst::State::Playing } else { gst::State::Paused };
        for pipeline in &self.0 {
            pipeline.set_state(state).expect("a feed changes its state");
        }
    }

    fn wait_for_the_end(&self) {
        for pipeline in &self.0 {
            let bus = pipeline.bus().expect("a pipeline has a bus");
            let end = bus.timed_pop_filtered(LONGEST, &[gst::MessageType::Eos, gst::MessageType::Error]);
            assert!(end.is_some_and(|end| end.type_() == gst::MessageType::Eos), "a feed did not come to its end");
        }
    }

    /// A feed that failed meanwhile makes the figures worthless.
    pub fn complain(&self) {
        for pipeline in &self.0 {
            let bus = pipeline.bus().expect("a pipeline has a bus");
            if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error])
                && let gst::MessageView::Error(error) = message.view()
            {
                panic!("a feed failed: {} ({:?})", error.error(), error.debug());
            }
        }
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        for pipeline in &self.0 {
            // It is over: what happens now changes no figure.
            let _ = pipeline.set_state(gst::State::Null);
        }
    }
}

/// The source's part of a line. Where nobody waits for a clock, the rate in the caps means nothing.
fn source(job: &Job) -> String {
    let source = &job.source;
    let format = match source.format {
        Format::Rgb => "RGB",
        Format::Nv12 => "NV12",
    };
    let number = job.frames.map_or(-1, |frames| frames as i64);
    format!(
        "videotestsrc pattern=black is-live={} num-buffers={number} \
         ! video/x-raw,format={format},width={},height={},framerate={}/1",
        source.live.is_some(),
        source.width,
        source.height,
        source.live.unwrap_or(1000),
    )
}
