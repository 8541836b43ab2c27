//! Size: interpolation between pixel centres, from one pixel to very wide frames.

use super::*;

/// Linear interpolation between pixel centres, as OpenCV's `INTER_LINEAR` does it.
fn reference(bytes: &[u8], (width, height): (usize, usize), (to_width, to_height): (usize, usize)) -> Vec<f32> {
    let axis = |i: usize, from: usize, to: usize| {
        let place = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, (from - 1) as f64);
        let first = place as usize;
        (first, (first + 1).min(from - 1), place.fract())
    };
    let stride = (width * 3).next_multiple_of(4);
    let mut out = Vec::new();
    for y in 0..to_height {
        let (above, below, down) = axis(y, height, to_height);
        for x in 0..to_width {
            let (left, right, across) = axis(x, width, to_width);
            for c in 0..3 {
                let at = |x: usize, y: usize| f64::from(bytes[y * stride + x * 3 + c]);
                let upper = at(left, above) * (1.0 - across) + at(right, above) * across;
                let lower = at(left, below) * (1.0 - across) + at(right, below) * across;
                out.push((upper * (1.0 - down) + lower * down) as f32);
            }
        }
    }
    out
}

#[test]
fn interpolates_between_pixel_centres() {
    for (width, height) in [(64, 48), (37, 23), (8, 200), (1, 5), (2, 2), (640, 360)] {
        let (info, frame) = detailed_picture(width, height);
        for (to_width, to_height) in [(64, 48), (32, 24), (97, 31), (1, 1), (213, 120)] {
            let numbers = preprocess(&info, &frame, &InputSpec::of_bytes(to_width, to_height));
            let bytes = frame.map_readable().unwrap();
            let expected = reference(&bytes, (width as usize, height as usize), (to_width, to_height));
            let worst = numbers.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= 2.0, "{width}x{height} to {to_width}x{to_height}: off by {worst}");
        }
    }
}

#[test]
fn halves_stay_halves() {
    let mut bytes = Vec::new();
    for _ in 0..4 {
        bytes.extend([0, 0, 0, 0, 255, 255, 255, 255]);
    }
    let info = info(VideoFormat::Gray8, 8, 4);
    let input = InputSpec { color: ColorOrder::Gray, ..InputSpec::of_bytes(4, 2) };
    assert_eq!(preprocess(&info, &frame(bytes), &input), [0., 0., 255., 255., 0., 0., 255., 255.]);
}

#[test]
fn extreme_sizes_are_written_to_the_last_byte() {
    let formats = [VideoFormat::Nv12, VideoFormat::I420, VideoFormat::Rgb, VideoFormat::Yuy2, VideoFormat::P01010le];
    for format in formats {
        for (width, height) in [(1, 1), (16384, 8), (8, 16384), (3, 1), (1, 3)] {
            let (rgb, picture) = rgb_picture(width, height, |_, _| [200.0, 200.0, 200.0]);
            let info = info(format, width, height);
            let frame = convert(&picture, &rgb, &info);
            for fit in [Fit::Letterbox, Fit::Stretch] {
                let numbers = preprocess(&info, &frame, &InputSpec { fit, ..InputSpec::of_bytes(32, 20) });
                let picture = numbers.iter().filter(|&&byte| (byte - 200.0).abs() <= 4.0).count();
                let bars = numbers.iter().filter(|&&byte| byte == 114.0).count();
                assert_eq!(picture + bars, numbers.len(), "{format:?} {width}x{height} {fit:?}");
                assert!(picture > 0 && (fit == Fit::Letterbox || bars == 0), "{format:?} {width}x{height} {fit:?}");
            }
        }
    }
}

/// Samples of each component as `format` arranges them.
fn arrange(format: VideoFormat, (width, height): (u32, u32)) -> (VideoInfo, gst::Buffer) {
    let info = info(format, width, height);
    let mut bytes = vec![0; info.size()];
    let layout = info.format_info();
    for component in 0..3u8 {
        let index = usize::from(component);
        let (columns, rows) = (info.comp_width(component), info.comp_height(component));
        let (start, stride) = (info.comp_offset(component), info.comp_stride(component) as usize);
        let mut random = fastrand::Rng::with_seed(index as u64);
        for (y, x) in (0..rows as usize).flat_map(|y| (0..columns as usize).map(move |x| (y, x))) {
            bytes[start + y * stride + x * layout.pixel_stride()[index] as usize] = random.u8(..);
        }
    }
    (info, frame(bytes))
}

/// Formats are read in ways of their own: components one by one, pairs, bytes that have nothing between them.
#[test]
fn how_samples_are_arranged_changes_nothing() {
    use VideoFormat::*;
    for size in [(37, 23), (64, 48), (2, 2), (3, 1), (1, 5), (1920, 8)] {
        for same in [&[Ayuv, Y444, Nv24][..], &[Yuy2, Y42b, Nv16, Uyvy], &[I420, Yv12, Nv12, Nv21]] {
            for (to_width, to_height) in [(64, 48), (21, 50), (1, 1), (640, 3)] {
                let numbers = |&format: &VideoFormat| {
                    let (info, frame) = arrange(format, size);
                    preprocess(&info, &frame, &InputSpec::of_bytes(to_width, to_height))
                };
                let expected = numbers(&same[0]);
                for format in &same[1..] {
                    assert!(numbers(format) == expected, "{format:?}, {size:?} to {to_width}x{to_height}");
                }
            }
        }
    }
}
