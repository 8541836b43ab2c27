//! The masks of a segmentation, placed as `yolosegv8tensordec` takes for granted that they are.
//!
//! It takes it that the model's input is a square in which the frame is letterboxed. Where the input has another shape, or
//! the frame is stretched, or is cut from a corner of it, each plane is sampled anew as such a square, so that every mask lies
//! where its box is. The prototypes of a mask are added up afterwards, which the nearest one of each serves.

use super::{Fit, Placement};

/// `planes` of `[M, H, W]` as `([H, W], planes)` of a square, for a frame that lies in the model's input as `placement` says.
pub fn square(planes: Vec<f32>, [masks, height, width]: [usize; 3], placement: &Placement) -> ([usize; 2], Vec<f32>) {
    let as_they_are = [height, width];
    let Placement { region, model_width, model_height, .. } = *placement;
    let expected = Placement::new(region, model_width, model_height, Fit::Letterbox);
    let is_expected = model_width == model_height && width == height && *placement == expected;
    if is_expected || masks == 0 || width == 0 || height == 0 {
        return (as_they_are, planes);
    }
    let side = width.max(height);
    // Of a point of the square on either axis: where in the frame it is, then in the model's input, then in the plane.
    let longest = region.width.max(region.height) as f32;
    let source = |frame: usize, start: usize, shown: usize, model: usize, cells: usize| -> Vec<usize> {
        let margin = (side as f32 - frame as f32 * side as f32 / longest) / 2.0;
        let place = |at: usize| {
            let in_frame = (at as f32 + 0.5 - margin) * longest / side as f32;
            let in_model = start as f32 + in_frame * shown as f32 / frame as f32;
            // What lies before the first one becomes 0.
            ((in_model * cells as f32 / model as f32) as usize).min(cells - 1)
        };
        (0..side).map(place).collect()
    };
    let columns = source(region.width, placement.x, placement.width, model_width, width);
    let rows = source(region.height, placement.y, placement.height, model_height, height);
    let mut squares = Vec::with_capacity(masks.saturating_mul(side).saturating_mul(side));
    for plane in planes.chunks_exact(width * height) {
        for row in rows.iter().filter_map(|&row| plane.chunks_exact(width).nth(row)) {
            squares.extend(columns.iter().filter_map(|&column| row.get(column)));
        }
    }
    ([side, side], squares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::Region;

    /// 0 to 1 across the plane, by the middle of each cell.
    fn ramp(height: usize, width: usize) -> Vec<f32> {
        (0..height).flat_map(|_| (0..width).map(move |x| (x as f32 + 0.5) / width as f32)).collect()
    }

    #[test]
    fn a_letterboxed_square_stays_as_it_is() {
        for (w, h) in [(640, 360), (360, 640), (97, 31), (320, 320)] {
            let placement = Placement::new(Region::whole(w, h), 320, 320, Fit::Letterbox);
            assert_eq!(square(ramp(80, 80), [1, 80, 80], &placement), ([80, 80], ramp(80, 80)), "{w}x{h}");
        }
    }

    #[test]
    fn a_stretched_frame_is_letterboxed() {
        let placement = Placement::new(Region::whole(640, 320), 320, 320, Fit::Stretch);
        let vertical: Vec<f32> = (0..8).flat_map(|y| [y as f32; 8]).collect();
        let (dims, plane) = square([vertical, ramp(8, 8)].concat(), [2, 8, 8], &placement);
        assert_eq!((dims, plane.len()), ([8, 8], 128));
        let rows: Vec<f32> = plane[..64].iter().step_by(8).copied().collect();
        // The frame is in the four rows in the middle, each of which stands for two.
        assert_eq!(rows, [0.0, 0.0, 1.0, 3.0, 5.0, 7.0, 7.0, 7.0]);
        assert_eq!(plane[64..], ramp(8, 8)[..]);
    }

    #[test]
    fn an_input_that_is_no_square_becomes_one() {
        // The frame fills the width of 320 and half of the height of 160 or less.
        let placement = Placement::new(Region::whole(640, 320), 320, 160, Fit::Letterbox);
        let (dims, plane) = square(ramp(40, 80), [1, 40, 80], &placement);
        assert_eq!((dims, plane.len()), ([80, 80], 6400));
        assert_eq!(plane[40 * 80..41 * 80], ramp(1, 80)[..]);
        // A frame that is high in an input that is wide.
        let placement = Placement::new(Region::whole(160, 320), 320, 160, Fit::Letterbox);
        let (_, plane) = square(ramp(40, 80), [1, 40, 80], &placement);
        let shown = &plane[40 * 80 + 20..40 * 80 + 60];
        assert!((shown[0] - 0.38).abs() < 0.01 && (shown[39] - 0.62).abs() < 0.01, "{shown:?}");
    }

    #[test]
    fn no_masks_are_no_masks() {
        let placement = Placement::new(Region::whole(640, 320), 320, 160, Fit::Stretch);
        assert_eq!(square(Vec::new(), [0, 40, 80], &placement), ([40, 80], Vec::new()));
        assert_eq!(square(Vec::new(), [2, 0, 80], &placement), ([0, 80], Vec::new()));
    }
}
