//! From add-feed to the end: files, loops, pauses, removal.

use std::fs;

use gstnextvision::runtime::ErrorCode;

use super::{Bench, CLIP_FRAMES, clip, text};

#[test]
fn a_file_is_seen_to_its_end_frame_by_frame() {
    let bench = Bench::new("managed-file");
    let location = bench.path("results");
    let id = bench.add(&format!("uri={}, feed-name=gate, location={}", clip("gate"), location.display()));
    assert_eq!(text(&bench.wait("feed-stopped", id), "reason"), "eos");
    bench.assert_empty();
    let results = fs::read_to_string(location).unwrap();
    let frames: Vec<_> = results.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect();
    assert_eq!(frames.len(), CLIP_FRAMES);
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!((frame["frame"].as_u64(), frame["feed_id"].as_u64()), (Some(number as u64), Some(id)));
        assert_eq!(frame["feed_name"], "gate");
    }
    for error in [bench.runtime.remove_feed(id), bench.runtime.pause_feed(id), bench.runtime.resume_feed(id)] {
        assert_eq!(error.unwrap_err().code, ErrorCode::FeedNotFound);
    }
}

#[test]
fn two_feeds_of_one_uri_are_two_feeds() {
    let bench = Bench::new("managed-twice");
    let locations = ["a", "b"].map(|name| bench.path(name));
    let ids = [0, 1].map(|n| bench.add(&format!("uri={}, location={}", clip("yard"), locations[n].display())));
    assert!(ids[0] < ids[1]);
    let mut over: Vec<_> = (0..2)
        .map(|_| {
            loop {
                let event = bench.events.recv_timeout(super::FAR).unwrap();
                if event.name == "feed-stopped" {
                    break event.feed.clone().unwrap();
                }
            }
        })
        .collect();
    over.sort();
    assert_eq!(over, ids.map(|id| (id, format!("feed-{id}"))));
    for location in locations {
        assert_eq!(fs::read_to_string(location).unwrap().lines().count(), CLIP_FRAMES);
    }
}

#[test]
fn a_loop_goes_on_until_it_is_removed() {
    let bench = Bench::new("managed-loop");
    let (location, mut results) = bench.results("results");
    let id = bench.add(&format!("uri={}, loop=true, location={}", clip("gate"), location.display()));
    for number in 0..2 * CLIP_FRAMES as u64 + 1 {
        let result: serde_json::Value = serde_json::from_str(&results.next().unwrap().unwrap()).unwrap();
        assert_eq!(result["frame"].as_u64(), Some(number));
    }
    assert_eq!(bench.runtime.feed(id).unwrap().snapshot().counters.restarts, 0);
    bench.assert_conserved();
    bench.runtime.remove_feed(id).unwrap();
    bench.assert_empty();
    assert_eq!(text(&bench.wait("feed-stopped", id), "reason"), "requested");
}

#[test]
fn a_paused_feed_takes_no_frame_and_resumes_where_it_was() {
    let bench = Bench::new("managed-pause");
    let (location, mut results) = bench.results("results");
    let id = bench.add(&format!("uri={}, loop=true, location={}", clip("dock"), location.display()));
    assert_eq!(bench.runtime.resume_feed(id).unwrap_err().code, ErrorCode::NotPaused);
    results.next().unwrap().unwrap();

    bench.runtime.pause_feed(id).unwrap();
    bench.wait("feed-paused", id);
    let received = || bench.runtime.feed(id).unwrap().snapshot().counters.received;
    let before = received();
    let other = bench.add(&format!("uri={}", clip("gate")));
    assert_eq!(text(&bench.wait("feed-stopped", other), "reason"), "eos");
    assert_eq!(received(), before);
    assert_eq!(bench.runtime.pause_feed(id).unwrap_err().code, ErrorCode::AlreadyPaused);

    bench.runtime.resume_feed(id).unwrap();
    bench.wait("feed-resumed", id);
    for number in 1..before + 10 {
        let result: serde_json::Value = serde_json::from_str(&results.next().unwrap().unwrap()).unwrap();
        assert_eq!(result["frame"].as_u64(), Some(number));
    }
    bench.runtime.pause_feed(id).unwrap();
    bench.runtime.remove_feed(id).unwrap();
    bench.assert_empty();
}

#[test]
fn one_that_was_paused_before_it_ran_starts_paused() {
    let bench = Bench::new("managed-early-pause");
    let id = bench.add(&format!("uri={}", clip("gate")));
    // Whether it runs by now or not: from here on nothing more comes in.
    bench.runtime.pause_feed(id).unwrap();
    bench.runtime.resume_feed(id).unwrap();
    assert_eq!(text(&bench.wait("feed-stopped", id), "reason"), "eos");
}

#[test]
fn one_that_waits_for_its_processor_can_be_removed() {
    let bench = Bench::new("managed-pending");
    let id = bench.add(&format!("uri={}, processor-id=not-there, attach-timeout=(guint64){}", clip("gate"), u64::MAX));
    bench.wait("feed-pending", id);
    bench.runtime.remove_feed(id).unwrap();
    bench.assert_empty();
    assert_eq!(text(&bench.wait("feed-stopped", id), "reason"), "requested");
}

#[test]
fn a_fragment_may_give_raw_or_encoded_video() {
    let bench = Bench::new("managed-fragment");
    let encoded = format!("filesrc location={}/tests/clips/gate.mp4 ! qtdemux", env!("CARGO_MANIFEST_DIR"));
    let raw = "videotestsrc num-buffers=7 ! video/x-raw,width=64,height=64 ! identity";
    let bayer = "audiotestsrc num-buffers=7";
    for (fragment, frames) in [(raw, 7), (encoded.as_str(), CLIP_FRAMES)] {
        let location = bench.path("results");
        let id = bench.add(&format!("pipeline=\"{fragment}\", location={}", location.display()));
        assert_eq!(text(&bench.wait("feed-stopped", id), "reason"), "eos", "{fragment}");
        assert_eq!(fs::read_to_string(location).unwrap().lines().count(), frames, "{fragment}");
    }
    let id = bench.add(&format!("pipeline=\"{bayer}\", max-restarts=0"));
    let event = bench.wait("feed-stopped", id);
    assert_eq!(text(&event, "reason"), "restart-limit");
    bench.assert_empty();
}
