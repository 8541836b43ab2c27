//! Limits set by `nvhealth`. In a process of its own: they are the process's.

mod common;

use common::{LONG, Started, element, wait_for_error};
use gst::prelude::*;
use gstnextvision::runtime::Runtime;

#[test]
fn limits_hold_from_ready_on_and_may_change_later() {
    // What the process keeps while no element holds it.
    let runtime = Runtime::get();
    let zero = Started::new("pipeline. ( nvhealth max-feeds=0 )");
    assert_eq!(runtime.config().max_feeds, 64, "in NULL nothing is set yet");
    assert!(zero.set_state(gst::State::Ready).is_err());
    let (code, message) = wait_for_error(&zero.bus);
    assert!(code == "invalid-capacity" && message.contains("max-feeds"), "{code}: {message}");

    let health = Started::new("pipeline. ( nvhealth name=h max-feeds=1 output-capacity=7 )");
    let limits = health.child("h");
    assert_eq!(limits.property::<u32>("max-feeds"), 1);
    health.set_state(gst::State::Ready).unwrap();
    let config = runtime.config();
    assert_eq!((config.max_feeds, config.output_capacity, config.health_capacity), (1, 7, 256));

    let (first, _first_bus) = element("nvfeed");
    let (second, second_bus) = element("nvfeed");
    first.set_state(gst::State::Paused).unwrap();
    assert!(second.set_state(gst::State::Paused).is_err());
    assert_eq!(wait_for_error(&second_bus).0, "feed-limit-exceeded");

    limits.set_property("max-feeds", 2u32);
    second.set_state(gst::State::Paused).unwrap();

    for limit in ["max-feeds", "health-capacity", "output-capacity"] {
        let before: u32 = limits.property(limit);
        limits.set_property(limit, 0u32);
        let warning =
            health.bus.timed_pop_filtered(LONG, &[gst::MessageType::Warning, gst::MessageType::Error]).unwrap();
        let gst::MessageView::Warning(warning) = warning.view() else { panic!("{warning:?}") };
        assert_eq!(warning.details().unwrap().get("code"), Ok("invalid-capacity"));
        assert!(warning.error().message().contains(limit), "{warning:?}");
        assert_eq!(limits.property::<u32>(limit), before);
    }
    for feed in [first, second] {
        feed.set_state(gst::State::Null).unwrap();
    }
}
