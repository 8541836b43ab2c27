//! Cameras that let in who knows the password, and nobody who hears us gets to know it.

use serde_json::json;

use super::{
    Bench,
    camera::{Server, locked, stream},
    ear::{ESCAPED, MARK, PASSWORD, hear},
    text,
};

fn with_login(uri: &str, login: &str) -> String {
    uri.replacen("://", &format!("://{login}@"), 1)
}

fn lets_in(auth: &str, processor: &'static str) {
    let bench = Bench::new(processor);
    let Some(server) = Server::start(&json!({"cam": locked(auth, "user", PASSWORD)})) else { return };
    let uri = server.uri("rtspt", "cam");
    let login = format!("user:{ESCAPED}");
    let lines = tempfile::NamedTempFile::new().unwrap();
    let fields = format!("feed-name=\"{}\", location=\"{}\"", with_login(&uri, &login), lines.path().display());
    let right = bench.add(&with_login(&uri, &login), &fields);
    bench.wait_for_results(right, 3);

    // The password that is wrong is as secret: it may be right elsewhere.
    let wrong = [format!("user:{MARK}"), format!("{MARK}:{MARK}"), format!("user:{MARK}%2F%40%3A")];
    for login in &wrong {
        let id = bench.add(&with_login(&uri, login), &format!("feed-name=\"rtsp://{login}@cam\""));
        let detail = text(&bench.wait("feed-restarting", id), "detail");
        assert!(detail.contains("nauthorized"), "{detail}");
        bench.runtime.remove_feed(id).unwrap();
    }
    bench.wait_for_results(right, 3);
    assert_eq!(bench.restarts(right), 0);
    bench.remove(right);
    let written = std::fs::read_to_string(lines.path()).unwrap();
    assert!(written.lines().count() >= 3, "{written}");
    hear(&written);
}

#[test]
fn basic() {
    lets_in("basic", "rtsp-basic");
}

#[test]
fn digest() {
    lets_in("digest", "rtsp-digest");
}

#[test]
fn a_token_in_the_query_is_secret_too() {
    let bench = Bench::new("rtsp-token");
    let Some(mut server) = Server::start(&json!({})) else { return };
    let path = format!("cam?Password={MARK}");
    let id = bench.add(&server.uri("rtspt", &path), "");
    bench.wait("feed-restarting", id);
    server.show(&json!({"cam": stream("h264")}));
    bench.wait_for_results(id, 3);
    bench.remove(id);
}

/// What is refused before anything is connected says so without the password.
#[test]
fn refusals_tell_no_password() {
    let bench = Bench::new("rtsp-refusals");
    let object = bench.runtime.object();
    for structure in [
        format!("feed, uri=\"rtsp://user:{MARK}@cam/1\", rtsp-security=require-tls"),
        format!("feed, uri=\"ftp://user:{MARK}@cam/1\""),
        format!("feed, uri=\"user:{MARK}@cam/1\""),
        format!("feed, uri=\"rtsp://cam/1\", colour=\"rtsp://user:{MARK}@cam/1\""),
        format!("feed, uri=\"rtsp://cam/1\", interval=\"password={MARK}\""),
        format!("feed, pipeline=\"rtspsrc location=rtsp://cam user-id=u user-pw={MARK} ! nosuchelement\""),
        format!("feed, pipeline=\"rtspsrc location=rtsp://u:{MARK}@cam ! fakesink\""),
    ] {
        let structure: gst::Structure = structure.parse().unwrap();
        let id: u64 = glib::prelude::ObjectExt::emit_by_name(&object, "add-feed", &[&Some(structure)]);
        assert_eq!(id, 0);
        let error: gst::Structure = glib::prelude::ObjectExt::property(&object, "last-error");
        hear(&error.to_string());
    }
}
