//! Formats, colour matrices and ranges, chroma sites, strides.

use gst_video::{VideoChromaSite, VideoColorRange, VideoFrameFlags, VideoMeta};

use super::*;

/// Formats that keep at least 8 bits of each component.
const FORMATS: [VideoFormat; 26] = {
    use VideoFormat::*;
    [
        Nv12, Nv21, I420, Yv12, Yuy2, Uyvy, Y42b, Y444, Nv16, Nv24, Ayuv, A420, Y41b, Rgb, Bgr, Rgba, Bgra, Argb, Xbgr,
        Gbr, P01010le, I42010le, I42210le, Y44410le, V210, Argb64,
    ]
};

/// The picture that comes out is that of the same frame brought to RGB first.
fn assert_same_as_rgb(format: VideoFormat, size: (u32, u32), colorimetry: &str, site: VideoChromaSite) {
    let plain = info(format, size.0, size.1);
    let info = if plain.is_rgb() {
        plain
    } else {
        let colorimetry = colorimetry.parse().unwrap();
        VideoInfo::builder(format, size.0, size.1).colorimetry(&colorimetry).chroma_site(site).build().unwrap()
    };
    for (name, (rgb, picture)) in
        [("smooth", smooth_picture(size.0, size.1)), ("detailed", detailed_picture(size.0, size.1))]
    {
        let frame = convert(&picture, &rgb, &info);
        let reference = exact_rgb(&frame, &info, &rgb);
        for (width, height) in [(size.0 as usize, size.1 as usize), (41, 31), (150, 111)] {
            let input = InputSpec::of_bytes(width, height);
            let difference = mean_difference(&preprocess(&info, &frame, &input), &preprocess(&rgb, &reference, &input));
            let case = format!("{name} {format:?} {size:?} {colorimetry} {site:?} to {width}x{height}");
            assert!(difference < 1.5, "{case}: {difference} levels apart");
        }
    }
}

/// `frame` as RGB: its layout read and its chroma widened by the converter, then the colours by the formula. (The
/// converter's own 8-bit matrix is a fast one that loses up to three levels: white of limited range becomes 253.)
fn exact_rgb(frame: &gst::Buffer, from: &VideoInfo, rgb: &VideoInfo) -> gst::Buffer {
    if from.is_rgb() {
        return convert(frame, from, rgb);
    }
    let wide = VideoInfo::builder(VideoFormat::Ayuv64, from.width(), from.height()).colorimetry(&from.colorimetry());
    let wide = convert(frame, from, &wide.build().unwrap());
    let wide = wide.map_readable().unwrap();
    let components = wide.as_chunks::<2>().0.iter().map(|&bytes| f64::from(u16::from_ne_bytes(bytes)) / 257.0);
    let ayuv: Vec<f64> = components.collect();
    let (offsets, scales) = match from.colorimetry().range() {
        VideoColorRange::Range0_255 => ([0.0, 128.0], [255.0, 255.0]),
        _ => ([16.0, 128.0], [219.0, 224.0]),
    };
    let (kr, kb) = from.colorimetry().matrix().kr_kb().unwrap();
    let mut pixels = ayuv.chunks_exact(4);
    let (_, picture) = rgb_picture(rgb.width(), rgb.height(), |_, _| {
        let [_, y, u, v] = pixels.next().unwrap() else { unreachable!() };
        let y = (y - offsets[0]) / scales[0];
        let (u, v) = ((u - offsets[1]) / scales[1], (v - offsets[1]) / scales[1]);
        let (red, blue) = (y + 2.0 * (1.0 - kr) * v, y + 2.0 * (1.0 - kb) * u);
        let green = (y - kr * red - kb * blue) / (1.0 - kr - kb);
        [red, green, blue].map(|channel| (channel * 255.0).round())
    });
    picture
}

#[test]
fn every_format_gives_the_same_picture() {
    for format in FORMATS {
        for size in [(96, 64), (97, 65)] {
            assert_same_as_rgb(format, size, "bt601", VideoChromaSite::NONE);
        }
    }
}

#[test]
fn every_colorimetry_gives_the_same_picture() {
    for colorimetry in ["bt601", "bt709", "bt2020", "smpte240m", "1:4:0:0", "2:3:5:1", "1:3:5:1", "2:2:0:0"] {
        for format in [VideoFormat::Nv12, VideoFormat::Y444, VideoFormat::I42010le] {
            assert_same_as_rgb(format, (96, 64), colorimetry, VideoChromaSite::NONE);
        }
    }
}

#[test]
fn horizontal_chroma_sites_give_the_same_picture() {
    // The converter takes no account of vertical ones.
    for site in [VideoChromaSite::NONE, VideoChromaSite::H_COSITED] {
        for format in [VideoFormat::Nv12, VideoFormat::Yuy2] {
            for size in [(96, 64), (97, 65)] {
                assert_same_as_rgb(format, size, "bt709", site);
            }
        }
    }
}

