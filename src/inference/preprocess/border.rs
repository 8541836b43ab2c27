//! What is known of the bars beside a letterboxed picture, so that they are not written for every frame.

use crate::inference::Placement;

/// The bars that the last picture left in a frame's memory. Cameras of one shape have the same ones in all their frames:
/// of 1080p in a square model they are 44 % of all numbers. It goes wherever the memory's content goes; a new one knows
/// nothing, and the bars are then written.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Border {
    /// What they leave free: `[x, y, width, height]`.
    picture: Option<[usize; 4]>,
}

impl Border {
    pub(super) fn around(placement: &Placement) -> Self {
        let Placement { x, y, width, height, .. } = *placement;
        Self { picture: Some([x, y, width, height]) }
    }
}
