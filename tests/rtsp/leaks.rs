//! A reconnect leaves nothing behind.

use std::fs;

use serde_json::json;

use super::{
    Bench,
    camera::{Server, stream},
    proxy::Proxy,
};

/// Threads and open descriptors of this process.
fn held() -> (usize, usize) {
    let count = |folder: &str| fs::read_dir(folder).unwrap().count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

#[test]
fn threads_and_descriptors_are_given_back_at_each_reconnect() {
    const RECONNECTS: usize = 20;
    let bench = Bench::new("rtsp-leaks");
    let Some(server) = Server::start(&json!({"cam": stream("h264")})) else { return };
    let proxy = Proxy::before(server.port);
    let id = bench.add(&proxy.uri("cam"), "");
    let reconnect = || {
        proxy.cut();
        bench.wait("feed-recovered", id);
        bench.wait_for_results(id, 2);
    };
    // What is made once is made by then.
    bench.wait_for_results(id, 2);
    (0..3).for_each(|_| reconnect());
    let (threads, descriptors) = held();
    (0..RECONNECTS).for_each(|_| reconnect());
    // What ends may take its time; a result is as good a clock as any. A leak would be of one for each reconnect.
    let is_enough = |(now_threads, now_descriptors): (usize, usize)| {
        now_threads <= threads + RECONNECTS / 4 && now_descriptors <= descriptors + RECONNECTS / 4
    };
    let settled = (0..1000).any(|_| {
        bench.wait_for_results(id, 1);
        is_enough(held())
    });
    assert!(settled, "{:?} became {:?}", (threads, descriptors), held());
    assert_eq!(bench.restarts(id), RECONNECTS as u64 + 3);
    bench.remove(id);
}
