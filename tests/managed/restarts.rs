//! Sources that fail, and places that come back.

use std::{fs, io::Read, net::TcpListener, thread};

use gstnextvision::runtime::ErrorCode;

use super::{Bench, clip, count, make_pipe, text};

#[test]
fn a_broken_uri_is_tried_as_often_as_it_may_be() {
    let bench = Bench::new("managed-broken");
    let id = bench.add("uri=file:///no/such/video.mp4, max-restarts=3, restart-delay=1");
    for restart in 1..=3 {
        let event = bench.wait("feed-restarting", id);
        assert_eq!(count(&event, "restart-count"), restart);
        assert!(count(&event, "delay") <= 4, "{event:?}");
    }
    let event = bench.wait("feed-stopped", id);
    assert_eq!(text(&event, "reason"), "restart-limit");
    assert!(text(&event, "detail").contains("/no/such/video.mp4"), "{event:?}");
    bench.assert_empty();
}

#[test]
fn what_is_no_video_fails_and_says_so() {
    let bench = Bench::new("managed-no-video");
    let path = bench.path("words");
    fs::write(&path, "no video, only words. ".repeat(1000)).unwrap();
    let id = bench.add(&format!("uri=file://{}, max-restarts=0", path.display()));
    let event = bench.wait("feed-stopped", id);
    assert_eq!(text(&event, "reason"), "restart-limit");
    assert!(!text(&event, "detail").is_empty());
}

#[test]
fn figures_and_results_go_on_over_restarts() {
    let bench = Bench::new("managed-figures");
    let location = bench.path("results");
    let fragment = "videotestsrc num-buffers=5 ! video/x-raw,width=64,height=64 ! identity error-after=5";
    let id = bench
        .add(&format!("pipeline=\"{fragment}\", max-restarts=2, restart-delay=1, location={}", location.display()));
    for restarts in 1..=2 {
        bench.wait("feed-restarting", id);
        if let Some(feed) = bench.runtime.feed(id) {
            let figures = feed.snapshot();
            assert!(figures.is_conserved() && figures.counters.restarts >= restarts, "{figures:?}");
        }
    }
    assert_eq!(text(&bench.wait("feed-stopped", id), "reason"), "restart-limit");
    let frames: Vec<_> = fs::read_to_string(location)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["frame"].as_u64().unwrap())
        .collect();
    assert!(frames.is_sorted() && frames.iter().all(|&frame| frame < 15), "{frames:?}");
}

#[test]
fn one_that_waits_for_its_restart_can_be_paused_resumed_and_removed() {
    let bench = Bench::new("managed-waiting");
    let id = bench.add("uri=file:///no/such/video.mp4, restart-delay=(guint64)18446744073709551615, max-restart-delay=(guint64)18446744073709551615");
    bench.wait("feed-restarting", id);
    bench.runtime.pause_feed(id).unwrap();
    bench.runtime.resume_feed(id).unwrap();
    bench.runtime.remove_feed(id).unwrap();
    bench.assert_empty();
    assert_eq!(text(&bench.wait("feed-stopped", id), "reason"), "requested");
}

#[test]
fn what_no_restart_cures_ends_the_feed_at_once() {
    let bench = Bench::new("managed-lasting");
    let id = bench.add(&format!("uri={}, location=/no/such/folder/results", clip("gate")));
    let event = bench.wait("feed-stopped", id);
    assert_eq!(text(&event, "reason"), "error");
    assert!(text(&event, "detail").contains("/no/such/folder/results"), "{event:?}");
    bench.assert_empty();
}

#[test]
fn a_loop_without_frames_does_not_spin() {
    let bench = Bench::new("managed-spin");
    let id = bench.add("pipeline=\"videotestsrc num-buffers=0\", loop=true, max-restarts=0");
    assert_ne!(text(&bench.wait("feed-stopped", id), "reason"), "eos");
    bench.assert_empty();
}

#[test]
fn a_place_is_taken_from_add_feed_to_the_end() {
    let bench = Bench::new("managed-places");
    bench.runtime.configure(|config| config.max_feeds = 2).unwrap();
    let ids = [0, 1].map(|_| bench.add("uri=file:///no/such.mp4, restart-delay=(guint64)9000000000000"));
    let error = bench.try_add(&format!("uri={}", clip("gate"))).unwrap_err();
    assert_eq!((error.code, error.max), (ErrorCode::FeedLimitExceeded, Some(2)));
    bench.runtime.remove_feed(ids[0]).unwrap();
    let id = bench.add(&format!("uri={}", clip("gate")));
    assert_eq!(text(&bench.wait("feed-stopped", id), "reason"), "eos");
    bench.runtime.remove_feed(ids[1]).unwrap();
    bench.assert_empty();
}

#[test]
fn a_camera_that_says_nothing_can_be_removed() {
    let bench = Bench::new("managed-silent");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let accepted = thread::spawn(move || {
        let (mut connection, _) = server.accept().unwrap();
        let mut asked = [0; 16];
        connection.read_exact(&mut asked).unwrap();
        (connection, server, asked)
    });
    let id = bench.add(&format!("uri=\"rtspt://user:secret@{address}/1\""));
    let (connection, _server, asked) = accepted.join().unwrap();
    assert!(asked.starts_with(b"OPTIONS"), "{asked:?}");
    bench.runtime.remove_feed(id).unwrap();
    bench.assert_empty();
    assert_eq!(text(&bench.wait("feed-stopped", id), "reason"), "requested");
    drop(connection);
}

#[test]
fn a_camera_that_is_not_there_is_told_of_without_its_password() {
    let bench = Bench::new("managed-secret");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    drop(server);
    let id = bench.add(&format!("uri=\"rtspt://user:secret@{address}/1?token=abc\", max-restarts=0"));
    let event = bench.wait("feed-stopped", id);
    let detail = text(&event, "detail");
    assert!(!detail.contains("secret") && !detail.contains("abc"), "{detail}");
}

/// Nobody writes to the pipe: opening it blocks until somebody does.
#[test]
fn a_pipe_that_nobody_writes_to_holds_nobody_up() {
    let bench = Bench::new("managed-pipe");
    bench.runtime.configure(|config| config.feed_join_timeout = 1).unwrap();
    let path = bench.path("video");
    make_pipe(&path);
    let id = bench.add(&format!("uri=file://{}", path.display()));
    let other = bench.add(&format!("uri={}", clip("gate")));
    bench.runtime.remove_feed(id).unwrap();
    assert!(bench.runtime.feed(id).is_none());
    assert_eq!(text(&bench.wait("feed-stopped", other), "reason"), "eos");
    bench.assert_empty();
    // Lets it go, where it got so far.
    _ = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
}
