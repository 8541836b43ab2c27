//! Results that cannot be written.

use std::{os::unix::fs::PermissionsExt, path::Path, sync::mpsc};

use gst::prelude::*;
use gstnextvision::runtime::{Field, Runtime};

use crate::{
    bystander::Bystander,
    common::{Started, count, next_result, owner, stats, wait_for, wait_for_error},
};

#[test]
fn a_location_that_cannot_be_made_is_refused() {
    let bystander = Bystander::new("location-bystander");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("read-only");
    std::fs::write(&file, "kept").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444)).unwrap();
    let below_a_file = file.join("results");
    let mut cases = vec![
        (folder.path(), "directory"),
        (Path::new("/proc/results.jsonl"), ""),
        (Path::new("/no/such/folder/results.jsonl"), "No such file"),
        (&below_a_file, "Not a directory"),
    ];
    if std::fs::OpenOptions::new().append(true).open(&file).is_err() {
        cases.push((&file, "Permission denied"));
    } else {
        println!("skipped in part: this user (root) may write what is read-only");
    }
    for (location, reason) in cases {
        let pipeline = Started::new("videotestsrc ! nvfeed name=f processor-id=location");
        pipeline.child("f").set_property("location", location);
        assert!(pipeline.set_state(gst::State::Playing).is_err(), "{location:?}");
        let (code, message) = wait_for_error(&pipeline.bus);
        assert_eq!(code, "invalid-config");
        for part in [location.to_str().unwrap(), reason, "`location`"] {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
        bystander.assert_undisturbed();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
}

#[test]
fn a_full_disk_loses_results_and_nothing_else() {
    const FRAMES: u64 = 40;
    let _owner = owner("full-disk");
    let (tell, told) = mpsc::channel();
    let runtime = Runtime::get();
    let subscription = runtime.health().subscribe(|| true, move |event| _ = tell.send(event.event.clone()));
    let pipeline = Started::playing(&format!(
        "videotestsrc num-buffers={FRAMES} ! nvfeed name=f processor-id=full-disk feed-name=lost location=/dev/full"
    ));
    let message = wait_for(&pipeline.bus, &[gst::MessageType::Warning, gst::MessageType::Error]);
    let gst::MessageView::Warning(warning) = message.view() else { panic!("{message:?}") };
    let said = warning.error().message().to_owned();
    assert!(said.contains("/dev/full") && said.contains("No space left"), "{said}");
    // What the bus held before the warning is gone with the wait; what matters is that the stream ends.
    while next_result(&pipeline.bus).is_some() {}
    let stats = stats(&pipeline.child("f"));
    assert_eq!((count(&stats, "results"), count(&stats, "location-lost")), (FRAMES, FRAMES), "{stats}");
    let of_the_feed = |event: &std::sync::Arc<gstnextvision::runtime::Event>| {
        event.name == "sink-error" && event.feed.as_ref().is_some_and(|(_, name)| name == "lost")
    };
    let event = told.iter().find(of_the_feed).unwrap();
    let detail = |(name, field): &(&str, Field)| {
        *name == "detail" && matches!(field, Field::Text(text) if text.contains("/dev/full"))
    };
    assert!(event.fields.iter().any(detail), "{event:?}");
    drop(subscription);
}
