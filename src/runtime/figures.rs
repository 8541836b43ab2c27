//! Figures as structures: what `stats` of an element shows. Times are nanoseconds; counts only grow.

use std::collections::BTreeMap;

use super::{
    clock::Time,
    counters::{DropCause, FeedCounters},
    feed::FeedSnapshot,
    histogram::Histogram,
    processor::ProcessorSnapshot,
    registry::Runtime,
};

impl FeedSnapshot {
    /// `nv-feed-stats`. At every moment `received` = `skipped` + `results` + `dropped` + `errors` + `in-flight` + `queued`.
    pub fn to_structure(&self) -> gst::Structure {
        let counters = &self.counters;
        let mut structure = gst::Structure::builder("nv-feed-stats")
            .field("feed-id", self.id)
            .field("feed-name", &self.name)
            .field("processor-id", &*self.processor_id)
            .field("attached", self.attached)
            .field("received", counters.received)
            .field("submitted", counters.submitted)
            .field("skipped", counters.skipped)
            .field("results", counters.results)
            .field("errors", counters.errors)
            .field("dropped", counters.dropped_in_all());
        for cause in DropCause::ALL {
            structure = structure.field(format!("dropped-{}", cause.as_str()), counters.dropped(cause));
        }
        structure
            .field("objects", counters.objects)
            .field("restarts", counters.restarts)
            .field("queued", self.queued as u64)
            .field("queue-capacity", self.queue_capacity as u64)
            .field("in-flight", self.in_flight as u64)
            .field_if_some("last-frame-age", self.last_frame_age)
            .field("latency", latency(counters))
            .build()
    }

    /// Whether every frame that came in is accounted for.
    pub fn is_conserved(&self) -> bool {
        let counters = &self.counters;
        let gone = counters.skipped + counters.results + counters.dropped_in_all() + counters.errors;
        counters.received == gone + (self.in_flight + self.queued) as u64
    }
}

impl ProcessorSnapshot {
    /// `nv-processor-stats`.
    pub fn to_structure(&self) -> gst::Structure {
        let counters = &self.counters;
        let frames: u64 = (1..).zip(&counters.batch_sizes).map(|(size, batches): (u64, _)| size * batches).sum();
        let room = counters.batches * self.limits.max_batch as u64;
        gst::Structure::builder("nv-processor-stats")
            .field("processor-id", &*self.id)
            .field("instances", self.limits.instances as u64)
            .field("max-batch-size", self.limits.max_batch as u64)
            .field("intra-op-threads", self.limits.intra_op_threads as u64)
            .field("settings", self.limits.source.as_str())
            .field("queue-capacity", self.limits.queue_capacity as u64)
            .field("feeds", self.feeds as u64)
            .field("pending", self.pending as u64)
            .field("batches", counters.batches)
            .field("results", counters.results)
            .field("errors", counters.errors)
            .field("timed-out", counters.timed_out)
            .field("consecutive-errors", counters.consecutive_errors)
            .field("batch-sizes", gst::Array::new(&counters.batch_sizes))
            .field("fill-ratio", if room == 0 { 0.0 } else { frames as f64 / room as f64 })
            .field("formation", distribution("formation", &counters.formation))
            .field("inference", distribution("inference", &counters.inference))
            .build()
    }
}

/// How the whole runtime is doing, from the outside.
#[derive(Debug, Clone)]
pub struct RuntimeSnapshot {
    /// Nanoseconds.
    pub uptime: Time,
    pub feed_count: usize,
    pub max_feeds: u32,
    pub output: RingSnapshot,
    pub health: RingSnapshot,
    /// Threads that did not end when they were to, and were left behind.
    pub detached_threads: u64,
    /// Those of them that have ended since.
    pub reaped_threads: u64,
    pub feeds: BTreeMap<u64, FeedSnapshot>,
    pub processors: BTreeMap<String, ProcessorSnapshot>,
}

/// How those who listen keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSnapshot {
    /// Messages that wait for the subscriber that is furthest behind.
    pub lag: usize,
    /// Messages lost so far, of all subscribers.
    pub lost: u64,
}

impl RuntimeSnapshot {
    /// `nv-diagnostics`; feeds and processors are in the order of their ids.
    pub fn to_structure(&self) -> gst::Structure {
        let feeds = self.feeds.values().map(|feed| glib::SendValue::from_owned(feed.to_structure()));
        let processors =
            self.processors.values().map(|processor| glib::SendValue::from_owned(processor.to_structure()));
        gst::Structure::builder("nv-diagnostics")
            .field("uptime", self.uptime)
            .field("feed-count", self.feed_count as u32)
            .field("max-feeds", self.max_feeds)
            .field("output-lag", self.output.lag as u64)
            .field("output-lost", self.output.lost)
            .field("health-lag", self.health.lag as u64)
            .field("health-lost", self.health.lost)
            .field("detached-threads", self.detached_threads)
            .field("reaped-threads", self.reaped_threads)
            .field("feeds", gst::Array::new(feeds))
            .field("processors", gst::Array::new(processors))
            .build()
    }
}

impl Runtime {
    /// All figures of all feeds and processors.
    pub fn snapshot(&self) -> RuntimeSnapshot {
        let feeds: BTreeMap<_, _> = self.feeds().into_iter().map(|feed| (feed.id(), feed.snapshot())).collect();
        let processors = self.processors().into_iter();
        RuntimeSnapshot {
            uptime: self.uptime(),
            feed_count: feeds.len(),
            max_feeds: self.config().max_feeds,
            output: RingSnapshot { lag: self.output().lag(), lost: self.output().lost() },
            health: self.health().rings(),
            detached_threads: self.detached().total(),
            reaped_threads: self.detached().reaped(),
            feeds,
            processors: processors.map(|processor| (processor.id().to_string(), processor.snapshot())).collect(),
        }
    }
}

fn latency(counters: &FeedCounters) -> gst::Structure {
    let latency = &counters.latency;
    gst::Structure::builder("latency")
        .field("queue", distribution("queue", &latency.queue))
        .field("preprocess", distribution("preprocess", &latency.preprocess))
        .field("inference", distribution("inference", &latency.inference))
        .field("total", distribution("total", &latency.total))
        .build()
}

fn distribution(name: &str, histogram: &Histogram) -> gst::Structure {
    gst::Structure::builder(name)
        .field("count", histogram.count())
        .field("sum", histogram.sum())
        .field("p50", histogram.quantile(0.5))
        .field("p95", histogram.quantile(0.95))
        .field("p99", histogram.quantile(0.99))
        .build()
}
