//! Frames that lie in a part of their buffer, as crop meta says.

use gst_video::{VideoCropMeta, VideoFormat, VideoFrameFlags, VideoInfo, VideoMeta};

use super::*;

/// A buffer that holds more than the frame of `rect` (x, y, w, h), as `videocrop` and decoders leave it; and the caps of
/// the frame.
fn cropped(whole: &gst::Buffer, info: &VideoInfo, rect: (u32, u32, u32, u32)) -> (VideoInfo, gst::Buffer) {
    let mut buffer = whole.copy();
    let writable = buffer.get_mut().unwrap();
    let size = (info.width(), info.height());
    let (offsets, strides) = (info.offset(), info.stride());
    VideoMeta::add_full(writable, VideoFrameFlags::empty(), info.format(), size.0, size.1, offsets, strides).unwrap();
    VideoCropMeta::add(writable, rect);
    let caps = VideoInfo::builder(info.format(), rect.2, rect.3)
        .colorimetry(&info.colorimetry())
        .chroma_site(info.chroma_site())
        .build()
        .unwrap();
    (caps, buffer)
}

/// The same pixels in a buffer of their own.
fn cut_out(whole: &gst::Buffer, info: &VideoInfo, (x, y, w, h): (u32, u32, u32, u32)) -> gst::Buffer {
    let source = gst_video::VideoFrame::from_buffer_readable(whole.clone(), info).unwrap();
    let target = VideoInfo::builder(info.format(), w, h).build().unwrap();
    let mut bytes = vec![0; target.size()];
    let format = info.format_info();
    for plane in 0..info.n_planes() as usize {
        let component = format.plane().iter().position(|&of| of as usize == plane).unwrap();
        let step = format.pixel_stride()[component] as usize;
        let (w_sub, h_sub) = (format.w_sub()[component], format.h_sub()[component]);
        let row_bytes = (w as usize).div_ceil(1 << w_sub) * step;
        let rows = source.plane_data(plane as u32).unwrap().chunks(info.stride()[plane] as usize);
        for (n, row) in rows.skip((y >> h_sub) as usize).take((h as usize).div_ceil(1 << h_sub)).enumerate() {
            let start = target.offset()[plane] + n * target.stride()[plane] as usize;
            let column = (x >> w_sub) as usize * step;
            bytes[start..start + row_bytes].copy_from_slice(&row[column..column + row_bytes]);
        }
    }
    frame(bytes)
}

/// GStreamer's converter dithers by the place in the whole.
fn tolerance(format: VideoFormat) -> f32 {
    if format == VideoFormat::P01010le { 1.5 } else { 0.0 }
}

#[test]
fn a_crop_is_read_as_the_frame_that_it_is() {
    let formats = [
        VideoFormat::I420,
        VideoFormat::Nv12,
        VideoFormat::Rgb,
        VideoFormat::Yuy2,
        VideoFormat::Gray8,
        VideoFormat::P01010le,
    ];
    for format in formats {
        let (rgb, picture) = detailed_picture(96, 64);
        let info = info(format, 96, 64);
        let whole = convert(&picture, &rgb, &info);
        for rect in [(16, 8, 40, 30), (0, 0, 96, 64), (56, 34, 40, 30), (0, 2, 96, 62)] {
            let (caps, buffer) = cropped(&whole, &info, rect);
            let cut_out = cut_out(&whole, &info, rect);
            let input = InputSpec::of_bytes(20, 20);
            let (found, expected) = (preprocess(&caps, &buffer, &input), preprocess(&caps, &cut_out, &input));
            assert!(mean_difference(&found, &expected) <= tolerance(format), "{format:?} {rect:?}");
        }
    }
}

#[test]
fn each_frame_is_read_by_a_crop_of_its_own() {
    for format in [VideoFormat::I420, VideoFormat::P01010le] {
        let (rgb, picture) = detailed_picture(96, 64);
        let info = info(format, 96, 64);
        let whole = convert(&picture, &rgb, &info);
        let input = InputSpec::of_bytes(20, 20);
        let (caps, _) = cropped(&whole, &info, (0, 0, 40, 30));
        let mut kept = Preprocessor::new(&caps, &input).unwrap();
        for (x, y) in [(16, 8), (0, 0), (40, 30), (16, 8)] {
            let rect = (x, y, 40, 30);
            let (_, buffer) = cropped(&whole, &info, rect);
            let expected = preprocess(&caps, &cut_out(&whole, &info, rect), &input);
            let found = write(&mut kept, &buffer, &input).unwrap();
            assert!(mean_difference(&found, &expected) <= tolerance(format), "{format:?} {rect:?}");
        }
    }
}

#[test]
fn a_crop_that_leaves_the_buffer_is_refused() {
    let info = info(VideoFormat::Rgb, 96, 64);
    let whole = frame(vec![0; info.size()]);
    let input = InputSpec::of_bytes(20, 20);
    for (x, y) in [(57, 0), (0, 35), (u32::MAX, 0), (0, u32::MAX)] {
        let (caps, buffer) = cropped(&whole, &info, (x, y, 40, 30));
        let error = write(&mut Preprocessor::new(&caps, &input).unwrap(), &buffer, &input).unwrap_err();
        assert!(error.to_string().contains("crop meta"), "{error}");
    }
}
