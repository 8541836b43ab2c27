//! A structure as an argument of a signal, which is not copied for it: one with an output of a thousand classes takes 50 us.

use std::cell::Cell;

use glib::prelude::*;

/// Its value can be taken once.
pub struct Argument(Cell<Option<gst::Structure>>);

impl Argument {
    pub fn new(structure: gst::Structure) -> Self {
        Self(Cell::new(Some(structure)))
    }
}

impl ToValue for Argument {
    fn to_value(&self) -> glib::Value {
        let none = || glib::Value::from_type(gst::Structure::static_type());
        self.0.take().map_or_else(none, glib::Value::from)
    }

    fn value_type(&self) -> glib::Type {
        gst::Structure::static_type()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_structure_itself() {
        gst::init().unwrap();
        let structure = gst::Structure::builder("nv-result").field("feed-id", 1_u64).build();
        let (told, place) = (structure.clone(), structure.as_ptr());
        let argument = Argument::new(structure);
        let value = argument.to_value();
        let given = value.get::<&gst::StructureRef>().unwrap();
        assert_eq!((given, given.as_ptr()), (&*told, place));
    }
}
