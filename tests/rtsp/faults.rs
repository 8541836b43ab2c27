//! What networks do to a camera. Its feed is back after it, and the feed of another camera has not noticed.

use std::time::Duration;

use serde_json::json;

use super::{
    Bench,
    camera::{Server, stream},
    count,
    proxy::{Fault, Proxy},
};

struct Faulty {
    bench: Bench,
    proxy: Proxy,
    /// Through the proxy.
    id: u64,
    /// Beside it.
    other: u64,
    _server: Server,
}

impl Faulty {
    fn new(processor: &'static str) -> Option<Self> {
        Self::with(processor, "stall-timeout=(int)300000000")
    }

    fn with(processor: &'static str, fields: &str) -> Option<Self> {
        let bench = Bench::new(processor);
        let server = Server::start(&json!({"cam": stream("h264"), "other": stream("h264")}))?;
        let proxy = Proxy::before(server.port);
        let id = bench.add(&proxy.uri("cam"), fields);
        let other = bench.add(&server.uri("rtspt", "other"), "stall-timeout=(int)0");
        bench.wait_for_results(other, 1);
        bench.wait_for_results(id, 3);
        Some(Self { bench, proxy, id, other, _server: server })
    }

    /// Waits until the feed was restarted, takes the fault away, and sees the feed back.
    fn recovers(self) {
        let event = self.bench.wait("feed-restarting", self.id);
        assert!(count(&event, "restart-count") >= 1, "{event:?}");
        self.goes_on();
    }

    fn goes_on(mut self) {
        self.proxy.set(Fault::None);
        // A connection that was made under the fault would be given up much later.
        self.proxy.cut();
        self.is_back();
        self.end();
    }

    fn is_back(&mut self) {
        self.bench.wait("feed-recovered", self.id);
        self.bench.wait_for_results(self.id, 3);
        assert!(self.bench.restarts(self.id) >= 1);
    }

    fn end(self) {
        self.bench.wait_for_results(self.other, 3);
        assert_eq!(self.bench.restarts(self.other), 0);
        self.bench.remove(self.id);
        self.bench.remove(self.other);
    }
}

#[test]
fn a_connection_that_is_cut_in_the_middle_of_a_frame() {
    let Some(faulty) = Faulty::new("rtsp-cut") else { return };
    // No RTP packet of this picture ends there.
    faulty.proxy.set(Fault::CutAfter(1001));
    faulty.recovers();
}

#[test]
fn a_connection_that_is_half_open() {
    let Some(faulty) = Faulty::new("rtsp-half-open") else { return };
    faulty.proxy.set(Fault::HalfOpenAfter(777));
    faulty.recovers();
}

#[test]
fn a_camera_that_takes_connections_and_says_nothing() {
    let Some(faulty) = Faulty::new("rtsp-silence") else { return };
    // Those that are there go silent; the next one finds nobody who answers, until it is cut.
    faulty.proxy.set(Fault::Silence);
    faulty.bench.wait("feed-restarting", faulty.id);
    faulty.proxy.wait_for_silence();
    faulty.goes_on();
}

#[test]
fn a_camera_that_refuses_connections() {
    let Some(mut faulty) = Faulty::new("rtsp-refuse") else { return };
    faulty.proxy.refuse();
    let mut last = 0;
    for _ in 0..4 {
        let restarts = count(&faulty.bench.wait("feed-restarting", faulty.id), "restart-count");
        assert_eq!(restarts, last + 1);
        last = restarts;
    }
    faulty.proxy.listen();
    faulty.is_back();
    faulty.end();
}

#[test]
fn packets_that_are_lost_lose_frames_and_not_the_feed() {
    let Some(faulty) = Faulty::with("rtsp-loss", "stall-timeout=(int)0") else { return };
    faulty.proxy.set(Fault::Lose(5));
    faulty.bench.wait_for_results(faulty.id, 20);
    faulty.proxy.set(Fault::None);
    faulty.bench.wait_for_results(faulty.id, 3);
    assert_eq!(faulty.bench.restarts(faulty.id), 0);
    faulty.end();
}

#[test]
fn a_connection_whose_packets_are_all_lost() {
    let Some(faulty) = Faulty::new("rtsp-all-lost") else { return };
    faulty.proxy.set(Fault::Lose(1));
    faulty.recovers();
}

#[test]
fn a_link_that_is_slow() {
    let Some(faulty) = Faulty::new("rtsp-slow") else { return };
    for fault in [Fault::Delay(Duration::from_millis(50)), Fault::Throttle(64, Duration::from_millis(1))] {
        faulty.proxy.set(fault);
        faulty.bench.wait_for_results(faulty.id, 10);
    }
    faulty.proxy.set(Fault::None);
    faulty.bench.wait_for_results(faulty.id, 3);
    faulty.end();
}

#[test]
fn a_link_that_is_later_than_the_patience() {
    let Some(faulty) = Faulty::new("rtsp-late") else { return };
    faulty.proxy.set(Fault::Delay(Duration::from_secs(2)));
    faulty.recovers();
}

#[test]
fn a_link_that_is_throttled_to_nearly_nothing() {
    let Some(faulty) = Faulty::new("rtsp-throttled") else { return };
    faulty.proxy.set(Fault::Throttle(1, Duration::from_millis(50)));
    faulty.recovers();
}
