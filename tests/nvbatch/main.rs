//! `nvbatch` as an application meets it.

use std::sync::Once;

use gst::prelude::*;
use parking_lot::{Mutex, MutexGuard};

mod with_model;
mod without_model;

/// How long a test waits for what has to come; only a failure waits so long.
pub const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// The runtime is one a process: tests take turns.
pub fn init() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    static INIT: Once = Once::new();
    let turn = TURN.lock();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstnextvision::plugin_register_static().unwrap();
    });
    turn
}

/// A pipeline that goes to NULL when the test ends, however it ends.
pub struct TestPipeline(pub gst::Pipeline);

impl TestPipeline {
    pub fn new(description: &str) -> Self {
        let pipeline = gst::parse::launch(description).unwrap();
        Self(pipeline.downcast().unwrap_or_else(|_| panic!("{description} is one element, not a pipeline")))
    }

    pub fn element(&self, name: &str) -> gst::Element {
        self.0.by_name(name).unwrap()
    }

    /// Plays until the end; returns the `code` of the first error.
    pub fn run(&self) -> Result<(), String> {
        let started = self.0.set_state(gst::State::Playing).is_ok();
        let types: &[_] =
            if started { &[gst::MessageType::Eos, gst::MessageType::Error] } else { &[gst::MessageType::Error] };
        match self.message(types).view() {
            gst::MessageView::Error(error) => {
                let code = error.details().and_then(|details| details.get::<String>("code").ok());
                Err(code.unwrap_or_else(|| error.error().to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Has the `appsrc` named `s`, in PAUSED by then, take what comes by a signal of its.
    pub fn feed(&self, signal: &str, what: &[&dyn glib::value::ToValue]) {
        let done: gst::FlowReturn = self.element("s").emit_by_name(signal, what);
        assert_eq!(done, gst::FlowReturn::Ok, "{signal}");
    }

    pub fn message(&self, types: &[gst::MessageType]) -> gst::Message {
        let bus = self.0.bus().unwrap();
        bus.timed_pop_filtered(PATIENCE, types).unwrap_or_else(|| panic!("no message of {types:?}"))
    }
}

impl Drop for TestPipeline {
    fn drop(&mut self) {
        _ = self.0.set_state(gst::State::Null);
    }
}
