//! From where a shutdown may be asked for: from anywhere.

use std::{
    sync::{Barrier, mpsc},
    thread,
};

use gst::prelude::*;
use gstnextvision::runtime::Runtime;
use parking_lot::Mutex;

use crate::{
    common::{Started, next_result, owner},
    house::{FAR, House, ended, wait_for_end, wait_until},
};

fn streams() -> Vec<Started> {
    ["nvfeed name=f processor-id=p", "nvbatch name=f processor-id=p ! fakesink name=out"]
        .map(|sink| Started::playing(&format!("videotestsrc ! {sink}")))
        .into()
}

fn check_ended(pipelines: &[Started]) {
    for pipeline in pipelines {
        wait_for_end(pipeline);
        wait_until("nothing is inside", || {
            let stats = crate::common::stats(&pipeline.child("f"));
            crate::common::count(&stats, "queued") + crate::common::count(&stats, "in-flight") == 0
        });
        ended(pipeline);
    }
}

/// Calls once, and tells the answer.
fn caller(runtime: &Runtime) -> (impl Fn() + Send + Sync + 'static, mpsc::Receiver<bool>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(Some(tell));
    let runtime = Mutex::new(Some(runtime.clone()));
    let call = move || {
        let tell = tell.lock().take();
        let runtime = runtime.lock().take();
        if let (Some(tell), Some(runtime)) = (tell, runtime) {
            tell.send(runtime.shutdown()).unwrap();
        }
    };
    (call, told)
}

#[test]
fn from_a_health_callback() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let (call, answer) = caller(&runtime);
    let subscription = runtime.health().subscribe(
        || true,
        move |event| {
            if event.event.name == "feed-attached" {
                call();
            }
        },
    );
    let _owner = owner("p");
    let pipeline = Started::playing("videotestsrc ! nvfeed name=f processor-id=p");
    assert_eq!(answer.recv_timeout(FAR), Ok(true));
    drop(subscription);
    check_ended(&[pipeline]);
}

#[test]
fn from_a_result_handler() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let (call, answer) = caller(&runtime);
    let _owner = owner("p");
    let pipeline = Started::new("videotestsrc ! nvfeed name=f processor-id=p");
    pipeline.child("f").connect("result", false, move |_| {
        call();
        None
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    assert_eq!(answer.recv_timeout(FAR), Ok(true));
    check_ended(&[pipeline]);
}

/// On the way in and on the way out of either element.
#[test]
fn from_a_streaming_thread() {
    let _house = House::enter();
    for (pipeline, child, pad) in [(0, "f", "sink"), (1, "f", "sink"), (1, "f", "src"), (1, "out", "sink")] {
        let runtime = Runtime::get();
        let (call, answer) = caller(&runtime);
        let _owner = owner("p");
        let pipelines = streams();
        let pad = pipelines[pipeline].child(child).static_pad(pad).unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            call();
            gst::PadProbeReturn::Ok
        });
        assert_eq!(answer.recv_timeout(FAR), Ok(true), "{child}");
        check_ended(&pipelines);
    }
}

#[test]
fn from_many_threads_at_once_with_one_answer() {
    let _house = House::enter();
    for _ in 0..10 {
        let runtime = Runtime::get();
        let _owner = owner("p");
        let pipelines = streams();
        next_result(&pipelines[0].bus).unwrap();
        let together = Barrier::new(4);
        thread::scope(|scope| {
            let callers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        together.wait();
                        runtime.shutdown()
                    })
                })
                .collect();
            assert!(callers.into_iter().all(|caller| caller.join().unwrap()));
        });
        check_ended(&pipelines);
    }
}

/// The first caller waits for the handler that is the second.
#[test]
fn from_a_handler_that_a_shutdown_waits_for() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let (begun, wait_begun) = mpsc::channel();
    let (open, gate) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let inside = Mutex::new(Some((runtime.clone(), gate, begun, tell)));
    let _owner = owner("p");
    let pipeline = Started::new("videotestsrc ! nvfeed name=f processor-id=p");
    pipeline.child("f").connect("result", false, move |_| {
        let inside = inside.lock().take();
        if let Some((runtime, gate, begun, tell)) = inside {
            begun.send(()).unwrap();
            _ = gate.recv();
            tell.send(runtime.shutdown()).unwrap();
        }
        None
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_begun.recv_timeout(FAR).unwrap();
    let feed = runtime.feeds().pop().unwrap();
    let first = {
        let runtime = runtime.clone();
        thread::spawn(move || runtime.shutdown())
    };
    wait_until("the first is at it", || feed.was_stopped());
    drop(open);
    assert_eq!(told.recv_timeout(FAR), Ok(false));
    assert!(first.join().unwrap());
    check_ended(&[pipeline]);
}
