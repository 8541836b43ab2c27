//! Processors that are not there, and ids that are.

use crate::{
    bystander::Bystander,
    common::{Started, model, next_result, owner, wait_for_error},
};

#[test]
fn an_id_that_nobody_declares_is_an_error_after_attach_timeout() {
    let bystander = Bystander::new("missing-bystander");
    for element in ["nvfeed", "nvbatch"] {
        let sink = if element == "nvbatch" { " ! fakesink async=false" } else { "" };
        let pipeline =
            Started::playing(&format!("videotestsrc ! {element} processor-id=nobody attach-timeout=1000000{sink}"));
        let (code, message) = wait_for_error(&pipeline.bus);
        assert_eq!(code, "processor-missing", "{message}");
        for part in ["'nobody'", "nvbatch processor-id=nobody", "attach-timeout"] {
            assert!(message.contains(part), "{element}: {part} is not in: {message}");
        }
        bystander.assert_undisturbed();
    }
}

#[test]
fn a_second_owner_is_refused_and_the_first_goes_on() {
    let _owner = owner("taken");
    let feed = Started::playing("videotestsrc num-buffers=50 ! nvfeed processor-id=taken");
    assert!(next_result(&feed.bus).is_some());
    let second = Started::new(&format!("nvbatch processor-id=taken model={}", model("mean")));
    assert!(second.set_state(gst::State::Playing).is_err());
    let (code, message) = wait_for_error(&second.bus);
    assert_eq!(code, "duplicate-processor-id");
    for part in ["'taken'", "processor-id", "model"] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    assert_eq!(std::iter::from_fn(|| next_result(&feed.bus)).count(), 49);
}
