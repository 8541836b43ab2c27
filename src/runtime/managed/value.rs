//! Values of an `add-feed` structure, taken in whatever type they sensibly come: Python has one kind of integer, and
//! `gst-launch-1.0` gives text.

use glib::{ParamSpec, Value, prelude::*};
use gst::prelude::*;

use crate::runtime::redact;

/// The value as `spec` has it; `None` where it is no such thing or out of its range.
pub fn convert(spec: &ParamSpec, value: &Value) -> Option<Value> {
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        let number = u32::try_from(integer(value)?).ok()?;
        return (spec.minimum()..=spec.maximum()).contains(&number).then(|| number.to_value());
    }
    if spec.is::<glib::ParamSpecUInt64>() {
        return u64::try_from(integer(value)?).ok().map(|number| number.to_value());
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecInt>() {
        let number = i32::try_from(integer(value)?).ok()?;
        return (spec.minimum()..=spec.maximum()).contains(&number).then(|| number.to_value());
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecFloat>() {
        let number = number(value)? as f32;
        return (spec.minimum()..=spec.maximum()).contains(&number).then(|| number.to_value());
    }
    if let Some(class) = glib::EnumClass::with_type(spec.value_type()) {
        if value.type_() == spec.value_type() {
            return Some(value.clone());
        }
        return match text(value) {
            Some(nick) => class.to_value_by_nick(nick.trim()),
            None => class.to_value(integer(value)?.try_into().ok()?),
        };
    }
    if spec.is::<glib::ParamSpecBoolean>() {
        return match text(value) {
            Some(text) => <Value as GstValueExt>::deserialize_with_pspec(text.trim(), spec).ok(),
            None => value.get::<bool>().ok().map(|flag| flag.to_value()),
        };
    }
    text(value).filter(|text| !text.is_empty()).map(|text| text.to_value())
}

/// What [`convert`] would have taken.
pub fn expectation(spec: &ParamSpec) -> String {
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        match spec.minimum() {
            0 => format!("a whole number, 0 to {}", spec.maximum()),
            minimum => format!("a whole number from {minimum} to {}", spec.maximum()),
        }
    } else if spec.is::<glib::ParamSpecUInt64>() {
        format!("nanoseconds, a whole number, 0 to {}", u64::MAX)
    } else if spec.is::<glib::ParamSpecInt>() {
        "a whole number".into()
    } else if let Some(spec) = spec.downcast_ref::<glib::ParamSpecFloat>() {
        format!("a number, {} to {}", spec.minimum(), spec.maximum())
    } else if let Some(class) = glib::EnumClass::with_type(spec.value_type()) {
        let nicks: Vec<_> = class.values().iter().map(|value| value.nick()).collect();
        format!("one of {}", nicks.join(", "))
    } else if spec.is::<glib::ParamSpecBoolean>() {
        "true or false".into()
    } else {
        "text that is not empty".into()
    }
}

/// The value as an error shows it.
pub fn show(value: &Value) -> String {
    match text(value) {
        Some(text) => format!("'{}'", redact::text(&text)),
        None => {
            let shown = value.serialize().map_or_else(|_| "a value".into(), |text| redact::text(&text));
            format!("{shown} ({})", value.type_().name())
        }
    }
}

fn text(value: &Value) -> Option<String> {
    value.get::<Option<String>>().ok().flatten()
}

fn integer(value: &Value) -> Option<i128> {
    macro_rules! of_type {
        ($($kind:ty)*) => {
            $(if let Ok(number) = value.get::<$kind>() { return Some(number.into()); })*
        };
    }
    of_type!(i32 u32 i64 u64 i8 u8);
    if let Ok(number) = value.get::<glib::ILong>() {
        return Some(number.0.into());
    }
    if let Ok(number) = value.get::<glib::ULong>() {
        return Some(number.0.into());
    }
    text(value)?.trim().parse().ok()
}

fn number(value: &Value) -> Option<f64> {
    if let Ok(number) = value.get::<f64>() {
        return Some(number);
    }
    if let Ok(number) = value.get::<f32>() {
        return Some(number.into());
    }
    match text(value) {
        Some(text) => text.trim().parse().ok(),
        None => integer(value).map(|number| number as f64),
    }
}
