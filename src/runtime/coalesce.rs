//! Events that can repeat, told at most once a second, with what happened in between added up.

use std::{collections::HashMap, sync::Arc};

use super::{
    clock::Time,
    event::{Event, Field},
};

pub(super) const PERIOD: Time = 1_000_000_000;

/// Those that can repeat; any other is a change, and told at once.
const REPEATING: [&str; 10] = [
    "backpressure-drop",
    "batch-error",
    "batch-rejected",
    "batch-timeout",
    "discontinuity",
    "frame-expired",
    "frame-lag",
    "in-flight-exceeded",
    "output-lagged",
    "sink-error",
];

/// The name, feed and processor of an event, and of which ring it tells.
type Key = (&'static str, Option<u64>, Option<Arc<str>>, Option<String>);

#[derive(Default)]
pub(super) struct Coalescer {
    kept: HashMap<Key, Kept>,
}

struct Kept {
    told: Time,
    /// What happened since.
    untold: Option<Event>,
}

impl Coalescer {
    pub fn is_for(event: &Event) -> bool {
        REPEATING.contains(&event.name)
    }

    /// It happened: what is to be told now.
    pub fn happened(&mut self, mut event: Event, now: Time) -> Option<Event> {
        if !event.fields.iter().any(|(_, field)| matches!(field, Field::Sum(_))) {
            event = event.sum("count", 1);
        }
        let kept = match self.kept.entry(key(&event)) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(Kept { told: now, untold: None });
                return Some(event);
            }
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
        };
        kept.add(event);
        kept.take_if_due(now)
    }

    /// It could not be told after all, and is kept for the next time.
    pub fn put_back(&mut self, event: Event, now: Time) {
        self.kept.entry(key(&event)).or_insert(Kept { told: now, untold: None }).add(event);
    }

    /// What is due though nothing happened. To be called now and then, more often than each second.
    pub fn due(&mut self, now: Time) -> Vec<Event> {
        let due = self.kept.values_mut().filter_map(|kept| kept.take_if_due(now)).collect();
        self.kept.retain(|_, kept| kept.untold.is_some() || now.saturating_sub(kept.told) < PERIOD);
        due
    }

    /// What is kept of this feed or this processor; a change of it has come.
    pub fn settle(&mut self, feed: Option<u64>, processor: Option<&str>) -> Vec<Event> {
        let concerns = |(_, of_feed, of_processor, _): &Key| {
            feed.is_some() && *of_feed == feed || processor.is_some() && of_processor.as_deref() == processor
        };
        let kept = self.kept.iter_mut().filter(|(key, _)| concerns(key));
        kept.filter_map(|(_, kept)| kept.untold.take()).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

impl Kept {
    fn add(&mut self, event: Event) {
        match &mut self.untold {
            Some(untold) => merge(untold, event),
            none => *none = Some(event),
        }
    }

    fn take_if_due(&mut self, now: Time) -> Option<Event> {
        if now.saturating_sub(self.told) < PERIOD {
            return None;
        }
        let event = self.untold.take()?;
        self.told = now;
        Some(event)
    }
}

fn key(event: &Event) -> Key {
    let ring = event.fields.iter().find_map(|(name, field)| match field {
        Field::Text(ring) if *name == "ring" => Some(ring.clone()),
        _ => None,
    });
    (event.name, event.feed.as_ref().map(|(id, _)| *id), event.processor.clone(), ring)
}

/// Sums are added up, the longest stays, anything else is as it was last.
fn merge(kept: &mut Event, mut event: Event) {
    for (name, field) in &mut event.fields {
        let before = kept.fields.iter().find(|(kept, _)| kept == name);
        match (field, before) {
            (Field::Sum(sum), Some((_, Field::Sum(before)))) => *sum = sum.saturating_add(*before),
            (Field::Longest(longest), Some((_, Field::Longest(before)))) => *longest = (*longest).max(*before),
            _ => (),
        }
    }
    *kept = event;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::event::Severity;

    const MS: Time = 1_000_000;

    fn drops(feed: u64, frames: u64) -> Event {
        Event::new("backpressure-drop", Severity::Warning).of_feed(feed, "f").sum("frames", frames)
    }

    fn frames(event: &Event) -> u64 {
        sum(event, "frames")
    }

    fn sum(event: &Event, wanted: &str) -> u64 {
        let field = event.fields.iter().find(|(name, _)| *name == wanted);
        match field {
            Some((_, Field::Sum(sum))) => *sum,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_at_once_then_one_a_second_and_nothing_is_lost_in_sum() {
        let mut coalescer = Coalescer::default();
        let (mut told, mut times) = (0, Vec::new());
        for now in (0..3500).step_by(7) {
            let mut due = coalescer.due(now * MS);
            due.extend(coalescer.happened(drops(1, 2), now * MS));
            assert!(due.len() <= 1);
            if let Some(event) = due.first() {
                told += frames(event);
                times.push(now);
            }
        }
        assert_eq!(times.len(), 4);
        assert!(times[0] == 0 && times.windows(2).all(|pair| pair[1] - pair[0] >= 1000), "{times:?}");
        told += coalescer.due(5000 * MS).iter().map(frames).sum::<u64>();
        assert_eq!(told, 2 * 500);
        coalescer.due(9000 * MS);
        assert!(coalescer.is_empty());
        assert_eq!(coalescer.happened(drops(1, 1), 9001 * MS).as_ref().map(frames), Some(1));
    }

    #[test]
    fn feeds_processors_and_events_do_not_mix() {
        let mut coalescer = Coalescer::default();
        for event in [
            drops(1, 1),
            drops(2, 1),
            drops(2, 1).of_processor(&"a".into()),
            Event::new("frame-expired", Severity::Warning).of_feed(1, "f").sum("frames", 1),
            Event::output_lagged("output", 1),
            Event::output_lagged("health", 1),
        ] {
            assert!(coalescer.happened(event.clone(), 0).is_some(), "{event:?}");
            assert!(coalescer.happened(event, 1).is_none());
        }
    }

    #[test]
    fn a_change_settles_what_is_kept_of_its_feed_or_processor() {
        let mut coalescer = Coalescer::default();
        for now in 0..5 {
            for feed in [1, 2] {
                coalescer.happened(drops(feed, 1).of_processor(&"p".into()), now);
            }
        }
        let settled = coalescer.settle(Some(1), None);
        assert_eq!(settled.iter().map(frames).collect::<Vec<_>>(), [4]);
        assert!(coalescer.settle(Some(1), Some("other")).is_empty());
        assert_eq!(coalescer.settle(None, Some("p")).iter().map(frames).sum::<u64>(), 4);
        assert!(coalescer.due(5000 * MS).is_empty());
    }

    #[test]
    fn the_last_text_and_the_longest_time_are_told_and_events_without_a_sum_are_counted() {
        let mut coalescer = Coalescer::default();
        let error = |detail: &str, age: u64| {
            Event::new("batch-error", Severity::Error)
                .of_processor(&"p".into())
                .count("batch-size", age)
                .text("detail", detail)
                .longest("age", age)
        };
        let first = coalescer.happened(error("a", 1), 0).unwrap();
        assert_eq!(sum(&first, "count"), 1);
        for (detail, age) in [("b", 9), ("c", 4)] {
            assert!(coalescer.happened(error(detail, age), 1).is_none());
        }
        let [told] = &coalescer.due(PERIOD)[..] else { panic!("one is due") };
        assert_eq!(sum(told, "count"), 2);
        for expected in
            [("detail", Field::Text("c".into())), ("age", Field::Longest(9)), ("batch-size", Field::Count(4))]
        {
            assert!(told.fields.contains(&expected), "{told:?}");
        }
    }

    #[test]
    fn what_could_not_be_told_is_told_later() {
        let mut coalescer = Coalescer::default();
        let told = coalescer.happened(drops(1, 3), 0).unwrap();
        coalescer.put_back(told, 0);
        assert!(coalescer.happened(drops(1, 1), 1).is_none());
        assert_eq!(frames(&coalescer.due(PERIOD)[0]), 4);
    }
}
