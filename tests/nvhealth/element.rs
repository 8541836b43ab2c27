//! The element: what it posts, and whose.

use gst::prelude::*;
use gstnextvision::runtime::Runtime;

use crate::common::{LONG, Started, count, end_stream, owner, push_frame, stats};

/// The next message of that name on the bus.
fn next(bus: &gst::Bus, name: &str) -> gst::Structure {
    loop {
        let message = bus.timed_pop_filtered(LONG, &[gst::MessageType::Element, gst::MessageType::Error]);
        let message = message.unwrap_or_else(|| panic!("no {name}"));
        assert_ne!(message.type_(), gst::MessageType::Error, "{message:?}");
        match message.structure() {
            Some(structure) if structure.name() == name => return structure.to_owned(),
            _ => (),
        }
    }
}

/// The next event of the feed of that name.
fn next_of(bus: &gst::Bus, feed: &str) -> gst::Structure {
    std::iter::repeat_with(|| next(bus, "nv-health"))
        .find(|event| event.get::<&str>("feed-name") == Ok(feed))
        .expect("endless")
}

#[test]
fn alone_it_prerolls_plays_and_posts_figures() {
    let pipeline = Started::new("pipeline. ( nvhealth interval=1 )");
    let prerolled = pipeline.set_state(gst::State::Paused).unwrap();
    assert_eq!(prerolled, gst::StateChangeSuccess::Success);
    pipeline.set_state(gst::State::Playing).unwrap();
    for _ in 0..3 {
        let figures = next(&pipeline.bus, "nv-diagnostics");
        for count in ["uptime", "output-lag", "output-lost", "detached-threads"] {
            figures.get::<u64>(count).unwrap();
        }
        for count in ["feed-count", "max-feeds"] {
            figures.get::<u32>(count).unwrap();
        }
        for list in ["feeds", "processors"] {
            figures.get::<gst::Array>(list).unwrap();
        }
    }
}

#[test]
fn events_of_any_pipeline_or_of_its_own_only() {
    let everywhere = Started::playing("pipeline. ( nvhealth interval=0 )");
    let _owner = owner("scope");
    let own = Started::playing(
        "bin. ( nvhealth name=h interval=0 scope=pipeline ) appsrc name=in format=time ! nvfeed name=f feed-name=own processor-id=scope",
    );
    let other = Started::playing("videotestsrc num-buffers=1 ! nvfeed feed-name=other processor-id=scope");
    assert_eq!(next_of(&everywhere.bus, "other").get("event"), Ok("feed-added"));
    drop(other);

    let caps = "video/x-raw,format=GRAY8,width=64,height=64,framerate=10/1".parse().unwrap();
    let source = own.child("in");
    push_frame(&source, &caps, 64 * 64, 0);
    end_stream(&source);
    let mut seen = Vec::new();
    let mut last = 0;
    while !seen.contains(&"feed-started".to_owned()) {
        let event = next(&own.bus, "nv-health");
        assert_eq!(event.get::<&str>("feed-name"), Ok("own"), "{event}");
        let (seq, time) = (count(&event, "seq"), count(&event, "time"));
        assert!(seq > last && time > 0 && count(&event, "feed-id") > 0, "{event}");
        assert!(event.get::<&str>("severity").is_ok());
        seen.push(event.get::<String>("event").unwrap());
        last = seq;
    }
    assert_eq!(seen, ["feed-added", "feed-attached", "decode-decision", "feed-started"]);
    stats(&own.child("f"));
}

#[test]
fn figures_of_all_feeds_by_id() {
    let health = Started::playing("pipeline. ( nvhealth name=h interval=0 )");
    let _owner = owner("figures");
    let feeds: Vec<_> = (0..3)
        .map(|_| Started::playing("videotestsrc ! nvfeed name=f feed-name=figured processor-id=figures message=false"))
        .collect();
    let element = health.child("h");
    let snapshot = Runtime::get().snapshot();
    let ids: Vec<u64> = feeds.iter().map(|feed| feed.child("f").property("feed-id")).collect();
    for id in &ids {
        let feed = &snapshot.feeds[id];
        assert!(feed.is_conserved() && feed.name == "figured", "{feed:?}");
    }
    let processor = &snapshot.processors["figures"];
    assert_eq!((processor.feeds, processor.counters.batch_sizes.len()), (3, 4));
    let figures: gst::Structure = element.property("diagnostics");
    let listed = figures.get::<gst::Array>("feeds").unwrap();
    let listed: Vec<u64> =
        listed.iter().map(|feed| feed.get::<gst::Structure>().unwrap().get("feed-id").unwrap()).collect();
    assert!(listed.is_sorted() && ids.iter().all(|id| listed.contains(id)), "{listed:?}");
    assert!(element.property::<u32>("feed-count") >= 3 && element.property::<u64>("uptime") > 0);
    assert_eq!(element.property::<glib::Object>("runtime"), feeds[0].child("f").property::<glib::Object>("runtime"));
}
