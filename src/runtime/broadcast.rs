//! One sender, many subscribers, none of whom can hold the sender or another subscriber up.
//!
//! Each subscriber has a bounded ring of its own and is called in order from the pool. One that falls behind loses the
//! oldest, and is told how many with the next one that it gets.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use super::{CAT, pool::Pool};

type Wants = Box<dyn Fn() -> bool + Send + Sync>;
type Subscribers<T> = Arc<[Arc<Subscriber<T>>]>;
/// Called with an item, and how many were lost right before it.
type Callback<T> = Box<dyn Fn(&T, u64) + Send + Sync>;

pub struct Broadcast<T> {
    pool: Arc<Pool>,
    /// Replaced whole, so that it can be looked at with nothing locked. A leaf.
    subscribers: Mutex<Subscribers<T>>,
    /// How many there are, to be read without the lock.
    listening: AtomicUsize,
    capacity: AtomicUsize,
    lost: AtomicU64,
    /// Held while an item goes into the rings, so that all of them have the same order. Before the rings; else a leaf.
    order: Mutex<()>,
}

struct Subscriber<T> {
    wants: Wants,
    callback: Callback<T>,
    /// A leaf.
    ring: Mutex<Ring<T>>,
}

/// What waits for one subscriber.
struct Ring<T> {
    items: VecDeque<T>,
    /// Since the last one that was taken.
    lost: u64,
    /// A job of the pool that delivers is queued or running.
    scheduled: bool,
    ended: bool,
}

/// What became of an item that was sent.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    /// Subscribers that will get it, unless they fall behind.
    pub taken: usize,
    /// Older items that were lost for it, of all subscribers.
    pub lost: u64,
}

/// Ends the subscription when dropped.
pub struct Subscription<T> {
    subscriber: Arc<Subscriber<T>>,
    broadcast: Weak<Broadcast<T>>,
}

impl<T> Ring<T> {
    fn new() -> Self {
        Self { items: VecDeque::new(), lost: 0, scheduled: false, ended: false }
    }

    /// Returns how many were lost for it.
    fn push(&mut self, item: T, capacity: usize) -> u64 {
        let lost = (self.items.len() + 1).saturating_sub(capacity.max(1));
        self.items.drain(..lost);
        self.items.push_back(item);
        self.lost += lost as u64;
        lost as u64
    }

    /// The oldest, and how many were lost right before it.
    fn pop(&mut self) -> Option<(T, u64)> {
        let item = self.items.pop_front()?;
        Some((item, std::mem::take(&mut self.lost)))
    }
}

