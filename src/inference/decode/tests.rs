//! Which decoder is chosen, and what happens to outputs that are not what they were said to be. What the decoders
//! read out of good ones is in `reference`.

use super::cut::Real;
use super::*;
use crate::inference::{ErrorKind, Fit, Region, Tensor, TensorData};

/// Dimensions from a text such as `"?, 84, 8400"`.
fn dims(text: &str) -> Vec<Option<usize>> {
    text.split(", ").filter(|dim| !dim.is_empty()).map(|dim| dim.parse().ok()).collect()
}

fn output(name: &str, text: &str) -> OutputSpec {
    OutputSpec { name: name.into(), element: "float32".into(), dims: dims(text), id: None }
}

fn hints(kind: DecoderKind, outputs: &[OutputSpec]) -> DecoderHints {
    let outputs = outputs.to_vec();
    DecoderHints { kind, outputs, task: None, classes: None, input_width: 640, input_height: 640 }
}

/// The kind that is chosen for outputs of these dimensions, and its number of classes; or why none is.
fn chosen(outputs: &[OutputSpec], classes: Option<usize>) -> Result<(DecoderKind, Option<usize>), String> {
    let decoder = Decoder::new(&DecoderHints { classes, ..hints(DecoderKind::Auto, outputs) });
    decoder.map(|decoder| (decoder.kind(), decoder.classes())).map_err(|error| {
        assert_eq!(error.kind, ErrorKind::ModelInvalid);
        error.message
    })
}

fn with_id(id: &str, text: &str) -> [OutputSpec; 1] {
    [OutputSpec { id: Some(id.into()), ..output("out", text) }]
}

const PARAMS: DecodeParams = DecodeParams { threshold: 0.25, iou_threshold: 0.7, max_detections: 300 };

fn placement() -> Placement {
    Placement::new(Region::whole(640, 640), 640, 640, Fit::Stretch)
}

fn run(decoder: &Decoder, dims: &[i64], data: &[f32], index: usize, batch: usize) -> Result<Output, Error> {
    let view = TensorView { name: "out", dims, data: TensorViewData::Float32(data) };
    decoder.decode(&[view], index, batch, &PARAMS, &placement())
}

#[test]
fn yolo_is_chosen_where_something_speaks_for_it() {
    use DecoderKind::Yolo;
    let out = |text: &str| [output("output0", text)];
    // The number of anchors is that of the input's grids.
    assert_eq!(chosen(&out("?, 84, 8400"), None), Ok((Yolo, Some(80))));
    assert_eq!(chosen(&out("?, 25200, 85"), None), Ok((Yolo, Some(80))));
    // The number of labels fits.
    assert_eq!(chosen(&out("1, 7, 500"), Some(3)), Ok((Yolo, Some(3))));
    assert_eq!(chosen(&out("1, 500, 7"), Some(3)), Ok((Yolo, Some(3))));
    assert_eq!(chosen(&out("1, 500, 8"), Some(3)), Ok((Yolo, Some(3))));
    assert_eq!(chosen(&out("?, 8400, 85"), Some(80)), Ok((Yolo, Some(80))));
    assert_eq!(chosen(&out("?, 84, ?"), Some(80)), Ok((Yolo, Some(80))));
    assert_eq!(chosen(&out("?, ?, 85"), Some(80)), Ok((Yolo, Some(80))));
    assert_eq!(chosen(&out("?, ?, 8400"), Some(80)), Ok((Yolo, None)));
    // Fewer labels than classes are no reason to refuse the model.
    assert_eq!(chosen(&out("?, 84, 8400"), Some(3)), Ok((Yolo, Some(80))));
    // Raw feature maps beside the boxes, as older YOLOv5 exports have them.
    let maps = [output("output", "1, 25200, 85"), output("345", "1, 3, 80, 80, 85"), output("403", "1, 3, 40, 40, 85")];
    assert_eq!(chosen(&maps, None), Ok((Yolo, Some(80))));
    // The exporter says so.
    let detect = DecoderHints { task: Some("detect".into()), ..hints(DecoderKind::Auto, &out("?, 84, ?")) };
    assert_eq!(Decoder::new(&detect).unwrap().kind(), Yolo);
    assert_eq!(chosen(&with_id("yolo-v8-out", "?, ?, ?"), None), Ok((Yolo, None)));
    assert_eq!(chosen(&with_id("yolox-out", "?, 100, 9"), None), Ok((Yolo, Some(4))));
}

