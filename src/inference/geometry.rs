//! Where in the model's input a frame lies, and the way back from there to the frame's pixels.

use super::input::Fit;

/// In pixels: by so much a box may be off that was a fraction of the frame before.
const ROUNDING: f64 = 1e-3;

/// A part of a frame, in whole pixels. It is not empty and lies inside the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

impl Region {
    pub fn whole(width: usize, height: usize) -> Self {
        Self { x: 0, y: 0, width, height }
    }

    /// What of a box `[x, y, w, h]` lies in a frame of `width` x `height` pixels, with `margin` times its size added on
    /// each side; every pixel that it touches by more than rounding. `None` where that is nothing, or no box.
    pub fn around([x, y, w, h]: [f32; 4], margin: f32, (width, height): (u32, u32)) -> Option<Self> {
        let side = |start: f32, length: f32, limit: u32| {
            let (start, length, margin) = (f64::from(start), f64::from(length), f64::from(margin));
            // False for what is not a number as well.
            let is_sound = start.is_finite() && length > 0.0 && length.is_finite();
            let first = (start - margin * length + ROUNDING).floor().clamp(0.0, f64::from(limit)) as usize;
            let end = (start + length + margin * length - ROUNDING).ceil().clamp(0.0, f64::from(limit)) as usize;
            (is_sound && end > first).then(|| (first, end - first))
        };
        let ((x, width), (y, height)) = (side(x, w, width)?, side(y, h, height)?);
        Some(Self { x, y, width, height })
    }

    /// Widened to whole blocks of `1 << across` x `1 << down` pixels, as far as the frame goes.
    pub fn aligned(self, (across, down): (u32, u32), (width, height): (usize, usize)) -> Self {
        let side = |start: usize, length: usize, shift: u32, limit: usize| {
            let first = start >> shift << shift;
            let end = (start + length).next_multiple_of(1 << shift).min(limit);
            (first, end.saturating_sub(first))
        };
        let (x, w) = side(self.x, self.width, across, width);
        let (y, h) = side(self.y, self.height, down, height);
        Self { x, y, width: w, height: h }
    }
}

/// Where a region of a frame, which may be all of it, lies inside the model's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// The part of the frame that the model sees.
    pub region: Region,
    pub model_width: usize,
    pub model_height: usize,
    /// Left edge of the picture inside the model's input, in pixels.
    pub x: usize,
    /// Top edge of the picture inside the model's input, in pixels.
    pub y: usize,
    /// Width of the picture inside the model's input, in pixels.
    pub width: usize,
    /// Height of the picture inside the model's input, in pixels.
    pub height: usize,
}

impl Placement {
    pub fn new(region: Region, model_width: usize, model_height: usize, fit: Fit) -> Self {
        let (width, height) = match fit {
            Fit::Stretch => (model_width, model_height),
            Fit::Letterbox => {
                let scale = (model_width as f64 / region.width as f64).min(model_height as f64 / region.height as f64);
                let side = |frame: usize, model: usize| ((frame as f64 * scale).round() as usize).clamp(1, model);
                (side(region.width, model_width), side(region.height, model_height))
            }
        };
        Self {
            region,
            model_width,
            model_height,
            x: (model_width - width) / 2,
            y: (model_height - height) / 2,
            width,
            height,
        }
    }

