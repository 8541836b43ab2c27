//! Which input of a model takes the picture, and how the picture has to lie in it.

use super::metadata::Metadata;
use super::modelinfo::{ModelInfo, TensorInfo};
use super::{BatchDim, ColorOrder, ElementType, Error, ErrorKind, Fit, InputSpec, Layout, ModelInterface, TensorSpec};

/// Longest side of a model's input, in pixels.
pub(super) const MAX_SIDE: usize = 16384;

/// Largest fixed batch, in frames.
const MAX_BATCH: usize = 1024;

/// Largest input of one run (of one frame, where the batch is dynamic), in bytes.
const MAX_INPUT_BYTES: usize = 2 << 30;

/// What else than its shape is known of the input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// The group of the `.modelinfo`; one that says nothing but its name where there is none.
    pub info: &'a TensorInfo,
    pub metadata: &'a Metadata,
    /// Where `info` is, or would be.
    pub file: &'a ModelInfo,
}

/// The input that takes the picture: the model's only one.
#[derive(Debug)]
pub(super) struct ImageInput<'a> {
    pub known: Known<'a>,
    pub tensor: &'a TensorSpec,
    pub element: ElementType,
    pub layout: Layout,
    pub batch: BatchDim,
    /// 1 or 3.
    pub channels: usize,
    /// In pixels.
    pub height: usize,
    /// In pixels.
    pub width: usize,
}

/// A `dims` of the `.modelinfo` that fills in what the model leaves open: `-1,3,640,640`.
fn example(layout: Layout, dims: &[Option<usize>]) -> String {
    let usual = match layout {
        Layout::Nchw => ["-1", "3", "640", "640"],
        Layout::Nhwc => ["-1", "640", "640", "3"],
    };
    let axes = dims.iter().zip(usual).map(|(dim, usual)| dim.map_or(usual.to_owned(), |size| size.to_string()));
    axes.collect::<Vec<_>>().join(",")
}

/// The model's only input, if a picture can be put there at all.
pub(super) fn find(interface: &ModelInterface) -> Result<(&TensorSpec, ElementType), Error> {
    let invalid = |message: String| Err(Error::new(ErrorKind::ModelInvalid, message));
    let tensor = match interface.inputs.as_slice() {
        [tensor] => tensor,
        [] => return invalid("The model has no input; it has to have one that takes a picture.".into()),
        inputs => {
            let list: Vec<_> = inputs.iter().take(8).map(TensorSpec::to_string).collect();
            let more = if inputs.len() > 8 { ", ..." } else { "" };
            return invalid(format!(
                "The model has {} inputs, and only a model with one input, a picture, can be run. They are {}{more}. \
                 Export the model with the others as constants.",
                inputs.len(),
                list.join(", ")
            ));
        }
    };
    let element = match tensor.element.as_str() {
        "float32" => ElementType::Float32,
        "float16" => ElementType::Float16,
        "uint8" => ElementType::Uint8,
        other => {
            return invalid(format!(
                "The model's input is {tensor}: a picture cannot be given as {other}. Export the model with an input \
                 of float32, float16 or uint8."
            ));
        }
    };
    match tensor.dims.len() {
        4 => Ok((tensor, element)),
        3 => invalid(format!(
            "The model's input is {tensor}: it has no batch axis. Export the model with four axes, [batch, channels, \
             height, width] or [batch, height, width, channels]; the batch may be 1."
        )),
        _ => invalid(format!(
            "The model's input is {tensor}, which does not look like a picture. It has to have four axes, [batch, \
             channels, height, width] or [batch, height, width, channels]."
        )),
    }
}

