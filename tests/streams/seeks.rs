use gst::{ClockTime, SeekFlags, prelude::*};

use crate::common::{LONG, Started, count, decoded, next_result, owner, stats, wait_for};

/// Of the clip `lift`, 15 in a second.
const FRAMES: u64 = 120;

fn seek(pipeline: &Started, seconds: u64) -> gst::Seqnum {
    let flags = SeekFlags::FLUSH | SeekFlags::ACCURATE;
    let (start, stop) = (gst::SeekType::Set, gst::SeekType::None);
    let event = gst::event::Seek::new(1.0, flags, start, seconds * ClockTime::SECOND, stop, ClockTime::NONE);
    let seqnum = event.seqnum();
    assert!(pipeline.element.send_event(event));
    seqnum
}

/// Results up to the end of the stream that this seek began, as numbers of frames of the clip.
fn frames_until_end(pipeline: &Started, seqnum: gst::Seqnum) -> Vec<u64> {
    let mut frames = Vec::new();
    loop {
        use gst::MessageType;
        let message = wait_for(&pipeline.bus, &[MessageType::Element, MessageType::Eos, MessageType::Error]);
        match message.type_() {
            MessageType::Eos if message.seqnum() == seqnum => return frames,
            // Before the seek the end may have been there already.
            MessageType::Eos => (),
            MessageType::Error => panic!("{message:?}"),
            _ => frames.extend(message.structure().filter(|s| s.name() == "nv-result").map(frame_of_clip)),
        }
    }
}

fn frame_of_clip(result: &gst::StructureRef) -> u64 {
    let middle = ClockTime::from_nseconds(count(result, "pts")) + ClockTime::SECOND / 30;
    15 * middle.mseconds() / 1000
}

/// What has to come after a seek to `seconds`.
fn rest(seconds: u64) -> Vec<u64> {
    (15 * seconds..FRAMES).collect()
}

#[test]
fn in_paused_only_what_comes_after_the_target_has_results() {
    let _owner = owner("seek-paused");
    let pipeline = Started::new(&format!("{} ! nvfeed name=f processor-id=seek-paused", decoded("lift")));
    pipeline.set_state(gst::State::Paused).unwrap();
    assert_eq!(pipeline.element.state(LONG).0, Ok(gst::StateChangeSuccess::Success));
    let mut seqnum = seek(&pipeline, 4);
    for seconds in [7, 1, 3] {
        seqnum = seek(&pipeline, seconds);
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    assert_eq!(frames_until_end(&pipeline, seqnum), rest(3));
    stats(&pipeline.child("f"));
}

#[test]
fn in_playing_no_result_from_before_comes_after() {
    let _owner = owner("seek-playing");
    let pipeline = Started::playing(&format!("{} ! nvfeed name=f processor-id=seek-playing", decoded("lift")));
    let mut seqnum = None;
    for round in 0..20 {
        assert!(next_result(&pipeline.bus).is_some() || round > 0);
        seqnum = Some(seek(&pipeline, 7 - round % 7));
        stats(&pipeline.child("f"));
    }
    // Runs of frames that follow one another: one for each seek, and none that comes back.
    let frames = frames_until_end(&pipeline, seqnum.unwrap());
    let mut runs: Vec<_> = frames.chunk_by(|a, b| a + 1 == *b).collect();
    assert_eq!(runs.pop(), Some(&*rest(2)));
    assert!(runs.len() <= 20, "{frames:?}");
}

#[test]
fn after_the_end_the_stream_can_be_played_again() {
    let _owner = owner("seek-end");
    let pipeline = Started::playing(&format!("{} ! nvfeed name=f processor-id=seek-end", decoded("lift")));
    assert_eq!(std::iter::from_fn(|| next_result(&pipeline.bus)).count() as u64, FRAMES);
    let seqnum = seek(&pipeline, 0);
    assert_eq!(frames_until_end(&pipeline, seqnum), rest(0));
    assert_eq!(count(&stats(&pipeline.child("f")), "results"), 2 * FRAMES);
}

#[test]
fn a_linked_nvbatch_passes_nothing_from_before() {
    let _owner = owner("seek-linked");
    let pipeline = Started::playing(&format!(
        "{} ! nvbatch processor-id=seek-linked ! nvfeed processor-id=seek-linked",
        decoded("lift")
    ));
    let mut seqnum = None;
    for round in 0..20 {
        assert!(next_result(&pipeline.bus).is_some() || round > 0);
        seqnum = Some(seek(&pipeline, 7 - round % 7));
    }
    let frames = frames_until_end(&pipeline, seqnum.unwrap());
    assert_eq!(frames.chunk_by(|a, b| a + 1 == *b).last(), Some(&*rest(2)));
}
