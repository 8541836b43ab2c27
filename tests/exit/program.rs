//! A program in Rust, or any language whose end is `exit()`.

use std::{process::Command, sync::mpsc};

use gst::prelude::*;

use super::{End, ends, rounds};
use crate::common::{LONG, Started, launch, model};

const CODE: i32 = 7;

fn end(kind: &str) {
    for round in 0..rounds() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "program::child", "--ignored", "--nocapture"]);
        child.env("NV_END", kind).env("NV_AFTER", (1 + round % 20).to_string());
        ends(&mut child, |_| (), &End::Code(CODE), &format!("{kind}, round {round}"));
    }
}

#[test]
fn exit_while_feeds_run() {
    end("exit");
}

#[test]
fn exit_on_a_thread_that_handles_results() {
    end("exit in a handler");
}

#[test]
fn exit_while_a_model_loads() {
    end("exit while loading");
}

#[test]
fn exit_with_an_instance_that_hangs() {
    end("exit while hanging");
}

#[test]
fn exit_after_gst_deinit() {
    end("deinit");
}

#[test]
fn exit_in_the_middle_of_a_shutdown() {
    end("exit in a shutdown");
}

/// Busy instances in C++ of all kinds: loops of the interpreter and kernels.
fn feeds() -> (Started, Started, Vec<gst::Pipeline>) {
    let net = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/models/mobilenetv3-small.onnx");
    let net =
        Started::playing(&format!("nvbatch processor-id=net decoder=tensors instances=4 max-batch-size=4 model={net}"));
    let slow = Started::playing(&format!(
        "nvbatch processor-id=slow decoder=tensors instances=2 max-batch-size=2 model={}",
        model("slow")
    ));
    // Grey enough to take a while, and not long.
    let source =
        "videotestsrc pattern=solid-color foreground-color=0xff010101 ! video/x-raw,format=RGB,width=64,height=64";
    let lines = ["nvfeed processor-id=net", "nvfeed processor-id=slow", "nvbatch processor-id=net ! fakesink"];
    let pipelines: Vec<_> = lines.iter().map(|line| launch(&format!("{source} ! {line}"))).collect();
    for pipeline in &pipelines {
        pipeline.set_state(gst::State::Playing).unwrap();
    }
    (net, slow, pipelines)
}

fn wait_for_results(pipeline: &gst::Pipeline, count: usize) {
    let bus = pipeline.bus().unwrap();
    let results = std::iter::from_fn(|| bus.timed_pop_filtered(LONG, &[gst::MessageType::Element]));
    assert_eq!(results.take(count).count(), count);
}

/// Not a test, but what the tests start.
#[test]
#[ignore = "a program that tests start"]
fn child() {
    let Ok(kind) = std::env::var("NV_END") else { return };
    let after: usize = std::env::var("NV_AFTER").unwrap().parse().unwrap();
    match kind.as_str() {
        "exit" => {
            let (_net, _slow, pipelines) = feeds();
            wait_for_results(&pipelines[0], after);
            std::process::exit(CODE);
        }
        "exit in a handler" => {
            let (_net, _slow, pipelines) = feeds();
            let handled = launch("videotestsrc ! nvfeed name=f processor-id=net");
            handled.by_name("f").unwrap().connect("result", false, move |_| std::process::exit(CODE));
            wait_for_results(&pipelines[0], after);
            handled.set_state(gst::State::Playing).unwrap();
            loop {
                std::thread::park();
            }
        }
        "exit while loading" => {
            let (_net, _slow, pipelines) = feeds();
            wait_for_results(&pipelines[0], 1);
            let (begin, begun) = mpsc::channel();
            std::thread::spawn(move || {
                begin.send(()).unwrap();
                loop {
                    // Refused once the process ends.
                    let owner = Started::new(&format!("nvbatch processor-id=loading model={}", model("mean")));
                    _ = owner.set_state(gst::State::Ready);
                }
            });
            begun.recv().unwrap();
            wait_for_results(&pipelines[0], after);
            std::process::exit(CODE);
        }
        "exit while hanging" => {
            let _slow = Started::playing(&format!(
                "nvbatch processor-id=hanging decoder=tensors instances=1 max-batch-size=1 response-timeout=1000000 model={}",
                model("slow")
            ));
            let pipeline = launch("videotestsrc pattern=white ! nvfeed processor-id=hanging");
            pipeline.set_state(gst::State::Playing).unwrap();
            // Told that the run takes longer than it may: the run is under way.
            let bus = pipeline.bus().unwrap();
            bus.timed_pop_filtered(LONG, &[gst::MessageType::Qos, gst::MessageType::Warning]).unwrap();
            std::process::exit(CODE);
        }
        "deinit" => {
            {
                let (_net, _slow, pipelines) = feeds();
                wait_for_results(&pipelines[0], after);
                for pipeline in pipelines {
                    pipeline.set_state(gst::State::Null).unwrap();
                }
            }
            // SAFETY: nothing of GStreamer is used after it.
            unsafe { gst::deinit() };
            std::process::exit(CODE);
        }
        "exit in a shutdown" => {
            let (_net, _slow, pipelines) = feeds();
            wait_for_results(&pipelines[0], after);
            let runtime = gstnextvision::runtime::Runtime::get();
            let (begin, begun) = mpsc::channel();
            std::thread::spawn(move || {
                begin.send(()).unwrap();
                runtime.shutdown()
            });
            begun.recv().unwrap();
            std::process::exit(CODE);
        }
        other => panic!("no end is called {other}"),
    }
}
