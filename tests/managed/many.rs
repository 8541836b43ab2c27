//! Hundreds of feeds from many threads.

use std::{
    collections::HashMap,
    fs,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use gstnextvision::runtime::ErrorCode;

use super::{Bench, FAR, text, try_add};

const THREADS: usize = 8;
const FEEDS: usize = 40;
const FRAMES: usize = 5;

#[test]
fn hundreds_come_and_go_and_every_frame_is_accounted_for() {
    let bench = Bench::new("managed-many");
    let (runtime, folder) = (&bench.runtime, bench.folder.path());
    let added: Vec<(u64, bool)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    (0..FEEDS)
                        .map(|feed| {
                            let name = format!("t{thread}-{feed}");
                            let fields = format!(
                                "processor-id=managed-many, feed-name={name}, location={}/{name}, \
                                 pipeline=\"videotestsrc num-buffers={FRAMES} ! video/x-raw,width=16,height=16\"",
                                folder.display()
                            );
                            let id = try_add(runtime, &fields).unwrap();
                            // Every second one is removed, wherever it is by then.
                            let removed = feed % 2 == 1 && runtime.remove_feed(id).is_ok();
                            for feed in runtime.feeds() {
                                let figures = feed.snapshot();
                                assert!(figures.is_conserved(), "{figures:?}");
                            }
                            (id, removed)
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut reasons = HashMap::new();
    while reasons.len() < added.len() {
        let event = bench.events.recv_timeout(FAR).unwrap();
        if event.name == "feed-stopped" {
            let (id, name) = event.feed.clone().unwrap();
            let reason = text(&event, "reason");
            if reason == "eos" {
                assert_eq!(fs::read_to_string(folder.join(name)).unwrap().lines().count(), FRAMES);
            }
            assert_eq!(reasons.insert(id, reason), None, "feed {id} stopped twice");
        }
    }
    for (id, removed) in added {
        assert_eq!(reasons[&id], if removed { "requested" } else { "eos" });
    }
    bench.assert_empty();
}

#[test]
fn the_limit_is_exact_however_many_ask_at_once() {
    const PLACES: usize = 10;
    let bench = Bench::new("managed-race");
    bench.runtime.configure(|config| config.max_feeds = PLACES as u32).unwrap();
    let fields = "processor-id=managed-race, pipeline=\"videotestsrc is-live=true\"";
    for _ in 0..20 {
        let (taken, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let barrier = Barrier::new(THREADS);
        let ids: Vec<u64> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    let (runtime, barrier) = (&bench.runtime, &barrier);
                    let (taken, refused) = (&taken, &refused);
                    scope.spawn(move || {
                        barrier.wait();
                        (0..3)
                            .filter_map(|_| match try_add(runtime, fields) {
                                Ok(id) => {
                                    taken.fetch_add(1, Ordering::Relaxed);
                                    Some(id)
                                }
                                Err(error) => {
                                    assert_eq!(error.code, ErrorCode::FeedLimitExceeded);
                                    refused.fetch_add(1, Ordering::Relaxed);
                                    None
                                }
                            })
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!((taken.into_inner(), refused.into_inner()), (PLACES, 3 * THREADS - PLACES));
        assert_eq!(bench.runtime.feed_count(), PLACES);
        // All at once from as many threads: nobody waits for anybody.
        thread::scope(|scope| {
            for &id in &ids {
                let runtime = &bench.runtime;
                scope.spawn(move || runtime.remove_feed(id).unwrap());
            }
        });
        bench.assert_empty();
    }
}
