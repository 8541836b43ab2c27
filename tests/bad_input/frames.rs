//! Frames that are not as anyone would expect them.

use gst_video::VideoFormat;

use crate::{
    bystander::Bystander,
    common::{Started, count, end_stream, next_result, owner, push_frame, stats, wait_for_error},
};

fn info(format: VideoFormat, width: u32, height: u32) -> gst_video::VideoInfo {
    gst_video::VideoInfo::builder(format, width, height).fps(30).build().unwrap()
}

#[test]
fn caps_may_change_to_any_size() {
    let _owner = owner("any-size");
    let pipeline = Started::new("appsrc name=s format=time ! nvfeed name=f processor-id=any-size");
    pipeline.set_state(gst::State::Playing).unwrap();
    let source = pipeline.child("s");
    let sizes = [(64, 48), (1, 1), (16384, 8), (1, 1), (8, 16384), (64, 48)];
    let formats = [VideoFormat::I420, VideoFormat::Rgb, VideoFormat::Gray8, VideoFormat::Y42b, VideoFormat::I42010le];
    let cases: Vec<_> = formats.into_iter().flat_map(|format| sizes.map(|(w, h)| info(format, w, h))).collect();
    for (second, info) in (0..).zip(&cases) {
        push_frame(&source, &info.to_caps().unwrap(), info.size(), second);
    }
    end_stream(&source);
    for (number, info) in (0..).zip(&cases) {
        let result = next_result(&pipeline.bus).unwrap_or_else(|| panic!("the end instead of {info:?}"));
        let size = (result.get::<u32>("width").unwrap(), result.get::<u32>("height").unwrap());
        assert_eq!((count(&result, "frame"), size), (number, (info.width(), info.height())));
    }
    assert!(next_result(&pipeline.bus).is_none());
    assert_eq!(count(&stats(&pipeline.child("f")), "errors"), 0);
}

#[test]
fn a_buffer_smaller_than_its_caps_ends_its_stream_only() {
    let bystander = Bystander::new("small-bystander");
    let _owner = owner("small");
    for element in ["nvfeed name=f processor-id=small", "nvbatch name=f processor-id=small ! fakesink async=false"] {
        let pipeline = Started::new(&format!("appsrc name=s format=time ! {element}"));
        pipeline.set_state(gst::State::Playing).unwrap();
        let info = info(VideoFormat::Rgb, 64, 48);
        let source = pipeline.child("s");
        push_frame(&source, &info.to_caps().unwrap(), info.size(), 0);
        push_frame(&source, &info.to_caps().unwrap(), 100, 1);
        let (code, message) = wait_for_error(&pipeline.bus);
        assert_eq!(code, "invalid-config");
        for part in ["100", "9216", "64x48", "RGB"] {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
        let stats = stats(&pipeline.child("f"));
        assert_eq!((count(&stats, "received"), count(&stats, "errors")), (2, 1), "{stats}");
        bystander.assert_undisturbed();
    }
}
