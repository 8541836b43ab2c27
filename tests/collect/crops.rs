//! Frames that are a part of their buffer.

use gst::prelude::*;
use gst_video::{VideoCropMeta, VideoMeta, VideoRegionOfInterestMeta};

use super::{DETECTOR, Told, list, objects_of, results, told};
use crate::common::{Started, decoded};

#[test]
fn both_metas_are_asked_for_through_nvbatch_as_well() {
    for line in ["nvfeed name=end processor-id=\"\"", "nvbatch name=end processor-id=asked ! nvfeed processor-id=\"\""]
    {
        let pipeline = Started::new(&format!("{line} appsrc name=in ! end."));
        pipeline.set_state(gst::State::Paused).unwrap();
        let caps = gst_video::VideoCapsBuilder::new().width(64).height(48).build();
        let mut query = gst::query::Allocation::new(Some(&caps), true);
        assert!(pipeline.child("end").static_pad("sink").unwrap().query(query.query_mut()), "{line}");
        assert!(query.find_allocation_meta::<VideoMeta>().is_some(), "{line}");
        assert!(query.find_allocation_meta::<VideoCropMeta>().is_some(), "{line}");
    }
}

#[test]
fn videocrop_in_place_gives_the_same_objects_as_a_cut_out_picture() {
    // `identity drop-allocation` keeps videocrop from leaving the cropping to us.
    let told_of = |between: &str, id: &str| {
        let pipeline = Started::new(&format!(
            "nvbatch processor-id={id} model={DETECTOR} {} ! videocrop left=64 top=32 right=96 bottom=48 ! {between} \
             nvfeed name=feed processor-id={id}",
            decoded("gate")
        ));
        let (sender, crops) = std::sync::mpsc::channel();
        let pad = pipeline.child("feed").static_pad("sink").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
                _ = sender.send(buffer.meta::<VideoCropMeta>().map(|crop| crop.rect()));
            }
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        let results = results(&pipeline);
        let told: Vec<Vec<Told>> =
            results.iter().map(|result| list(result, "objects").iter().map(|object| told(object)).collect()).collect();
        let sizes = results.iter().map(|result| (result.get("width").unwrap(), result.get("height").unwrap()));
        assert!(sizes.eq(results.iter().map(|_| (480_u32, 400_u32))));
        (told, crops.try_iter().next().flatten())
    };
    let (cropped, crop) = told_of("", "by-meta");
    assert_eq!(crop, Some((64, 32, 480, 400)));
    let (cut_out, no_crop) = told_of("identity drop-allocation=true !", "by-copy");
    assert_eq!(no_crop, None);
    assert!(cut_out.iter().map(Vec::len).sum::<usize>() > 50);
    assert_eq!(cropped, cut_out);
}

#[test]
fn a_crop_of_another_size_than_the_caps_is_the_frame() {
    let result = objects_of(|buffer| {
        VideoCropMeta::add(buffer, (50, 20, 100, 60));
        VideoRegionOfInterestMeta::add(buffer, "corner", (90, 50, 30, 30));
    });
    assert_eq!((result.get("width"), result.get("height")), (Ok(100_u32), Ok(60_u32)));
    assert_eq!(
        ["x", "y", "w", "h"].map(|side| list(&result, "objects")[0].get::<f32>(side).unwrap()),
        [90.0, 50.0, 10.0, 10.0]
    );
}
