//! Holding a streaming thread in PAUSED.
//!
//! The base class does so for a thread that waits for the clock. One that waits for anything else, it only asks to give
//! way, and forgets one that it has just let go: if PAUSED comes back before that thread has woken up, it runs on in
//! PAUSED, waits for the feed with the preroll lock held, and nobody can set the element to PLAYING.

use std::sync::atomic::{AtomicBool, Ordering};

use glib::{ffi, prelude::*, translate::try_from_glib};
use gst_base::prelude::*;

#[derive(Default)]
pub struct Pause(AtomicBool);

impl Pause {
    /// Before the base class goes from PLAYING to PAUSED.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// After the base class has gone from PAUSED to PLAYING or to READY.
    pub fn end(&self, sink: &gst_base::BaseSink) {
        // Without a pause a thread may wait for the feed with the preroll lock held.
        if !self.0.load(Ordering::Acquire) {
            return;
        }
        let sink = sink.as_ptr();
        // SAFETY: the sink is alive, and its preroll lock and condition are there for subclasses. With the lock held no
        // thread is between looking at the flag and waiting, so that none misses the signal.
        unsafe {
            ffi::g_mutex_lock(&mut (*sink).preroll_lock);
            self.0.store(false, Ordering::Release);
            ffi::g_cond_signal(&mut (*sink).preroll_cond);
            ffi::g_mutex_unlock(&mut (*sink).preroll_lock);
        }
    }

    /// Waits with `item` until it is over.
    ///
    /// # Safety
    ///
    /// The caller holds the preroll lock, as `render` and `event` do for what is serialized.
    pub unsafe fn wait(&self, sink: &gst_base::BaseSink, item: &gst::MiniObjectRef) -> Result<(), gst::FlowError> {
        while self.0.load(Ordering::Acquire) {
            // SAFETY: the caller holds the preroll lock, which guards this field.
            let needs_preroll = unsafe { (*sink.as_ptr()).need_preroll } != ffi::GFALSE;
            let flow = if needs_preroll {
                // SAFETY: the caller holds the preroll lock; `item` is only read, and only during the call; any value
                // of the C type of the result is a valid one.
                unsafe {
                    try_from_glib(gst_base::ffi::gst_base_sink_do_preroll(sink.as_ptr(), item.as_ptr().cast_mut()))
                }
            } else {
                sink.wait_preroll()
            };
            flow?;
        }
        Ok(())
    }
}
