//! Hears everything that our plugin says while a test runs, and no password in it.
//!
//! The log is that of all our categories at level TRACE and beyond, whatever `GST_DEBUG` says.

use std::sync::{Mutex, Once};

use gst::prelude::*;

/// In the password of every camera of these tests that has one. As a camera knows it, and as an address has it.
pub const MARK: &str = "hunter2";
pub const PASSWORD: &str = "hunter2/ü@p:w";
pub const ESCAPED: &str = "hunter2%2F%C3%BC%40p%3Aw";
/// What nothing may say: the parts between what separates parts of an address, also where only one of them gets out.
const SECRETS: [&str; 3] = [MARK, "@p:w", "C3%BC%40p"];

/// Beginnings of the names of our categories.
const OURS: [&str; 4] = ["nextvision", "nvfeed", "nvbatch", "nvhealth"];

static SAID: Mutex<Said> = Mutex::new(Said { lines: 0, leaks: Vec::new() });

struct Said {
    lines: usize,
    leaks: Vec<String>,
}

/// Fails the test at its end if a password was heard.
pub struct Ear(());

impl Ear {
    pub fn open() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // It would write all of it to standard error.
            gst::log::remove_default_log_function();
            for name in OURS {
                gst::log::set_threshold_for_name(&format!("{name}*"), gst::DebugLevel::Memdump);
            }
            gst::log::add_log_function(|category, level, file, function, line, object, message| {
                if OURS.iter().any(|name| category.name().starts_with(name)) {
                    let by = object.map(|object| format!("{object:?}"));
                    let said = message.get().map(|text| text.to_string());
                    hear(&format!("{} {level:?} {file}:{line} {function} {by:?} {said:?}", category.name()));
                }
            });
        });
        *lock() = Said { lines: 0, leaks: Vec::new() };
        Self(())
    }
}

/// All that our elements have posted on a bus by now.
pub fn hear_bus(bus: &gst::Bus) {
    while let Some(message) = bus.pop() {
        let source = message.src().and_then(|source| source.downcast_ref::<gst::Element>());
        let factory = source.and_then(|element| element.factory());
        if factory.is_some_and(|factory| OURS.iter().any(|name| factory.name().starts_with(name))) {
            hear(&format!("{:?} {:?}", message.view(), message.structure()));
        }
    }
}

fn lock() -> std::sync::MutexGuard<'static, Said> {
    SAID.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub fn hear(said: &str) {
    let mut heard = lock();
    heard.lines += 1;
    if SECRETS.iter().any(|secret| said.contains(secret)) {
        heard.leaks.push(said.into());
    }
}

impl Ear {
    /// What was heard so far, forgotten by this.
    fn leaks(&self) -> Vec<String> {
        std::mem::take(&mut lock().leaks)
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let said = lock();
        if !std::thread::panicking() {
            assert!(said.lines > 0, "nothing was heard");
            assert!(said.leaks.is_empty(), "{:#?}", said.leaks);
        }
    }
}

/// A test that could not fail would be none: a password on each of the ways is heard.
#[test]
fn a_password_would_be_heard() {
    let bench = super::Bench::new("rtsp-ear");
    let heard = |way: &str| {
        let leaks = bench._ear.leaks();
        assert!(leaks.iter().any(|leak| leak.contains(way)), "{way}: {leaks:?}");
    };
    for name in OURS {
        // The one that is there, or will be.
        let category = gst::DebugCategory::new(name, gst::DebugColorFlags::empty(), None);
        gst::trace!(category, "Authorization: {PASSWORD} in the log of {name}");
        heard(&format!("in the log of {name}"));
    }
    let ours = super::common::Started::new("nvfeed");
    let message =
        |text: &str| gst::message::Element::builder(gst::Structure::builder("said").field("text", text).build());
    for text in [format!("on the bus: {ESCAPED}"), "on the bus: ü@p:w".into()] {
        ours.bus.post(message(&text).src(&ours.element).build()).unwrap();
        hear_bus(&ours.bus);
        heard("on the bus");
    }
    // A structure is written with its characters escaped.
    hear(&gst::Structure::builder("result").field("text", format!("in a structure: {PASSWORD}")).build().to_string());
    heard("structure");
}
