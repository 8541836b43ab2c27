//! Hears everything that our plugin says while a test runs, and no password in it.
//!
//! The log is that of all our categories at level TRACE and beyond, whatever `GST_DEBUG` says.

use std::sync::{Mutex, Once};

use gst::prelude::*;

/// In the password of every camera of these tests that has one. As a camera knows it, and as an address has it.
pub const MARK: &str = "hunter2";
pub const PASSWORD: &str = "hunter2/ü@p:w";
pub const ESCAPED: &str = "hunter2%2F%C3%BC%40p%3Aw";

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
    if said.contains(MARK) {
        heard.leaks.push(said.into());
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
