//! Everything at once on the runtime, without elements: feeds come, flush, end, go on and go, while processors come and
//! go, settings change and figures are read. No frame is lost, whatever meets whatever. `ci/races` runs it under
//! ThreadSanitizer, where `NV_ROUNDS` says how often.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use fastrand::Rng;
use gstnextvision::{
    inference::{DecoderKind, ModelConfig},
    runtime::{
        DropCause, Error, ErrorCode, Feed, FeedConfig, FeedListener, FeedSettings, Frame, FrameTimes, Leaky, Origin,
        Outcome, OwnedFeed, ProcessorConfig, Rejected, Runtime, StopReason,
    },
};

const SIDE: u32 = 16;
const PROCESSORS: [&str; 2] = ["a", "b"];
const FEEDS: u64 = 6;
const FRAMES: usize = 60;
/// Nobody waits that long for a processor, nor a processor for a model.
const FAR: u64 = 600_000_000_000;

fn rounds() -> u64 {
    std::env::var("NV_ROUNDS").ok().and_then(|number| number.parse().ok()).unwrap_or(3)
}

struct Listener {
    /// What comes out keeps the owners of processors going.
    beat: mpsc::SyncSender<()>,
    wants_results: bool,
}

impl FeedListener for Listener {
    fn deliver(&self, _: Frame, _: Outcome) {
        _ = self.beat.try_send(());
    }

    fn wants_results(&self) -> bool {
        self.wants_results
    }

    fn dropped(&self, _: Frame, _: DropCause) {
        _ = self.beat.try_send(());
    }

    fn failed(&self, error: Error) {
        panic!("{error}");
    }

    fn latency_changed(&self) {}
}

fn settings(rng: &mut Rng) -> FeedSettings {
    FeedSettings {
        interval: rng.u32(1..=2),
        leaky: [Leaky::No, Leaky::Upstream, Leaky::Downstream][rng.usize(..3)],
        max_queued: rng.u32(0..4),
        max_in_flight: rng.u32(0..4),
        deadline: if rng.u8(..4) == 0 { 1 } else { 0 },
        priority: rng.i32(-1..=1),
        attach_timeout: FAR,
        ..FeedSettings::default()
    }
}

/// Tells the others that it is over, also where something panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn assert_conserved(feed: &Feed) {
    let snapshot = feed.snapshot();
    assert!(snapshot.is_conserved(), "{snapshot:?}");
}

/// The life of one feed: its frames come from this thread, and what happens to it meanwhile from others.
fn live(runtime: &Runtime, mut rng: Rng, beat: &mpsc::SyncSender<()>) {
    let passes_frames = rng.bool();
    let listener = Arc::new(Listener { beat: beat.clone(), wants_results: rng.bool() });
    let weak: std::sync::Weak<Listener> = Arc::downgrade(&listener);
    let config = FeedConfig {
        name: "racer".into(),
        processor_id: PROCESSORS[rng.usize(..2)].into(),
        settings: settings(&mut rng),
        passes_frames,
        listener: weak,
        origin: Origin::default(),
    };
    let feed = match runtime.add_feed(config) {
        Err(error) if error.code == ErrorCode::ShutdownInProgress => return,
        feed => feed.unwrap_or_else(|error| panic!("{error}")),
    };
    feed.set_caps(gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, SIDE, SIDE).build().unwrap());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        if passes_frames {
            scope.spawn(|| give_out(&feed, &over, beat));
        }
        let meddler = rng.fork();
        scope.spawn(|| meddle(&feed, meddler, &over));
        let _over = Over(&over);
        for _ in 0..FRAMES {
            if rng.u8(..20) == 0 {
                runtime.retire(&feed, StopReason::Eos);
                _ = runtime.rejoin(&feed);
            }
            let buffer = gst::Buffer::from_mut_slice(vec![rng.u8(..); (SIDE * SIDE * 3) as usize]);
            match feed.submit(buffer, FrameTimes::default()) {
                Ok(()) | Err(Rejected::Flushing | Rejected::Interrupted(_)) => {}
                Err(Rejected::Ended) => break,
                Err(Rejected::Failed(error)) => panic!("{error}"),
            }
            assert_conserved(&feed);
        }
    });
    end(feed);
}

