//! Boxes about the model's input, made boxes about the frame where they lie.

use super::Placement;

/// Boxes of `[4+C, A]`, centre, width and height in pixels, for `anchors` A. What of a box lies outside of the frame is
/// cut off; of one that lies outside as a whole, or is no box, nothing is left: no width and no height.
pub fn yolo(data: &mut [f32], anchors: usize, placement: &Placement) {
    if anchors == 0 || data.len() / 4 < anchors {
        return;
    }
    let (x, rest) = data.split_at_mut(anchors);
    let (y, rest) = rest.split_at_mut(anchors);
    let (w, rest) = rest.split_at_mut(anchors);
    for (((x, y), w), h) in x.iter_mut().zip(y).zip(w).zip(rest) {
        let (half_w, half_h) = (*w / 2.0, *h / 2.0);
        let [left, top, width, height] =
            placement.to_frame(*x - half_w, *y - half_h, *x + half_w, *y + half_h).unwrap_or_default();
        (*x, *y, *w, *h) = (left + width / 2.0, top + height / 2.0, width, height);
    }
}

/// Boxes of `[M, 4]`: top, left, bottom, right in parts of the picture's height and width. Cut off as in [`yolo`].
pub fn ssd(data: &mut [f32], placement: &Placement) {
    let (model_width, model_height) = (placement.model_width as f32, placement.model_height as f32);
    let (width, height) = (placement.region.width as f32, placement.region.height as f32);
    for corners in data.as_chunks_mut::<4>().0 {
        let [top, left, bottom, right] = *corners;
        let [x, y, w, h] = placement
            .to_frame(left * model_width, top * model_height, right * model_width, bottom * model_height)
            .unwrap_or_default();
        *corners = [y / height, x / width, (y + h) / height, (x + w) / width];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{Fit, Region};

    /// Twice as wide as high in a square: a quarter of the model's input is grey above and below it.
    fn letterboxed() -> Placement {
        Placement::new(Region::whole(640, 320), 320, 320, Fit::Letterbox)
    }

    #[test]
    fn yolo_boxes_come_out_of_the_letterbox_and_are_clipped() {
        // The whole frame; over its left edge; in the grey above it; not a number.
        let mut data = [
            [160.0, 0.0, 160.0, f32::NAN],
            [160.0, 160.0, 20.0, 160.0],
            [320.0, 40.0, 40.0, 40.0],
            [160.0, 40.0, 40.0, 40.0],
            [0.1, 0.2, 0.3, 0.4],
        ]
        .concat();
        yolo(&mut data, 4, &letterboxed());
        let boxes: Vec<[f32; 4]> = (0..4).map(|anchor| [0, 4, 8, 12].map(|row| data[row + anchor])).collect();
        assert_eq!(boxes[0], [320.0, 160.0, 640.0, 320.0]);
        assert_eq!(boxes[1], [20.0, 160.0, 40.0, 80.0]);
        assert_eq!((boxes[2][2], boxes[2][3]), (0.0, 0.0));
        assert_eq!(boxes[3], [0.0; 4]);
        assert_eq!(data[16..], [0.1, 0.2, 0.3, 0.4], "scores stay");
    }

    #[test]
    fn too_few_numbers_for_boxes_are_left_alone() {
        for (anchors, numbers) in [(0, 0), (2, 7), (usize::MAX, 8)] {
            let mut data = vec![1.0; numbers];
            yolo(&mut data, anchors, &letterboxed());
            assert_eq!(data, vec![1.0; numbers]);
        }
    }

    #[test]
    fn ssd_boxes_are_in_parts_of_the_frame() {
        let mut data = [[0.25, 0.0, 0.75, 1.0], [0.375, 0.25, 0.625, 0.5], [0.0, 0.0, 0.1, 0.1]].concat();
        ssd(&mut data, &letterboxed());
        assert_eq!(data[..4], [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(data[4..8], [0.25, 0.25, 0.75, 0.5]);
        assert_eq!(data[8..], [0.0; 4], "in the grey above the frame");

        let before = [0.1, 0.2, 0.3, 0.4];
        let mut data = before;
        ssd(&mut data, &Placement::new(Region::whole(640, 320), 300, 300, Fit::Stretch));
        assert!(data.iter().zip(before).all(|(after, before)| (after - before).abs() < 1e-6), "{data:?}");
    }
}
