//! The books: every frame of every feed, and what was said on buses.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use gstnextvision::runtime::{DropCause, Feed, FeedSnapshot, Runtime};

/// After so long a feed that is gone has nothing in work any more, unless a run hangs.
const WIND_DOWN: Duration = Duration::from_secs(15);

#[derive(Default)]
pub struct Ledger {
    open: HashMap<u64, Account>,
    gone: Vec<(Instant, Account)>,
    closed: Totals,
    feeds: u64,
    looks: u64,
    results_told: u64,
    /// What must not be; the first of each kind in words.
    violations: BTreeMap<&'static str, (u64, String)>,
}

struct Account {
    feed: Arc<Feed>,
    last: FeedSnapshot,
}

#[derive(Default, Clone, Debug)]
struct Totals {
    received: u64,
    results: u64,
    skipped: u64,
    errors: u64,
    dropped: [u64; DropCause::ALL.len()],
    restarts: u64,
}

impl Ledger {
    /// Looks at all feeds there are.
    pub fn look(&mut self) {
        self.looks += 1;
        let feeds: HashMap<u64, _> = Runtime::get().feeds().into_iter().map(|feed| (feed.id(), feed)).collect();
        for (id, feed) in &feeds {
            let now = feed.snapshot();
            self.check(self.open.get(id).map(|account| account.last.clone()), &now);
            let known = self.open.insert(*id, Account { feed: feed.clone(), last: now });
            self.feeds += known.is_none() as u64;
        }
        let ended: Vec<u64> = self.open.keys().filter(|id| !feeds.contains_key(id)).copied().collect();
        for id in ended {
            self.gone.extend(self.open.remove(&id).map(|account| (Instant::now(), account)));
        }
        for (since, account) in std::mem::take(&mut self.gone) {
            let last = account.feed.snapshot();
            self.check(Some(account.last.clone()), &last);
            if last.queued + last.in_flight == 0 {
                self.closed.add(&last);
            } else if since.elapsed() > WIND_DOWN {
                self.violation("left behind", format!("{} s after its end: {last:?}", since.elapsed().as_secs()));
            } else {
                self.gone.push((since, Account { last, ..account }));
            }
        }
    }

    /// All feeds have ended: waits until they have wound down.
    pub fn close(&mut self) {
        loop {
            self.look();
            if self.gone.is_empty() && self.open.is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A result was told on a bus, or written.
    pub fn told(&mut self, results: u64) {
        self.results_told += results;
    }

    pub fn violation(&mut self, kind: &'static str, detail: String) {
        let (count, _) = self.violations.entry(kind).or_insert_with(|| {
            println!("VIOLATION: {kind}: {detail}");
            (0, detail)
        });
        *count += 1;
    }

    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    pub fn tell(&self) {
        let totals = &self.closed;
        println!("{} feeds, looked at {} times: {self}", self.feeds, self.looks);
        let causes = DropCause::ALL.iter().zip(totals.dropped).filter(|(_, frames)| *frames > 0);
        let causes: Vec<_> = causes.map(|(cause, frames)| format!("{} {frames}", cause.as_str())).collect();
        println!(
            "frames: {} received = {} results + {} skipped + {} errors + {} dropped ({})",
            totals.received,
            totals.results,
            totals.skipped,
            totals.errors,
            totals.dropped.iter().sum::<u64>(),
            causes.join(", ")
        );
        println!("restarts of managed feeds: {}; results seen on buses: {}", totals.restarts, self.results_told);
        for (kind, (count, first)) in &self.violations {
            println!("VIOLATED {count} times: {kind}, first: {first}");
        }
    }

    fn check(&mut self, before: Option<FeedSnapshot>, now: &FeedSnapshot) {
        if !now.is_conserved() {
            self.violation("a frame has disappeared", format!("{now:?}"));
        }
        let Some(before) = before else { return };
        if counts(&before).iter().zip(counts(now)).any(|(before, now)| *before > now) {
            self.violation("a count went back", format!("{before:?} then {now:?}"));
        }
    }
}

fn counts(snapshot: &FeedSnapshot) -> Vec<u64> {
    let counters = &snapshot.counters;
    let mut counts = vec![
        counters.received,
        counters.submitted,
        counters.skipped,
        counters.results,
        counters.errors,
        counters.restarts,
    ];
    counts.extend(DropCause::ALL.map(|cause| counters.dropped(cause)));
    counts
}

impl Totals {
    fn add(&mut self, snapshot: &FeedSnapshot) {
        let counters = &snapshot.counters;
        self.received += counters.received;
        self.results += counters.results;
        self.skipped += counters.skipped;
        self.errors += counters.errors;
        self.restarts += counters.restarts;
        for (dropped, cause) in self.dropped.iter_mut().zip(DropCause::ALL) {
            *dropped += counters.dropped(cause);
        }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut totals = self.closed.clone();
        let open = self.open.values().chain(self.gone.iter().map(|(_, account)| account));
        open.for_each(|account| totals.add(&account.last));
        let violations: u64 = self.violations.values().map(|(count, _)| count).sum();
        write!(f, "{} frames in, {} results, {} violations", totals.received, totals.results, violations)
    }
}
