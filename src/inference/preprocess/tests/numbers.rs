//! Layout, type, order and range of the numbers, and the bars around the picture.

use super::*;
use crate::inference::Placement;

/// Two pixels, red-ish and blue-ish, in a row that is padded to four bytes as GStreamer's rows are.
fn two_pixels() -> (VideoInfo, gst::Buffer) {
    (info(VideoFormat::Rgb, 2, 1), frame([200, 10, 20, 30, 40, 250, 0, 0]))
}

#[test]
fn layouts_and_color_orders() {
    let (info, frame) = two_pixels();
    let numbers = |layout, color| preprocess(&info, &frame, &InputSpec { layout, color, ..InputSpec::of_bytes(2, 1) });
    assert_eq!(numbers(Layout::Nhwc, ColorOrder::Rgb), [200., 10., 20., 30., 40., 250.]);
    assert_eq!(numbers(Layout::Nchw, ColorOrder::Rgb), [200., 30., 10., 40., 20., 250.]);
    assert_eq!(numbers(Layout::Nhwc, ColorOrder::Bgr), [20., 10., 200., 250., 40., 30.]);
    assert_eq!(numbers(Layout::Nchw, ColorOrder::Bgr), [20., 250., 10., 40., 200., 30.]);
    // 0.299 R + 0.587 G + 0.114 B
    assert_eq!(numbers(Layout::Nhwc, ColorOrder::Gray), [68., 61.]);
    assert_eq!(numbers(Layout::Nchw, ColorOrder::Gray), [68., 61.]);
}

#[test]
fn scale_and_offset_are_of_the_models_channels() {
    let (info, frame) = two_pixels();
    for (element, tolerance) in [(ElementType::Float32, 0.0), (ElementType::Float16, 1.0 / 1024.0)] {
        for (color, pixel) in [(ColorOrder::Rgb, [200., 10., 20.]), (ColorOrder::Bgr, [20., 10., 200.])] {
            let input = InputSpec {
                element,
                color,
                scale: [1.0 / 255.0, 0.5, 2.0],
                offset: [-0.5, 1.0, 0.25],
                ..InputSpec::of_bytes(2, 1)
            };
            let numbers = preprocess(&info, &frame, &input);
            for channel in 0..3 {
                let expected = pixel[channel] * input.scale[channel] + input.offset[channel];
                let difference = (numbers[channel] - expected).abs();
                assert!(difference <= expected.abs() * tolerance, "{element:?} {color:?}: {numbers:?}");
            }
        }
    }
}

#[test]
fn bytes_stay_bytes() {
    let (info, frame) = two_pixels();
    let input = InputSpec { scale: [9.0; 3], offset: [9.0; 3], ..InputSpec::of_bytes(2, 1) };
    assert_eq!(preprocess(&info, &frame, &input), [200., 10., 20., 30., 40., 250.]);
}

#[test]
fn bars_are_grey_and_the_picture_lies_between() {
    let scale = [1.0 / 255.0, 0.5, 0.25];
    let offset = [0.0, 1.0, -2.0];
    for (width, height) in [(8, 4), (4, 8), (8, 2), (2, 8)] {
        let info = info(VideoFormat::Rgb, width, height);
        let frame = frame(vec![200; info.size()]);
        for element in [ElementType::Float32, ElementType::Float16, ElementType::Uint8] {
            for layout in [Layout::Nchw, Layout::Nhwc] {
                for color in [ColorOrder::Rgb, ColorOrder::Gray] {
                    let fit = Fit::Letterbox;
                    let input = InputSpec { element, layout, color, fit, scale, offset, ..InputSpec::of_bytes(9, 11) };
                    let mut preprocessor = Preprocessor::new(&info, &input).unwrap();
                    let placement = Placement::new(Region::whole(width as usize, height as usize), 9, 11, fit);
                    let numbers = write(&mut preprocessor, &frame, &input).unwrap();
                    let channels = color.channels();
                    for (index, &number) in numbers.iter().enumerate() {
                        let (channel, x, y) = match layout {
                            Layout::Nchw => (index / 99, index % 9, index / 9 % 11),
                            Layout::Nhwc => (index % channels, index / channels % 9, index / channels / 9),
                        };
                        let inside = (placement.x..placement.x + placement.width).contains(&x)
                            && (placement.y..placement.y + placement.height).contains(&y);
                        let byte = if inside { 200.0 } else { 114.0 };
                        let expected = byte * scale[channel] + offset[channel];
                        let expected = match element {
                            ElementType::Float32 => expected,
                            ElementType::Float16 => half::f16::from_f32(expected).to_f32(),
                            ElementType::Uint8 => byte,
                        };
                        assert_eq!(number, expected, "{width}x{height} {input:?} channel {channel} at {x},{y}");
                    }
                }
            }
        }
    }
}

#[test]
fn processors_without_avx2_write_the_same() {
    let (info, frame) = detailed_picture(101, 67);
    for element in [ElementType::Float32, ElementType::Float16, ElementType::Uint8] {
        let input = InputSpec { element, fit: Fit::Letterbox, ..InputSpec::of_bytes(64, 64) };
        let mut preprocessor = Preprocessor::new(&info, &input).unwrap();
        let detected = write(&mut preprocessor, &frame, &input).unwrap();
        preprocessor.painter.has_avx2 = false;
        assert_eq!(write(&mut preprocessor, &frame, &input).unwrap(), detected);
    }
}

#[test]
fn goes_to_another_thread() {
    fn assert_send<T: Send>() {}
    assert_send::<Preprocessor>();
}
