//! Every decoder held against `tests/reference/decode.py`.

use std::path::Path;

use serde_json::Value;

use super::*;
use crate::inference::{Fit, Region};

/// In pixels.
const BOX_TOLERANCE: f64 = 0.5;
const CONFIDENCE_TOLERANCE: f64 = 1e-4;

enum Numbers {
    Float32(Vec<f32>),
    Float16(Vec<u16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
}

impl Numbers {
    /// `count` little-endian numbers from the start of `bytes`.
    fn read(element: &str, bytes: &[u8], count: usize) -> Self {
        fn each<T, const N: usize>(bytes: &[u8], count: usize, read: fn([u8; N]) -> T) -> Vec<T> {
            bytes[..count * N].chunks_exact(N).map(|bytes| read(bytes.try_into().unwrap())).collect()
        }
        match element {
            "float32" => Self::Float32(each(bytes, count, f32::from_le_bytes)),
            "float16" => Self::Float16(each(bytes, count, u16::from_le_bytes)),
            "int32" => Self::Int32(each(bytes, count, i32::from_le_bytes)),
            "int64" => Self::Int64(each(bytes, count, i64::from_le_bytes)),
            other => panic!("no reader for {other}"),
        }
    }

    fn view(&self) -> TensorViewData<'_> {
        match self {
            Self::Float32(data) => TensorViewData::Float32(data),
            Self::Float16(data) => TensorViewData::Float16(data),
            Self::Int32(data) => TensorViewData::Int32(data),
            Self::Int64(data) => TensorViewData::Int64(data),
        }
    }
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn list<T>(value: &Value, read: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(read).collect()
}

/// What the decoder says about a case.
fn decode(case: &Value, tensors: &[u8]) -> Output {
    let outputs = case["outputs"].as_array().unwrap();
    let specs = outputs.iter().map(|output| OutputSpec {
        name: text(&output["name"]).into(),
        element: text(&output["element"]).into(),
        dims: list(&output["declared"], |dim| dim.as_u64().map(|dim| dim as usize)),
        id: output["id"].as_str().map(str::to_owned),
    });
    let kinds =
        [DecoderKind::Yolo, DecoderKind::YoloEnd2end, DecoderKind::Ssd, DecoderKind::Detr, DecoderKind::Classifier];
    let hints = DecoderHints {
        kind: *kinds.iter().find(|kind| kind.name() == text(&case["decoder"])).unwrap(),
        outputs: specs.collect(),
        task: None,
        classes: case["classes"].as_u64().map(|classes| classes as usize),
        input_width: number(&case["model"][0]),
        input_height: number(&case["model"][1]),
    };
    let dims: Vec<Vec<i64>> = outputs.iter().map(|output| list(&output["dims"], |dim| dim.as_i64().unwrap())).collect();
    let data: Vec<Numbers> = std::iter::zip(outputs, &dims)
        .map(|(output, dims)| {
            let count = dims.iter().product::<i64>() as usize;
            Numbers::read(text(&output["element"]), &tensors[number(&output["offset"])..], count)
        })
        .collect();
    let views: Vec<TensorView> = std::iter::zip(outputs, std::iter::zip(&dims, &data))
        .map(|(output, (dims, data))| TensorView { name: text(&output["name"]), dims, data: data.view() })
        .collect();
    let params = DecodeParams {
        threshold: case["params"]["threshold"].as_f64().unwrap() as f32,
        iou_threshold: case["params"]["iou_threshold"].as_f64().unwrap() as f32,
        max_detections: number(&case["params"]["max_detections"]),
    };
    let fit = if text(&case["fit"]) == "stretch" { Fit::Stretch } else { Fit::Letterbox };
    let [frame_width, frame_height, model_width, model_height] =
        [&case["frame"][0], &case["frame"][1], &case["model"][0], &case["model"][1]].map(number);
    let placement = Placement::new(Region::whole(frame_width, frame_height), model_width, model_height, fit);
    let decoder = Decoder::new(&hints).unwrap();
    decoder.decode(&views, number(&case["index"]), number(&case["batch"]), &params, &placement).unwrap()
}

/// Whether two lists of rows `[class, confidence, ...box]` agree, and what about them does not.
fn compare(found: &[Vec<f64>], expected: &[Vec<f64>]) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{} found, {} expected", found.len(), expected.len()));
    }
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let near = |(column, (found, expected)): (usize, (&f64, &f64))| match column {
            0 => found == expected,
            1 => (found - expected).abs() <= CONFIDENCE_TOLERANCE,
            _ => (found - expected).abs() <= BOX_TOLERANCE,
        };
        if found.len() != expected.len() || !found.iter().zip(expected).enumerate().all(near) {
            return Err(format!("number {i} is {found:?}, expected {expected:?}"));
        }
    }
    Ok(())
}

fn rows(output: &Output) -> Vec<Vec<f64>> {
    let objects = output.objects.iter().flatten().map(|object| {
        let numbers = [object.confidence, object.x, object.y, object.w, object.h].map(f64::from);
        std::iter::once(f64::from(object.label_id)).chain(numbers).collect()
    });
    let classes = output.classes.iter().flatten();
    objects.chain(classes.map(|class| vec![f64::from(class.label_id), f64::from(class.confidence)])).collect()
}

#[test]
fn decoders_agree_with_the_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/decode");
    let tensors = std::fs::read(folder.join("tensors.bin")).unwrap();
    let cases = std::fs::read_to_string(folder.join("cases.json")).unwrap();
    let cases: Value = serde_json::from_str(&cases).unwrap();
    let mut failures = Vec::new();
    for case in cases.as_array().unwrap() {
        let part = if text(&case["decoder"]) == "classifier" { "classes" } else { "objects" };
        let output = decode(case, &tensors);
        assert_eq!(output.objects.is_some(), part == "objects");
        assert_eq!(output.classes.is_some(), part == "classes");
        let expected = list(&case["expected"][part], |row| list(row, |number| number.as_f64().unwrap()));
        if let Err(difference) = compare(&rows(&output), &expected) {
            failures.push(format!("{}: {difference}", text(&case["name"])));
        }
    }
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n"));
}
