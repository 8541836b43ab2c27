//! No more descriptors or memory.

use std::fs;

use super::{
    Limited,
    common::{Started, count, model, next_result, owner, stats, wait_for_error},
    process, succeeds,
};

#[test]
fn whoever_asks_is_told_and_the_others_go_on() {
    succeeds(&mut process("memory"));
}

/// No descriptor is free below what this process has.
fn no_descriptors() -> Limited {
    let used = fs::read_dir("/proc/self/fd").unwrap();
    let numbers = used.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok());
    let most = numbers.max().unwrap();
    let limited = Limited::to(libc::RLIMIT_NOFILE, most + 1);
    // The holes below.
    let mut fillers = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        fillers.push(file);
    }
    std::mem::forget(fillers);
    limited
}

fn address_space() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

pub fn child() {
    let _owner = owner("limits");
    let bystander = Started::playing("videotestsrc ! nvfeed name=f processor-id=limits");
    let goes_on = || assert!((0..20).all(|_| next_result(&bystander.bus).is_some()));
    goes_on();

    let refused = Started::new(&format!("nvbatch processor-id=refused decoder=tensors model={}", model("mean")));
    let folder = tempfile::tempdir().unwrap();
    let written = Started::new(&format!(
        "videotestsrc num-buffers=5 ! nvfeed processor-id=limits location={}/results",
        folder.path().display()
    ));
    {
        let _limited = no_descriptors();
        assert!(refused.set_state(gst::State::Ready).is_err());
        let (code, message) = wait_for_error(&refused.bus);
        assert_eq!(code, "model-not-found");
        assert!(message.contains("Too many open files"), "{message}");
        assert!(written.set_state(gst::State::Paused).is_err());
        let (_, message) = wait_for_error(&written.bus);
        assert!(message.contains("Too many open files"), "{message}");
        goes_on();
    }
    for pipeline in [&refused, &written] {
        pipeline.set_state(gst::State::Null).unwrap();
    }
    refused.set_state(gst::State::Ready).unwrap();
    written.set_state(gst::State::Playing).unwrap();
    while next_result(&written.bus).is_some() {}

    // As large as a model may be, and without a single block on the disk.
    let large = folder.path().join("large.onnx");
    fs::File::create(&large).unwrap().set_len(1 << 30).unwrap();
    let too_large = Started::new(&format!("nvbatch processor-id=large model={}", large.display()));
    {
        let _limited = Limited::to(libc::RLIMIT_AS, address_space() + (512 << 20));
        assert!(too_large.set_state(gst::State::Ready).is_err());
        let (code, message) = wait_for_error(&too_large.bus);
        assert_eq!(code, "model-not-found");
        assert!(message.contains("memory"), "{message}");
        goes_on();
    }
    let stats = stats(&bystander.child("f"));
    assert_eq!((count(&stats, "dropped"), count(&stats, "errors")), (0, 0), "{stats}");
}