#[test]
fn end_to_end_yolo_is_told_from_the_others() {
    use DecoderKind::{Yolo, YoloEnd2end};
    let out = |text: &str| [output("output0", text)];
    assert_eq!(chosen(&out("?, 300, 6"), None), Ok((YoloEnd2end, None)));
    assert_eq!(chosen(&out("?, 300, 6"), Some(1)), Ok((YoloEnd2end, None)));
    assert_eq!(chosen(&out("?, ?, 6"), Some(80)), Ok((YoloEnd2end, None)));
    assert_eq!(chosen(&out("?, 25200, 6"), Some(1)), Ok((Yolo, Some(1))));
    assert_eq!(chosen(&out("?, 8400, 6"), Some(2)), Ok((Yolo, Some(2))));
    assert_eq!(chosen(&with_id("yolo-26-end2end-out", "?, 100, 6"), Some(2)), Ok((YoloEnd2end, None)));
}

#[test]
fn the_other_families_are_chosen() {
    let ssd = [
        output("detection_anchor_indices", "1, 100"),
        output("detection_boxes", "1, 100, 4"),
        output("detection_classes", "1, 100"),
        output("detection_multiclass_scores", "1, 100, 91"),
        output("detection_scores", "1, 100"),
        output("num_detections", "1"),
        output("raw_detection_boxes", "1, 1917, 4"),
        output("raw_detection_scores", "1, 1917, 91"),
    ];
    assert_eq!(chosen(&ssd, None), Ok((DecoderKind::Ssd, None)));
    let detr = |width: usize| [output("logits", &format!("?, 100, {width}")), output("pred_boxes", "?, 100, 4")];
    assert_eq!(chosen(&detr(92), Some(91)), Ok((DecoderKind::Detr, Some(91))));
    assert_eq!(chosen(&detr(91), Some(91)), Ok((DecoderKind::Detr, Some(91))));
    assert_eq!(chosen(&[output("probs", "?, 1000")], None), Ok((DecoderKind::Classifier, Some(1000))));
    assert_eq!(chosen(&[output("probs", "?, 10, 1, 1")], Some(3)), Ok((DecoderKind::Classifier, Some(10))));
    let with_features = [output("features", "?, 512"), output("probs", "?, 10")];
    assert_eq!(chosen(&with_features, Some(10)), Ok((DecoderKind::Classifier, Some(10))));
}

#[test]
fn what_could_mean_two_things_is_refused_with_the_way_out() {
    let refused = |outputs: &[OutputSpec], classes, words: &[&str]| {
        let message = chosen(outputs, classes).unwrap_err();
        for word in words.iter().chain(&["decoder=", "yolo-end2end, ssd, detr, classifier", "tensors"]) {
            assert!(message.contains(word), "`{word}` is missing in: {message}");
        }
    };
    refused(&[output("out", "?, 500, 85")], None, &["`out` float32 [?, 500, 85]", "labels=", "yolox-out"]);
    refused(&[output("out", "?, 7, 7")], Some(3), &["labels="]);
    refused(&[output("out", "?, 100, 6")], None, &["[?, 100, 6]"]);
    refused(&[output("out", "?, 768, 1000")], None, &["nothing but its dimensions"]);
    // RT-DETR as Ultralytics exports it has normalised boxes, and YOLO's dimensions.
    refused(&[output("out", "?, 300, 84")], Some(80), &["RT-DETR"]);
    // YOLO-NAS: scores that a DETR's sigmoid would make all sure.
    refused(&[output("boxes", "1, 8400, 4"), output("scores", "1, 8400, 80")], Some(80), &["`scores`"]);
    refused(&[output("logits", "1, 100, 92"), output("pred_boxes", "1, 100, 4")], None, &["labels="]);
    refused(&[output("out", "?, 1")], None, &["[?, 1]"]);
    refused(&[output("out", "?, 3, 224, 224")], None, &["[?, 3, 224, 224]"]);
    refused(&[], None, &[]);
    let words = ["`yolo-v8-segmentation-out-detections`"];
    refused(&with_id("yolo-v8-segmentation-out-detections", "1, 116, 8400"), Some(80), &words);
    refused(&[output("output0", "1, 116, 8400"), output("output1", "1, 32, 160, 160")], Some(80), &["segmentation"]);
    for task in ["segment", "pose", "obb"] {
        let hints = hints(DecoderKind::Auto, &[output("output0", "1, 84, 8400")]);
        let error = Decoder::new(&DecoderHints { task: Some(task.into()), ..hints }).unwrap_err();
        assert!(error.message.contains(task), "{error}");
    }
}

