//! Single shapes, cut out of real video, through a classifier.

use gst::prelude::*;
use gst_video::prelude::*;

use crate::{FAR, clip, decoded, init, root, truth::Truth};

/// Every so many frames are looked at: shapes move little in between.
const STEP: usize = 15;

/// The part of `frame` around `bounds`, with a margin as a loose detection would have.
fn cut_out(frame: &gst_video::VideoFrameRef<&gst::BufferRef>, bounds: [f32; 4]) -> gst::Sample {
    let [x, y, w, h] = bounds;
    let edge = |at: f32, size: u32| at.clamp(0.0, size as f32) as usize;
    let (left, right) = (edge(x - 0.05 * w, frame.width()), edge(x + 1.05 * w, frame.width()));
    let (top, bottom) = (edge(y - 0.05 * h, frame.height()), edge(y + 1.05 * h, frame.height()));
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, (right - left) as u32, (bottom - top) as u32)
        .build()
        .unwrap();
    let (from, to) = (frame.plane_stride()[0] as usize, info.stride()[0] as usize);
    let mut pixels = vec![0u8; info.size()];
    for (row, line) in (top..bottom).zip(pixels.chunks_exact_mut(to)) {
        let start = row * from + 3 * left;
        line[..3 * (right - left)].copy_from_slice(&frame.plane_data(0).unwrap()[start..][..3 * (right - left)]);
    }
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    let buffer = gst::Buffer::from_mut_slice(pixels);
    gst::Sample::builder().buffer(&buffer).caps(&info.to_caps().unwrap()).segment(&segment).build()
}

#[test]
fn a_classifier_names_shapes_of_any_size() {
    init();
    let feed = gst::parse::launch(&format!(
        "nvbatch processor-id=shapes-cls model={} appsrc name=in format=time ! nvfeed processor-id=shapes-cls",
        root().join("models/shapes-cls.onnx").display()
    ))
    .unwrap();
    feed.set_state(gst::State::Playing).unwrap();
    let input = feed.downcast_ref::<gst::Pipeline>().unwrap().by_name("in").unwrap();
    let mut labels = Vec::new();
    for name in ["gate", "yard", "lift", "dock"] {
        let line = format!("{} ! videoconvert ! video/x-raw,format=RGB ! appsink name=out sync=false", decoded(name));
        let video = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        video.set_state(gst::State::Playing).unwrap();
        let out = video.by_name("out").unwrap();
        for (number, objects) in Truth::read(&clip(name)).frames.into_iter().enumerate() {
            let sample = out.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&FAR.nseconds()]).unwrap();
            if number % STEP > 0 {
                continue;
            }
            let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
            let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer().unwrap(), &info).unwrap();
            for (label, bounds) in objects {
                labels.push(label);
                let cut = cut_out(&frame, bounds);
                assert_eq!(input.emit_by_name::<gst::FlowReturn>("push-sample", &[&cut]), gst::FlowReturn::Ok);
            }
        }
        video.set_state(gst::State::Null).unwrap();
    }
    assert_eq!(input.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]), gst::FlowReturn::Ok);
    let bus = feed.bus().unwrap();
    let results = std::iter::from_fn(|| {
        loop {
            let message = bus.timed_pop(FAR).expect("the pipeline says something");
            match message.view() {
                gst::MessageView::Eos(_) => return None,
                gst::MessageView::Error(error) => panic!("{error:?}"),
                _ => {}
            }
            if let Some(result) = message.structure().filter(|structure| structure.name() == "nv-result") {
                return Some(result.to_owned());
            }
        }
    });
    let right = results.zip(&labels).map(|(result, label)| {
        let classes = result.get::<gst::Array>("classes").unwrap();
        let best = classes.first().map(|class| class.get::<gst::Structure>().unwrap());
        best.is_some_and(|best| best.get::<&str>("label") == Ok(label))
    });
    let right: Vec<bool> = right.collect();
    feed.set_state(gst::State::Null).unwrap();
    assert_eq!(right.len(), labels.len(), "every shape has a result");
    let share = right.iter().filter(|&&right| right).count() as f64 / right.len() as f64;
    println!("{:.1} % of {} shapes are named right", 100.0 * share, right.len());
    assert!(share >= 0.95, "{share}");
}