fn end(feed: OwnedFeed) {
    let ended = Arc::clone(&feed);
    drop(feed);
    assert_conserved(&ended);
    let snapshot = ended.snapshot();
    assert_eq!(snapshot.queued + snapshot.in_flight, 0, "{snapshot:?}");
}

/// Takes what comes out of a feed that passes its frames on, as the task of a source pad does.
fn give_out(feed: &Feed, over: &AtomicBool, beat: &mpsc::SyncSender<()>) {
    while !over.load(Ordering::Acquire) {
        match feed.next() {
            Some(_) => _ = beat.try_send(()),
            None => thread::yield_now(),
        }
    }
}

/// What an application and its pipeline do to a feed. A frame that waits for room is never left waiting.
fn meddle(feed: &Feed, mut rng: Rng, over: &AtomicBool) {
    while !over.load(Ordering::Acquire) {
        match rng.u8(..5) {
            0 => {
                feed.flush_start();
                feed.flush_stop();
            }
            1 => {
                feed.set_interrupted(true);
                feed.set_interrupted(false);
            }
            2 => feed.set_settings(settings(&mut rng)),
            3 => feed.set_playing(rng.bool()),
            _ => assert_conserved(feed),
        }
        thread::yield_now();
    }
    // Whoever still asks for the next frame is told that there is none.
    feed.flush_start();
}

/// Has a processor come and go as long as feeds live.
fn own(runtime: &Runtime, id: &str, mut rng: Rng, beats: &mpsc::Receiver<()>) {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/mean.onnx");
    loop {
        let config = ProcessorConfig {
            id: id.into(),
            model: ModelConfig { model: model.clone(), decoder: DecoderKind::Tensors, ..ModelConfig::default() },
            instances: rng.usize(1..=3),
            max_batch_size: rng.usize(1..=4),
            max_latency: 1_000_000,
            queue_capacity: 0,
            response_timeout: FAR,
            startup_timeout: FAR,
            batch_join_timeout: FAR,
            origin: Origin::default(),
        };
        let processor = match runtime.add_processor(config) {
            Err(error) if error.code == ErrorCode::ShutdownInProgress => return,
            processor => processor.unwrap_or_else(|error| panic!("{error}")),
        };
        for _ in 0..rng.u8(1..40) {
            if beats.recv().is_err() {
                return;
            }
        }
        drop(processor);
    }
}

/// Reads all that there is to read, changes limits, and listens for a while.
fn look(runtime: &Runtime, over: &AtomicBool) {
    while !over.load(Ordering::Acquire) {
        let _events = runtime.health().subscribe(|| true, |event| _ = event.to_structure());
        runtime.configure(|config| config.health_capacity = 16 + (config.health_capacity + 1) % 16).unwrap();
        let snapshot = runtime.snapshot();
        assert!(snapshot.feeds.values().all(|feed| feed.is_conserved()));
        snapshot.to_structure();
        thread::yield_now();
    }
}

fn race(seed: u64, with_shutdown: bool) {
    println!("seed {seed}");
    let runtime = Runtime::get();
    runtime.configure(|config| config.feed_join_timeout = FAR).unwrap();
    let mut rng = Rng::with_seed(seed);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let beats = PROCESSORS.map(|id| {
            let (beat, beats) = mpsc::sync_channel(8);
            let (runtime, rng) = (&runtime, rng.fork());
            scope.spawn(move || own(runtime, id, rng, &beats));
            beat
        });
        scope.spawn(|| look(&runtime, &over));
        let _over = Over(&over);
        let feeds: Vec<_> = (0..FEEDS)
            .map(|number| {
                let (runtime, rng) = (&runtime, rng.fork());
                let beat = beats[number as usize % 2].clone();
                scope.spawn(move || live(runtime, rng, &beat))
            })
            .collect();
        drop(beats);
        if with_shutdown {
            assert!(runtime.shutdown(), "a thread is left");
        }
        feeds.into_iter().for_each(|feed| feed.join().unwrap());
    });
    assert_eq!(runtime.feed_count(), 0);
}

#[test]
fn no_frame_is_lost_whatever_meets_whatever() {
    gst::init().unwrap();
    for round in 0..rounds() {
        race(round, round % 2 == 1);
    }
}
