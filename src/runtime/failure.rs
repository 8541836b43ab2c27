//! The error that ends an element's stream.

use std::sync::atomic::{AtomicU8, Ordering};

const NONE: u8 = 0;
const BEING_POSTED: u8 = 1;
const POSTED: u8 = 2;

/// Posted once, by whoever notices it first.
#[derive(Debug, Default)]
pub struct Failure(AtomicU8);

impl Failure {
    /// Has the first caller post it. Returns what upstream is to get.
    pub fn post(&self, post: impl FnOnce()) -> gst::FlowError {
        let first = self.0.compare_exchange(NONE, BEING_POSTED, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if first {
            post();
            self.0.store(POSTED, Ordering::Release);
        }
        self.flow().unwrap_or(gst::FlowError::Error)
    }

    /// What upstream is to get, where the stream has failed.
    pub fn flow(&self) -> Option<gst::FlowError> {
        match self.0.load(Ordering::Acquire) {
            NONE => None,
            // At an error upstream posts one of its own, which says nothing and must not come before ours.
            BEING_POSTED => Some(gst::FlowError::Flushing),
            _ => Some(gst::FlowError::Error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_gets_no_error_before_it_is_posted() {
        let failure = Failure::default();
        assert_eq!(failure.flow(), None);
        let flow = failure.post(|| {
            assert_eq!(failure.flow(), Some(gst::FlowError::Flushing));
            assert_eq!(failure.post(|| panic!("posted twice")), gst::FlowError::Flushing);
        });
        assert_eq!(flow, gst::FlowError::Error);
        assert_eq!(failure.post(|| panic!("posted twice")), gst::FlowError::Error);
    }
}
