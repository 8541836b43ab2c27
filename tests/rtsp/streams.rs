//! Cameras that work: each frame has a result.

use serde_json::json;

use super::{
    Bench,
    camera::{Server, stream},
    text,
};

#[test]
fn several_streams_of_both_codecs_are_watched_at_once() {
    let bench = Bench::new("rtsp-streams");
    let streams = json!({"one": stream("h264"), "two": stream("h264"), "three": stream("h265")});
    let Some(mut server) = Server::start(&json!({})) else { return };
    let mut paths = vec!["one", "two"];
    if server.has("h265") {
        server.show(&streams);
        paths.push("three");
    } else {
        server.show(&json!({"one": stream("h264"), "two": stream("h264")}));
    }
    // The first one over UDP, which is what GStreamer asks for first; the second twice.
    paths.push("two");
    let schemes = ["rtsp", "rtspt", "rtspt", "rtspt"];
    let ids: Vec<_> =
        paths.iter().zip(schemes).map(|(path, scheme)| bench.add(&server.uri(scheme, path), "")).collect();
    // Results of all feeds come through one channel.
    let mut wanted: Vec<_> = ids.iter().map(|&id| (id, 20)).collect();
    while !wanted.is_empty() {
        let seen = bench.results.recv_timeout(super::FAR).unwrap();
        assert_eq!((seen.width, seen.height), (64, 48));
        wanted.iter_mut().filter(|(id, _)| *id == seen.feed).for_each(|(_, left)| *left -= 1);
        wanted.retain(|&(_, left)| left > 0);
    }
    for id in ids {
        let feed = bench.feed(id);
        bench.remove(id);
        let counters = feed.snapshot().counters;
        assert_eq!((counters.restarts, counters.errors), (0, 0), "{counters:?}");
        assert!(counters.results >= 20, "{counters:?}");
    }
}

#[test]
fn a_path_that_is_not_there_is_tried_until_it_is() {
    let bench = Bench::new("rtsp-missing");
    let Some(mut server) = Server::start(&json!({})) else { return };
    let id = bench.add(&server.uri("rtspt", "cam"), "");
    for _ in 0..2 {
        let detail = text(&bench.wait("feed-restarting", id), "detail");
        assert!(detail.contains("Not found") || detail.contains("404"), "{detail}");
    }
    server.show(&json!({"cam": stream("h264")}));
    bench.wait("feed-recovered", id);
    bench.wait_for_results(id, 3);
    bench.remove(id);
}