impl<T: Clone + Send + 'static> Broadcast<T> {
    pub(super) fn new(pool: Arc<Pool>, capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            pool,
            subscribers: Mutex::new(Arc::new([])),
            listening: AtomicUsize::new(0),
            capacity: AtomicUsize::new(capacity),
            lost: AtomicU64::new(0),
            order: Mutex::new(()),
        })
    }

    /// Items that may wait for one subscriber; at least 1. What waits beyond that is lost with the next item.
    pub(super) fn set_capacity(&self, capacity: usize) {
        self.capacity.store(capacity, Ordering::Relaxed);
    }

    /// Items lost so far, of all subscribers.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Items that wait for the subscriber that is furthest behind.
    pub(super) fn lag(&self) -> usize {
        let subscribers = self.subscribers();
        subscribers.iter().map(|subscriber| subscriber.ring.lock().items.len()).max().unwrap_or(0)
    }

    /// `callback` is called from the pool, in order, one at a time, with each item and how many were lost right before
    /// it. It may block. `wants` says whether anybody is behind it at the moment; it is asked from any thread and must
    /// not block.
    pub fn subscribe(
        self: &Arc<Self>,
        wants: impl Fn() -> bool + Send + Sync + 'static,
        callback: impl Fn(&T, u64) + Send + Sync + 'static,
    ) -> Subscription<T> {
        let (wants, callback) = (Box::new(wants), Box::new(callback));
        let subscriber = Arc::new(Subscriber { wants, callback, ring: Mutex::new(Ring::new()) });
        let mut subscribers = self.subscribers.lock();
        *subscribers = subscribers.iter().chain([&subscriber]).cloned().collect();
        self.listening.store(subscribers.len(), Ordering::Release);
        Subscription { subscriber, broadcast: Arc::downgrade(self) }
    }

    /// Whether anybody listens at the moment.
    pub(super) fn is_wanted(&self) -> bool {
        self.listening.load(Ordering::Acquire) > 0 && self.subscribers().iter().any(|subscriber| (subscriber.wants)())
    }

    /// Tells every subscriber, soon. Never blocks. `make` is called where anybody listens, and must be quick: what is
    /// made first is told first.
    pub(super) fn send(&self, make: impl FnOnce() -> T) -> Sent {
        self.send_where(make, |_, _| true)
    }

    /// As [`Broadcast::send`], to those only who have room: nothing is lost for it.
    pub(super) fn send_where_there_is_room(&self, make: impl FnOnce() -> T) -> Sent {
        self.send_where(make, |ring, capacity| ring.items.len() < capacity)
    }

    fn send_where(&self, make: impl FnOnce() -> T, may_take: impl Fn(&Ring<T>, usize) -> bool) -> Sent {
        if self.listening.load(Ordering::Acquire) == 0 {
            return Sent::default();
        }
        // Asked with nothing locked.
        let subscribers = self.subscribers();
        let listeners: Vec<_> = subscribers.iter().filter(|subscriber| (subscriber.wants)()).collect();
        if listeners.is_empty() {
            return Sent::default();
        }
        let capacity = self.capacity.load(Ordering::Relaxed);
        let mut sent = Sent::default();
        let mut idle = Vec::new();
        {
            let _order = self.order.lock();
            let item = make();
            for subscriber in listeners {
                let schedule = {
                    let mut ring = subscriber.ring.lock();
                    if ring.ended {
                        continue;
                    }
                    if !may_take(&ring, capacity) {
                        ring.lost += 1;
                        continue;
                    }
                    sent.lost += ring.push(item.clone(), capacity);
                    !std::mem::replace(&mut ring.scheduled, true)
                };
                sent.taken += 1;
                if schedule {
                    idle.push(subscriber.clone());
                }
            }
        }
        for subscriber in idle {
            self.pool.run(move || subscriber.deliver());
        }
        self.lost.fetch_add(sent.lost, Ordering::Relaxed);
        sent
    }

    fn subscribers(&self) -> Subscribers<T> {
        self.subscribers.lock().clone()
    }
}

impl<T> Subscriber<T> {
    fn deliver(&self) {
        loop {
            let (item, lost) = {
                let mut ring = self.ring.lock();
                match ring.pop() {
                    Some(next) if !ring.ended => next,
                    _ => {
                        ring.scheduled = false;
                        return;
                    }
                }
            };
            if catch_unwind(AssertUnwindSafe(|| (self.callback)(&item, lost))).is_err() {
                gst::error!(CAT, "a subscriber panicked; it gets the next one all the same");
            }
        }
    }
}

