//! `rtsps`: cameras with a certificate of their own.

use std::{path::PathBuf, process::Command, sync::OnceLock};

use gio::prelude::*;
use serde_json::json;

use super::{
    Bench,
    camera::{Server, locked, skip, stream},
    common::{Started, wait_for_error},
    ear::{ESCAPED, PASSWORD},
    text,
};

/// A new one, which nobody trusts; made once a process.
fn certificate() -> Option<PathBuf> {
    static MADE: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("certificate.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"])
            .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-keyout".as_ref(), key.as_os_str(), "-out".as_ref(), certificate.as_os_str()])
            .output();
        if !made.is_ok_and(|made| made.status.success()) {
            skip("no certificate could be made (openssl)");
            return None;
        }
        if !gio::TlsBackend::default().supports_tls() {
            skip("GLib has no TLS (glib-networking)");
            return None;
        }
        let both = folder.path().join("both.pem");
        let parts = [certificate, key].map(|part| std::fs::read_to_string(part).unwrap());
        std::fs::write(&both, parts.concat()).unwrap();
        Some((folder, both))
    });
    made.as_ref().map(|(_, path)| path.clone())
}

/// This process takes that certificate for good, while it lives, as an application would do it.
struct Trust;

impl Trust {
    fn in_certificate(path: &std::path::Path) -> Self {
        let database = gio::TlsFileDatabase::new(path).unwrap();
        gio::TlsBackend::default().set_default_database(Some(&database));
        Self
    }
}

impl Drop for Trust {
    fn drop(&mut self) {
        gio::TlsBackend::default().set_default_database(None::<&gio::TlsDatabase>);
    }
}

#[test]
fn a_camera_behind_tls_is_watched_under_require_tls() {
    let bench = Bench::new("rtsp-tls");
    let Some(certificate) = certificate() else { return };
    let Some(server) = Server::with_certificate(&certificate, &json!({"cam": stream("h264")})) else { return };
    let _trust = Trust::in_certificate(&certificate);
    let id = bench.add(&server.uri("rtsps", "cam"), "rtsp-security=require-tls");
    bench.wait_for_results(id, 3);
    assert_eq!(bench.restarts(id), 0);
    bench.remove(id);
    assert!(bench.events.try_iter().all(|event| event.name != "insecure-source"));
}

#[test]
fn a_login_behind_tls() {
    let bench = Bench::new("rtsp-tls-login");
    let Some(certificate) = certificate() else { return };
    let streams = json!({"cam": locked("digest", "user", PASSWORD)});
    let Some(server) = Server::with_certificate(&certificate, &streams) else { return };
    let _trust = Trust::in_certificate(&certificate);
    let uri = server.uri("rtspst", "cam").replace("://", &format!("://user:{ESCAPED}@"));
    let id = bench.add(&uri, "rtsp-security=require-tls");
    bench.wait_for_results(id, 3);
    bench.remove(id);
}

#[test]
fn a_certificate_that_nobody_knows_is_refused_until_it_is_trusted() {
    let bench = Bench::new("rtsp-tls-unknown");
    let Some(certificate) = certificate() else { return };
    let Some(server) = Server::with_certificate(&certificate, &json!({"cam": stream("h264")})) else { return };
    let id = bench.add(&server.uri("rtsps", "cam"), "");
    for _ in 0..2 {
        let detail = text(&bench.wait("feed-restarting", id), "detail");
        assert!(detail.to_lowercase().contains("connect"), "{detail}");
    }
    assert_eq!(bench.feed(id).snapshot().counters.received, 0);
    let _trust = Trust::in_certificate(&certificate);
    bench.wait("feed-recovered", id);
    bench.wait_for_results(id, 3);
    bench.remove(id);
}

/// GStreamer asks for UDP first, also where the connection is encrypted. The video is not, then.
#[test]
fn video_beside_the_encrypted_connection_is_insecure() {
    let bench = Bench::new("rtsp-tls-udp");
    let Some(certificate) = certificate() else { return };
    let Some(server) = Server::with_certificate(&certificate, &json!({"cam": stream("h264")})) else { return };
    let _trust = Trust::in_certificate(&certificate);
    let watched = |scheme: &str, security: &str| {
        Started::playing(&format!(
            "rtspsrc location={} ! rtph264depay ! avdec_h264 ! nvfeed name=f rtsp-security={security} processor-id={}",
            server.uri(scheme, "cam"),
            bench.processor
        ))
    };
    let refused = watched("rtsps", "require-tls");
    let (code, message) = wait_for_error(&refused.bus);
    assert_eq!(code, "insecure-source-rejected");
    assert!(message.contains("UDP") && message.contains("rtspst://"), "{message}");
    assert_eq!(super::common::count(&super::common::stats(&refused.child("f")), "received"), 0);

    let warned = watched("rtsps", "prefer-tls");
    let id: u64 = warned.child("f").property("feed-id");
    bench.wait("insecure-source", id);
    bench.wait_for_results(id, 3);

    let taken = watched("rtspst", "require-tls");
    bench.wait_for_results(taken.child("f").property("feed-id"), 3);

    // A managed feed that may not have it says so and ends: no restart would help.
    let id = bench.add(&server.uri("rtspsu", "cam"), "rtsp-security=require-tls");
    let stopped = bench.wait("feed-stopped", id);
    assert_eq!(text(&stopped, "reason"), "error");
    assert!(text(&stopped, "detail").contains("UDP"), "{stopped:?}");
}
