//! The owner of a processor: an `nvbatch` outside of any pipeline.

use gst::prelude::*;

use crate::Fallible;

pub struct Processor {
    element: gst::Element,
    bus: gst::Bus,
}

impl Processor {
    /// Loads a model of `tests/models`, or of the folder of the project that it names; `more` are further properties, as gst-launch-1.0 takes them.
    pub fn load(id: &str, model: &str, more: &str) -> Fallible<Self> {
        let line = format!("nvbatch processor-id={id} decoder=tensors model={} {more}", path(model));
        let (element, bus) = (gst::parse::launch(&line)?, gst::Bus::new());
        element.set_bus(Some(&bus));
        let processor = Self { element, bus };
        processor.start()?;
        Ok(processor)
    }

    /// Ends the processor, which its feeds then wait for.
    pub fn stop(&self) -> Fallible<()> {
        self.element.set_state(gst::State::Null)?;
        Ok(())
    }

    /// Starts again, with that model.
    pub fn start_with(&self, model: &str) -> Fallible<()> {
        self.element.set_property("model", path(model));
        self.start()
    }

    pub fn stats(&self) -> gst::Structure {
        self.element.property("stats")
    }

    /// What it complained about since the last call; failed batches are warnings.
    pub fn errors(&self) -> Vec<String> {
        let messages = std::iter::from_fn(|| self.bus.pop());
        messages
            .filter_map(|message| match message.view() {
                gst::MessageView::Error(error) => Some(error.error().to_string()),
                _ => None,
            })
            .collect()
    }

    fn start(&self) -> Fallible<()> {
        match self.element.set_state(gst::State::Playing) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.errors().pop().map_or_else(|| error.into(), Into::into)),
        }
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        // Nothing is left to be told to.
        _ = self.element.set_state(gst::State::Null);
        self.bus.set_flushing(true);
    }
}

fn path(model: &str) -> String {
    let folder = if model.contains('/') { "" } else { "tests/models/" };
    format!("{}/{folder}{model}.onnx", env!("CARGO_MANIFEST_DIR"))
}
