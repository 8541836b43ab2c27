//! All that comes, goes and goes wrong.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Condvar, Mutex, PoisonError},
};

use fastrand::Rng;
use gstnextvision::runtime::{CustomPipelinePolicy, Event, HealthEvent, Runtime, Subscription};

use super::{
    bystanders::{Bystanders, Report},
    ledger::Ledger,
    managed::ManagedFeed,
    stream::{Heal, Stream, pick},
    watchdog::Watchdog,
};
use crate::{Fallible, processor::Processor};

const STREAMS: usize = 14;
const MANAGED: usize = 5;
/// Beats that a fault lasts.
const LASTS: std::ops::RangeInclusive<u64> = 2..=40;

/// What happens; each as often among a hundred beats as `weight` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// A stream is stopped and another one begins.
    Replaced,
    Stalled,
    Ended,
    Failed,
    CapsChanged,
    DownstreamBlocked,
    Paused,
    SetToNull,
    Flushed,
    /// White frames: every batch of `bad-run` that has one fails.
    BatchesFail,
    /// Grey frames: `slow` takes longer.
    RunsAreSlow,
    /// White frames: an instance of `slow` does not answer in time.
    InstanceHangs,
    ModelSwapped,
    /// A second model is loaded and freed beside the others.
    ModelLoaded,
    SubscriberBlocked,
    ManagedReplaced,
    ManagedPaused,
}

const WEIGHTS: [(Fault, u32); 17] = [
    (Fault::Replaced, 20),
    (Fault::Stalled, 8),
    (Fault::Ended, 5),
    (Fault::Failed, 5),
    (Fault::CapsChanged, 8),
    (Fault::DownstreamBlocked, 6),
    (Fault::Paused, 6),
    (Fault::SetToNull, 6),
    (Fault::Flushed, 8),
    (Fault::BatchesFail, 5),
    (Fault::RunsAreSlow, 3),
    (Fault::InstanceHangs, 1),
    (Fault::ModelSwapped, 4),
    (Fault::ModelLoaded, 3),
    (Fault::SubscriberBlocked, 3),
    (Fault::ManagedReplaced, 6),
    (Fault::ManagedPaused, 3),
];

pub struct Field {
    random: Rng,
    beats: u64,
    streams: Vec<Stream>,
    managed: Vec<ManagedFeed>,
    begun: u64,
    steady: Processor,
    swapped: Processor,
    flaky: Processor,
    slow: Processor,
    bystanders: Bystanders,
    gate: Arc<Gate>,
    heals: BTreeMap<u64, Vec<Heal>>,
    done: BTreeMap<Fault, u64>,
    events: Arc<Mutex<BTreeMap<&'static str, u64>>>,
    troubles: VecDeque<String>,
    _subscriptions: (Subscription<HealthEvent>, Subscription<HealthEvent>, Subscription<Arc<gst::Structure>>),
}

impl Field {
    pub fn new(seed: u64) -> Fallible<Self> {
        let runtime = Runtime::get();
        runtime
            .configure(|config| config.custom_pipeline_policy = CustomPipelinePolicy::AllowTrusted)
            .map_err(|error| error.to_string())?;
        let events = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let gate = Arc::<Gate>::default();
        let count = {
            let events = events.clone();
            move |told: &HealthEvent| {
                let event: &Event = &told.event;
                *events.lock().unwrap_or_else(PoisonError::into_inner).entry(event.name).or_default() += 1;
            }
        };
        let (of_health, of_output) = (gate.clone(), gate.clone());
        let subscriptions = (
            runtime.health().subscribe(|| true, count),
            runtime.health().subscribe(|| true, move |_| of_health.pass()),
            runtime.output().subscribe(|| true, move |_, _| of_output.pass()),
        );
        let mut field = Self {
            random: Rng::with_seed(seed),
            beats: 0,
            streams: Vec::new(),
            managed: Vec::new(),
            begun: 0,
            steady: Processor::load("steady", "mean", "instances=1 max-batch-size=4")?,
            swapped: Processor::load("swapped", "mean", "instances=2 max-batch-size=2")?,
            flaky: Processor::load("flaky", "bad-run", "instances=1 max-batch-size=4")?,
            slow: Processor::load("slow", "slow", "instances=2 max-batch-size=4 response-timeout=500000000")?,
            bystanders: Bystanders::start()?,
            gate,
            heals: BTreeMap::new(),
            done: BTreeMap::new(),
            events,
            troubles: VecDeque::new(),
            _subscriptions: subscriptions,
        };
        for _ in 0..STREAMS {
            let stream = field.new_stream(&mut Rng::with_seed(seed.wrapping_add(field.begun)))?;
            field.streams.push(stream);
        }
        for _ in 0..MANAGED {
            let feed = field.new_managed(&mut Rng::with_seed(seed.wrapping_add(field.begun)))?;
            field.managed.push(feed);
        }
        Ok(field)
    }

    /// One more thing happens, and those end whose time is over.
    pub fn beat(&mut self, watchdog: &Watchdog) -> Fallible<()> {
        self.beats += 1;
        let later = self.heals.split_off(&(self.beats + 1));
        for heal in std::mem::replace(&mut self.heals, later).into_values().flatten() {
            watchdog.does("ends a fault");
            heal();
        }
        // As many numbers each time, so that what happens next does not depend on how it goes.
        let (which, whom, seed) = (self.random.u32(..), self.random.usize(..), self.random.u64(..));
        let fault = weighted(which);
        watchdog.does(format!("{fault:?} at beat {}", self.beats));
        *self.done.entry(fault).or_default() += 1;
        self.happen(fault, whom, &mut Rng::with_seed(seed))
    }

