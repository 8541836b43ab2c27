//! Bars beside the picture: written when they are not there yet, and only then.

use super::*;

const SIDE: usize = 24;
const GREY: u8 = 114;

fn letterboxed() -> InputSpec {
    InputSpec { fit: Fit::Letterbox, ..InputSpec::of_bytes(SIDE, SIDE) }
}

/// A frame of one brightness.
fn plain(width: u32, height: u32, level: u8) -> (Preprocessor, gst::Buffer) {
    let info = info(VideoFormat::Gray8, width, height);
    (Preprocessor::new(&info, &letterboxed()).unwrap(), frame(vec![level; info.size()]))
}

#[test]
fn frames_of_all_shapes_follow_each_other_in_one_place() {
    let (wide, tall, square) = ((48, 24), (24, 48), (24, 24));
    let part = Region { x: 0, y: 0, width: 12, height: 24 };
    let mut frames = [wide, tall, square].map(|(width, height)| plain(width, height, 9));
    let input = letterboxed();
    let mut slot = vec![1; input.frame_bytes()];
    let mut border = Border::default();
    for (shape, region) in [
        (0, None),
        (0, None),
        (1, None),
        (0, None),
        (0, Some(part)),
        (2, None),
        (0, None),
        (2, None),
        (1, None),
        (1, None),
        (0, Some(part)),
    ] {
        let (preprocessor, frame) = &mut frames[shape];
        let expected = write_region(preprocessor, frame, region, &input).unwrap();
        preprocessor.write(frame, region, &mut slot, &mut border).unwrap();
        assert!(slot.iter().map(|&byte| f32::from(byte)).eq(expected), "shape {shape}, {region:?}");
    }
}

#[test]
fn bars_that_are_there_are_left_alone() {
    let (mut preprocessor, frame) = plain(48, 24, 9);
    let mut slot = vec![0; letterboxed().frame_bytes()];
    let mut border = Border::default();
    preprocessor.write(&frame, None, &mut slot, &mut border).unwrap();
    assert_eq!(slot[0], GREY);
    slot.fill(1);
    preprocessor.write(&frame, None, &mut slot, &mut border).unwrap();
    assert_eq!((slot[0], slot[slot.len() / 2]), (1, 9), "the picture, and nothing beside it");
}

#[test]
fn a_bad_frame_loses_no_border() {
    let (mut wide, good) = plain(48, 24, 9);
    let (mut tall, _) = plain(24, 48, 9);
    let mut slot = vec![0; letterboxed().frame_bytes()];
    let mut border = Border::default();
    wide.write(&good, None, &mut slot, &mut border).unwrap();
    let before = slot.clone();
    tall.write(&frame(vec![0; 7]), None, &mut slot, &mut border).unwrap_err();
    assert_eq!(slot, before, "it is found to be bad before anything is written");
    slot.fill(1);
    wide.write(&good, None, &mut slot, &mut border).unwrap();
    assert_eq!(slot[0], 1, "the bars are known to be there");
}
