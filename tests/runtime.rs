//! The runtime without elements: feeds and processors as plain types, with real models.

use std::{
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Weak, mpsc},
    thread,
    time::Duration,
};

use gstnextvision::{
    inference::{DecoderKind, ModelConfig, TensorData},
    runtime::{
        DropCause, Error, ErrorCode, Feed, FeedConfig, FeedListener, FeedSettings, Frame, FrameTimes, Leaky, Origin,
        Outcome, OwnedFeed, OwnedProcessor, ProcessorConfig, Rejected, Runtime,
    },
};

/// Far longer than anything here takes: a wait that ends here is a failure.
const FAR: Duration = Duration::from_secs(60);
const SIDE: u32 = 64;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name)
}

fn config(id: &str, model: &str) -> ProcessorConfig {
    ProcessorConfig {
        id: id.into(),
        model: ModelConfig { model: fixture(model), decoder: DecoderKind::Tensors, ..ModelConfig::default() },
        instances: 2,
        max_batch_size: 4,
        max_latency: 20_000_000,
        queue_capacity: 0,
        response_timeout: 5_000_000_000,
        startup_timeout: 30_000_000_000,
        batch_join_timeout: 10_000_000_000,
        origin: Origin::default(),
    }
}

fn processor(id: &str, model: &str) -> OwnedProcessor {
    Runtime::get().add_processor(config(id, model)).unwrap()
}

/// What a feed tells.
enum Told {
    Outcome(Box<Frame>, Outcome),
    Dropped(u64, DropCause),
    Failed(Error),
}

struct Listener {
    tell: mpsc::Sender<Told>,
    wants_results: bool,
    /// `deliver` waits for a message here where one is set.
    gate: Option<Mutex<mpsc::Receiver<()>>>,
}

impl FeedListener for Listener {
    fn deliver(&self, frame: Frame, outcome: Outcome) {
        _ = self.tell.send(Told::Outcome(Box::new(frame), outcome));
        if let Some(gate) = &self.gate {
            _ = gate.lock().unwrap().recv();
        }
    }

    fn wants_results(&self) -> bool {
        self.wants_results
    }

    fn dropped(&self, frame: Frame, cause: DropCause) {
        _ = self.tell.send(Told::Dropped(frame.number, cause));
    }

    fn failed(&self, error: Error) {
        _ = self.tell.send(Told::Failed(error));
    }

    fn latency_changed(&self) {}
}

/// A feed of grey pictures, with everything that it tells.
struct TestFeed {
    feed: Option<OwnedFeed>,
    told: Mutex<mpsc::Receiver<Told>>,
    _listener: Arc<Listener>,
}

impl TestFeed {
    fn new(processor: &str, settings: FeedSettings) -> Self {
        Self::listened(processor, settings, true, None)
    }

    /// Nobody wants to be told of results.
    fn unheard(processor: &str, settings: FeedSettings) -> Self {
        Self::listened(processor, settings, false, None)
    }

    fn gated(processor: &str, settings: FeedSettings, gate: mpsc::Receiver<()>) -> Self {
        Self::listened(processor, settings, true, Some(gate))
    }