    fn happen(&mut self, fault: Fault, whom: usize, random: &mut Rng) -> Fallible<()> {
        let (stream, managed) = (whom % STREAMS, whom % MANAGED);
        let until = self.beats + random.u64(LASTS);
        let heal = match fault {
            Fault::ModelSwapped => {
                let (model, lasts) = (pick(random, &["mean", "mean-f16", "mean-batch1", "mean-batch4"]), random.bool());
                self.swapped.stop()?;
                // Some feeds come and go while there is none.
                if lasts {
                    let fresh = self.new_stream(random)?;
                    self.streams[stream] = fresh;
                }
                return self.swapped.start_with(model);
            }
            Fault::ModelLoaded => {
                let extra = Processor::load("extra", "echo-yolo", "instances=2 max-batch-size=0");
                return extra.map(drop);
            }
            Fault::SubscriberBlocked => {
                self.gate.close();
                let gate = self.gate.clone();
                Box::new(move || gate.open())
            }
            Fault::ManagedReplaced => {
                self.managed[managed].remove()?;
                self.managed[managed] = self.new_managed(random)?;
                return Ok(());
            }
            Fault::ManagedPaused => return self.managed[managed].toggle(),
            Fault::SetToNull => {
                self.streams[stream].restart(random.u32(1..=3), &mut self.troubles);
                return Ok(());
            }
            _ if fault == Fault::Replaced || self.streams[stream].is_over() => {
                let fresh = self.new_stream(random)?;
                self.streams[stream] = fresh;
                return Ok(());
            }
            Fault::Stalled => self.streams[stream].stall(),
            Fault::DownstreamBlocked => self.streams[stream].block_downstream(),
            Fault::Paused => self.streams[stream].pause(),
            Fault::BatchesFail => self.streams[stream].brighten(0xff),
            Fault::RunsAreSlow => self.streams[stream].brighten(0x04),
            Fault::InstanceHangs => {
                let heal = self.streams[stream].brighten(0xff);
                self.heals.entry(self.beats + 2).or_default().push(heal);
                return Ok(());
            }
            Fault::Ended => {
                self.streams[stream].end();
                return Ok(());
            }
            Fault::Failed => {
                self.streams[stream].fail();
                return Ok(());
            }
            Fault::CapsChanged => {
                self.streams[stream].change_caps(random);
                return Ok(());
            }
            Fault::Flushed => {
                self.streams[stream].flush();
                return Ok(());
            }
            Fault::Replaced => return Ok(()),
        };
        self.heals.entry(until).or_default().push(heal);
        Ok(())
    }

    /// Takes what was said on the buses.
    pub fn listen(&mut self, ledger: &mut Ledger) {
        self.streams.iter_mut().for_each(|stream| stream.listen(ledger));
        self.bystanders.listen(ledger);
        for processor in [&self.steady, &self.swapped, &self.flaky, &self.slow] {
            for error in processor.errors() {
                ledger.violation("an error of a processor", error);
            }
        }
        for trouble in self.troubles.drain(..) {
            ledger.violation("a change of state that failed", trouble);
        }
    }

    /// How many feeds there are, and what has happened.
    pub fn summary(&self) -> String {
        format!("{} feeds, {} faults", Runtime::get().feed_count(), self.beats)
    }

    pub fn tell(&self) {
        let faults: Vec<_> = self.done.iter().map(|(fault, times)| format!("{fault:?} {times}")).collect();
        println!("{} faults: {}", self.beats, faults.join(", "));
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let events: Vec<_> = events.iter().map(|(event, times)| format!("{event} {times}")).collect();
        println!("health events told: {}", events.join(", "));
        for (name, processor) in [("steady", &self.steady), ("flaky", &self.flaky), ("slow", &self.slow)] {
            let stats = processor.stats();
            let of = |field| stats.get::<u64>(field).unwrap_or_default();
            println!(
                "processor {name}: {} results, {} errors, {} timed out",
                of("results"),
                of("errors"),
                of("timed-out")
            );
        }
    }

    /// Ends all feeds and then all processors.
    pub fn end(&mut self, ledger: &mut Ledger) -> Report {
        for heal in std::mem::take(&mut self.heals).into_values().flatten() {
            heal();
        }
        self.listen(ledger);
        self.streams.clear();
        for feed in std::mem::take(&mut self.managed) {
            if let Err(error) = feed.remove() {
                ledger.violation("a managed feed that cannot be removed", error.to_string());
            }
        }
        self.bystanders.end()
    }

    fn new_stream(&mut self, random: &mut Rng) -> Fallible<Stream> {
        self.begun += 1;
        Stream::begin(self.begun, random)
    }

    fn new_managed(&mut self, random: &mut Rng) -> Fallible<ManagedFeed> {
        self.begun += 1;
        ManagedFeed::add(self.begun, random)
    }
}

fn weighted(number: u32) -> Fault {
    let all: u32 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
    let mut left = number % all;
    for (fault, weight) in WEIGHTS {
        match left.checked_sub(weight) {
            Some(rest) => left = rest,
            None => return fault,
        }
    }
    Fault::Replaced
}

/// Where subscribers wait while it is closed.
#[derive(Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.opened.wait_while(closed, |closed| *closed));
    }

    fn close(&self) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    fn open(&self) {
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.opened.notify_all();
    }
}