    /// A box given by its corners in pixels of the model's input, as `[x, y, w, h]` in pixels of the frame, clipped to
    /// the region. `None` where nothing of it is left (or where it holds no number).
    pub fn to_frame(&self, x1: f32, y1: f32, x2: f32, y2: f32) -> Option<[f32; 4]> {
        let (width, height) = (self.region.width as f32, self.region.height as f32);
        let (sx, sy) = (width / self.width as f32, height / self.height as f32);
        let x1 = ((x1 - self.x as f32) * sx).clamp(0.0, width);
        let y1 = ((y1 - self.y as f32) * sy).clamp(0.0, height);
        let x2 = ((x2 - self.x as f32) * sx).clamp(0.0, width);
        let y2 = ((y2 - self.y as f32) * sy).clamp(0.0, height);
        let (w, h) = (x2 - x1, y2 - y1);
        (w > 0.0 && h > 0.0).then_some([x1 + self.region.x as f32, y1 + self.region.y as f32, w, h])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letterbox_centres_and_comes_back() {
        let placement = Placement::new(Region::whole(1920, 1080), 640, 640, Fit::Letterbox);
        assert_eq!((placement.x, placement.y, placement.width, placement.height), (0, 140, 640, 360));
        assert_eq!(placement.to_frame(0.0, 140.0, 640.0, 500.0), Some([0.0, 0.0, 1920.0, 1080.0]));
        assert_eq!(placement.to_frame(320.0, 320.0, 330.0, 340.0), Some([960.0, 540.0, 30.0, 60.0]));
    }

    #[test]
    fn boxes_are_clipped_and_empty_ones_left_out() {
        let placement = Placement::new(Region::whole(100, 100), 50, 50, Fit::Stretch);
        assert_eq!(placement.to_frame(-5.0, 10.0, 60.0, 20.0), Some([0.0, 20.0, 100.0, 20.0]));
        assert_eq!(placement.to_frame(-5.0, -5.0, -1.0, 10.0), None);
        assert_eq!(placement.to_frame(f32::NAN, 0.0, 10.0, 10.0), None);
    }

    #[test]
    fn extreme_shapes_keep_at_least_a_pixel() {
        let placement = Placement::new(Region::whole(16384, 8), 320, 320, Fit::Letterbox);
        assert_eq!((placement.width, placement.height), (320, 1));
        let placement = Placement::new(Region::whole(1, 1), 320, 160, Fit::Letterbox);
        assert_eq!((placement.x, placement.width, placement.height), (80, 160, 160));
    }

    #[test]
    fn what_is_found_in_a_region_is_told_in_pixels_of_the_frame() {
        let region = Region { x: 100, y: 50, width: 40, height: 20 };
        let placement = Placement::new(region, 80, 80, Fit::Letterbox);
        assert_eq!((placement.y, placement.height), (20, 40));
        assert_eq!(placement.to_frame(0.0, 0.0, 80.0, 80.0), Some([100.0, 50.0, 40.0, 20.0]));
        assert_eq!(placement.to_frame(20.0, 30.0, 30.0, 40.0), Some([110.0, 55.0, 5.0, 5.0]));
    }

    #[test]
    fn a_region_is_what_of_a_box_is_in_the_frame() {
        let around = |bounds, margin| Region::around(bounds, margin, (100, 60)).map(|r| (r.x, r.y, r.width, r.height));
        assert_eq!(around([10.0, 20.0, 30.0, 20.0], 0.0), Some((10, 20, 30, 20)));
        assert_eq!(around([10.5, 20.5, 30.0, 20.0], 0.0), Some((10, 20, 31, 21)));
        assert_eq!(around([10.0, 20.0, 30.0, 20.0], 0.1), Some((7, 18, 36, 24)));
        assert_eq!(around([-10.0, -5.0, 30.0, 200.0], 1.0), Some((0, 0, 50, 60)));
        assert_eq!(around([99.5, 59.5, 0.1, 0.1], 0.0), Some((99, 59, 1, 1)));
        for bad in [
            [100.0, 0.0, 10.0, 10.0],
            [0.0, 60.0, 10.0, 10.0],
            [-20.0, 0.0, 10.0, 10.0],
            [5.0, 5.0, 0.0, 10.0],
            [5.0, 5.0, 10.0, -1.0],
            [f32::NAN, 5.0, 10.0, 10.0],
            [5.0, f32::NEG_INFINITY, 10.0, f32::INFINITY],
            [5.0, 5.0, f32::NAN, 10.0],
        ] {
            assert_eq!(around(bad, 0.0), None, "{bad:?}");
        }
    }

    #[test]
    fn a_region_of_subsampled_chroma_is_whole_blocks() {
        let aligned = |x, y, width, height| {
            let region = Region { x, y, width, height }.aligned((1, 1), (11, 9));
            (region.x, region.y, region.width, region.height)
        };
        assert_eq!(aligned(3, 5, 2, 1), (2, 4, 4, 2));
        assert_eq!(aligned(10, 8, 1, 1), (10, 8, 1, 1), "the last block of an odd size");
        assert_eq!(Region { x: 3, y: 5, width: 2, height: 1 }.aligned((0, 0), (11, 9)).x, 3);
    }
}