impl<T> Drop for Subscription<T> {
    fn drop(&mut self) {
        self.subscriber.ring.lock().ended = true;
        if let Some(broadcast) = self.broadcast.upgrade() {
            let mut subscribers = broadcast.subscribers.lock();
            let others = subscribers.iter().filter(|subscriber| !Arc::ptr_eq(subscriber, &self.subscriber));
            *subscribers = others.cloned().collect();
            broadcast.listening.store(subscribers.len(), Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    const FAR: Duration = Duration::from_secs(60);

    #[test]
    fn a_ring_keeps_the_newest_and_counts_the_others_whatever_its_capacity() {
        for capacity in 1..=20 {
            let mut ring = Ring::new();
            let lost: Vec<_> = (0..50u64).map(|item| ring.push(item, capacity)).collect();
            // No alarm with nothing lost, and one for each that is.
            let expected: Vec<_> = (0..50).map(|item| u64::from(item >= capacity)).collect();
            assert_eq!(lost, expected, "capacity {capacity}");
            let oldest = 50 - capacity as u64;
            assert_eq!(ring.pop(), Some((oldest, oldest)));
            let rest: Vec<_> = std::iter::from_fn(|| ring.pop()).collect();
            assert_eq!(rest, (oldest + 1..50).map(|item| (item, 0)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_smaller_capacity_holds_from_the_next_item_on() {
        let mut ring = Ring::new();
        (0..10).for_each(|item| _ = ring.push(item, 10));
        assert_eq!(ring.push(10, 3), 8);
        assert_eq!(ring.pop(), Some((8, 8)));
    }

    /// A broadcast of numbers, with a subscriber that waits at a gate and one that does not.
    struct Bench {
        broadcast: Arc<Broadcast<u64>>,
        blocked: mpsc::Receiver<(u64, u64)>,
        free: mpsc::Receiver<(u64, u64)>,
        open: Option<mpsc::Sender<()>>,
        _subscriptions: [Subscription<u64>; 2],
    }

    fn bench(capacity: usize) -> Bench {
        let broadcast = Broadcast::new(Arc::new(Pool::new()), capacity);
        let (open, gate) = mpsc::channel::<()>();
        let (tell_blocked, blocked) = mpsc::channel();
        let (tell_free, free) = mpsc::channel();
        let gate = Mutex::new(gate);
        let slow = move |&item: &u64, lost| {
            tell_blocked.send((item, lost)).unwrap();
            _ = gate.lock().recv();
        };
        let quick = move |&item: &u64, lost| tell_free.send((item, lost)).unwrap();
        let subscriptions = [broadcast.subscribe(|| true, slow), broadcast.subscribe(|| true, quick)];
        Bench { broadcast, blocked, free, open: Some(open), _subscriptions: subscriptions }
    }

    #[test]
    fn who_blocks_loses_the_oldest_is_told_how_many_and_holds_nobody_up() {
        for capacity in [1, 3, 7, 8] {
            let mut bench = bench(capacity);
            bench.broadcast.send(|| 0);
            assert_eq!((bench.blocked.recv_timeout(FAR), bench.free.recv_timeout(FAR)), (Ok((0, 0)), Ok((0, 0))));
            let mut lost = 0;
            for item in 1..=100 {
                lost += bench.broadcast.send(|| item).lost;
                assert_eq!(bench.free.recv_timeout(FAR), Ok((item, 0)));
            }
            assert_eq!((lost, bench.broadcast.lost()), (100 - capacity as u64, lost));
            assert_eq!(bench.broadcast.lag(), capacity);
            drop(bench.open.take());
            let mut told = bench.blocked.recv_timeout(FAR).unwrap();
            assert_eq!(told, (lost + 1, lost));
            while told.0 < 100 {
                let next = bench.blocked.recv_timeout(FAR).unwrap();
                assert_eq!(next, (told.0 + 1, 0));
                told = next;
            }
        }
    }

    #[test]
    fn what_needs_room_pushes_nothing_out_and_counts_as_lost_for_who_had_none() {
        let mut bench = bench(2);
        bench.broadcast.send(|| 0);
        bench.blocked.recv_timeout(FAR).unwrap();
        bench.free.recv_timeout(FAR).unwrap();
        for item in 1..=2 {
            bench.broadcast.send(|| item);
            bench.free.recv_timeout(FAR).unwrap();
        }
        let sent = bench.broadcast.send_where_there_is_room(|| 3);
        assert_eq!(sent, Sent { taken: 1, lost: 0 });
        drop(bench.open.take());
        let told: Vec<_> = (0..2).map(|_| bench.blocked.recv_timeout(FAR).unwrap().0).collect();
        assert_eq!(told, [1, 2]);
    }

    #[test]
    fn nothing_is_made_while_nobody_listens() {
        let broadcast = Broadcast::<u64>::new(Arc::new(Pool::new()), 1);
        assert_eq!(broadcast.send(|| panic!("made for nobody")), Sent::default());
        let deaf = broadcast.subscribe(|| false, |_, _| ());
        assert!(!broadcast.is_wanted());
        broadcast.send(|| panic!("made for nobody"));
        drop(deaf);
        let (tell, told) = mpsc::channel();
        let listener = broadcast.subscribe(|| true, move |&item, _| tell.send(item).unwrap());
        assert!(broadcast.is_wanted());
        broadcast.send(|| 1);
        assert_eq!(told.recv_timeout(FAR), Ok(1));
        drop(listener);
        broadcast.send(|| panic!("made for nobody"));
    }

    #[test]
    fn a_subscriber_that_panics_gets_the_next_one() {
        let broadcast = Broadcast::new(Arc::new(Pool::new()), 8);
        let (tell, told) = mpsc::channel();
        let _listener = broadcast.subscribe(
            || true,
            move |&item: &u64, _| {
                assert_ne!(item, 0, "told to");
                tell.send(item).unwrap();
            },
        );
        broadcast.send(|| 0);
        broadcast.send(|| 1);
        assert_eq!(told.recv_timeout(FAR), Ok(1));
    }
}
