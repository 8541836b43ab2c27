//! GStreamer's tensor decoders read the tensors, and what they find is where it is in the frame.

use glib::translate::from_glib_full;
use gst::prelude::*;
use gst_analytics::{AnalyticsClassificationMtd, AnalyticsRelationMeta, TensorDataType, TensorMeta, prelude::*};

use super::{
    DETECTOR,
    common::{LONG, Started, decoded, model},
    first_frame, frames, has,
    objects::{Object, objects},
};

/// A green frame, twice as wide as high: in the square input of a YOLO a quarter above and below it is grey.
const GREEN: &str = "videotestsrc num-buffers=3 pattern=solid-color foreground-color=0xff00ff00 \
                     ! video/x-raw,format=RGB,width=128,height=64";

/// The cells of the models `echo-*` that show the green frame, in pixels of it: `columns` x `rows` that touch one another.
#[track_caller]
fn assert_grid(found: &[Object], columns: i32, rows: i32) {
    let (w, h) = (128 / columns, 64 / rows);
    let mut bounds: Vec<_> = found.iter().map(|object| object.bounds).collect();
    bounds.sort_unstable_by_key(|[x, y, ..]| (*y, *x));
    let expected: Vec<_> = (0..rows).flat_map(|y| (0..columns).map(move |x| [x * w, y * h, w, h])).collect();
    assert_eq!(bounds, expected);
    assert!(found.iter().all(|object| object.confidence > 0.99), "{found:?}");
}

/// A file of labels, a line each, that lives as long as it is held.
fn labels(names: &[&str]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), names.join("\n")).unwrap();
    file
}

#[test]
fn yolov8tensordec_finds_what_our_own_decoder_finds() {
    if !has("yolov8tensordec") {
        return;
    }
    let labels = labels(&["circle", "square", "triangle"]);
    let labels = labels.path().display();
    for clip in ["gate", "yard"] {
        let source = decoded(clip);
        let ours = frames(&format!("{source} ! nvbatch processor-id=ours threshold=0.4 model={DETECTOR}"), usize::MAX);
        let line = format!(
            "{source} ! nvbatch processor-id=theirs decoder=tensors model={DETECTOR} \
             ! yolov8tensordec class-confidence-threshold=0.4 label-file={labels}"
        );
        let theirs = frames(&line, usize::MAX);
        assert!(ours.len() > 20 && ours.len() == theirs.len(), "{} {}", ours.len(), theirs.len());
        let (mut count, mut same) = (0, 0);
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours.buffer().unwrap().pts(), theirs.buffer().unwrap().pts());
            let (ours, theirs) = (objects(ours), objects(theirs));
            for object in &theirs {
                assert!(
                    ours.iter().any(|own| own.label == object.label && own.is_same_box(object)),
                    "{object:?} {ours:?}"
                );
            }
            (count, same) = (count + ours.len(), same + theirs.len());
        }
        // Theirs suppresses across classes: of two objects one before the other only one is left.
        assert!(count > 100 && same * 100 >= count * 95, "{same} of {count} objects in {clip}");
    }
}

#[test]
fn the_letterbox_of_a_yolo_is_undone() {
    if !has("yolov8tensordec") {
        return;
    }
    for name in ["echo-yolo", "echo-yolo-open"] {
        let line = format!(
            "{GREEN} ! nvbatch decoder=tensors processor-id=grid model={} ! yolov8tensordec class-confidence-threshold=0.6",
            model(name)
        );
        for frame in frames(&line, usize::MAX) {
            assert_grid(&objects(&frame), 8, 4);
        }
    }
}

#[test]
fn the_masks_of_a_segmentation_are_where_its_boxes_are() {
    if !has("yolosegv8tensordec") {
        return;
    }
    let line = format!(
        "{GREEN} ! nvbatch decoder=tensors processor-id=masks model={} \
         ! yolosegv8tensordec class-confidence-threshold=0.6",
        model("echo-yolo-seg")
    );
    for frame in frames(&line, usize::MAX) {
        assert_grid(&objects(&frame), 8, 4);
        let masks = masks(&frame);
        assert_eq!(masks.len(), 32);
        for ([x, _], covers) in masks {
            assert_eq!(covers, x < 64, "a mask at {x}");
        }
    }
}

/// Of each mask its left and top edge in the frame, and whether its first pixel is covered.
fn masks(frame: &gst::Sample) -> Vec<([i32; 2], bool)> {
    use gst_analytics::ffi;
    let relations = frame.buffer().unwrap().meta::<AnalyticsRelationMeta>().unwrap();
    let (mut state, mut masks) = (std::ptr::null_mut(), Vec::new());
    let mut found = ffi::GstAnalyticsMtd { id: 0, meta: std::ptr::null_mut() };
    loop {
        let [mut x, mut y] = [0; 2];
        // SAFETY: the metadata lives as long as the frame; the iteration fills in `found` and keeps its place in
        // `state`. The places of the sides may be null, and the mask that is handed out is ours.
        let mask: gst::Buffer = unsafe {
            let kind = ffi::gst_analytics_segmentation_mtd_get_mtd_type();
            if ffi::gst_analytics_relation_meta_iterate(relations.as_mut_ptr(), &mut state, kind, &mut found) == 0 {
                return masks;
            }
            let none = std::ptr::null_mut();
            let found = ffi::GstAnalyticsSegmentationMtd { id: found.id, meta: found.meta };
            from_glib_full(ffi::gst_analytics_segmentation_mtd_get_mask(&found, &mut x, &mut y, none, none))
        };
        masks.push(([x, y], mask.map_readable().unwrap()[0] != 0));
    }
}

