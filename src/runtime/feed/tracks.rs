//! What is known of the objects that a tracker follows, so that they are not inferred in every frame.

use std::{collections::HashMap, sync::Arc};

use super::items::Answer;

/// Most tracks that are remembered. Objects of others are inferred in each frame.
const MAX_TRACKS: usize = 4096;

#[derive(Debug, Default)]
pub struct Tracks {
    tracks: HashMap<u64, Track>,
}

#[derive(Debug)]
struct Track {
    /// Number of the frame in which the model was asked last.
    asked: u64,
    /// What it said, once it has.
    answer: Option<Arc<Answer>>,
}

impl Tracks {
    /// Whether the model is to be asked in frame `number`: it was not asked in the last `interval` frames, or in this one.
    pub fn is_due(&self, track: u64, number: u64, interval: u32) -> bool {
        let fresh = |known: &Track| known.asked < number && number - known.asked < u64::from(interval);
        !self.tracks.get(&track).is_some_and(fresh)
    }

    /// The model is asked in frame `number`.
    pub fn asked(&mut self, track: u64, number: u64, interval: u32) {
        if let Some(known) = self.tracks.get_mut(&track) {
            known.asked = number;
            return;
        }
        if self.tracks.len() >= MAX_TRACKS {
            // What was not seen for so long is asked for in any case.
            self.tracks.retain(|_, known| number.saturating_sub(known.asked) < u64::from(interval));
        }
        if self.tracks.len() < MAX_TRACKS {
            self.tracks.insert(track, Track { asked: number, answer: None });
        }
    }

    pub fn told(&mut self, track: u64, answer: &Arc<Answer>) {
        if let Some(known) = self.tracks.get_mut(&track) {
            known.answer = Some(answer.clone());
        }
    }

    /// What the model said last. Where it did not answer it is asked again with the next frame.
    pub fn answer(&mut self, track: u64) -> Option<Arc<Answer>> {
        let answer = self.tracks.get(&track)?.answer.clone();
        if answer.is_none() {
            self.tracks.remove(&track);
        }
        answer
    }

    pub fn clear(&mut self) {
        self.tracks.clear();
    }
}
