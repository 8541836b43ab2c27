//! From the text of a `.modelinfo` to what its groups say, every value checked.

use glib::{KeyFile, KeyFileError, KeyFileFlags};

use super::super::labels::clean;
use super::{ColorOrder, DimsOrder, Direction, Fit, Layout, TensorInfo};

/// The group that is about the file and no tensor.
const HEADER: &str = "modelinfo";
const HEADER_KEYS: [&str; 2] = ["version", "group-id"];
const TENSOR_KEYS: [&str; 11] =
    ["dir", "type", "dims", "dims-order", "id", "ranges", "mean", "std", "color-order", "layout", "fit"];

/// GStreamer's names of types (`GstTensorDataType`), and those that its generator of `.modelinfo` files adds.
const TYPES: [&str; 16] = [
    "int4", "int8", "int16", "int32", "int64", "uint4", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
    "float64", "bfloat16", "bool", "string",
];

/// What GStreamer's generator writes where it does not know a value.
const PLACEHOLDER: &str = "PLACEHOLDER";

/// `group-id`, and the groups about tensors in the order of the file. An error names group and key.
pub(super) fn parse(text: &str, warnings: &mut Vec<String>) -> Result<(Option<String>, Vec<TensorInfo>), String> {
    // GLib's strings end at a NUL, and names with other control characters would go on into messages.
    if text.contains(|c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
        return Err("it holds control characters; it is not a text file".into());
    }
    let file = KeyFile::new();
    file.load_from_data(text, KeyFileFlags::NONE).map_err(|error| clean(error.message()))?;
    version(&file, warnings)?;

    let group_id = Group { file: &file, name: HEADER }.id("group-id")?;
    let group_id = group_id.filter(|id| !id.starts_with(PLACEHOLDER));
    let groups = file.groups();
    let groups = groups.iter().map(|name| Group { file: &file, name });
    let tensors = groups.filter(|group| group.name != HEADER).map(|group| tensor(&group, warnings));
    Ok((group_id, tensors.collect::<Result<_, _>>()?))
}

/// GStreamer's rule: the major version has to be the same, a later minor one is read as far as it is known.
fn version(file: &KeyFile, warnings: &mut Vec<String>) -> Result<(), String> {
    let header = Group { file, name: HEADER };
    if !file.has_group(HEADER) {
        return Err("the group [modelinfo] with version=1.0 is missing".into());
    }
    header.warn_of_unknown(&HEADER_KEYS, warnings)?;
    let version = header.get("version")?.ok_or("[modelinfo] version is missing; write version=1.0")?;
    let parts: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    match parts.as_deref() {
        Some([1, 0]) => Ok(()),
        Some([1, _]) => {
            warnings.push(format!("[modelinfo] version={version} is newer than 1.0; what it adds is not read"));
            Ok(())
        }
        Some([_, _]) => Err(header.fault("version", &version, "only version 1.0 is supported")),
        _ => Err(header.fault("version", &version, "not a version such as 1.0")),
    }
}

fn tensor(group: &Group, warnings: &mut Vec<String>) -> Result<TensorInfo, String> {
    group.warn_of_unknown(&TENSOR_KEYS, warnings)?;
    let mut id = group.id("id")?;
    if let Some(unknown) = id.take_if(|id| id.starts_with(PLACEHOLDER)) {
        warnings.push(format!("[{}] id={unknown} is not filled in and is ignored", group.name));
    }
    Ok(TensorInfo {
        group: group.name.to_owned(),
        direction: group.choice("dir", &[("input", Direction::Input), ("output", Direction::Output)])?,
        element: group.choice("type", &TYPES.map(|name| (name, name)))?.map(str::to_owned),
        dims: group.dims()?,
        order: group.choice("dims-order", &[("row-major", DimsOrder::RowMajor), ("col-major", DimsOrder::ColMajor)])?,
        id,
        ranges: group.ranges()?,
        mean: group.numbers("mean", |_| true, "not a number, or one per channel between commas")?,
        std: group.numbers("std", |std| std > 0.0, "not a number above 0, or one per channel between commas")?,
        color: group
            .choice("color-order", &[("rgb", ColorOrder::Rgb), ("bgr", ColorOrder::Bgr), ("gray", ColorOrder::Gray)])?,
        layout: group.choice("layout", &[("nchw", Layout::Nchw), ("nhwc", Layout::Nhwc)])?,
        fit: group.choice("fit", &[("letterbox", Fit::Letterbox), ("stretch", Fit::Stretch)])?,
    })
}

struct Group<'a> {
    file: &'a KeyFile,
    name: &'a str,
}

