//! Feeds that nobody harms, beside all those that are: results have to come all along.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gst::prelude::*;

use super::ledger::Ledger;
use crate::{Fallible, processor::Processor};

const RATE: u32 = 20;
const FEEDS: usize = 2;
/// No result for so long is more than a busy machine's doing.
const SILENCE: Duration = Duration::from_secs(5);

pub struct Bystanders {
    _processor: Processor,
    pipelines: Vec<gst::Pipeline>,
    seen: Arc<Seen>,
    begun: Instant,
}

/// What became of them.
pub struct Report {
    results: u64,
    due: u64,
    longest_gap: Duration,
}

#[derive(Default)]
struct Seen {
    results: AtomicU64,
    longest_gap_ns: AtomicU64,
}

impl Bystanders {
    pub fn start() -> Fallible<Self> {
        let processor = Processor::load("bystanders", "mean", "instances=1 max-batch-size=2")?;
        let seen = Arc::<Seen>::default();
        let mut pipelines = Vec::new();
        for number in 0..FEEDS {
            let line = format!(
                "videotestsrc is-live=true pattern=black ! video/x-raw,format=I420,width=160,height=120,framerate={RATE}/1 \
                 ! nvfeed name=feed feed-name=bystander-{number} processor-id=bystanders message=false"
            );
            let pipeline = gst::parse::launch(&line)?.downcast::<gst::Pipeline>().map_err(|_| "not a pipeline")?;
            let feed = pipeline.by_name("feed").ok_or("no feed")?;
            let (seen, last) = (seen.clone(), Mutex::new(Instant::now()));
            feed.connect("result", false, move |_| {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                let gap = last.elapsed();
                *last = Instant::now();
                // The first one waits for its pipeline.
                if seen.results.fetch_add(1, Ordering::Relaxed) >= FEEDS as u64 {
                    seen.longest_gap_ns.fetch_max(gap.as_nanos() as u64, Ordering::Relaxed);
                }
                None
            });
            pipeline.set_state(gst::State::Playing)?;
            pipelines.push(pipeline);
        }
        Ok(Self { _processor: processor, pipelines, seen, begun: Instant::now() })
    }

    pub fn listen(&self, ledger: &mut Ledger) {
        for pipeline in &self.pipelines {
            let bus = pipeline.bus();
            while let Some(message) = bus.as_ref().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error])) {
                ledger.violation("an error of a feed that nobody harmed", format!("{message:?}"));
            }
            bus.inspect(|bus| while bus.pop().is_some() {});
        }
    }

    fn stop(&self) {
        for pipeline in &self.pipelines {
            // Nobody is left to be told.
            _ = pipeline.set_state(gst::State::Null);
        }
    }

    pub fn end(&self) -> Report {
        let due = self.begun.elapsed().as_secs_f64() * f64::from(RATE) * FEEDS as f64;
        self.stop();
        Report {
            results: self.seen.results.load(Ordering::Relaxed),
            due: due as u64,
            longest_gap: Duration::from_nanos(self.seen.longest_gap_ns.load(Ordering::Relaxed)),
        }
    }
}

impl Drop for Bystanders {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Report {
    pub fn kept_up(&self) -> bool {
        self.results > 0 && self.longest_gap < SILENCE
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { results, due, longest_gap } = self;
        write!(
            f,
            "feeds that nobody harmed: {results} results of {due} due; longest time without one {longest_gap:.2?}"
        )
    }
}
