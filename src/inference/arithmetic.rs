//! From a pixel's value to the number that the model wants.

use super::image::{ImageInput, Known};
use super::{ElementType, Error};

/// Largest finite number of IEEE 754 half precision.
const MAX_FLOAT16: f64 = 65504.0;

impl ImageInput<'_> {
    /// Scale and offset of each channel, so that `p * scale + offset` is
    /// `(p / 255 * (max - min) + min - mean) / std` for a pixel `p` from 0 to 255.
    ///
    /// `[min, max]` are the `ranges` of the `.modelinfo`, else the metadata's; else pixels go from 0 to 1, and into
    /// uint8 as they are. `mean` is 0 and `std` is 1 unless the `.modelinfo` says them.
    pub fn arithmetic(&self) -> Result<([f32; 3], [f32; 3]), Error> {
        let Known { info, metadata, file } = self.known;
        let raw = self.element == ElementType::Uint8;
        let default = if raw { [0.0, 255.0] } else { metadata.range.unwrap_or([0.0, 1.0]) };
        let ranges = self.per_channel("ranges", &info.ranges, default)?;
        let means = self.per_channel("mean", &info.mean, 0.0)?;
        let stds = self.per_channel("std", &info.std, 1.0)?;
        let limit = if self.element == ElementType::Float16 { MAX_FLOAT16 } else { f64::from(f32::MAX) };

        let (mut scale, mut offset) = ([0.0; 3], [0.0; 3]);
        for (channel, (([min, max], mean), std)) in ranges.into_iter().zip(means).zip(stds).enumerate() {
            let (darkest, brightest) = ((min - mean) / std, (max - mean) / std);
            if !(darkest.abs() <= limit && brightest.abs() <= limit) {
                return Err(file.error(format!(
                    "[{}] ranges, mean and std make numbers that {} cannot hold",
                    info.group, self.tensor.element
                )));
            }
            if raw && (darkest.abs() > 1e-3 || (brightest - 255.0).abs() > 1e-3) {
                return Err(file.error(format!(
                    "[{}] ranges, mean and std do not fit the model's input {}: pixels go into uint8 as they are. \
                     Remove them, or write ranges=0,255",
                    info.group, self.tensor
                )));
            }
            scale[channel] = ((brightest - darkest) / 255.0) as f32;
            offset[channel] = darkest as f32;
        }
        Ok((scale, offset))
    }

    /// `values` for three channels: one for all, or as many as the input has; `default` where there are none. A grey
    /// input has its own three times.
    fn per_channel<T: Copy>(&self, key: &str, values: &[T], default: T) -> Result<[T; 3], Error> {
        match *values {
            [] => Ok([default; 3]),
            [all] => Ok([all; 3]),
            [first, second, third] if self.channels == 3 => Ok([first, second, third]),
            _ => Err(self.known.file.error(format!(
                "[{}] {key} has {} values for the {} channel(s) of the input {}; write one for all, or one each",
                self.known.info.group,
                values.len(),
                self.channels,
                self.tensor
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::image::tests::{spec, tensor};
    use super::super::metadata::Metadata;
    use super::super::modelinfo::TensorInfo;
    use super::super::{Error, InputSpec};

    fn described(element: &str, channels: i64, info: TensorInfo) -> Result<InputSpec, Error> {
        spec(tensor("in", element, &[1, channels, 8, 8]), info, Metadata::default())
    }

    /// What pixels 0 and 255 of each channel become.
    fn ends(spec: &InputSpec) -> [[f32; 2]; 3] {
        [0, 1, 2].map(|channel| [0.0, 255.0].map(|p| p * spec.scale[channel] + spec.offset[channel]))
    }

    fn assert_near(actual: [[f32; 2]; 3], expected: [[f32; 2]; 3]) {
        for (actual, expected) in actual.iter().flatten().zip(expected.iter().flatten()) {
            assert!((actual - expected).abs() < 1e-4, "{actual} is not {expected}");
        }
    }

    #[test]
    fn floats_go_from_0_to_1_and_bytes_as_they_are() {
        for element in ["float32", "float16"] {
            assert_near(ends(&described(element, 3, TensorInfo::default()).unwrap()), [[0.0, 1.0]; 3]);
        }
        let spec = described("uint8", 3, TensorInfo::default()).unwrap();
        assert_eq!((spec.scale, spec.offset), ([1.0; 3], [0.0; 3]));
    }

    #[test]
    fn ranges_hold_for_all_channels_or_for_each() {
        let info = |ranges: &[[f64; 2]]| TensorInfo { ranges: ranges.to_vec(), ..TensorInfo::default() };
        assert_near(ends(&described("float32", 3, info(&[[-1.0, 1.0]])).unwrap()), [[-1.0, 1.0]; 3]);
        let each = [[0.0, 255.0], [-1.0, 1.0], [1.0, 0.0]];
        assert_near(ends(&described("float32", 3, info(&each)).unwrap()), [[0.0, 255.0], [-1.0, 1.0], [1.0, 0.0]]);
        assert_near(ends(&described("float32", 1, info(&[[16.0, 235.0]])).unwrap()), [[16.0, 235.0]; 3]);
        assert_near(ends(&described("uint8", 3, info(&[[0.0, 255.0]])).unwrap()), [[0.0, 255.0]; 3]);
    }

    #[test]
    fn mean_and_std_are_those_of_the_range() {
        let (mean, std) = (vec![0.485, 0.456, 0.406], vec![0.229, 0.224, 0.225]);
        let imagenet = TensorInfo { mean: mean.clone(), std: std.clone(), ..TensorInfo::default() };
        let expected = [[-2.117904, 2.2489083], [-2.0357144, 2.4285715], [-1.8044444, 2.64]];
        assert_near(ends(&described("float32", 3, imagenet).unwrap()), expected);

        let times_255 = |values: &[f64]| values.iter().map(|value| value * 255.0).collect();
        let (mean, std) = (times_255(&mean), times_255(&std));
        let in_bytes = TensorInfo { ranges: vec![[0.0, 255.0]], mean, std, ..TensorInfo::default() };
        assert_near(ends(&described("float32", 3, in_bytes).unwrap()), expected);
    }

    #[test]
    fn the_range_of_the_metadata_is_for_floats_and_yields_to_the_modelinfo() {
        let metadata = Metadata { range: Some([-1.0, 1.0]), ..Metadata::default() };
        let float = || tensor("in", "float32", &[1, 3, 8, 8]);
        assert_near(ends(&spec(float(), TensorInfo::default(), metadata.clone()).unwrap()), [[-1.0, 1.0]; 3]);
        let info = TensorInfo { ranges: vec![[0.0, 2.0]], ..TensorInfo::default() };
        assert_near(ends(&spec(float(), info, metadata.clone()).unwrap()), [[0.0, 2.0]; 3]);
        let bytes = spec(tensor("in", "uint8", &[1, 3, 8, 8]), TensorInfo::default(), metadata).unwrap();
        assert_near(ends(&bytes), [[0.0, 255.0]; 3]);
    }

    #[test]
    fn what_cannot_be_computed_names_group_key_and_file() {
        let none = TensorInfo::default;
        let cases = [
            ("float32", 3, TensorInfo { ranges: vec![[0.0, 1.0]; 2], ..none() }, "[in] ranges"),
            ("float32", 1, TensorInfo { ranges: vec![[0.0, 1.0]; 3], ..none() }, "[in] ranges"),
            ("float32", 3, TensorInfo { mean: vec![0.5; 4], ..none() }, "[in] mean"),
            ("float32", 3, TensorInfo { std: vec![0.5; 2], ..none() }, "[in] std"),
            ("float16", 3, TensorInfo { ranges: vec![[0.0, 65535.0]], ..none() }, "float16 cannot hold"),
            ("float32", 3, TensorInfo { std: vec![1e-300], ..none() }, "float32 cannot hold"),
            ("float32", 3, TensorInfo { ranges: vec![[-1e308, 1e308]], mean: vec![-1e308], ..none() }, "cannot hold"),
            ("uint8", 3, TensorInfo { ranges: vec![[0.0, 1.0]], ..none() }, "ranges=0,255"),
            ("uint8", 3, TensorInfo { mean: vec![1.0], ..none() }, "ranges=0,255"),
        ];
        for (element, channels, info, reason) in cases {
            let error = described(element, channels, info).unwrap_err();
            assert!(error.message.contains(reason) && error.message.contains("m.onnx.modelinfo"), "{error}");
        }
    }
}
