//! A model and a run of it, as text that a fuzzer changes well and a person reads. Lines that say nothing are passed
//! over, and so is what a line lacks.
//!
//! ```text
//! decoder yolo
//! input images float32 ?,3,640,640
//! output output0 float32 ?,84,8400 yolo-v8-out
//! came output0 2,84,8400
//! metadata names {0: 'person'}
//! classes 80
//! task detect
//! frame 1920,1080
//! region 10,20,300,200
//! stretch
//! run 1 2
//! params 0.25 0.7 300
//! ---
//! the .modelinfo, or the numbers of the outputs
//! ---
//! the labels
//! ```

use std::{collections::HashMap, str::FromStr};

use super::super::{
    DecodeParams, DecoderKind, Fit, ModelInterface, OutputSpec, Region, TensorSpec, image::MAX_SIDE, labels::clean,
};

const KINDS: [DecoderKind; 7] = [
    DecoderKind::Auto,
    DecoderKind::Yolo,
    DecoderKind::YoloEnd2end,
    DecoderKind::Ssd,
    DecoderKind::Detr,
    DecoderKind::Classifier,
    DecoderKind::Tensors,
];

pub struct Case {
    pub decoder: DecoderKind,
    pub interface: ModelInterface,
    pub outputs: Vec<OutputSpec>,
    /// The dimensions that an output has when the model has run; those that it has before where nothing is said.
    pub came: HashMap<String, Vec<i64>>,
    pub classes: Option<usize>,
    pub task: Option<String>,
    /// Of the model's input, in pixels.
    pub input: (usize, usize),
    /// In pixels.
    pub frame: (usize, usize),
    pub region: Option<[usize; 4]>,
    pub fit: Fit,
    pub index: usize,
    pub batch: usize,
    pub params: DecodeParams,
    pub model_info: String,
    pub labels: String,
    pub numbers: Vec<u8>,
}

impl Case {
    pub fn read(bytes: &[u8]) -> Self {
        const END: &[u8] = b"\n---\n";
        let end = bytes.windows(END.len()).position(|window| window == END);
        let (head, rest) = end.map_or((bytes, &b""[..]), |end| (&bytes[..end], &bytes[end + END.len()..]));
        let texts = String::from_utf8_lossy(rest).into_owned();
        let (model_info, labels) = texts.split_once("\n---\n").unwrap_or((&texts, ""));
        let mut case = Self {
            decoder: DecoderKind::Auto,
            interface: ModelInterface::default(),
            outputs: Vec::new(),
            came: HashMap::new(),
            classes: None,
            task: None,
            input: (640, 640),
            frame: (1920, 1080),
            region: None,
            fit: Fit::Letterbox,
            index: 0,
            batch: 1,
            params: DecodeParams { threshold: 0.25, iou_threshold: 0.7, max_detections: 300 },
            model_info: model_info.into(),
            labels: labels.into(),
            numbers: rest.into(),
        };
        for line in String::from_utf8_lossy(head).lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            case.line(word, rest);
        }
        case
    }

    fn line(&mut self, word: &str, rest: &str) {
        let mut words = rest.split(' ');
        let mut next = || words.next().unwrap_or_default();
        match word {
            "decoder" => self.decoder = KINDS.into_iter().find(|kind| kind.name() == rest).unwrap_or_default(),
            "input" => self.interface.inputs.push(tensor([next(), next(), next()])),
            "output" => {
                let spec = tensor([next(), next(), next()]);
                let TensorSpec { name, element, dims } = spec.clone();
                let id = Some(next()).filter(|id| !id.is_empty()).map(str::to_owned);
                self.interface.outputs.push(spec);
                self.outputs.push(OutputSpec { name, element, dims, id });
            }
            "came" => _ = self.came.insert(next().into(), list(next())),
            "metadata" => {
                let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
                self.interface.metadata.insert(key.into(), value.into());
            }
            "classes" => self.classes = rest.parse().ok(),
            "task" => self.task = Some(clean(rest)),
            "size" => self.input = sides(rest).unwrap_or(self.input),
            "frame" => self.frame = sides(rest).unwrap_or(self.frame),
            "region" => self.region = list(rest).try_into().ok(),
            "stretch" => self.fit = Fit::Stretch,
            "run" => (self.index, self.batch) = (next().parse().unwrap_or(0), next().parse().unwrap_or(1)),
            "params" => {
                let share = |text: &str| text.parse().unwrap_or(0.5f32).clamp(0.0, 1.0);
                let (threshold, iou_threshold) = (share(next()), share(next()));
                self.params = DecodeParams { threshold, iou_threshold, max_detections: next().parse().unwrap_or(300) };
            }
            _ => (),
        }
    }

    /// The region as it comes to decoders: not empty, and inside of the frame.
    pub fn seen(&self) -> Region {
        let (width, height) = self.frame;
        let Some([x, y, w, h]) = self.region else { return Region::whole(width, height) };
        let (x, y) = (x.min(width - 1), y.min(height - 1));
        Region { x, y, width: w.clamp(1, width - x), height: h.clamp(1, height - y) }
    }
}

/// Name, type and dimensions.
fn tensor([name, element, dims]: [&str; 3]) -> TensorSpec {
    // As ONNX Runtime gives them, which has no name for a negative one.
    let dim = |dim: &str| dim.parse::<i64>().ok().and_then(|dim| dim.try_into().ok());
    let dims = dims.split(',').filter(|dim| !dim.is_empty()).map(dim).collect();
    // The type's name is ONNX Runtime's.
    TensorSpec { name: name.into(), element: clean(element), dims }
}

fn list<T: FromStr>(text: &str) -> Vec<T> {
    text.split(',').filter_map(|number| number.parse().ok()).collect()
}

/// Of a picture, as caps and models can have them.
fn sides(text: &str) -> Option<(usize, usize)> {
    let side = |number: &usize| (1..=MAX_SIDE).contains(number);
    match list(text)[..] {
        [width, height] if side(&width) && side(&height) => Some((width, height)),
        _ => None,
    }
}
