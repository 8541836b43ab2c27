//! A subscriber that blocks while a feed goes on. In a process of its own: rings are the process's, and so are losses.

mod common;

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use common::{Started, count, end_stream, next_result, owner, push_frame, stats};
use gst::prelude::*;
use gstnextvision::runtime::{Event, Field, Runtime};

const FAR: Duration = Duration::from_secs(60);
const FRAMES: u64 = 300;
/// No power of two.
const CAPACITY: u32 = 7;

fn messages_lost(event: &Event) -> u64 {
    let lost = |(name, field): &(&str, Field)| match field {
        Field::Sum(lost) if *name == "messages-lost" => Some(*lost),
        _ => None,
    };
    if event.name == "output-lagged" { event.fields.iter().find_map(lost).unwrap() } else { 0 }
}

#[test]
fn who_blocks_loses_the_oldest_is_told_how_many_and_slows_nobody() {
    let _owner = owner("rings");
    let runtime = Runtime::get();
    runtime.configure(|config| config.output_capacity = CAPACITY).unwrap();

    let (tell_lag, lags) = mpsc::channel();
    let _health = runtime.health().subscribe(|| true, move |event| _ = tell_lag.send(messages_lost(&event.event)));
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let (tell_slow, slow) = mpsc::channel();
    let blocked = runtime.output().subscribe(
        || true,
        move |result, lost| {
            tell_slow.send((count(result, "frame"), lost)).unwrap();
            _ = gate.lock().unwrap().recv();
        },
    );
    // The same for applications in any language.
    let (tell_quick, quick) = mpsc::channel();
    let object = runtime.object();
    object.connect("output", false, move |arguments| {
        let result = arguments[1].get::<gst::Structure>().unwrap();
        assert_eq!((result.name().as_str(), result.get("feed-name")), ("nv-result", Ok("paced")));
        tell_quick.send(count(&result, "frame")).unwrap();
        None
    });

    let pipeline = Started::playing("appsrc name=in format=time ! nvfeed name=f feed-name=paced processor-id=rings");
    let source = pipeline.child("in");
    let caps = "video/x-raw,format=GRAY8,width=64,height=64,framerate=10/1".parse().unwrap();
    for frame in 0..FRAMES {
        push_frame(&source, &caps, 64 * 64, frame);
        // Whoever keeps up gets all of them, while the other one blocks.
        assert_eq!(quick.recv_timeout(FAR), Ok(frame));
        if frame == 0 {
            assert_eq!(slow.recv_timeout(FAR), Ok((0, 0)));
        }
    }
    end_stream(&source);
    let results = std::iter::from_fn(|| next_result(&pipeline.bus)).count() as u64;
    let stats = stats(&pipeline.child("f"));
    assert_eq!((results, count(&stats, "results"), count(&stats, "dropped")), (FRAMES, FRAMES, 0), "{stats}");

    let lost = FRAMES - 1 - u64::from(CAPACITY);
    let figures = runtime.snapshot();
    assert_eq!((figures.output.lag as u64, figures.output.lost), (u64::from(CAPACITY), lost));
    assert!(figures.feeds.values().all(|feed| feed.is_conserved()));
    drop(open);
    for frame in FRAMES - u64::from(CAPACITY)..FRAMES {
        let lost_before = if frame == FRAMES - u64::from(CAPACITY) { lost } else { 0 };
        assert_eq!(slow.recv_timeout(FAR), Ok((frame, lost_before)));
    }
    let mut told = Vec::new();
    while told.iter().sum::<u64>() < lost {
        let lag = lags.recv_timeout(FAR).unwrap();
        if lag > 0 {
            told.push(lag);
        }
    }
    assert_eq!((told[0], told.iter().sum::<u64>()), (1, lost), "{told:?}");
    assert!(lags.try_iter().all(|lag| lag == 0));
    drop(blocked);
}
