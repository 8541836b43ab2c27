//! Regions of a frame: each as if it were a frame of its own.

use super::*;

fn cut(rgb: &(VideoInfo, gst::Buffer), Region { x, y, width, height }: Region) -> (VideoInfo, gst::Buffer) {
    let to = info(VideoFormat::Rgb, width as u32, height as u32);
    let (from, stride) = (rgb.0.stride()[0] as usize, to.stride()[0] as usize);
    let bytes = rgb.1.map_readable().unwrap();
    let mut out = vec![0; to.size()];
    for (row, line) in out.chunks_exact_mut(stride).enumerate() {
        line[..3 * width].copy_from_slice(&bytes[(y + row) * from + 3 * x..][..3 * width]);
    }
    drop(bytes);
    (to, frame(out))
}

#[test]
fn a_region_is_seen_as_a_frame_of_its_own() {
    let regions = [(0, 0, 64, 48), (6, 10, 20, 30), (62, 46, 2, 2), (40, 0, 24, 48), (0, 46, 64, 2), (10, 10, 32, 24)];
    let regions = regions.map(|(x, y, width, height)| Region { x, y, width, height });
    let picture = detailed_picture(64, 48);
    for format in [VideoFormat::Rgb, VideoFormat::Nv12, VideoFormat::I420, VideoFormat::Yuy2, VideoFormat::Y444] {
        let is_rgb = format == VideoFormat::Rgb;
        let whole_info = if is_rgb { picture.0.clone() } else { info_of(format, 64, 48, "bt601") };
        let whole = convert(&picture.1, &picture.0, &whole_info);
        for fit in [Fit::Letterbox, Fit::Stretch] {
            let input = InputSpec { fit, ..InputSpec::of_bytes(32, 24) };
            let mut kept = Preprocessor::new(&whole_info, &input).unwrap();
            for region in regions {
                // Cut out of what the frame's format made of the picture, as RGB.
                let rgb = info(VideoFormat::Rgb, 64, 48);
                let nearest = Preprocessor::new(&whole_info, &InputSpec::of_bytes(64, 48)).unwrap();
                let seen = rgb_of(nearest, &whole, &rgb);
                let (cut_info, cut) = cut(&(rgb, seen), region);
                let expected = preprocess(&cut_info, &cut, &input);
                let seen = write_region(&mut kept, &whole, Some(region), &input).unwrap();
                let off = mean_difference(&seen, &expected);
                // Chroma is interpolated after the cut in one and before it in the other.
                let most = if is_rgb { 0.0 } else { 6.0 };
                assert!(off <= most, "{format:?} {fit:?} {region:?}: off by {off}");
            }
            let again = write_region(&mut kept, &whole, None, &input).unwrap();
            assert_eq!(again, preprocess(&whole_info, &whole, &input), "the whole frame after its regions");
        }
    }
}

fn rgb_of(mut preprocessor: Preprocessor, whole: &gst::BufferRef, rgb: &VideoInfo) -> gst::Buffer {
    let numbers = write(&mut preprocessor, whole, &InputSpec::of_bytes(64, 48)).unwrap();
    let (from, stride) = (64 * 3, rgb.stride()[0] as usize);
    assert_eq!(from, stride);
    frame(numbers.iter().map(|&number| number as u8).collect::<Vec<_>>())
}

#[test]
fn any_region_of_any_format_can_be_read() {
    let formats = [VideoFormat::Nv12, VideoFormat::I420, VideoFormat::Rgb, VideoFormat::Yuy2, VideoFormat::P01010le];
    for format in formats {
        let (rgb, picture) = rgb_picture(13, 9, |_, _| [200.0, 200.0, 200.0]);
        let info = info(format, 13, 9);
        let frame = convert(&picture, &rgb, &info);
        let input = InputSpec::of_bytes(8, 8);
        let mut preprocessor = Preprocessor::new(&info, &input).unwrap();
        for (x, y) in (0..13).flat_map(|x| (0..9).map(move |y| (x, y))) {
            for (width, height) in [(1, 1), (2, 3), (13 - x, 9 - y)] {
                let region = Region { x, y, width: width.min(13 - x), height: height.min(9 - y) };
                let numbers = write_region(&mut preprocessor, &frame, Some(region), &input).unwrap();
                assert!(numbers.iter().all(|&byte| (byte - 200.0).abs() <= 4.0), "{format:?} {region:?}: {numbers:?}");
            }
        }
    }
}
