//! What the tests of the elements share.
#![allow(dead_code)]

use std::sync::Once;

use gst::prelude::*;

/// Nothing in these tests takes that long: who waits longer waits for ever.
pub const LONG: gst::ClockTime = gst::ClockTime::from_seconds(60);

pub fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstnextvision::plugin_register_static().unwrap();
    });
}

pub fn launch(description: &str) -> gst::Pipeline {
    init();
    gst::parse::launch(description).unwrap().downcast().unwrap()
}

/// An element with a bus of its own, outside of any pipeline.
pub fn element(description: &str) -> (gst::Element, gst::Bus) {
    init();
    let element = gst::parse::launch(description).unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    (element, bus)
}

pub fn wait_for(bus: &gst::Bus, types: &[gst::MessageType]) -> gst::Message {
    bus.timed_pop_filtered(LONG, types).unwrap_or_else(|| panic!("no message of {types:?}"))
}

/// The first error on the bus: its `code` and what it says.
pub fn wait_for_error(bus: &gst::Bus) -> (String, String) {
    let message = wait_for(bus, &[gst::MessageType::Error, gst::MessageType::Eos]);
    let gst::MessageView::Error(error) = message.view() else { panic!("end of stream instead of an error") };
    let details = error.details().unwrap_or_else(|| panic!("an error without details: {error:?}"));
    assert_eq!(details.name(), "nv-error");
    (details.get("code").unwrap(), error.error().message().to_owned())
}

pub fn wait_for_eos(bus: &gst::Bus) {
    let message = wait_for(bus, &[gst::MessageType::Error, gst::MessageType::Eos]);
    assert!(matches!(message.view(), gst::MessageView::Eos(_)), "{message:?}");
}
