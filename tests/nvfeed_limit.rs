//! The places for feeds. In a process of its own: the limit is the process's.

mod common;

use common::{element, wait_for_error};
use gst::prelude::*;
use gstnextvision::runtime::Runtime;

#[test]
fn more_feeds_than_places_are_refused_until_one_is_free() {
    let (first, _first_bus) = element("nvfeed");
    let runtime = Runtime::get();
    runtime.configure(|config| config.max_feeds = 1).unwrap();
    let (second, bus) = element("nvfeed");
    first.set_state(gst::State::Paused).unwrap();
    assert!(second.set_state(gst::State::Paused).is_err());
    let (code, message) = wait_for_error(&bus);
    assert_eq!(code, "feed-limit-exceeded");
    assert!(message.contains("max-feeds"), "{message}");

    first.set_state(gst::State::Ready).unwrap();
    second.set_state(gst::State::Paused).unwrap();
    assert_eq!(runtime.feed_count(), 1);
    for feed in [first, second] {
        feed.set_state(gst::State::Null).unwrap();
    }
    assert_eq!(runtime.feed_count(), 0);
}