    fn listened(
        processor: &str,
        settings: FeedSettings,
        wants_results: bool,
        gate: Option<mpsc::Receiver<()>>,
    ) -> Self {
        gst::init().unwrap();
        let (tell, told) = mpsc::channel();
        let listener = Arc::new(Listener { tell, wants_results, gate: gate.map(Mutex::new) });
        let weak: Weak<Listener> = Arc::downgrade(&listener);
        let config = FeedConfig {
            name: "test".into(),
            processor_id: processor.into(),
            settings,
            passes_frames: false,
            listener: weak,
            origin: Origin::default(),
        };
        let feed = Runtime::get().add_feed(config).unwrap();
        feed.set_caps(gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, SIDE, SIDE).build().unwrap());
        Self { feed: Some(feed), told: Mutex::new(told), _listener: listener }
    }

    fn submit(&self, grey: u8) -> Result<(), Rejected> {
        let buffer = gst::Buffer::from_mut_slice(vec![grey; (SIDE * SIDE * 3) as usize]);
        let result = self.deref().submit(buffer, FrameTimes::default());
        self.assert_conserved();
        result
    }

    fn next(&self) -> Told {
        let told = self.told.lock().unwrap().recv_timeout(FAR).expect("the feed tells something");
        self.assert_conserved();
        told
    }

    /// The number and the grey of the next result.
    fn result(&self) -> (u64, u8) {
        match self.next() {
            Told::Outcome(frame, Outcome::Result(inferred)) => {
                let tensors = inferred.output.tensors.unwrap();
                let TensorData::Float32(mean) = &tensors[0].data else { panic!("not floats") };
                (frame.number, (mean[0] * 255.0).round() as u8)
            }
            Told::Outcome(frame, outcome) => panic!("frame {}: {outcome:?}", frame.number),
            Told::Dropped(number, cause) => panic!("frame {number} was dropped: {cause:?}"),
            Told::Failed(error) => panic!("{error}"),
        }
    }

    fn assert_conserved(&self) {
        let snapshot = self.deref().snapshot();
        assert!(snapshot.is_conserved(), "{snapshot:?}");
    }
}

impl Drop for TestFeed {
    fn drop(&mut self) {
        let feed = self.feed.take().expect("dropped once");
        let ended = feed.clone();
        drop(feed);
        let snapshot = ended.snapshot();
        let empty = snapshot.queued + snapshot.in_flight == 0;
        assert!(thread::panicking() || snapshot.is_conserved() && empty, "{snapshot:?}");
    }
}

impl Deref for TestFeed {
    type Target = Arc<Feed>;

    fn deref(&self) -> &Self::Target {
        self.feed.as_ref().expect("there until dropped")
    }
}

#[test]
fn each_feed_gets_its_own_results_in_its_own_order() {
    let _processor = processor("order", "mean.onnx");
    thread::scope(|scope| {
        for feed in 0..6u8 {
            scope.spawn(move || {
                let test = TestFeed::new("order", FeedSettings::default());
                thread::scope(|scope| {
                    scope.spawn(|| (0..40).for_each(|frame| test.submit(feed * 40 + frame).unwrap()));
                    let results: Vec<_> = (0..40).map(|_| test.result()).collect();
                    let expected: Vec<_> = (0..40).map(|frame| (u64::from(frame), feed * 40 + frame)).collect();
                    assert_eq!(results, expected);
                });
            });
        }
    });
}

#[test]
fn fixed_batches_are_padded() {
    for (id, model) in [("fixed-1", "mean-batch1.onnx"), ("fixed-4", "mean-batch4.onnx")] {
        let _processor = processor(id, model);
        let test = TestFeed::new(id, FeedSettings::default());
        for grey in [0, 100, 200] {
            test.submit(grey).unwrap();
            assert_eq!(test.result().1, grey);
        }
    }
}

#[test]
fn a_feed_waits_for_its_processor_and_outlives_it() {
    let test = TestFeed::new("late", FeedSettings::default());
    test.submit(10).unwrap();
    assert!(test.processor().is_none());
    let first = processor("late", "mean.onnx");
    assert_eq!(test.result(), (0, 10));
    drop(first);
    test.submit(20).unwrap();
    let second = processor("late", "mean-batch4.onnx");
    assert_eq!(test.result(), (1, 20));
    drop(second);
}

#[test]
fn a_processor_that_does_not_come_fails_the_feed() {
    let settings = FeedSettings { attach_timeout: 0, ..FeedSettings::default() };
    let test = TestFeed::new("never", settings);
    match test.next() {
        Told::Failed(error) => {
            assert_eq!(error.code, ErrorCode::ProcessorMissing);
            assert!(error.message.contains("'never'"), "{error}");
        }
        _ => panic!("it did not fail"),
    }
    assert!(matches!(test.submit(1), Err(Rejected::Failed(error)) if error.code == ErrorCode::ProcessorMissing));
}

#[test]
fn an_id_has_one_owner_and_is_free_again_after_it_or_a_failure() {
    assert!(Runtime::get().add_processor(config("single", "no-such.onnx")).is_err());
    let first = processor("single", "mean.onnx");
    let second = Runtime::get().add_processor(config("single", "mean.onnx"));
    assert_eq!(second.err().map(|error| error.code), Some(ErrorCode::DuplicateProcessorId));
    drop(first);
    drop(processor("single", "mean.onnx"));
}

