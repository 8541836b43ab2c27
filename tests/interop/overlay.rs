//! The overlay draws what was found.

use gst_video::prelude::*;

use super::{DETECTOR, common::decoded, first_frame, has};

fn pixel<'a>(frame: &'a gst_video::VideoFrameRef<&gst::BufferRef>, x: u32, y: u32) -> &'a [u8] {
    let start = frame.plane_stride()[0] as usize * y as usize + 4 * x as usize;
    &frame.plane_data(0).unwrap()[start..start + 4]
}

#[test]
fn objectdetectionoverlay_draws_the_boxes() {
    if !has("objectdetectionoverlay") {
        return;
    }
    let line = format!(
        "{} ! videoconvert ! video/x-raw,format=RGBA ! nvbatch processor-id=overlay model={DETECTOR}",
        decoded("gate")
    );
    let plain = first_frame(&line);
    let drawn = first_frame(&format!("{line} ! objectdetectionoverlay ! videoconvert ! video/x-raw,format=RGBA"));
    let rois: Vec<_> =
        plain.buffer().unwrap().iter_meta::<gst_video::VideoRegionOfInterestMeta>().map(|roi| roi.rect()).collect();
    assert!(rois.len() > 3, "{rois:?}");
    let [info, drawn_info] =
        [&plain, &drawn].map(|frame| gst_video::VideoInfo::from_caps(frame.caps().unwrap()).unwrap());
    let plain = gst_video::VideoFrameRef::from_buffer_ref_readable(plain.buffer().unwrap(), &info).unwrap();
    let drawn = gst_video::VideoFrameRef::from_buffer_ref_readable(drawn.buffer().unwrap(), &drawn_info).unwrap();
    for (x, y, w, h) in rois {
        // Somewhere across its left edge, in the middle of it.
        let row = y + h / 2;
        let edge = x.saturating_sub(3)..(x + 4).min(x + w);
        let changed = edge.filter(|&x| pixel(&plain, x, row) != pixel(&drawn, x, row)).count();
        assert!(changed > 0, "no line at the left of {x},{y} {w}x{h}");
    }
}
