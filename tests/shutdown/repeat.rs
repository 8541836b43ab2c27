//! Start, run, shut down: neither memory nor threads nor descriptors grow.

use std::fs;

use gstnextvision::runtime::Runtime;

use crate::{
    common::{Started, next_result, owner},
    house::{House, our_threads, shut_down, wait_for_end, wait_until},
};

const WARM_UP: usize = 40;
const ROUNDS: usize = 200;
/// The allocator gives memory back in its own time. One round that leaked a session would leak several times this in all.
const SLACK_BYTES: usize = 12 << 20;

fn round() {
    let runtime = Runtime::get();
    let owner = owner("p");
    let linked = Started::playing("videotestsrc ! nvbatch name=f processor-id=p ! fakesink");
    let feed = Started::playing("videotestsrc ! nvfeed name=f processor-id=p");
    next_result(&feed.bus).unwrap();
    assert!(shut_down(&runtime));
    wait_for_end(&feed);
    wait_for_end(&linked);
    drop((owner, linked, feed));
    drop(runtime);
    wait_until("no thread of ours is left", || our_threads("nv-").is_empty());
}

fn resident_bytes() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn two_hundred_times_costs_no_more_than_a_few() {
    let _house = House::enter();
    (0..WARM_UP).for_each(|_| round());
    let before = (resident_bytes(), descriptors());
    (0..ROUNDS).for_each(|_| round());
    let after = (resident_bytes(), descriptors());
    println!("{before:?} before, {after:?} after {ROUNDS} rounds");
    assert!(after.0 < before.0 + SLACK_BYTES, "{before:?} bytes and descriptors before, {after:?} after");
    assert!(after.1 <= before.1, "{before:?} bytes and descriptors before, {after:?} after");
}
