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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_is_due_again_after_so_many_frames() {
        let mut tracks = Tracks::default();
        assert!(tracks.is_due(5, 10, 3), "never seen");
        tracks.asked(5, 10, 3);
        let due: Vec<_> = (10..15).map(|number| tracks.is_due(5, number, 3)).collect();
        assert_eq!(due, [true, false, false, true, true], "in the frame itself another object may have the same track");
        assert!(tracks.is_due(6, 11, 3), "another track");
        tracks.clear();
        assert!(tracks.is_due(5, 11, 3));
    }

    #[test]
    fn one_that_got_no_answer_is_asked_for_again() {
        let mut tracks = Tracks::default();
        tracks.asked(5, 10, 100);
        assert!(!tracks.is_due(5, 11, 100));
        assert!(tracks.answer(5).is_none());
        assert!(tracks.is_due(5, 12, 100));
    }

    #[test]
    fn tracks_that_are_gone_make_room_and_there_is_an_end_to_it() {
        let mut tracks = Tracks::default();
        (0..MAX_TRACKS as u64).for_each(|track| tracks.asked(track, 0, 10));
        tracks.asked(u64::MAX, 5, 10);
        assert_eq!(tracks.tracks.len(), MAX_TRACKS, "all of them may come again");
        assert!(tracks.is_due(u64::MAX, 6, 10), "one that is not remembered is asked for in each frame");
        tracks.asked(u64::MAX, 20, 10);
        assert_eq!(tracks.tracks.len(), 1);
        assert!(!tracks.is_due(u64::MAX, 21, 10));
    }
}
