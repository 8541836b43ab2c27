//! What becomes of frames, streams and applications.

use std::{cell::Cell, rc::Rc, thread};

use gst::prelude::*;
use gstnextvision::runtime::{DropCause, Runtime};

use crate::{
    common::{Started, count, element, model, next_result, owner, push_buffer, push_frame, stats, wait_for_error},
    house::{Events, House, ended, shut_down, wait_for_end, wait_until},
};

const CAPS: &str = "video/x-raw,format=RGB,width=64,height=64,framerate=30/1";

fn shut_down_cleanly(runtime: &Runtime) {
    assert!(shut_down(runtime));
    assert!(runtime.feeds().is_empty() && runtime.processors().is_empty());
    assert_eq!(runtime.detached().total(), 0);
}

#[test]
fn in_the_middle_of_everything_nothing_is_lost_and_all_streams_end() {
    let _house = House::enter();
    for round in 0..10 {
        let runtime = Runtime::get();
        let _owner = owner("p");
        let linked = "nvbatch name=f processor-id=p ! fakesink";
        let others = [linked, "nvfeed name=f processor-id=none", "nvfeed name=f processor-id=\"\""];
        let sinks = ["nvfeed name=f processor-id=p"; 3].into_iter().chain(others);
        let pipelines: Vec<_> =
            sinks.map(|sink| Started::playing(&format!("videotestsrc num-buffers=100000 ! {sink}"))).collect();
        // Further into the streams each time.
        (0..3 * round).for_each(|_| _ = next_result(&pipelines[0].bus));
        shut_down_cleanly(&runtime);
        for pipeline in &pipelines {
            wait_for_end(pipeline);
            ended(pipeline);
        }
    }
}

#[test]
fn frames_that_wait_are_dropped_and_counted() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let pipeline = Started::playing("videotestsrc ! nvfeed name=f processor-id=never max-queued=3");
    let feed = runtime.feeds().pop().unwrap();
    wait_until("three frames wait", || feed.snapshot().queued == 3);
    shut_down_cleanly(&runtime);
    wait_for_end(&pipeline);
    assert_eq!(count(&ended(&pipeline), "dropped-shutdown"), 3);
    assert_eq!(feed.snapshot().counters.dropped(DropCause::Shutdown), 3);
}

/// A batch that waits for more goes as it is.
#[test]
fn frames_in_a_batch_that_forms_get_their_results() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let _owner = Started::playing(&format!(
        "nvbatch processor-id=p model={} decoder=tensors instances=1 max-batch-size=4 max-latency=60000000000",
        model("slow")
    ));
    let feeds: Vec<_> = (0..2)
        .map(|_| Started::playing(&format!("appsrc name=in caps={CAPS} format=time ! nvfeed name=f processor-id=p")))
        .collect();
    let caps: gst::Caps = CAPS.parse().unwrap();
    let push = |pipeline: &Started, second, brightness| {
        let frame = gst::Buffer::from_slice([brightness; 64 * 64 * 3]);
        push_buffer(&pipeline.child("in"), &caps, frame, second);
    };
    let events = Events::of(&runtime);
    // Alone it waits for nobody. A run of these takes long enough for half of it to be seen.
    for second in 0..2 {
        push(&feeds[0], second, 20);
        next_result(&feeds[0].bus).unwrap();
    }
    // Its third frame is due by now: that of the other one waits for it, for half of such a run.
    push(&feeds[1], 0, 0);
    wait_until("the frame is in a batch", || runtime.processors()[0].snapshot().pending == 1);
    shut_down_cleanly(&runtime);
    assert_eq!(count(&next_result(&feeds[1].bus).unwrap(), "frame"), 0);
    for pipeline in &feeds {
        wait_for_end(pipeline);
        assert_eq!(count(&ended(pipeline), "dropped"), 0);
    }
    events.next("shutdown-started");
    for _ in &feeds {
        assert_eq!(events.next("feed-stopped").get::<&str>("reason"), Ok("shutdown"));
    }
    events.next("processor-removed");
    assert_eq!(count(&events.next("shutdown-complete"), "detached-threads"), 0);
}

/// Upstream says nothing, so nobody but the elements themselves can end the streams.
#[test]
fn an_application_that_only_waits_for_the_end_ends() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let _owner = owner("p");
    // A live one plays at once; the other waits in PAUSED for a first frame that never comes.
    let pipelines: Vec<_> = ["is-live=true", "is-live=false"]
        .iter()
        .flat_map(|live| {
            ["nvfeed name=f processor-id=p", "nvbatch name=f processor-id=p ! fakesink"]
                .map(|sink| Started::playing(&format!("appsrc {live} caps={CAPS} ! {sink}")))
        })
        .collect();
    let main_loop = glib::MainLoop::new(None, false);
    let playing = Rc::new(Cell::new(pipelines.len()));
    let watch = |pipeline: &Started| {
        let (main_loop, playing) = (main_loop.clone(), playing.clone());
        let watch = move |_: &gst::Bus, message: &gst::Message| {
            assert_ne!(message.type_(), gst::MessageType::Error, "{message:?}");
            if message.type_() == gst::MessageType::Eos {
                playing.set(playing.get() - 1);
            }
            if playing.get() == 0 {
                main_loop.quit();
            }
            glib::ControlFlow::Continue
        };
        pipeline.bus.add_watch_local(watch).unwrap()
    };
    let _watches: Vec<_> = pipelines.iter().map(watch).collect();
    let ending = thread::spawn(move || runtime.shutdown());
    main_loop.run();
    assert!(ending.join().unwrap());
    pipelines.iter().for_each(|pipeline| _ = ended(pipeline));
}