#[test]
fn a_flush_drops_what_is_inside_and_lets_nothing_old_out() {
    let test = TestFeed::new("flush", FeedSettings { max_queued: 8, ..FeedSettings::default() });
    (0..5).for_each(|grey| test.submit(grey).unwrap());
    test.flush_start();
    assert!(matches!(test.submit(9), Err(Rejected::Flushing)));
    test.flush_stop();
    let _processor = processor("flush", "mean.onnx");
    test.submit(77).unwrap();
    assert_eq!(test.result(), (5, 77));
    assert_eq!(test.snapshot().counters.dropped(DropCause::Flushed), 5);
}

#[test]
fn a_flush_wakes_whoever_waits_for_room() {
    let test = TestFeed::new("blocked", FeedSettings { leaky: Leaky::No, max_queued: 1, ..FeedSettings::default() });
    test.submit(0).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| test.submit(1));
        test.flush_start();
        assert!(matches!(waiting.join().unwrap(), Err(Rejected::Flushing)));
    });
}

#[test]
fn an_interrupted_frame_can_be_submitted_again() {
    let test = TestFeed::new("unlock", FeedSettings { leaky: Leaky::No, max_queued: 1, ..FeedSettings::default() });
    test.submit(0).unwrap();
    test.set_interrupted(true);
    let Err(Rejected::Interrupted(buffer)) = test.submit(50) else { panic!("it was taken") };
    test.set_interrupted(false);
    let _processor = processor("unlock", "mean.onnx");
    test.deref().submit(buffer, FrameTimes::default()).unwrap();
    assert_eq!((test.result(), test.result()), ((0, 0), (1, 50)));
}

#[test]
fn leaky_downstream_drops_the_oldest_and_upstream_the_newest() {
    for (leaky, dropped, served) in [(Leaky::Downstream, [0, 1], [2, 3]), (Leaky::Upstream, [2, 3], [0, 1])] {
        let id = format!("leaky-{leaky:?}");
        let test = TestFeed::new(&id, FeedSettings { leaky, max_queued: 2, ..FeedSettings::default() });
        (0..4).for_each(|grey| test.submit(grey).unwrap());
        for expected in dropped {
            match test.next() {
                Told::Dropped(number, DropCause::Backpressure) => assert_eq!(number, expected),
                _ => panic!("frame {expected} was to be dropped"),
            }
        }
        let _processor = processor(&id, "mean.onnx");
        assert_eq!([test.result().0, test.result().0], served);
        assert_eq!(test.snapshot().counters.dropped(DropCause::Backpressure), 2);
    }
}

#[test]
fn a_stream_that_waits_for_room_has_it_for_two_frames_unless_the_queue_was_set() {
    for (queue_capacity, expected) in [(0, (2, 1)), (6, (1, 1))] {
        let id = format!("shares-{queue_capacity}");
        let config = ProcessorConfig { max_batch_size: 1, queue_capacity, ..config(&id, "mean.onnx") };
        let _processor = Runtime::get().add_processor(config).unwrap();
        let feeds = |leaky| {
            let settings = FeedSettings { leaky, max_queued: 4, ..FeedSettings::default() };
            (0..5).map(|_| TestFeed::new(&id, settings.clone())).collect::<Vec<_>>()
        };
        let (waiting, dropping) = (feeds(Leaky::No), feeds(Leaky::Downstream));
        let shares = (waiting[0].snapshot().queue_capacity, dropping[0].snapshot().queue_capacity);
        assert_eq!(shares, expected, "of ten feeds, queue-capacity={queue_capacity}");
    }
}

#[test]
fn every_nth_frame_is_inferred() {
    let _processor = processor("interval", "mean.onnx");
    let test = TestFeed::new("interval", FeedSettings { interval: 3, ..FeedSettings::default() });
    (0..7).for_each(|grey| test.submit(grey).unwrap());
    let numbers: Vec<_> = (0..3).map(|_| test.result().0).collect();
    assert_eq!(numbers, [0, 3, 6]);
    let counters = test.snapshot().counters;
    assert_eq!((counters.received, counters.skipped, counters.results), (7, 4, 3));
}