#[test]
fn a_decoder_that_does_not_fit_is_refused_and_one_that_might_is_taken() {
    use DecoderKind::*;
    let attempt = |kind, text: &str| Decoder::new(&hints(kind, &[output("out", text)]));
    for kind in [Yolo, YoloEnd2end, Ssd, Detr, Classifier] {
        let error = attempt(kind, "1, 3, 224, 224").unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidConfig);
        assert!(error.message.contains(&format!("decoder={} ", kind.name())), "{error}");
        assert!(error.message.contains("`out` float32 [1, 3, 224, 224]"), "{error}");
    }
    assert_eq!(attempt(Yolo, "1, 4, 8400").unwrap_err().kind, ErrorKind::InvalidConfig);
    assert_eq!(attempt(Classifier, "?, 1").unwrap_err().kind, ErrorKind::InvalidConfig);
    assert_eq!(attempt(Yolo, "1, 7, 500").unwrap().classes(), Some(3));
    assert_eq!(attempt(YoloEnd2end, "1, 100, 6").unwrap().kind(), YoloEnd2end);
    assert_eq!(attempt(Tensors, "1, 3, 224, 224").unwrap().kind(), Tensors);
    let text = OutputSpec { element: "string".into(), ..output("out", "1") };
    assert_eq!(Decoder::new(&hints(Tensors, &[text])).unwrap_err().kind, ErrorKind::InvalidConfig);
    let whole = OutputSpec { element: "int64".into(), ..output("out", "1, 7, 500") };
    assert_eq!(Decoder::new(&hints(Yolo, &[whole])).unwrap_err().kind, ErrorKind::InvalidConfig);
}

#[test]
fn outputs_that_are_not_what_they_were_fail_the_run() {
    let fails = |decoder: &Decoder, dims: &[i64], data: &[f32], index, batch| {
        let error = run(decoder, dims, data, index, batch).unwrap_err();
        assert_eq!(error.kind, ErrorKind::RunFailed);
        assert!(error.message.contains("`out`"), "{error}");
    };
    let yolo = Decoder::new(&hints(DecoderKind::Yolo, &[output("out", "?, 7, 500")])).unwrap();
    fails(&yolo, &[2, 7, 3], &[0.0; 42], 0, 3); // fewer frames than the run had
    fails(&yolo, &[2, 7, 3], &[0.0; 42], 2, 2); // no such frame
    fails(&yolo, &[1, 7, 3], &[0.0; 20], 0, 1); // fewer numbers than the dimensions say
    fails(&yolo, &[1, 7, -3], &[], 0, 1);
    fails(&yolo, &[i64::MAX, i64::MAX, 7], &[0.0; 21], 0, 1); // overflows
    fails(&yolo, &[1, 8, 3], &[0.0; 24], 0, 1); // one more class
    fails(&yolo, &[1, 3, 3], &[0.0; 9], 0, 1); // no whole box
    fails(&yolo, &[1, 21], &[0.0; 21], 0, 1);
    fails(&yolo, &[], &[0.0], 0, 1);
    let bits = TensorView { name: "out", dims: &[1, 7, 3], data: TensorViewData::Uint8(&[0; 21]) };
    let error = yolo.decode(&[bits], 0, 1, &PARAMS, &placement()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::RunFailed);
    assert_eq!(yolo.decode(&[], 0, 1, &PARAMS, &placement()).unwrap_err().kind, ErrorKind::RunFailed);

    let end2end = Decoder::new(&hints(DecoderKind::YoloEnd2end, &[output("out", "?, 300, 6")])).unwrap();
    fails(&end2end, &[1, 3, 7], &[0.0; 21], 0, 1);
    let classifier = Decoder::new(&hints(DecoderKind::Classifier, &[output("out", "?, 4")])).unwrap();
    fails(&classifier, &[1, 5], &[0.0; 5], 0, 1);
    fails(&classifier, &[1, 4, 2, 1], &[0.0; 8], 0, 1);
    let tensors = Decoder::new(&hints(DecoderKind::Tensors, &[output("out", "?, 4")])).unwrap();
    fails(&tensors, &[5, 4], &[0.0; 20], 0, 2);
}