impl Group<'_> {
    fn fault(&self, key: &str, value: &str, reason: &str) -> String {
        format!("[{}] {key}={}: {reason}", self.name, clean(value))
    }

    fn warn_of_unknown(&self, known: &[&str], warnings: &mut Vec<String>) -> Result<(), String> {
        let keys = self.file.keys(self.name).map_err(|error| clean(error.message()))?;
        warnings.extend(keys.iter().map(|key| key.as_str()).filter(|key| !known.contains(key)).map(|key| {
            format!("[{}] {} is not a known key and is ignored; known are {}", self.name, clean(key), known.join(", "))
        }));
        Ok(())
    }

    /// The value of `key`, trimmed; `None` where the group does not have it.
    fn get(&self, key: &str) -> Result<Option<String>, String> {
        match self.file.string(self.name, key) {
            Ok(value) => Ok(Some(value.trim().to_owned())),
            Err(error) if error.matches(KeyFileError::KeyNotFound) => Ok(None),
            Err(error) => Err(format!("[{}] {key}: {}", self.name, clean(error.message()))),
        }
    }

    /// The value of `key`, which names something: one line, and not empty.
    fn id(&self, key: &str) -> Result<Option<String>, String> {
        let Some(value) = self.get(key)?.filter(|value| !value.is_empty()) else { return Ok(None) };
        // `\t` and its kin are characters by now, which the check of the whole file has not seen.
        if value.contains(char::is_control) {
            let shown = value.escape_debug().to_string();
            return Err(self.fault(key, &shown, "holds control characters; write a name without escapes"));
        }
        Ok(Some(value))
    }

    fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<Option<T>, String> {
        let Some(value) = self.get(key)? else { return Ok(None) };
        match choices.iter().find(|(name, _)| *name == value) {
            Some(&(_, choice)) => Ok(Some(choice)),
            None => {
                let names: Vec<_> = choices.iter().map(|&(name, _)| name).collect();
                Err(self.fault(key, &value, &format!("not one of {}", names.join(", "))))
            }
        }
    }

    /// `-1,3,640,640`, as GKeyFile reads a list: with a comma at the end or without. Any negative number is a wildcard.
    fn dims(&self) -> Result<Option<Vec<Option<usize>>>, String> {
        let Some(value) = self.get("dims")? else { return Ok(None) };
        let axis = |text: &str| match text.trim().parse::<i32>() {
            Ok(0) | Err(_) => None,
            Ok(size) => Some(usize::try_from(size).ok()),
        };
        match value.strip_suffix(',').unwrap_or(&value).split(',').map(axis).collect() {
            Some(dims) => Ok(Some(dims)),
            None => Err(self.fault("dims", &value, "not whole numbers between commas, -1 for what the model decides")),
        }
    }

    /// `0.0,1.0` or `-2.1,2.2;-2.0,2.4;-1.8,2.6`
    fn ranges(&self) -> Result<Vec<[f64; 2]>, String> {
        let Some(value) = self.get("ranges")? else { return Ok(Vec::new()) };
        if value.starts_with(PLACEHOLDER) {
            return Err(self.fault("ranges", &value, "not filled in; write min,max of the model's input, such as 0,1"));
        }
        let pair = |text: &str| {
            let (min, max) = text.split_once(',')?;
            let (min, max) = (number(min)?, number(max)?);
            (min != max).then_some([min, max])
        };
        let ranges: Option<Vec<_>> = value.strip_suffix(';').unwrap_or(&value).split(';').map(pair).collect();
        ranges.ok_or_else(|| {
            self.fault(
                "ranges",
                &value,
                "not min,max with min and max different, or one such pair per channel between `;`",
            )
        })
    }

    fn numbers(&self, key: &str, valid: impl Fn(f64) -> bool, reason: &str) -> Result<Vec<f64>, String> {
        let Some(value) = self.get(key)? else { return Ok(Vec::new()) };
        let numbers = value.strip_suffix(',').unwrap_or(&value).split(',');
        let numbers: Option<Vec<_>> = numbers.map(|text| number(text).filter(|&number| valid(number))).collect();
        numbers.ok_or_else(|| self.fault(key, &value, reason))
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The groups, and the warnings, of a file that begins with a right header.
    fn parsed(text: &str) -> Result<(Vec<TensorInfo>, Vec<String>), String> {
        let mut warnings = Vec::new();
        let (group_id, tensors) = parse(&format!("[modelinfo]\nversion=1.0\ngroup-id=g\n{text}"), &mut warnings)?;
        assert_eq!(group_id.as_deref(), Some("g"));
        Ok((tensors, warnings))
    }

    #[test]
    fn a_whole_file() {
        let (tensors, warnings) = parsed(
            "# a comment\n[images]\nid=in\ntype=float32\ndims=-1,3,480,640,\ndir=input\n\
             ranges=0.0,255.0;-1,1;0.0,1.0\nmean=0.5\nstd = 0.1, 0.2 ,0.3\ncolor-order=bgr\nlayout=nchw\nfit=stretch\n\
             \n[output/0:1]\r\ndir=output\r\ndims-order=col-major\r\nid=yolo-v8-out\r\n",
        )
        .unwrap();
        let images = TensorInfo {
            group: "images".into(),
            direction: Some(Direction::Input),
            element: Some("float32".into()),
            dims: Some(vec![None, Some(3), Some(480), Some(640)]),
            order: None,
            id: Some("in".into()),
            ranges: vec![[0.0, 255.0], [-1.0, 1.0], [0.0, 1.0]],
            mean: vec![0.5],
            std: vec![0.1, 0.2, 0.3],
            color: Some(ColorOrder::Bgr),
            layout: Some(Layout::Nchw),
            fit: Some(Fit::Stretch),
        };
        let output = TensorInfo {
            group: "output/0:1".into(),
            direction: Some(Direction::Output),
            order: Some(DimsOrder::ColMajor),
            id: Some("yolo-v8-out".into()),
            ..TensorInfo::default()
        };
        assert_eq!(tensors, [images, output]);
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn the_version_has_to_be_there_and_supported() {
        let cases = [
            ("", "[modelinfo]"),
            ("[images]\ntype=float32\n", "[modelinfo]"),
            ("[modelinfo]\n", "version is missing"),
            ("[modelinfo]\nversion=2.0\n", "version=2.0"),
            ("[modelinfo]\nversion=0.9\n", "version=0.9"),
            ("[modelinfo]\nversion=1\n", "not a version"),
            ("[modelinfo]\nversion=1.0.0\n", "not a version"),
            ("[modelinfo]\nversion=one\n", "not a version"),
            ("[modelinfo]\nversion=-1.0\n", "not a version"),
        ];
        for (text, reason) in cases {
            let error = parse(text, &mut Vec::new()).unwrap_err();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
        let mut warnings = Vec::new();
        assert_eq!(parse("[modelinfo]\nversion=1.3\n", &mut warnings), Ok((None, Vec::new())));
        assert!(warnings[0].contains("1.3"), "{warnings:?}");
    }

    #[test]
    fn wrong_values_are_named_with_group_and_key() {
        let cases = [
            ("type=float", "float32"),
            ("type=", "[x] type="),
            ("dir=in", "input, output"),
            ("dims=1,3,,640", "-1"),
            ("dims=", "whole numbers"),
            ("dims=1,3,0,640", "dims=1,3,0,640"),
            ("dims=1,3,640.5", "whole"),
            ("dims=1,99999999999", "whole"),
            ("dims-order=up", "row-major"),
            ("ranges=PLACEHOLDER-RANGES-REQUIRED", "not filled in"),
            ("ranges=0", "min,max"),
            ("ranges=0,1,2", "min,max"),
            ("ranges=0,nan", "min,max"),
            ("ranges=0,inf", "min,max"),
            ("ranges=1,1", "different"),
            ("ranges=0,1;;0,1", "min,max"),
            ("mean=a", "[x] mean=a"),
            ("std=0", "above 0"),
            ("std=0.1,-0.1", "above 0"),
            ("std=nan", "above 0"),
            ("color-order=RGB", "rgb, bgr, gray"),
            ("layout=chw", "nchw, nhwc"),
            ("fit=crop", "letterbox, stretch"),
            ("id=a\\q", "[x] id"),
            ("id=a\\tb", "id=a\\tb: holds control characters"),
            ("id=PLACEHOLDER\\tb", "control characters"),
        ];
        for (line, reason) in cases {
            let error = parsed(&format!("[x]\n{line}\n")).unwrap_err();
            let key = line.split('=').next().unwrap();
            assert!(error.contains("[x]") && error.contains(key) && error.contains(reason), "{line}: {error}");
        }
    }

    #[test]
    fn what_is_unknown_or_not_filled_in_makes_a_warning() {
        let (tensors, warnings) = parsed("[x]\nrange=0,1\nid=PLACEHOLDER-ID-REQUIRED\n").unwrap();
        assert_eq!(tensors, [TensorInfo { group: "x".into(), ..TensorInfo::default() }]);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("[x] range ") && warnings[0].contains("ranges"), "{warnings:?}");
        assert!(warnings[1].contains("PLACEHOLDER-ID-REQUIRED"), "{warnings:?}");
    }

    #[test]
    fn what_is_no_key_file_is_an_error() {
        for text in
            ["\0", "[modelinfo", "[modelinfo]\nversion", "key=value\n", "[a]b]\n", "[\u{1b}]\n", "[]\n", "{\"a\":1}"]
        {
            assert!(parsed(text).is_err() || parse(text, &mut Vec::new()).is_err(), "{text:?}");
            assert!(parse(text, &mut Vec::new()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn control_characters_that_glib_takes_for_letters_are_an_error() {
        for text in ["[a\u{85}b]\n", "[a]\nid=\u{b}b\n"] {
            assert!(parsed(text).unwrap_err().contains("control characters"), "{text:?}");
        }
    }

    #[test]
    fn groups_of_any_script_are_read() {
        let (tensors, _) = parsed("[Bild/ä 苹果]\nfit=stretch\n").unwrap();
        assert_eq!(tensors[0].group, "Bild/ä 苹果");
    }
}