impl<'a> ImageInput<'a> {
    /// Settles the axes of the model's input: first by its own dimensions, then by those in the `.modelinfo`, which do
    /// not contradict them, then by the size in the metadata.
    pub fn new(tensor: &'a TensorSpec, element: ElementType, known: Known<'a>) -> Result<Self, Error> {
        let Known { info, metadata, file } = known;
        let unsettled = |reason: &str, example: &str| {
            let (group, path) = (&info.group, file.path.display());
            let message = format!(
                "The model's input is {tensor}: {reason}. Say it in the group [{group}] of the .modelinfo file `{path}`, \
                 such as {example}."
            );
            Error::new(ErrorKind::InvalidConfig, message)
        };
        let invalid =
            |reason: String| Error::new(ErrorKind::ModelInvalid, format!("The model's input is {tensor}: {reason}."));

        let said = |axis: usize| info.dims.as_ref().and_then(|dims| dims.get(axis).copied().flatten());
        let dim = |axis: usize| tensor.dims.get(axis).copied().flatten().or_else(|| said(axis));
        let channels_at = |axis| dim(axis).filter(|count| matches!(count, 1 | 3));
        let filled = |layout| format!("dims={}", example(layout, &tensor.dims));

        let layout = match (info.layout, channels_at(1), channels_at(3)) {
            (Some(layout), ..) => layout,
            (None, Some(_), None) => Layout::Nchw,
            (None, None, Some(_)) => Layout::Nhwc,
            (None, Some(_), Some(_)) => {
                return Err(unsettled(
                    "its second and its last axis may both be the channels",
                    "layout=nchw or layout=nhwc",
                ));
            }
            (None, None, None) if dim(1).is_none() || dim(3).is_none() => {
                let examples = format!("{} or {}", filled(Layout::Nchw), filled(Layout::Nhwc));
                return Err(unsettled("it leaves open which axis the channels are", &examples));
            }
            (None, None, None) => {
                return Err(invalid("neither its second nor its last axis is 3 (colour) or 1 (grey) channels".into()));
            }
        };
        let (channel_axis, height_axis, width_axis) = match layout {
            Layout::Nchw => (1, 2, 3),
            Layout::Nhwc => (3, 1, 2),
        };
        let channels = match dim(channel_axis) {
            Some(count @ (1 | 3)) => count,
            Some(count) => {
                return Err(invalid(format!("it has {count} channels; only 3 (colour) and 1 (grey) can be fed")));
            }
            None => return Err(unsettled("it leaves the number of its channels open", &filled(layout))),
        };

        let side = |axis, by_metadata: Option<usize>| match dim(axis).or(by_metadata) {
            Some(side @ 1..=MAX_SIDE) => Ok(side),
            Some(side) => Err(invalid(format!("a side of {side} pixels is not between 1 and {MAX_SIDE}"))),
            None => Err(unsettled("it leaves its size open, and its metadata do not say it", &filled(layout))),
        };
        let height = side(height_axis, metadata.size.map(|(height, _)| height))?;
        let width = side(width_axis, metadata.size.map(|(_, width)| width))?;
        let (batch, frames) = match dim(0) {
            None => (BatchDim::Dynamic, 1),
            Some(count @ 1..=MAX_BATCH) => (BatchDim::Fixed(count), count),
            Some(count) => return Err(invalid(format!("a batch of {count} frames is not between 1 and {MAX_BATCH}"))),
        };

        let bytes = [frames, channels, height, width].iter().try_fold(element.size(), |size, &n| size.checked_mul(n));
        if bytes.is_none_or(|bytes| bytes > MAX_INPUT_BYTES) {
            let limit = MAX_INPUT_BYTES >> 30;
            return Err(invalid(format!("{frames} frame(s) of {width}x{height} pixels are more than {limit} GiB")));
        }
        Ok(Self { known, tensor, element, layout, batch, channels, height, width })
    }

    /// All that preprocessing has to know; `fit` is for a model that does not say its own.
    pub fn spec(&self, fit: Fit) -> Result<InputSpec, Error> {
        let color = self.color()?;
        let (scale, offset) = self.arithmetic()?;
        Ok(InputSpec {
            name: self.tensor.name.clone(),
            layout: self.layout,
            element: self.element,
            color,
            fit: self.known.info.fit.unwrap_or(fit),
            width: self.width,
            height: self.height,
            batch: self.batch,
            scale,
            offset,
        })
    }

