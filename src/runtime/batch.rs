//! The memory of one batch, written place by place from many threads.

use std::{
    alloc::{self, Layout},
    ptr::NonNull,
    sync::Arc,
};

/// Alignment of the first place: a cache line, and what the widest vector instructions like.
const ALIGNMENT: usize = 64;

/// Room for the input of a whole batch, frame after frame.
pub struct BatchBuffer {
    memory: NonNull<u8>,
    layout: Layout,
    frame_bytes: usize,
}

// SAFETY: the memory is plain bytes owned by the buffer; who may write where is the business of `Place`, of which there
// is one at most for each frame at a time, and of `Arc::get_mut` for the whole.
unsafe impl Send for BatchBuffer {}
// SAFETY: as above; shared references give no access to the bytes.
unsafe impl Sync for BatchBuffer {}

impl BatchBuffer {
    /// `None` where the size is absurd or the system has no memory for it.
    pub fn new(frame_bytes: usize, frames: usize) -> Option<Self> {
        let size = frame_bytes.checked_mul(frames).filter(|&size| size > 0)?;
        let layout = Layout::from_size_align(size, ALIGNMENT).ok()?;
        // SAFETY: the layout's size is not zero.
        let memory = NonNull::new(unsafe { alloc::alloc_zeroed(layout) })?;
        Some(Self { memory, layout, frame_bytes })
    }

    fn frames(&self) -> usize {
        self.layout.size() / self.frame_bytes
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
        assert!(index < buffer.frames(), "a place beyond the batch");
        Self { buffer, index }
    }

    pub fn bytes(&mut self) -> &mut [u8] {
        let size = self.buffer.frame_bytes;
        // SAFETY: inside the allocation (checked in `new`), and nobody else has this index (the promise made there);
        // the whole is only given out through `Arc::get_mut`, which this place's reference prevents.
        unsafe { std::slice::from_raw_parts_mut(self.buffer.memory.as_ptr().add(self.index * size), size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_do_not_overlap_and_moves_close_gaps() {
        let mut buffer = Arc::new(BatchBuffer::new(4, 3).unwrap());
        for index in 0..3 {
            // SAFETY: one place for each index, one after the other.
            let mut place = unsafe { Place::new(buffer.clone(), index) };
            place.bytes().fill(index as u8 + 1);
        }
        let buffer = Arc::get_mut(&mut buffer).unwrap();
        assert_eq!(buffer.bytes(), [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
        assert_eq!(buffer.bytes().as_ptr() as usize % ALIGNMENT, 0);
        buffer.move_frame(2, 0);
        assert_eq!(buffer.bytes()[..8], [3, 3, 3, 3, 2, 2, 2, 2]);
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(BatchBuffer::new(usize::MAX, 2).is_none());
        assert!(BatchBuffer::new(0, 2).is_none());
    }
}
