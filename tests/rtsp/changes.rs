//! Cameras that are restarted come back as another: at another size, with another SSRC, by another codec.

use serde_json::json;

use super::{
    Bench,
    camera::{Server, sized, stream},
    proxy::Proxy,
};

#[test]
fn a_camera_that_comes_back_with_another_picture() {
    let bench = Bench::new("rtsp-changes");
    let Some(mut server) = Server::start(&json!({"cam": sized(64, 48)})) else { return };
    let proxy = Proxy::before(server.port);
    let id = bench.add(&proxy.uri("cam"), "");
    bench.wait_for_result(id, |seen| (seen.width, seen.height) == (64, 48));
    for (width, height) in [(320, 240), (48, 64)] {
        server.show(&json!({"cam": sized(width, height)}));
        bench.wait("feed-recovered", id);
        bench.wait_for_result(id, |seen| (seen.width, seen.height) == (width, height));
    }
    if server.has("h265") {
        server.show(&json!({"cam": stream("h265")}));
        bench.wait("feed-recovered", id);
        bench.wait_for_result(id, |seen| (seen.width, seen.height) == (64, 48));
    }
    // Another process altogether, at another port behind the same address.
    let Some(other) = Server::start(&json!({"cam": sized(96, 96)})) else { return };
    proxy.lead_to(other.port);
    drop(server);
    bench.wait_for_result(id, |seen| (seen.width, seen.height) == (96, 96));
    assert!(bench.restarts(id) >= 3);
    bench.remove(id);
}