/// A source that is slow to start finds that all has ended, which is no error of its own.
#[test]
fn a_stream_that_begins_after_its_end_is_over() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let _owner = owner("p");
    let feed = Started::playing("nvfeed processor-id=p");
    let source = gst::Pad::builder(gst::PadDirection::Src).build();
    source.set_active(true).unwrap();
    source.link(&feed.element.static_pad("sink").unwrap()).unwrap();
    shut_down_cleanly(&runtime);
    wait_for_end(&feed);
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    source.push_event(gst::event::StreamStart::new("late"));
    source.push_event(gst::event::Caps::new(&CAPS.parse::<gst::Caps>().unwrap()));
    source.push_event(gst::event::Segment::new(&segment));
    assert_eq!(source.push(gst::Buffer::with_size(64 * 64 * 3).unwrap()), Err(gst::FlowError::Eos));
    assert_eq!(count(&stats(&feed.element), "received"), 0);
    // The element is as good as new when it starts again.
    feed.set_state(gst::State::Ready).unwrap();
    feed.set_state(gst::State::Null).unwrap();
    drop((_owner, runtime));
    let _owner = owner("p");
    feed.set_state(gst::State::Playing).unwrap();
    source.push_event(gst::event::StreamStart::new("new"));
    source.push_event(gst::event::Caps::new(&CAPS.parse::<gst::Caps>().unwrap()));
    source.push_event(gst::event::Segment::new(&segment));
    assert_eq!(source.push(gst::Buffer::with_size(64 * 64 * 3).unwrap()), Ok(gst::FlowSuccess::Ok));
    assert_eq!(count(&next_result(&feed.bus).unwrap(), "frame"), 0);
}

/// Nobody takes its frames, and nobody holds one.
#[test]
fn a_stream_that_leads_nowhere_is_not_waited_for() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let _owner = owner("p");
    let pipeline = Started::playing("appsrc name=in format=time ! nvbatch name=f processor-id=p");
    push_frame(&pipeline.child("in"), &CAPS.parse().unwrap(), 64 * 64 * 3, 0);
    wait_until("the frame was offered", || {
        let pad = pipeline.child("f").static_pad("src").unwrap();
        count(&stats(&pipeline.child("f")), "results") == 1 && pad.task_state() == gst::TaskState::Paused
    });
    shut_down_cleanly(&runtime);
    ended(&pipeline);
}

#[test]
fn a_paused_stream_ends_when_it_plays_again() {
    let _house = House::enter();
    let runtime = Runtime::get();
    let _owner = owner("p");
    let pipeline = Started::playing("videotestsrc ! nvfeed name=f processor-id=p");
    next_result(&pipeline.bus).unwrap();
    pipeline.set_state(gst::State::Paused).unwrap();
    pipeline.element.state(crate::common::LONG).0.unwrap();
    shut_down_cleanly(&runtime);
    ended(&pipeline);
    while pipeline.bus.pop().is_some() {}
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_for_end(&pipeline);
}

#[test]
fn nothing_is_taken_afterwards_until_all_elements_are_down_and_then_all_is_new() {
    let _house = House::enter();
    for _ in 0..2 {
        let runtime = Runtime::get();
        let first = owner("p");
        assert!(shut_down(&runtime));
        assert!(shut_down(&runtime), "the same answer again");
        for description in ["nvfeed".to_owned(), format!("nvbatch processor-id=q model={}", model("mean"))] {
            let (element, bus) = element(&description);
            assert!(element.set_state(gst::State::Paused).is_err(), "{description}");
            assert_eq!(wait_for_error(&bus).0, "shutdown-in-progress");
            element.set_state(gst::State::Null).unwrap();
        }
        drop(first);
        let object = runtime.object();
        assert!(object.emit_by_name::<bool>("shutdown", &[]));
        let diagnostics: gst::Structure = object.property("diagnostics");
        assert_eq!(diagnostics.get("feed-count"), Ok(0u32));
        let _second = owner("p");
        let pipeline = Started::playing("videotestsrc num-buffers=5 ! nvfeed name=f processor-id=p");
        assert_eq!(std::iter::from_fn(|| next_result(&pipeline.bus)).count(), 5);
        ended(&pipeline);
        assert!(shut_down(&Runtime::get()));
    }
}
