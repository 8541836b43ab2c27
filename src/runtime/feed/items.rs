//! The items of a frame of which objects are inferred, each by itself (`region=objects`).

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::{Error, ErrorCode, Feed, Inferred, Outcome, State, tracks::Tracks};
use crate::{
    inference::{Class, Detection, ModelDescription, Output, Region},
    runtime::{
        objects::{Annotations, Object},
        settings::{RegionKind, RegionSettings},
    },
};

/// Most objects of one frame that are inferred: of more those that are surest.
const MAX_ITEMS: usize = 1000;

/// The objects of one frame that were asked for.
#[derive(Debug, Clone)]
pub struct Items {
    items: Vec<Item>,
    reclassify_interval: u32,
    /// The first that was not looked at for work.
    next: usize,
    /// How many are still to come out of [`start`](Self::start).
    left: usize,
    /// Items in work, or to come, that are not back.
    missing: usize,
    /// What the model found inside the objects. `None` where it finds no objects.
    found: Option<Vec<Detection>>,
    /// Nanoseconds, of all items that are back.
    preprocess: u64,
}

/// One object, and what is said of it.
#[derive(Debug, Clone)]
pub struct Item {
    /// Which of the buffer's `GstVideoRegionOfInterestMeta` the object is, from 0.
    pub region_meta: Option<usize>,
    /// Its `GstAnalyticsODMtd`.
    #[cfg(feature = "v1_24")]
    pub mtd: Option<u32>,
    /// The classes of the object: of this frame, or kept from an earlier one.
    pub answer: Option<Arc<Answer>>,
    source: Region,
    track_id: Option<u64>,
    /// Whether the model is asked.
    asks: bool,
}

/// What a classifier says of one object.
#[derive(Debug)]
pub struct Answer {
    pub model: Arc<ModelDescription>,
    pub processor_id: Arc<str>,
    pub classes: Vec<Class>,
}

impl Feed {
    /// The items of the frame that is coming in, where objects are inferred.
    pub(super) fn items(&self, state: &mut MutexGuard<State>, buffer: &gst::BufferRef) -> Option<Items> {
        if state.settings.regions.kind == RegionKind::Frame || !self.passes_frames {
            return None;
        }
        let settings = state.settings.regions.clone();
        let caps = state.caps.clone()?;
        let crop = buffer.meta::<gst_video::VideoCropMeta>().map(|crop| crop.rect());
        let size = crop.map_or((caps.info.width(), caps.info.height()), |(_, _, width, height)| (width, height));
        Some(MutexGuard::unlocked(state, || Items::read(buffer, size, &settings)))
    }
}

impl Items {
    /// The objects on a frame of `size` that `settings` ask for.
    pub fn read(buffer: &gst::BufferRef, size: (u32, u32), settings: &RegionSettings) -> Self {
        let mut objects = Annotations::read(buffer, size).objects;
        objects.retain(|object| settings.wants(&object.label));
        if objects.len() > MAX_ITEMS {
            objects = surest(objects);
        }
        let item = |object: Object| {
            let Object { x, y, w, h, .. } = object;
            Some(Item {
                region_meta: object.region,
                #[cfg(feature = "v1_24")]
                mtd: object.mtd,
                answer: None,
                source: Region::around([x, y, w, h], settings.margin, size)?,
                track_id: object.track_id,
                asks: false,
            })
        };
        let items = objects.into_iter().filter_map(item).collect();
        let reclassify_interval = settings.reclassify_interval;
        Self { items, reclassify_interval, next: 0, left: 0, missing: 0, found: None, preprocess: 0 }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }

    /// Whether the model would be asked for anything, were this frame `number`.
    pub fn need_model(&self, tracks: &Tracks, number: u64) -> bool {
        self.items.iter().any(|item| item.needs_model(tracks, number, self.reclassify_interval))
    }

    /// Decides what the model is asked in frame `number`; returns for how many items.
    pub fn ask(&mut self, tracks: &mut Tracks, number: u64) -> usize {
        for item in &mut self.items {
            item.asks = item.needs_model(tracks, number, self.reclassify_interval);
            if let (true, Some(track), 2..) = (item.asks, item.track_id, self.reclassify_interval) {
                tracks.asked(track, number, self.reclassify_interval);
            }
        }
        self.missing = self.items.iter().filter(|item| item.asks).count();
        self.left = self.missing;
        self.missing
    }

    /// The next item for work: its number, where it is, and whether more follow.
    pub fn start(&mut self) -> Option<(usize, Region, bool)> {
        let from = |start: usize| (start..self.items.len()).find(|&item| self.items[item].asks);
        let item = from(self.next)?;
        let following = from(item + 1);
        self.next = following.unwrap_or(self.items.len());
        self.left = self.left.saturating_sub(1);
        Some((item, self.items[item].source, following.is_some()))
    }

    pub fn left(&self) -> usize {
        self.left
    }

    /// What the model says of an item; with the last one what it says of the frame.
    pub fn settle(&mut self, item: usize, mut inferred: Inferred) -> Option<Outcome> {
        let Output { objects, classes, tensors } = std::mem::take(&mut inferred.output);
        if tensors.is_some() {
            let message = "a model with `decoder=tensors` says nothing of single objects: set `region=frame`, or a decoder that gives classes or objects";
            return Some(Outcome::Failed(Error::new(ErrorCode::InvalidConfig, message)));
        }
        if let (Some(classes), Some(item)) = (classes, self.items.get_mut(item)) {
            let Inferred { model, processor_id, .. } = &inferred;
            let answer = Answer { model: model.clone(), processor_id: processor_id.clone(), classes };
            item.answer = Some(Arc::new(answer));
        }
        if let Some(objects) = objects {
            self.found.get_or_insert_default().extend(objects);
        }
        self.preprocess += inferred.timing.preprocess;
        self.missing = self.missing.saturating_sub(1);
        (self.missing == 0).then(|| {
            inferred.output.objects = self.found.take();
            inferred.timing.preprocess = self.preprocess;
            Outcome::Result(inferred)
        })
    }

    /// What is known of the tracks after this frame, and of its objects from frames before. Frames come in order.
    pub fn exchange(&mut self, tracks: &mut Tracks) {
        if self.reclassify_interval < 2 {
            return;
        }
        for item in &mut self.items {
            match (item.track_id, &item.answer) {
                (Some(track), Some(answer)) => tracks.told(track, answer),
                (Some(track), None) if !item.asks => item.answer = tracks.answer(track),
                _ => (),
            }
        }
    }
}

/// The surest of `objects`, in the order in which they were.
fn surest(objects: Vec<Object>) -> Vec<Object> {
    let mut objects: Vec<_> = objects.into_iter().enumerate().collect();
    let sureness = |object: &Object| object.confidence.unwrap_or(0.0);
    objects.sort_by(|(_, a), (_, b)| sureness(b).total_cmp(&sureness(a)));
    objects.truncate(MAX_ITEMS);
    objects.sort_by_key(|(index, _)| *index);
    objects.into_iter().map(|(_, object)| object).collect()
}

impl Item {
    fn needs_model(&self, tracks: &Tracks, number: u64, interval: u32) -> bool {
        interval < 2 || self.track_id.is_none_or(|track| tracks.is_due(track, number, interval))
    }
}
