//! Where in the model's input a frame lies, and the way back from there to the frame's pixels.

use super::input::Fit;

/// Where a frame of `frame_width` x `frame_height` lies inside the model's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    pub frame_width: usize,
    pub frame_height: usize,
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
    pub fn new(frame_width: usize, frame_height: usize, model_width: usize, model_height: usize, fit: Fit) -> Self {
        let (width, height) = match fit {
            Fit::Stretch => (model_width, model_height),
            Fit::Letterbox => {
                let scale = (model_width as f64 / frame_width as f64).min(model_height as f64 / frame_height as f64);
                let side = |frame: usize, model: usize| ((frame as f64 * scale).round() as usize).clamp(1, model);
                (side(frame_width, model_width), side(frame_height, model_height))
            }
        };
        Self {
            frame_width,
            frame_height,
            model_width,
            model_height,
            x: (model_width - width) / 2,
            y: (model_height - height) / 2,
            width,
            height,
        }
    }

    /// A box given by its corners in pixels of the model's input, as `[x, y, w, h]` in pixels of the frame, clipped to
    /// it. `None` where nothing of it is left (or where it holds no number).
    pub fn to_frame(&self, x1: f32, y1: f32, x2: f32, y2: f32) -> Option<[f32; 4]> {
        let sx = self.frame_width as f32 / self.width as f32;
        let sy = self.frame_height as f32 / self.height as f32;
        let x1 = ((x1 - self.x as f32) * sx).clamp(0.0, self.frame_width as f32);
        let y1 = ((y1 - self.y as f32) * sy).clamp(0.0, self.frame_height as f32);
        let x2 = ((x2 - self.x as f32) * sx).clamp(0.0, self.frame_width as f32);
        let y2 = ((y2 - self.y as f32) * sy).clamp(0.0, self.frame_height as f32);
        let (w, h) = (x2 - x1, y2 - y1);
        (w > 0.0 && h > 0.0).then_some([x1, y1, w, h])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letterbox_centres_and_comes_back() {
        let placement = Placement::new(1920, 1080, 640, 640, Fit::Letterbox);
        assert_eq!((placement.x, placement.y, placement.width, placement.height), (0, 140, 640, 360));
        assert_eq!(placement.to_frame(0.0, 140.0, 640.0, 500.0), Some([0.0, 0.0, 1920.0, 1080.0]));
        assert_eq!(placement.to_frame(320.0, 320.0, 330.0, 340.0), Some([960.0, 540.0, 30.0, 60.0]));
    }

    #[test]
    fn boxes_are_clipped_and_empty_ones_left_out() {
        let placement = Placement::new(100, 100, 50, 50, Fit::Stretch);
        assert_eq!(placement.to_frame(-5.0, 10.0, 60.0, 20.0), Some([0.0, 20.0, 100.0, 20.0]));
        assert_eq!(placement.to_frame(-5.0, -5.0, -1.0, 10.0), None);
        assert_eq!(placement.to_frame(f32::NAN, 0.0, 10.0, 10.0), None);
    }

    #[test]
    fn extreme_shapes_keep_at_least_a_pixel() {
        let placement = Placement::new(16384, 8, 320, 320, Fit::Letterbox);
        assert_eq!((placement.width, placement.height), (320, 1));
        let placement = Placement::new(1, 1, 320, 160, Fit::Letterbox);
        assert_eq!((placement.x, placement.width, placement.height), (80, 160, 160));
    }
}