#[test]
fn chroma_lies_where_the_caps_say() {
    // Red is 128 + 1.402 (V - 128), and V is 128 in one sample and 178 in the next.
    let between = [128.0, 145.5, 180.6, 198.1];
    let cosited = [128.0, 163.1, 198.1, 198.1];
    let (none, across, down) = (VideoChromaSite::NONE, VideoChromaSite::H_COSITED, VideoChromaSite::V_COSITED);
    for (width, height, site, expected) in [
        (4, 2, none, between),
        (4, 2, across, cosited),
        (4, 2, down, between),
        (2, 4, none, between),
        (2, 4, across, between),
        (2, 4, down, cosited),
    ] {
        let colorimetry = "1:4:0:0".parse().unwrap();
        let mut builder = VideoInfo::builder(VideoFormat::I420, width, height);
        builder = builder.colorimetry(&colorimetry).chroma_site(site);
        let info = builder.build().unwrap();
        let mut bytes = vec![128; info.size()];
        let next = if width == 4 { 1 } else { info.stride()[2] as usize };
        bytes[info.offset()[2] + next] = 178;
        let numbers = preprocess(&info, &frame(bytes), &InputSpec::of_bytes(width as usize, height as usize));
        let step = if width == 4 { 3 } else { 6 };
        let red: Vec<f32> = numbers.iter().step_by(step).take(4).copied().collect();
        assert!(mean_difference(&red, &expected) <= 1.0, "{width}x{height} {site:?}: {red:?}, not {expected:?}");
    }
}

#[test]
fn known_colors() {
    // Red of full brightness in Y'CbCr by each matrix, from the formulas of ITU-R BT.601, BT.709 and BT.2020.
    for (colorimetry, [y, u, v]) in
        [("bt601", [81, 90, 240]), ("bt709", [63, 102, 240]), ("bt2020", [74, 97, 240]), ("1:4:0:0", [76, 85, 255])]
    {
        let info = info_of(VideoFormat::Y444, 4, 1, colorimetry);
        let frame = frame([[y; 4], [u; 4], [v; 4]].concat());
        let pixel = &preprocess(&info, &frame, &InputSpec::of_bytes(4, 1))[..3];
        assert!(mean_difference(pixel, &[255.0, 0.0, 0.0]) <= 1.5, "{colorimetry}: {pixel:?}");
    }
}

#[test]
fn ranges_are_widened_to_full() {
    let levels = [16, 126, 235, 255];
    let gray = InputSpec { color: ColorOrder::Gray, ..InputSpec::of_bytes(4, 1) };
    let limited = [0.0, 128.0, 255.0, 255.0];
    let full = [16.0, 126.0, 235.0, 255.0];
    for (colorimetry, expected) in [("bt709", limited), ("1:3:5:1", full)] {
        let luma = info_of(VideoFormat::Y444, 4, 1, colorimetry);
        let luma_frame = frame([levels, [128; 4], [128; 4]].concat());
        assert_eq!(preprocess(&luma, &luma_frame, &gray), expected, "{colorimetry}");
        let rgb = preprocess(&luma, &luma_frame, &InputSpec::of_bytes(4, 1));
        assert_eq!(rgb, expected.iter().flat_map(|&level| [level; 3]).collect::<Vec<_>>(), "{colorimetry}");
        let gray8 = info_of(VideoFormat::Gray8, 4, 1, colorimetry);
        assert_eq!(preprocess(&gray8, &frame(levels), &gray), expected, "{colorimetry}");
    }
}

#[test]
fn every_raw_format_is_read() {
    gst::init().unwrap();
    for format in VideoFormat::iter_raw() {
        let (rgb, picture) = rgb_picture(39, 25, |_, _| [180.0, 180.0, 180.0]);
        let info = info(format, 39, 25);
        let frame = convert(&picture, &rgb, &info);
        let numbers = preprocess(&info, &frame, &InputSpec::of_bytes(20, 16));
        // Palettes and 5-bit components are coarse.
        assert!(mean_difference(&numbers, &vec![180.0; numbers.len()]) < 12.0, "{format:?}: {numbers:?}");
    }
}

#[test]
fn interlaced_frames_are_read_as_they_lie() {
    let (rgb, picture) = smooth_picture(64, 48);
    for format in [VideoFormat::Nv12, VideoFormat::P01010le] {
        let info = info(format, 64, 48);
        let frame = convert(&picture, &rgb, &info);
        let mode = gst_video::VideoInterlaceMode::Interleaved;
        let interlaced = VideoInfo::builder(format, 64, 48).interlace_mode(mode).build().unwrap();
        let input = InputSpec::of_bytes(32, 24);
        assert_eq!(preprocess(&interlaced, &frame, &input), preprocess(&info, &frame, &input));
    }
}

#[test]
fn strides_and_offsets_are_those_of_the_video_meta() {
    for format in [VideoFormat::Nv12, VideoFormat::I420, VideoFormat::Rgb, VideoFormat::P01010le] {
        let (rgb, picture) = detailed_picture(45, 33);
        let info = info(format, 45, 33);
        let tight = convert(&picture, &rgb, &info);
        let source = gst_video::VideoFrame::from_buffer_readable(tight.clone(), &info).unwrap();
        let (mut bytes, mut offsets, mut strides) = (vec![0xAB; 13], Vec::new(), Vec::new());
        for plane in 0..info.n_planes() {
            let stride = info.stride()[plane as usize] as usize;
            offsets.push(bytes.len());
            strides.push(stride as i32 + 19);
            for row in source.plane_data(plane).unwrap().chunks_exact(stride) {
                bytes.extend_from_slice(row);
                bytes.extend_from_slice(&[0xAB; 19]);
            }
            bytes.extend_from_slice(&[0xAB; 7]);
        }
        let mut padded = frame(bytes);
        let buffer = padded.get_mut().unwrap();
        VideoMeta::add_full(buffer, VideoFrameFlags::empty(), format, 45, 33, &offsets, &strides).unwrap();
        let input = InputSpec::of_bytes(30, 30);
        assert_eq!(preprocess(&info, &padded, &input), preprocess(&info, &tight, &input), "{format:?}");
    }
}