    fn color(&self) -> Result<ColorOrder, Error> {
        let Known { info, metadata, file } = self.known;
        let fits = |color: &ColorOrder| color.channels() == self.channels;
        match info.color {
            Some(color) if fits(&color) => Ok(color),
            Some(_) => Err(file.error(format!(
                "[{}] color-order does not fit the model's input {}, which has {} channel(s); it can be {}",
                info.group,
                self.tensor,
                self.channels,
                if self.channels == 1 { "gray" } else { "rgb or bgr" }
            ))),
            None => {
                let default = if self.channels == 1 { ColorOrder::Gray } else { ColorOrder::Rgb };
                Ok(metadata.color.filter(fits).unwrap_or(default))
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A tensor; a negative dimension is one that the model leaves open.
    pub(in crate::inference) fn tensor(name: &str, element: &str, dims: &[i64]) -> TensorSpec {
        let dims = dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        TensorSpec { name: name.into(), element: element.into(), dims }
    }

    /// The input of a model that has only `input`, described by `info` and `metadata`.
    pub(in crate::inference) fn spec(
        input: TensorSpec,
        info: TensorInfo,
        metadata: Metadata,
    ) -> Result<InputSpec, Error> {
        let interface = ModelInterface { inputs: vec![input], ..ModelInterface::default() };
        let info = TensorInfo { group: "in".into(), ..info };
        let file = ModelInfo { path: "m.onnx.modelinfo".into(), ..ModelInfo::default() };
        let (tensor, element) = find(&interface)?;
        ImageInput::new(tensor, element, Known { info: &info, metadata: &metadata, file: &file })?.spec(Fit::Stretch)
    }

    fn by_shape(element: &str, dims: &[i64]) -> Result<InputSpec, Error> {
        spec(tensor("in", element, dims), TensorInfo::default(), Metadata::default())
    }

    fn dims(dims: &[i64]) -> TensorInfo {
        TensorInfo { dims: Some(tensor("", "", dims).dims), ..TensorInfo::default() }
    }

    #[test]
    fn shapes_that_say_all() {
        use {BatchDim::*, ColorOrder::*, ElementType::*, Layout::*};
        let cases = [
            ("float32", [-1, 3, 480, 640], (Nchw, Float32, Rgb, Dynamic)),
            ("float16", [1, 3, 480, 640], (Nchw, Float16, Rgb, Fixed(1))),
            ("uint8", [4, 480, 640, 3], (Nhwc, Uint8, Rgb, Fixed(4))),
            ("float32", [-1, 1, 480, 640], (Nchw, Float32, Gray, Dynamic)),
            ("float32", [-1, 480, 640, 1], (Nhwc, Float32, Gray, Dynamic)),
        ];
        for (element, dims, expected) in cases {
            let spec = by_shape(element, &dims).unwrap();
            assert_eq!((spec.layout, spec.element, spec.color, spec.batch), expected, "{dims:?}");
            assert_eq!((spec.width, spec.height, spec.fit), (640, 480, Fit::Stretch), "{dims:?}");
        }
    }

    #[test]
    fn open_sides_come_from_the_modelinfo_then_from_the_metadata() {
        let imgsz = Metadata { size: Some((480, 640)), ..Metadata::default() };
        let open = || tensor("in", "float32", &[-1, 3, -1, -1]);
        let size = |spec: InputSpec| (spec.height, spec.width);
        assert_eq!(size(spec(open(), TensorInfo::default(), imgsz.clone()).unwrap()), (480, 640));
        assert_eq!(size(spec(open(), dims(&[-1, -1, 96, -1]), imgsz.clone()).unwrap()), (96, 640));
        let half = tensor("in", "float32", &[-1, 3, 32, -1]);
        assert_eq!(size(spec(half, TensorInfo::default(), imgsz.clone()).unwrap()), (32, 640));
        let nhwc = tensor("in", "float32", &[-1, -1, -1, 3]);
        assert_eq!(size(spec(nhwc, TensorInfo::default(), imgsz).unwrap()), (480, 640));

        let bare = tensor("in", "float32", &[-1, -1, -1, -1]);
        let told = spec(bare, dims(&[2, 96, 64, 3]), Metadata::default()).unwrap();
        assert_eq!((told.layout, told.batch, told.height, told.width), (Layout::Nhwc, BatchDim::Fixed(2), 96, 64));
    }

    #[test]
    fn what_is_not_known_says_what_to_set_and_where() {
        let cases: [(&[i64], &str); 6] = [
            (&[-1, 3, -1, -1], "dims=-1,3,640,640"),
            (&[4, 1, 480, -1], "dims=4,1,480,640"),
            (&[-1, -1, -1, 3], "dims=-1,640,640,3"),
            (&[-1, -1, -1, -1], "dims=-1,3,640,640 or dims=-1,640,640,3"),
            (&[-1, -1, 480, 640], "dims=-1,3,480,640 or"),
            (&[-1, 3, 640, 3], "layout=nchw"),
        ];
        for (dims, set) in cases {
            let error = by_shape("float32", dims).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidConfig);
            for part in [set, "[in]", "`m.onnx.modelinfo`", "`in` float32 ["] {
                assert!(error.message.contains(part), "{dims:?}: {error}");
            }
        }
        let nhwc = TensorInfo { layout: Some(Layout::Nhwc), ..TensorInfo::default() };
        let spec = spec(tensor("in", "float32", &[-1, 3, 640, 3]), nhwc, Metadata::default()).unwrap();
        assert_eq!((spec.height, spec.width, spec.layout), (3, 640, Layout::Nhwc));
    }

    #[test]
    fn shapes_that_are_no_picture_are_refused() {
        let huge = i64::MAX;
        let cases: [(&str, &[i64], &str); 17] = [
            ("float32", &[], "four axes"),
            ("float32", &[1, 10], "four axes"),
            ("float32", &[3, 640, 640], "no batch axis"),
            ("float32", &[1, 3, 16, 224, 224], "four axes"),
            ("int64", &[1, 3, 640, 640], "int64"),
            ("string", &[1, 3, 640, 640], "string"),
            ("float64", &[1, 3, 640, 640], "float64"),
            ("float32", &[1, 4, 640, 640], "3 (colour)"),
            ("float32", &[1, 0, 640, 640], "3 (colour)"),
            ("float32", &[0, 3, 640, 640], "batch of 0"),
            ("float32", &[huge, 3, 640, 640], "batch of"),
            ("float32", &[1, 3, 0, 640], "side of 0"),
            ("float32", &[1, 3, 640, 16385], "16385"),
            ("float32", &[1, 3, huge, huge], "16384"),
            ("float32", &[1024, 3, 16384, 16384], "2 GiB"),
            ("float32", &[-1, 3, 16384, 16384], "2 GiB"),
            ("\u{1b}[31m", &[1, 3, 640, 640], "cannot be given"),
        ];
        for (element, dims, reason) in cases {
            let error = by_shape(element, dims).unwrap_err();
            assert_eq!(error.kind, ErrorKind::ModelInvalid);
            assert!(error.message.contains(reason), "{dims:?}: {error}");
        }
    }

    #[test]
    fn no_input_and_more_than_one_list_what_there_is() {
        let error = find(&ModelInterface::default()).unwrap_err();
        assert!(error.message.contains("no input"), "{error}");

        let image = tensor("images", "float32", &[-1, 3, 640, 640]);
        let mut inputs = vec![image, tensor("orig_target_sizes", "int64", &[-1, 2])];
        let error = find(&ModelInterface { inputs: inputs.clone(), ..ModelInterface::default() }).unwrap_err();
        assert_eq!(error.kind, ErrorKind::ModelInvalid);
        for part in ["2 inputs", "`images` float32 [?, 3, 640, 640]", "`orig_target_sizes` int64 [?, 2]"] {
            assert!(error.message.contains(part), "{error}");
        }

        inputs.extend((0..1000).map(|index| tensor(&format!("i{index}"), "float32", &[1])));
        let error = find(&ModelInterface { inputs, ..ModelInterface::default() }).unwrap_err();
        assert!(error.message.contains("1002 inputs") && error.message.len() < 1000, "{error}");
    }

    #[test]
    fn the_color_order_fits_the_channels() {
        let color = |order| TensorInfo { color: Some(order), ..TensorInfo::default() };
        let bgr8 = Metadata { color: Some(ColorOrder::Bgr), ..Metadata::default() };
        let rgb = || tensor("in", "float32", &[1, 3, 8, 8]);
        let gray = || tensor("in", "float32", &[1, 1, 8, 8]);
        assert_eq!(spec(rgb(), color(ColorOrder::Bgr), Metadata::default()).unwrap().color, ColorOrder::Bgr);
        assert_eq!(spec(rgb(), TensorInfo::default(), bgr8.clone()).unwrap().color, ColorOrder::Bgr);
        assert_eq!(spec(rgb(), color(ColorOrder::Rgb), bgr8.clone()).unwrap().color, ColorOrder::Rgb);
        assert_eq!(spec(gray(), TensorInfo::default(), bgr8).unwrap().color, ColorOrder::Gray);
        for (input, order) in [(rgb(), ColorOrder::Gray), (gray(), ColorOrder::Bgr)] {
            let error = spec(input, color(order), Metadata::default()).unwrap_err();
            assert!(
                error.message.contains("[in] color-order") && error.message.contains("m.onnx.modelinfo"),
                "{error}"
            );
        }
    }
}
