//! What cannot be read is an error that says why, and memory outside of a buffer is never read.

use gst_video::{VideoFrameFlags, VideoInterlaceMode, VideoMeta};

use super::*;
use crate::inference::ErrorKind;

const FORMATS: [VideoFormat; 5] =
    [VideoFormat::Nv12, VideoFormat::I420, VideoFormat::Rgb, VideoFormat::P01010le, VideoFormat::V210];

fn refusal(info: &VideoInfo, frame: &gst::BufferRef) -> Error {
    let input = InputSpec::of_bytes(16, 16);
    write(&mut Preprocessor::new(info, &input).unwrap(), frame, &input).unwrap_err()
}

#[test]
fn a_buffer_smaller_than_its_caps_say() {
    for format in FORMATS {
        let info = info(format, 64, 48);
        for size in [0, 1, info.size() / 2, info.size() - 1] {
            let error = refusal(&info, &frame(vec![0; size]));
            assert_eq!(error.kind, ErrorKind::InvalidFrame);
            let sizes = [format!("it has {size} bytes, {} are needed", info.size()), "64x48".into()];
            assert!(sizes.iter().all(|part| error.message.contains(part)), "{error}");
        }
    }
}

#[test]
fn a_buffer_smaller_than_its_video_meta_says() {
    for format in FORMATS {
        let info = info(format, 64, 48);
        let planes = info.n_planes() as usize;
        let (offsets, strides) = (&info.offset()[..planes], &info.stride()[..planes]);
        for missing in [1, info.size() / 3] {
            let mut short = frame(vec![0; info.size() - missing]);
            let buffer = short.get_mut().unwrap();
            VideoMeta::add_full(buffer, VideoFrameFlags::empty(), format, 64, 48, offsets, strides)
                .unwrap_or_else(|error| panic!("{format:?}: {error}"));
            let error = refusal(&info, &short);
            assert_eq!(error.kind, ErrorKind::InvalidFrame);
            assert!(error.message.contains("bytes"), "{error}");
        }
    }
}

#[test]
fn a_video_meta_that_contradicts_the_caps() {
    let info = info(VideoFormat::Nv12, 64, 48);
    for (format, width, height) in
        [(VideoFormat::I420, 64, 48), (VideoFormat::Nv12, 62, 48), (VideoFormat::Nv12, 64, 46)]
    {
        let mut wrong = frame(vec![0; 64 * 48 * 2]);
        VideoMeta::add(wrong.get_mut().unwrap(), VideoFrameFlags::empty(), format, width, height).unwrap();
        let error = refusal(&info, &wrong);
        assert_eq!(error.kind, ErrorKind::InvalidFrame);
        assert!(error.message.contains(&format!("{width}x{height}")), "{error}");
    }
}

#[test]
fn a_good_frame_after_a_bad_one_is_written() {
    let (info, picture) = smooth_picture(32, 32);
    let input = InputSpec::of_bytes(32, 32);
    let mut preprocessor = Preprocessor::new(&info, &input).unwrap();
    assert!(write(&mut preprocessor, &frame([1, 2, 3]), &input).is_err());
    assert_eq!(write(&mut preprocessor, &picture, &input), Ok(preprocess(&info, &picture, &input)));
}

#[test]
fn formats_that_nothing_reads() {
    let encoded = info(VideoFormat::Encoded, 64, 48);
    let error = Preprocessor::new(&encoded, &InputSpec::of_bytes(16, 16)).err().unwrap();
    assert_eq!(error.kind, ErrorKind::InvalidConfig);
    assert!(error.message.contains("ENCODED"), "{error}");
}

#[test]
fn single_fields() {
    gst::init().unwrap();
    let mode = VideoInterlaceMode::Alternate;
    let fields = VideoInfo::builder(VideoFormat::Nv12, 64, 48).interlace_mode(mode).build().unwrap();
    let error = Preprocessor::new(&fields, &InputSpec::of_bytes(16, 16)).err().unwrap();
    assert_eq!(error.kind, ErrorKind::InvalidConfig);
    assert!(error.message.contains("deinterlace"), "{error}");
}

#[test]
fn model_inputs_that_do_not_exist() {
    let (info, _) = smooth_picture(8, 8);
    for (width, height) in [(0, 8), (8, 0), (usize::MAX, 2), (usize::MAX / 2, 1)] {
        let error = Preprocessor::new(&info, &InputSpec::of_bytes(width, height)).err().unwrap();
        assert_eq!(error.kind, ErrorKind::InvalidConfig, "{width}x{height}");
    }
}

#[test]
fn a_slot_of_another_size() {
    let (info, picture) = smooth_picture(8, 8);
    let mut preprocessor = Preprocessor::new(&info, &InputSpec::of_bytes(4, 4)).unwrap();
    let error = preprocessor.write(&picture, None, &mut [0; 47], &mut Border::default()).unwrap_err();
    assert!(error.message.contains("47") && error.message.contains("48"), "{error}");
}
