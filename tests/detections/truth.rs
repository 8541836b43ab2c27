//! What is in a clip, and how well it was found.

use std::{fmt, fs, path::Path};

/// An object that was found; `bounds` are x, y, w, h in pixels.
pub struct Found {
    pub label: String,
    pub confidence: f32,
    pub bounds: [f32; 4],
}

/// The label and the bounds of an object that is there.
pub type Object = (String, [f32; 4]);

pub struct Truth {
    pub frames: Vec<Vec<Object>>,
}

impl Truth {
    /// Of a clip, from the file beside it.
    pub fn read(clip: &Path) -> Self {
        let text = fs::read_to_string(clip.with_extension("json")).unwrap();
        let truth: serde_json::Value = serde_json::from_str(&text).unwrap();
        let object = |object: &serde_json::Value| {
            let number = |name: &str| object[name].as_f64().unwrap() as f32;
            (object["label"].as_str().unwrap().into(), [number("x"), number("y"), number("w"), number("h")])
        };
        let frame = |frame: &serde_json::Value| frame.as_array().unwrap().iter().map(object).collect();
        Self { frames: truth["frames"].as_array().unwrap().iter().map(frame).collect() }
    }
}

/// Objects counted over frames. A box is right where its label is, and it overlaps the object by half (intersection
/// over union); each object is found once.
#[derive(Default)]
pub struct Score {
    there: usize,
    found: usize,
    boxes: usize,
}

impl Score {
    pub fn add(&mut self, there: &[Object], mut boxes: Vec<Found>) {
        boxes.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        let mut left: Vec<_> = there.iter().collect();
        for found in &boxes {
            let overlap =
                |(label, bounds): &&Object| if *label == found.label { iou(bounds, &found.bounds) } else { 0.0 };
            let best = (0..left.len()).max_by(|&a, &b| overlap(&left[a]).total_cmp(&overlap(&left[b])));
            if let Some(best) = best.filter(|&best| overlap(&left[best]) >= 0.5) {
                left.swap_remove(best);
                self.found += 1;
            }
        }
        self.there += there.len();
        self.boxes += boxes.len();
    }

    pub fn recall(&self) -> f64 {
        self.found as f64 / self.there as f64
    }

    /// Share of the boxes that are no object.
    pub fn false_share(&self) -> f64 {
        (self.boxes - self.found) as f64 / self.boxes.max(1) as f64
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (recall, wrong) = (100.0 * self.recall(), 100.0 * self.false_share());
        write!(
            f,
            "{} of {} objects found ({recall:.1} %), {wrong:.1} % of {} boxes false",
            self.found, self.there, self.boxes
        )
    }
}

pub fn iou(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let side = |i: usize| ((a[i] + a[i + 2]).min(b[i] + b[i + 2]) - a[i].max(b[i])).max(0.0);
    let both = side(0) * side(1);
    both / (a[2] * a[3] + b[2] * b[3] - both)
}