#[test]
fn ssdtensordec_finds_the_boxes() {
    let Some(decoder) = ["ssdtensordec", "ssdobjectdetector"].into_iter().find(|decoder| has(decoder)) else { return };
    // The last box ends at the corner of the frame, which the decoder takes for too large a box unless told otherwise.
    let line = format!(
        "{GREEN} ! nvbatch decoder=tensors processor-id=ssd model={} ! {decoder} size-threshold=1",
        model("echo-ssd")
    );
    for frame in frames(&line, usize::MAX) {
        assert_grid(&objects(&frame), 8, 8);
    }
}

#[test]
fn classifiertensordecoder_names_the_class() {
    if !has("classifiertensordecoder") {
        return;
    }
    let labels = labels(&["red", "green", "blue"]);
    // A distribution by its metadata; numbers by their .modelinfo: single and half precision and bytes. The decoder's
    // softmax goes no further than exp(88), hence the dark green.
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/models/shapes-cls.onnx");
    let class = class_of(&format!("model={own}"), &labels);
    assert!(["red", "green", "blue"].contains(&&*class), "{class}");
    for output in ["float32", "float16", "uint8"] {
        let info = modelinfo(&[(output, "classification-generic-out")]);
        let class = class_of(&format!("model={} model-info={}", model("types"), info.path().display()), &labels);
        assert_eq!(class, "green", "{output}");
    }
}

/// The class that the decoder names on a green frame.
fn class_of(model: &str, labels: &tempfile::NamedTempFile) -> String {
    let line = format!(
        "{} ! nvbatch decoder=tensors processor-id=class {model} \
         ! classifiertensordecoder class-confidence-threshold=0 labels-file={}",
        GREEN.replace("ff00ff00", "ff002000"),
        labels.path().display()
    );
    let frame = first_frame(&line);
    let relations = frame.buffer().unwrap().meta::<AnalyticsRelationMeta>().unwrap();
    let classes = relations.iter::<AnalyticsClassificationMtd>().next().unwrap();
    classes.quark(0).as_str().to_string()
}

/// A `.modelinfo` that gives outputs their ids.
fn modelinfo(ids: &[(&str, &str)]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut text = "[modelinfo]\nversion=1.0\n".to_owned();
    for (name, id) in ids {
        text.push_str(&format!("[{name}]\ndir=output\nid={id}\n"));
    }
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn tensordecodebin_finds_the_decoder_by_itself() {
    if !has("tensordecodebin") {
        return;
    }
    for (name, rows) in [("echo-yolo", 4), ("echo-yolo-seg", 4), ("echo-ssd", 8)] {
        let line = format!(
            "{GREEN} ! nvbatch decoder=tensors processor-id=bin model={} ! tensordecodebin name=bin",
            model(name)
        );
        let found = objects(&first_frame(&line));
        // Decoders have their own thresholds: the grey is above that of the YOLOs, the corner above that of the SSD.
        assert!(found.len() >= 8 * rows - 8, "{name}: {}", found.len());
    }
}

/// Caps wait for the model, for its first result, and go out once more after a flush.
#[test]
fn a_model_that_comes_late_and_a_seek_change_nothing() {
    if !has("yolov8tensordec") {
        return;
    }
    let pipeline = Started::playing(&format!(
        "{} ! nvbatch processor-id=late ! yolov8tensordec ! appsink name=out sync=false max-buffers=1",
        decoded("gate")
    ));
    let _owner = Started::playing(&format!("nvbatch processor-id=late decoder=tensors model={DETECTOR}"));
    let out = pipeline.child("out");
    let next = || out.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&LONG.nseconds()]);
    let first = next().expect("a frame");
    assert!(objects(&first).len() > 3);
    for _ in 0..5 {
        next().expect("a frame");
    }
    pipeline.element.seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, gst::ClockTime::ZERO).unwrap();
    let again = next().expect("a frame");
    assert_eq!((again.buffer().unwrap().pts(), objects(&again)), (first.buffer().unwrap().pts(), objects(&first)));
    let rest = std::iter::from_fn(next).inspect(|frame| assert!(!objects(frame).is_empty())).count();
    assert!(rest > 20 && out.property::<bool>("eos"), "{rest}");
}

/// The tensors of a whole batch are cut into frames, whatever the batch that they were run in.
#[test]
fn each_frame_carries_its_own_tensors() {
    let line = |caps: &str| {
        format!(
            "{GREEN} ! nvbatch decoder=tensors processor-id=cut max-batch-size=4 instances=1 model={} {caps}",
            model("echo-ssd")
        )
    };
    for frame in frames(&line(""), usize::MAX) {
        let tensors = frame.buffer().unwrap().meta::<TensorMeta>().unwrap();
        let shapes: Vec<_> = tensors.as_slice().iter().map(|tensor| tensor.dims().to_vec()).collect();
        assert_eq!(shapes, [vec![1, 64, 4], vec![1, 64], vec![1, 64], vec![1]]);
        assert!(tensors.as_slice().iter().all(|tensor| tensor.data_type() == TensorDataType::Float32));
    }
}

/// What is not read by anybody is there all the same, under its own name.
#[test]
fn outputs_without_an_id_go_by_their_names() {
    let frame = first_frame(&format!("{GREEN} ! nvbatch decoder=tensors processor-id=plain model={}", model("types")));
    let tensors = frame.buffer().unwrap().meta::<TensorMeta>().unwrap();
    let ids: Vec<_> = tensors.as_slice().iter().map(|tensor| tensor.id().as_str().to_string()).collect();
    assert_eq!(ids, ["float32", "float16", "uint8", "int8", "int32", "int64", "bool"]);
    assert!(!frame.caps().unwrap().structure(0).unwrap().has_field("tensors"));
}
