//! Reading a frame's memory through its video meta and its crop meta, and never past its end.

use gst_video::{prelude::*, video_frame::IsVideoFrame};

use crate::inference::{Error, ErrorKind};

/// Most planes that a video format has.
pub const MAX_PLANES: usize = 4;

/// The memory of a picture: each plane from its first byte to the end of its memory, and the bytes from row to row.
#[derive(Default)]
pub struct Planes<'a> {
    pub data: [&'a [u8]; MAX_PLANES],
    pub stride: [usize; MAX_PLANES],
}

/// A buffer mapped for reading, of which every plane is known to hold all rows that its caps promise.
pub struct Frame<'a> {
    mapped: gst_video::VideoFrameRef<&'a gst::BufferRef>,
    /// Bytes that can be read from the first byte of each plane on.
    readable: [usize; MAX_PLANES],
    /// Where in what is mapped the picture begins, in pixels.
    origin: (u32, u32),
    /// The same in bytes of each plane.
    start: [usize; MAX_PLANES],
}

impl<'a> Frame<'a> {
    /// The picture is as large as `info` says; a crop meta says where in the buffer it lies. `InvalidFrame` where the buffer is smaller than `info` and the buffer's video meta say, or contradicts `info`.
    pub fn map(buffer: &'a gst::BufferRef, info: &gst_video::VideoInfo) -> Result<Self, Error> {
        match buffer.meta::<gst_video::VideoMeta>() {
            Some(meta) => check_meta(&meta, info)?,
            None if buffer.size() < info.size() => return Err(too_small(info, info.size(), buffer.size())),
            None => {}
        }
        let origin = origin(buffer, info)?;
        let mapped = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info)
            .map_err(|_| invalid(info, &format!("its {} bytes cannot be mapped for reading", buffer.size())))?;
        let mut readable = [0; MAX_PLANES];
        let mut start = [0; MAX_PLANES];
        for (plane, readable) in readable.iter_mut().enumerate().take(info.n_planes() as usize) {
            *readable = readable_bytes(mapped.as_raw(), plane);
            let stride = usize::try_from(mapped.plane_stride()[plane]).ok();
            start[plane] = stride
                .and_then(|stride| start_byte(info, plane, stride, origin))
                .ok_or_else(|| invalid(info, &format!("plane {plane} has a stride that cannot be read")))?;
            let needed = stride
                .and_then(|stride| needed_bytes(info, plane, stride)?.checked_add(start[plane]))
                .ok_or_else(|| invalid(info, &format!("plane {plane} has a stride that cannot be read")))?;
            if *readable < needed {
                return Err(invalid(
                    info,
                    &format!("plane {plane} needs {needed} bytes and its memory ends after {readable}"),
                ));
            }
        }
        Ok(Self { mapped, readable, origin, start })
    }

    pub fn mapped(&self) -> &gst_video::VideoFrameRef<&'a gst::BufferRef> {
        &self.mapped
    }

    /// Where in [`Frame::mapped`] the picture begins, in pixels.
    pub fn origin(&self) -> (u32, u32) {
        self.origin
    }

    /// From the first pixel of the picture on, for formats whose pixels have a distance in bytes.
    pub fn planes(&self) -> Planes<'_> {
        let mut planes = Planes::default();
        for plane in 0..self.mapped.n_planes() as usize {
            let start = self.mapped.as_raw().data[plane].cast::<u8>();
            // SAFETY: `readable_bytes` measured from `start` to the end of the mapping that holds it, and the mapping
            // lives as long as `self`, which the slices borrow. A plane without memory has a length of 0.
            planes.data[plane] = match self.readable[plane] {
                0 => &[],
                length => unsafe { std::slice::from_raw_parts(start, length) },
            };
            planes.data[plane] = planes.data[plane].get(self.start[plane]..).unwrap_or_default();
            planes.stride[plane] = self.mapped.plane_stride()[plane] as usize;
        }
        planes
    }
}

/// What `gst_video_frame_map` takes for granted, and answers with a critical warning where it is not so.
fn check_meta(meta: &gst_video::VideoMeta, info: &gst_video::VideoInfo) -> Result<(), Error> {
    if meta.format() == info.format()
        && meta.width() >= info.width()
        && meta.height() >= info.height()
        && meta.n_planes() == info.n_planes()
    {
        return Ok(());
    }
    Err(invalid(
        info,
        &format!("its video meta says {}x{} {} instead", meta.width(), meta.height(), meta.format().to_str()),
    ))
}

