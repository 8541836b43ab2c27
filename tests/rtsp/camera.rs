//! Cameras: an RTSP server of GStreamer's in a process of its own, see `server.py`.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

pub struct Server {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub port: u16,
    codecs: Vec<String>,
}

/// A picture of 64 x 48.
pub fn stream(codec: &str) -> Value {
    json!({"codec": codec, "width": 64, "height": 48})
}

pub fn sized(width: u32, height: u32) -> Value {
    json!({"codec": "h264", "width": width, "height": height})
}

pub fn locked(auth: &str, user: &str, password: &str) -> Value {
    json!({"codec": "h264", "width": 64, "height": 48, "auth": auth, "user": user, "password": password})
}

impl Server {
    /// With streams by their paths. `None` where there is no such server, which is said aloud.
    pub fn start(streams: &Value) -> Option<Self> {
        Self::run(&[], streams)
    }

    /// The same behind TLS.
    pub fn with_certificate(certificate: &Path, streams: &Value) -> Option<Self> {
        Self::run(&["--tls", certificate.to_str()?], streams)
    }

    fn run(arguments: &[&str], streams: &Value) -> Option<Self> {
        let Some(python) = python() else {
            skip("no python3 with GStreamer's RTSP server (scripts/setup brings it; or set PYTHON)");
            return None;
        };
        let mut process = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rtsp/server.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        let mut server = Self { process, orders, answers, port: 0, codecs: Vec::new() };
        let begin = server.answer();
        server.port = begin["port"].as_u64().unwrap().try_into().unwrap();
        server.codecs = begin["codecs"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().into()).collect();
        server.show(streams);
        Some(server)
    }

    /// Whether it can encode so; if not, that is said aloud.
    pub fn has(&self, codec: &str) -> bool {
        let has = self.codecs.iter().any(|name| name == codec);
        if !has {
            skip(&format!("no encoder for {codec} (gstreamer1.0-plugins-ugly, gstreamer1.0-plugins-bad)"));
        }
        has
    }

    /// Whoever watches is sent away, and finds other streams there.
    pub fn show(&mut self, streams: &Value) {
        writeln!(self.orders, "{streams}").unwrap();
        self.answer();
    }

    pub fn uri(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/{path}", self.port)
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the server said '{line}': {error}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn python() -> Option<PathBuf> {
    let candidates = std::env::var_os("PYTHON").map(PathBuf::from).into_iter();
    candidates.chain(["python3".into(), "/usr/bin/python3".into()]).find(|python| {
        let has = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer";
        Command::new(python).args(["-c", has]).output().is_ok_and(|ran| ran.status.success())
    })
}

/// Past the test runner, which shows nothing of a test that passes.
pub fn skip(why: &str) {
    _ = writeln!(std::io::stderr(), "skipped: {why}");
}