#[test]
fn a_frame_that_waited_too_long_is_not_inferred() {
    let settings = FeedSettings { deadline: 1, max_queued: 4, ..FeedSettings::default() };
    let test = TestFeed::new("deadline", settings);
    (0..3).for_each(|grey| test.submit(grey).unwrap());
    let _processor = processor("deadline", "mean.onnx");
    for expected in 0..3 {
        match test.next() {
            Told::Dropped(number, DropCause::Expired) => assert_eq!(number, expected),
            _ => panic!("frame {expected} was to expire"),
        }
    }
    let counters = test.snapshot().counters;
    assert_eq!((counters.dropped(DropCause::Expired), counters.submitted), (3, 0));
}

#[test]
fn a_handler_that_blocks_holds_its_own_feed_only() {
    let _processor = processor("handler", "mean.onnx");
    let (open, gate) = mpsc::channel();
    let blocked = TestFeed::gated("handler", FeedSettings { max_in_flight: 2, ..FeedSettings::default() }, gate);
    let free = TestFeed::new("handler", FeedSettings::default());
    blocked.submit(1).unwrap();
    assert_eq!(blocked.result(), (0, 1));
    for grey in 0..100 {
        free.submit(grey).unwrap();
        assert_eq!(free.result(), (u64::from(grey), grey));
    }
    blocked.submit(2).unwrap();
    drop(open);
    assert_eq!(blocked.result(), (1, 2));
}

#[test]
fn draining_waits_for_the_last_result_to_be_out() {
    let test = TestFeed::new("drain", FeedSettings { max_queued: 8, ..FeedSettings::default() });
    (0..5).for_each(|grey| test.submit(grey).unwrap());
    let _processor = processor("drain", "mean.onnx");
    assert!(test.drain().is_continue());
    let results: Vec<_> = test.told.lock().unwrap().try_iter().collect();
    assert_eq!(results.len(), 5);
    test.set_interrupted(true);
    assert!(test.drain().is_break());
}

#[test]
fn a_batch_that_fails_is_counted_and_the_feed_goes_on() {
    let processor = processor("bad-run", "bad-run.onnx");
    let test = TestFeed::new("bad-run", FeedSettings::default());
    test.submit(255).unwrap();
    match test.next() {
        Told::Outcome(_, Outcome::Failed(error)) => assert_eq!(error.code, ErrorCode::ModelInvalid),
        _ => panic!("the run was to fail"),
    }
    let counters = processor.snapshot().counters;
    assert_eq!((counters.errors, counters.consecutive_errors), (1, 1));
    test.submit(0).unwrap();
    assert!(matches!(test.next(), Told::Outcome(_, Outcome::Result(_))));
    assert_eq!(test.snapshot().counters.errors, 1);
    assert_eq!(processor.snapshot().counters.consecutive_errors, 0);
}

#[test]
fn a_stopped_processor_finishes_what_lies_in_batches() {
    for _ in 0..20 {
        let owner = processor("stop", "mean.onnx");
        let test = TestFeed::new("stop", FeedSettings { leaky: Leaky::Downstream, ..FeedSettings::default() });
        (0..10).for_each(|grey| test.submit(grey).unwrap());
        drop(owner);
        let snapshot = test.snapshot();
        assert_eq!(
            snapshot.counters.results + snapshot.counters.dropped_in_all() + snapshot.queued as u64,
            10 - snapshot.in_flight as u64
        );
        test.assert_conserved();
    }
}

#[test]
fn frames_that_nobody_listens_to_flow_as_well() {
    let _processor = processor("unheard", "mean-batch1.onnx");
    for max_in_flight in 1..=4 {
        let test = TestFeed::unheard("unheard", FeedSettings { max_in_flight, ..FeedSettings::default() });
        (0..1000u32).for_each(|frame| test.submit(frame as u8).unwrap());
        assert!(test.drain().is_continue());
        assert_eq!(test.snapshot().counters.results, 1000);
    }
}