#[test]
fn parts_that_do_not_belong_together_fail_the_run() {
    let parts = ["boxes", "scores", "classes", "num"];
    let specs = std::iter::zip(parts, ["?, ?, 4", "?, ?", "?, ?", "?"]).map(|(name, text)| output(name, text));
    let ssd = Decoder::new(&hints(DecoderKind::Ssd, &specs.collect::<Vec<_>>())).unwrap();
    let zeros = [0.0; 64];
    let run = |dims: [&[i64]; 4]| {
        let views = std::iter::zip(parts, dims).map(|(name, dims)| {
            let count = dims.iter().product::<i64>() as usize;
            TensorView { name, dims, data: TensorViewData::Float32(&zeros[..count]) }
        });
        ssd.decode(&views.collect::<Vec<_>>(), 0, 1, &PARAMS, &placement()).map_err(|error| error.kind)
    };
    assert!(run([&[1, 5, 4], &[1, 5], &[1, 5], &[1]]).is_ok());
    for dims in [
        [&[1, 5, 5][..], &[1, 5], &[1, 5], &[1]],
        [&[1, 5, 4], &[1, 4], &[1, 5], &[1]],
        [&[1, 5, 4], &[1, 5], &[1, 6], &[1]],
        [&[1, 5, 4], &[1, 5], &[1, 5], &[1, 2]],
    ] {
        assert_eq!(run(dims), Err(ErrorKind::RunFailed), "{dims:?}");
    }

    let specs = [output("pred_boxes", "?, ?, 4"), output("logits", "?, ?, 3")];
    let detr = Decoder::new(&DecoderHints { classes: Some(2), ..hints(DecoderKind::Detr, &specs) }).unwrap();
    let boxes = TensorView { name: "pred_boxes", dims: &[1, 4, 4], data: TensorViewData::Float32(&zeros[..16]) };
    let logits = TensorView { name: "logits", dims: &[1, 5, 3], data: TensorViewData::Float32(&zeros[..15]) };
    let error = detr.decode(&[boxes, logits], 0, 1, &PARAMS, &placement()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::RunFailed);
}

#[test]
fn a_model_of_no_classes_finds_nothing() {
    let open = Decoder::new(&hints(DecoderKind::Yolo, &with_id("yolo-v8-out", "?, ?, ?"))).unwrap();
    let found = run(&open, &[1, 4, 10], &[1.0; 40], 0, 1).unwrap();
    assert_eq!(found, Output { objects: Some(vec![]), ..Output::default() });
    let open = Decoder::new(&hints(DecoderKind::Classifier, &[output("out", "?, ?")])).unwrap();
    assert_eq!(run(&open, &[1, 0], &[], 0, 1).unwrap().classes, Some(vec![]));
}

#[test]
fn tensors_are_cut_to_the_frame_whatever_their_type() {
    let names = ["f32", "f16", "u8", "i8", "i32", "i64", "bool"];
    let elements = ["float32", "float16", "uint8", "int8", "int32", "int64", "bool"];
    let specs = std::iter::zip(names, elements)
        .map(|(name, element)| OutputSpec { element: element.into(), ..output(name, "?, 2") })
        .collect::<Vec<_>>();
    let decoder = Decoder::new(&hints(DecoderKind::Tensors, &specs)).unwrap();
    let data = [
        TensorViewData::Float32(&[1.0, 2.0, 3.0, 4.0]),
        TensorViewData::Float16(&[1, 2, 3, 4]),
        TensorViewData::Uint8(&[1, 2, 3, 4]),
        TensorViewData::Int8(&[1, 2, 3, -4]),
        TensorViewData::Int32(&[1, 2, 3, -4]),
        TensorViewData::Int64(&[1, 2, 3, i64::MIN]),
        TensorViewData::Bool(&[false, false, true, false]),
    ];
    let views: Vec<_> =
        std::iter::zip(names, data).map(|(name, data)| TensorView { name, dims: &[2, 2], data }).collect();
    let expected = [
        TensorData::Float32(vec![3.0, 4.0]),
        TensorData::Float16(vec![3, 4]),
        TensorData::Uint8(vec![3, 4]),
        TensorData::Int8(vec![3, -4]),
        TensorData::Int32(vec![3, -4]),
        TensorData::Int64(vec![3, i64::MIN]),
        TensorData::Bool(vec![true, false]),
    ];
    let expected: Vec<_> =
        std::iter::zip(names, expected).map(|(name, data)| Tensor { name: name.into(), dims: vec![2], data }).collect();
    assert_eq!(decoder.decode(&views, 1, 2, &PARAMS, &placement()).unwrap().tensors, Some(expected));
}

