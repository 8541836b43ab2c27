//! The memory of one batch, written place by place from many threads.

use std::{
    alloc::{self, Layout},
    cell::UnsafeCell,
    ptr::NonNull,
    sync::Arc,
};

use crate::inference::Border;

/// Alignment of the first place: a cache line, and what the widest vector instructions like.
const ALIGNMENT: usize = 64;

/// Room for the input of a whole batch, frame after frame.
pub struct BatchBuffer {
    memory: NonNull<u8>,
    layout: Layout,
    frame_bytes: usize,
    /// Of each frame.
    borders: Box<[UnsafeCell<Border>]>,
}

// SAFETY: the memory and the borders are plain data owned by the buffer; who may write where is the business of `Place`, of
// which there is one at most for each frame at a time, and of `Arc::get_mut` for the whole.
unsafe impl Send for BatchBuffer {}
// SAFETY: as above; shared references give no access to them.
unsafe impl Sync for BatchBuffer {}

impl BatchBuffer {
    /// `None` where the size is absurd or the system has no memory for it.
    pub fn new(frame_bytes: usize, frames: usize) -> Option<Self> {
        let size = frame_bytes.checked_mul(frames).filter(|&size| size > 0)?;
        let layout = Layout::from_size_align(size, ALIGNMENT).ok()?;
        // SAFETY: the layout's size is not zero.
        let memory = NonNull::new(unsafe { alloc::alloc_zeroed(layout) })?;
        let borders = (0..frames).map(|_| UnsafeCell::default()).collect();
        Some(Self { memory, layout, frame_bytes, borders })
    }

    /// All bytes of the batch.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the memory was allocated, zeroed, with this size, and `&mut self` excludes every other access.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.layout.size()) }
    }

    /// Moves frame `from` to place `to`, to close a gap.
    pub fn move_frame(&mut self, from: usize, to: usize) {
        let size = self.frame_bytes;
        self.bytes().copy_within(from * size..(from + 1) * size, to * size);
        *self.borders[to].get_mut() = *self.borders[from].get_mut();
    }
}

impl Drop for BatchBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this very layout.
        unsafe { alloc::dealloc(self.memory.as_ptr(), self.layout) }
    }
}

/// The right to write one frame of a batch.
pub struct Place {
    buffer: Arc<BatchBuffer>,
    index: usize,
}

impl Place {
    /// # Safety
    ///
    /// At most one `Place` for each index of a buffer exists at a time.
    pub unsafe fn new(buffer: Arc<BatchBuffer>, index: usize) -> Self {
        assert!(index < buffer.borders.len(), "a place beyond the batch");
        Self { buffer, index }
    }

    /// The frame's memory, and what is known of the border in it.
    pub fn memory(&mut self) -> (&mut [u8], &mut Border) {
        let BatchBuffer { memory, frame_bytes: size, ref borders, .. } = *self.buffer;
        // SAFETY: inside the allocation (checked in `new`), and nobody else has this index (the promise made there);
        // the whole is only given out through `Arc::get_mut`, which this place's reference prevents.
        let bytes = unsafe { std::slice::from_raw_parts_mut(memory.as_ptr().add(self.index * size), size) };
        // SAFETY: as above.
        (bytes, unsafe { &mut *borders[self.index].get() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{ColorOrder, Fit, InputSpec, Preprocessor};

    #[test]
    fn places_do_not_overlap_and_moves_close_gaps() {
        let mut buffer = Arc::new(BatchBuffer::new(4, 3).unwrap());
        for index in 0..3 {
            // SAFETY: one place for each index, one after the other.
            let mut place = unsafe { Place::new(buffer.clone(), index) };
            place.memory().0.fill(index as u8 + 1);
        }
        let buffer = Arc::get_mut(&mut buffer).unwrap();
        assert_eq!(buffer.bytes(), [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
        assert_eq!(buffer.bytes().as_ptr() as usize % ALIGNMENT, 0);
        buffer.move_frame(2, 0);
        assert_eq!(buffer.bytes()[..8], [3, 3, 3, 3, 2, 2, 2, 2]);
    }

    #[test]
    fn a_border_moves_with_its_frame() {
        gst::init().unwrap();
        let input = InputSpec { color: ColorOrder::Gray, fit: Fit::Letterbox, ..InputSpec::of_bytes(4, 4) };
        let mut buffer = Arc::new(BatchBuffer::new(input.frame_bytes(), 2).unwrap());
        let write = |buffer: &Arc<BatchBuffer>, index, (width, height): (u32, u32)| {
            let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, width, height).build().unwrap();
            let frame = gst::Buffer::from_mut_slice(vec![7; info.size()]);
            // SAFETY: one place for each index, one after the other.
            let mut place = unsafe { Place::new(buffer.clone(), index) };
            let (slot, border) = place.memory();
            Preprocessor::new(&info, &input).unwrap().write(&frame, None, slot, border).unwrap();
            slot.to_vec()
        };
        let (wide, tall) = ((8, 4), (4, 8));
        let expected = write(&buffer, 0, wide);
        write(&buffer, 1, tall);
        Arc::get_mut(&mut buffer).unwrap().move_frame(1, 0);
        assert_eq!(write(&buffer, 0, wide), expected);
        assert_eq!(expected[..4], [114; 4]);
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(BatchBuffer::new(usize::MAX, 2).is_none());
        assert!(BatchBuffer::new(0, 2).is_none());
    }
}
