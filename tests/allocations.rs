//! In steady state a frame costs no allocation of ours, counted over thousands of frames. The model finds nothing: what
//! is found is handed out in lists, for whoever listens to keep.
//!
//! What is not counted: GStreamer's buffers and ONNX Runtime's memory are not Rust's. `ort` allocates for each *run*
//! (the values that go in and come out); how much that is, is counted here as well and allowed for each batch.

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use common::{Started, count, model, stats};
use gst::prelude::*;
use gst_check::Harness;
use gstnextvision::inference::{DecoderKind, Model, ModelConfig};

const FEEDS: u64 = 3;
const INSTANCES: u64 = 2;
const WARM_UP: u64 = 500 * FEEDS;
const FRAMES: u64 = 5000 * FEEDS;
/// For the whole run: a feed gets one more preprocessor when two threads write frames of it at the same time for the
/// first time, which may be the streaming thread and each instance. With its tables that is 56 allocations. Far from one
/// a batch.
const GROWTH: usize = (FEEDS * (INSTANCES + 1) * 60) as usize;

struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static BY_INSTANCES: AtomicUsize = AtomicUsize::new(0);
static BY_OTHERS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count_one() {
    if !COUNTS.load(Ordering::Relaxed) {
        return;
    }
    let mut name = [0u8; 16];
    // SAFETY: the call writes at most 16 bytes.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    if name.starts_with(b"nv-instance") {
        BY_INSTANCES.fetch_add(1, Ordering::Relaxed);
    } else if !name.starts_with(b"nv-monitor") {
        // The monitor works by the clock, not by the frame.
        BY_OTHERS.fetch_add(1, Ordering::Relaxed);
    }
}

fn counted(work: impl FnOnce()) -> (usize, usize) {
    BY_INSTANCES.store(0, Ordering::Relaxed);
    BY_OTHERS.store(0, Ordering::Relaxed);
    COUNTS.store(true, Ordering::Relaxed);
    work();
    COUNTS.store(false, Ordering::Relaxed);
    (BY_INSTANCES.load(Ordering::Relaxed), BY_OTHERS.load(Ordering::Relaxed))
}

/// What `ort` allocates for each run of this model.
fn allocations_of_a_run() -> usize {
    const RUNS: usize = 100;
    let config = ModelConfig {
        model: PathBuf::from(model("mean")),
        decoder: DecoderKind::Tensors,
        intra_op_threads: 1,
        ..ModelConfig::default()
    };
    let model = Model::load(&config).unwrap();
    let mut session = model.session().unwrap();
    // Aligned for any element.
    let input = vec![0u64; model.description().input.frame_bytes().div_ceil(8)];
    // SAFETY: every number is made of bytes.
    let input = unsafe { input.align_to::<u8>().1 };
    session.run(input, 1, |_| ()).unwrap();
    let (_, allocated) = counted(|| (0..RUNS).for_each(|_| session.run(input, 1, |_| ()).unwrap()));
    assert_eq!(allocated % RUNS, 0, "the same for each run");
    allocated / RUNS
}

fn push(feeds: &mut [Harness], frame: &gst::Buffer, frames: u64) {
    for _ in 0..frames / feeds.len() as u64 {
        for feed in &mut *feeds {
            assert_eq!(feed.push(frame.clone()), Ok(gst::FlowSuccess::Ok));
        }
    }
}

fn wait_for_results(feeds: &[gst::Element], each: u64) {
    let until = Instant::now() + Duration::from_secs(60);
    while feeds.iter().any(|feed| count(&stats(feed), "results") < each) {
        assert!(Instant::now() < until, "results do not come");
        thread::yield_now();
    }
}

/// The only test here: the allocator is the process's.
#[test]
fn a_frame_in_steady_state_allocates_nothing() {
    common::init();
    let of_a_run = allocations_of_a_run();
    let owner = Started::playing(&format!(
        "nvbatch processor-id=a decoder=classifier model={} instances={INSTANCES} intra-op-threads=1 max-batch-size=4",
        model("mean")
    ));
    let elements: Vec<gst::Element> = (0..FEEDS)
        .map(|_| {
            let feed = gst::ElementFactory::make("nvfeed").property("processor-id", "a");
            feed.property("message", false)
                .property("threshold", 1f32)
                .property_from_str("leaky", "no")
                .build()
                .unwrap()
        })
        .collect();
    let mut feeds: Vec<Harness> = elements
        .iter()
        .map(|element| {
            let mut feed = Harness::with_element(element, Some("sink"), None);
            feed.set_src_caps_str("video/x-raw,format=RGB,width=64,height=64,framerate=25/1");
            feed.play();
            feed
        })
        .collect();
    let mut frame = gst::Buffer::with_size(64 * 64 * 3).unwrap();
    frame.make_mut().set_pts(gst::ClockTime::ZERO);

    push(&mut feeds, &frame, WARM_UP);
    wait_for_results(&elements, WARM_UP / FEEDS);
    let batches = || count(&owner.element.property::<gst::Structure>("stats"), "batches");
    let before = batches();
    let (by_instances, by_others) = counted(|| push(&mut feeds, &frame, FRAMES));
    wait_for_results(&elements, (WARM_UP + FRAMES) / FEEDS);
    // Some of them ran after counting had ended.
    let batches = (batches() - before) as usize;

    println!(
        "{FRAMES} frames in {batches} batches: {by_instances} allocations by instances, of which ort may have made \
         {of_a_run} a batch, {by_others} by others"
    );
    let allowed = batches * of_a_run + GROWTH;
    assert!(
        by_instances + by_others <= allowed,
        "{by_instances} + {by_others} in {batches} batches of {of_a_run} each"
    );
}