/// Where the crop meta says that the picture begins.
fn origin(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Result<(u32, u32), Error> {
    let Some(crop) = buffer.meta::<gst_video::VideoCropMeta>() else { return Ok((0, 0)) };
    let (x, y, ..) = crop.rect();
    let (width, height) = match buffer.meta::<gst_video::VideoMeta>() {
        Some(meta) => (meta.width(), meta.height()),
        None => (info.width(), info.height()),
    };
    let fits = |start: u32, length: u32, limit: u32| start.checked_add(length).is_some_and(|end| end <= limit);
    if fits(x, info.width(), width) && fits(y, info.height(), height) {
        return Ok((x, y));
    }
    Err(invalid(info, &format!("its crop meta begins at {x},{y}, and the buffer holds {width}x{height} pixels")))
}

/// The byte of `plane` at which the pixel `origin` begins, or the block of pixels that share its samples. 0 for formats
/// whose pixels have no distance in bytes. `None` on overflow.
fn start_byte(info: &gst_video::VideoInfo, plane: usize, stride: usize, (x, y): (u32, u32)) -> Option<usize> {
    let format = info.format_info();
    if (x, y) == (0, 0) || format.is_tiled() || (format.has_palette() && plane == 1) {
        return Some(0);
    }
    let components = (0..format.n_components() as usize).filter(|&c| format.plane()[c] as usize == plane);
    let starts = components.map(|component| {
        let column = (x >> format.w_sub()[component]) as usize;
        let row = (y >> format.h_sub()[component]) as usize;
        let step = usize::try_from(format.pixel_stride()[component]).ok()?;
        row.checked_mul(stride)?.checked_add(column.checked_mul(step)?)
    });
    // Of components in one plane, the one that begins first: its block is read whole.
    let first = starts.into_iter().try_fold(None, |first: Option<usize>, start: Option<usize>| {
        let start = start?;
        Some(Some(first.map_or(start, |first| first.min(start))))
    });
    first.map(Option::unwrap_or_default)
}

/// Bytes from the first one of `plane` to the end of the memory it was mapped from.
fn readable_bytes(frame: &gst_video::ffi::GstVideoFrame, plane: usize) -> usize {
    // With a video meta each plane has a mapping of its own, without one they share the first.
    let map = &frame.map[if frame.meta.is_null() { 0 } else { plane }];
    let start = (frame.data[plane] as usize).checked_sub(map.data as usize);
    start.and_then(|start| map.size.checked_sub(start)).unwrap_or(0)
}

/// Bytes of `plane` that are read for a picture of `info`'s size whose rows are `stride` apart. `None` on overflow.
fn needed_bytes(info: &gst_video::VideoInfo, plane: usize, stride: usize) -> Option<usize> {
    let format = info.format_info();
    if format.has_palette() && plane == 1 {
        return Some(256 * 4);
    }
    if format.is_tiled() {
        // The stride of a tiled plane holds its size in tiles: columns in the low half, rows in the high half.
        let tiles = (stride & 0xffff).checked_mul(stride >> 16)?;
        return tiles.checked_mul(format.tile_info(plane as u32).size() as usize);
    }
    let mut rows = 0;
    let mut row_bytes = 0;
    for component in (0..format.n_components() as usize).filter(|&c| format.plane()[c] as usize == plane) {
        rows = rows.max(format.scale_height(component as u8, info.height()) as usize);
        let width = format.scale_width(component as u8, info.width()) as usize;
        // Formats that pack several pixels into a word have no distance from one to the next: the row is one stride.
        let bytes = match format.pixel_stride()[component] {
            0 => stride,
            step => width.checked_mul(usize::try_from(step).ok()?)?,
        };
        row_bytes = row_bytes.max(bytes);
    }
    if rows == 0 {
        return Some(0);
    }
    stride.checked_mul(rows - 1)?.checked_add(row_bytes)
}

fn invalid(info: &gst_video::VideoInfo, what: &str) -> Error {
    let (width, height, format) = (info.width(), info.height(), info.format().to_str());
    Error::new(
        ErrorKind::InvalidFrame,
        format!(
            "A buffer does not hold the {width}x{height} {format} frame that its caps promise: {what}. \
             The element that made it, or the caps set on it, are wrong."
        ),
    )
}

fn too_small(info: &gst_video::VideoInfo, needed: usize, size: usize) -> Error {
    invalid(info, &format!("it has {size} bytes, {needed} are needed"))
}
