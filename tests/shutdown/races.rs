//! Feeds and processors are added while the runtime is shut down, again and again.

use std::{
    sync::{Arc, Barrier, Weak},
    thread,
};

use gstnextvision::{
    inference::{DecoderKind, ModelConfig},
    runtime::{
        DropCause, Error, ErrorCode, FeedConfig, FeedListener, FeedSettings, Frame, FrameTimes, Leaky, Origin, Outcome,
        ProcessorConfig, Rejected, Runtime, StopReason,
    },
};

use crate::{
    common::model,
    house::{House, wait_until},
};

struct Deaf;

impl FeedListener for Deaf {
    fn deliver(&self, _frame: Frame, _outcome: Outcome) {}
    fn wants_results(&self) -> bool {
        true
    }
    fn dropped(&self, _frame: Frame, _cause: DropCause) {}
    fn failed(&self, _error: Error) {}
    fn latency_changed(&self) {}
}

fn feed_config(processor: &str) -> FeedConfig {
    FeedConfig {
        name: "f".into(),
        processor_id: processor.into(),
        settings: FeedSettings { leaky: Leaky::Upstream, ..FeedSettings::default() },
        passes_frames: false,
        listener: Weak::<Deaf>::new(),
        origin: Origin::default(),
    }
}

fn processor_config(id: &str, name: &str) -> ProcessorConfig {
    ProcessorConfig {
        id: id.into(),
        model: ModelConfig { model: model(name).into(), decoder: DecoderKind::Tensors, ..ModelConfig::default() },
        instances: 1,
        max_batch_size: 1,
        max_latency: 1_000_000,
        queue_capacity: 0,
        response_timeout: 5_000_000_000,
        startup_timeout: 30_000_000_000,
        batch_join_timeout: 10_000_000_000,
        origin: Origin::default(),
    }
}

fn is_refused(error: Option<Error>) -> bool {
    error.is_some_and(|error| {
        assert_eq!(error.code, ErrorCode::ShutdownInProgress, "{error}");
        true
    })
}

/// Adds feeds until the runtime takes no more; each that was taken is ended by the shutdown.
fn add_feeds(runtime: &Runtime, processor: &str) {
    let mut feeds = Vec::new();
    let refused = loop {
        match runtime.add_feed(feed_config(processor)) {
            Ok(feed) => feeds.push(feed),
            Err(error) => break error,
        }
        if feeds.len() == 8 {
            feeds.clear();
        }
    };
    assert!(is_refused(Some(refused)));
    for feed in feeds {
        feed.set_caps(gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, 64, 64).build().unwrap());
        let frame = || gst::Buffer::from_mut_slice(vec![0u8; 64 * 64 * 3]);
        // Perhaps taken yet, but not for long.
        wait_until("the feed is ended", || {
            assert!(matches!(feed.submit(frame(), FrameTimes::default()), Ok(()) | Err(Rejected::Ended)));
            feed.was_stopped()
        });
        assert!(matches!(feed.submit(frame(), FrameTimes::default()), Err(Rejected::Ended)));
        assert!(feed.snapshot().is_conserved());
    }
}

fn rounds(count: usize, work: impl Fn(&Runtime, usize) + Sync) {
    const THREADS: usize = 4;
    for _ in 0..count {
        let runtime = Runtime::get();
        let together = Barrier::new(THREADS + 1);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (runtime, together, work) = (&runtime, &together, &work);
                scope.spawn(move || {
                    together.wait();
                    work(runtime, thread);
                });
            }
            together.wait();
            assert!(runtime.shutdown());
        });
        assert!(runtime.feeds().is_empty() && runtime.processors().is_empty());
        assert!(is_refused(runtime.add_feed(feed_config("p")).err()));
    }
}

#[test]
fn feeds_that_are_added_meanwhile_are_refused_or_ended() {
    let _house = House::enter();
    rounds(3000, |runtime, _| add_feeds(runtime, "none"));
}

#[test]
fn processors_that_are_added_meanwhile_are_refused_or_undone() {
    let _house = House::enter();
    rounds(60, |runtime, thread| match thread {
        0 => add_feeds(runtime, "p-1"),
        _ => loop {
            let id = format!("p-{thread}");
            // One that cannot be loaded leaves its id free.
            let failed = runtime.add_processor(processor_config(&id, "no-such")).err().unwrap();
            assert!(failed.code == ErrorCode::ModelNotFound || is_refused(Some(failed)));
            match runtime.add_processor(processor_config(&id, "mean")) {
                Ok(processor) => drop(processor),
                Err(error) => return assert!(is_refused(Some(error))),
            }
        },
    });
}

#[test]
fn an_owner_that_goes_meanwhile_ends_the_same_way() {
    let _house = House::enter();
    let processors: Arc<parking_lot::Mutex<Vec<_>>> = Arc::default();
    for _ in 0..60 {
        let runtime = Runtime::get();
        let feed = runtime.add_feed(feed_config("p")).unwrap();
        processors.lock().push(runtime.add_processor(processor_config("p", "mean")).unwrap());
        let owned = processors.lock().pop();
        thread::scope(|scope| {
            scope.spawn(|| drop(owned));
            scope.spawn(|| drop(feed));
            assert!(runtime.shutdown());
        });
        assert!(runtime.feeds().is_empty() && runtime.processors().is_empty());
    }
}

#[test]
fn a_stream_that_goes_on_while_it_ends_is_bound_where_it_has_a_place() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let _processor = runtime.add_processor(processor_config("p", "mean")).unwrap();
    let feed = runtime.add_feed(feed_config("p")).unwrap();
    let together = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20_000 {
                together.wait();
                runtime.retire(&feed, StopReason::Eos);
                together.wait();
            }
        });
        for _ in 0..20_000 {
            together.wait();
            runtime.rejoin(&feed).unwrap();
            together.wait();
            assert_eq!(feed.snapshot().attached, runtime.feed(feed.id()).is_some());
        }
    });
    runtime.rejoin(&feed).unwrap();
    assert!(feed.snapshot().attached);
    drop(feed);
    assert!(runtime.shutdown());
}