#[test]
fn a_tensor_without_a_batch_belongs_to_a_lone_frame() {
    let decoder = Decoder::new(&hints(DecoderKind::Tensors, &[output("out", "")])).unwrap();
    let alone = run(&decoder, &[], &[5.0], 0, 1).unwrap();
    let whole = Tensor { name: "out".into(), dims: vec![], data: TensorData::Float32(vec![5.0]) };
    assert_eq!(alone.tensors, Some(vec![whole]));
    assert_eq!(run(&decoder, &[], &[5.0], 0, 2).unwrap_err().kind, ErrorKind::RunFailed);
}

#[test]
fn half_precision_is_read_as_it_is_defined() {
    // https://en.wikipedia.org/wiki/Half-precision_floating-point_format
    for (bits, number) in [
        (0x0000u16, 0.0f32),
        (0x0001, 2f32.powi(-24)),
        (0x03ff, 1023.0 * 2f32.powi(-24)),
        (0x0400, 2f32.powi(-14)),
        (0x3555, 0.333_251_95),
        (0x3c00, 1.0),
        (0x3c01, 1.0 + 2f32.powi(-10)),
        (0xc000, -2.0),
        (0x7bff, 65504.0),
        (0x7c00, f32::INFINITY),
        (0xfc00, f32::NEG_INFINITY),
    ] {
        assert_eq!(bits.real(), number, "{bits:#06x}");
    }
    assert!(0x8000u16.real().is_sign_negative());
    assert!(0x7e00u16.real().is_nan() && 0xfc01u16.real().is_nan());
}

#[test]
fn nobody_is_surer_than_sure() {
    let end2end = Decoder::new(&hints(DecoderKind::YoloEnd2end, &[output("out", "?, 2, 6")])).unwrap();
    let rows = [[10.0, 10.0, 50.0, 50.0, 1e30, 2.0], [60.0, 60.0, 90.0, 90.0, 0.5, 1.0]].concat();
    let found = run(&end2end, &[1, 2, 6], &rows, 0, 1).unwrap().objects.unwrap();
    assert_eq!(found.iter().map(|object| object.confidence).collect::<Vec<_>>(), [1.0, 0.5]);

    let id = "classification-generic-softmaxed-out";
    let classifier = Decoder::new(&hints(DecoderKind::Classifier, &with_id(id, "?, 3"))).unwrap();
    let classes = run(&classifier, &[1, 3], &[0.5, 7.0, 0.0], 0, 1).unwrap().classes.unwrap();
    assert_eq!(classes.iter().map(|class| class.confidence).collect::<Vec<_>>(), [1.0, 0.5]);
}

#[test]
fn names_out_of_a_model_are_shown_fit_for_a_message() {
    let name = format!("out\u{1b}[31m\n{}", "x".repeat(100_000));
    let many = vec![output(&name, "?, 5"); 1000];
    for kind in [DecoderKind::Auto, DecoderKind::Yolo, DecoderKind::Ssd] {
        let message = Decoder::new(&hints(kind, &many)).unwrap_err().message;
        assert!(message.len() < 4000 && !message.contains(char::is_control), "{message}");
    }
    let tensors = Decoder::new(&hints(DecoderKind::Tensors, &many)).unwrap();
    let message = run(&tensors, &[1, 5], &[0.0; 5], 0, 1).unwrap_err().message;
    assert!(message.len() < 400 && !message.contains(char::is_control), "{message}");
}
