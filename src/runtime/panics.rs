//! A panic stays where it happened.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{Error, ErrorCode};

/// Does `work`; a panic becomes an error that says what it said.
pub fn caught<R, E: Into<Error>>(work: impl FnOnce() -> Result<R, E>) -> Result<R, Error> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(Into::into),
        Err(panic) => Err(Error::new(
            ErrorCode::ModelInvalid,
            format!("panicked: {}; this is a bug, please report it", message(&*panic)),
        )),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
