//! The places for feeds: who takes one, who gives it back, and when.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{
    Error,
    feed::{Feed, FeedConfig, Services, Story},
    health::{Event, Severity},
    owners::OwnedFeed,
    registry::Runtime,
    stop_reason::StopReason,
};

impl Runtime {
    /// Takes one of the places for feeds, and binds the feed to its processor now or when there is one.
    pub fn add_feed(&self, config: FeedConfig) -> Result<OwnedFeed, Error> {
        let feed = self.take_place(|id| Feed::new(id, config, self.services()))?;
        self.rebind(&feed, &mut feed.story());
        Ok(OwnedFeed { runtime: self.clone(), feed })
    }

    /// Takes a place for a feed that starts later, as often as need be: see [`Runtime::start_reserved_feed`]. The place
    /// is kept until [`Runtime::give_place_back`].
    pub(super) fn reserve_feed(&self, config: impl FnOnce(u64) -> FeedConfig) -> Result<Arc<Feed>, Error> {
        self.take_place(|id| Feed::reserved(id, config(id), self.services()))
    }

    /// Puts a new feed into a reserved place. The one that was there before has ended when this returns.
    pub(super) fn start_reserved_feed(&self, last: &Arc<Feed>, config: FeedConfig) -> Result<OwnedFeed, Error> {
        last.end();
        let feed = Arc::new(Feed::following(last, config));
        match self.0.registry.lock().feeds.get_mut(&last.id()) {
            Some(place) => *place = feed.clone(),
            None => return Err(Error::feed_not_found(last.id())),
        }
        self.0.agenda.soon(feed.id());
        self.rebind(&feed, &mut feed.story());
        Ok(OwnedFeed { runtime: self.clone(), feed })
    }

    /// Ends whatever feed is in the reserved place.
    pub(super) fn give_place_back(&self, id: u64, reason: StopReason) {
        let feed = self.0.registry.lock().feeds.remove(&id);
        if let Some(feed) = feed {
            feed.end();
            self.tell_stopped(&feed, &mut feed.story(), reason);
            self.0.health.forget_feed(id);
        }
    }

    fn take_place(&self, feed: impl FnOnce(u64) -> Feed) -> Result<Arc<Feed>, Error> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        self.prepare_threads()?;
        let feed = Arc::new(feed(IDS.fetch_add(1, Ordering::Relaxed)));
        {
            let mut story = feed.story();
            {
                let mut registry = self.0.registry.lock();
                registry.check_place()?;
                self.0.health.know_feed(feed.id(), feed.origin().clone());
                registry.feeds.insert(feed.id(), feed.clone());
            }
            self.announce(&feed, &mut story);
        }
        Ok(feed)
    }

    /// The feed's stream has ended: its place is free for another, its figures stay. See [`Runtime::rejoin`]. The place of
    /// a managed feed is its supervisor's.
    pub fn retire(&self, feed: &Arc<Feed>, reason: StopReason) {
        // A stream that goes on at once is bound after this and not before.
        let mut story = feed.story();
        let had_place = !feed.is_managed() && self.0.registry.lock().feeds.remove(&feed.id()).is_some();
        if had_place {
            feed.detach();
            // The end that a shutdown brings about looks to the element as any other.
            self.tell_stopped(feed, &mut story, if feed.was_stopped() { StopReason::Shutdown } else { reason });
        }
    }

    /// The stream of a feed that was retired goes on: it takes a place again. Nothing happens where it has one.
    pub fn rejoin(&self, feed: &Arc<Feed>) -> Result<(), Error> {
        let mut story = feed.story();
        {
            let mut registry = self.0.registry.lock();
            if feed.is_managed() || registry.feeds.contains_key(&feed.id()) || feed.is_closed() {
                return Ok(());
            }
            registry.check_place()?;
            feed.wait_again();
            registry.feeds.insert(feed.id(), feed.clone());
        }
        self.announce(feed, &mut story);
        self.rebind(feed, &mut story);
        Ok(())
    }

    fn announce(&self, feed: &Feed, story: &mut Story) {
        story.is_there = true;
        self.0.agenda.soon(feed.id());
        self.0.health.emit(|| Event::new("feed-added", Severity::Info).of_feed(feed.id(), feed.name()));
    }

    pub(super) fn end_feed(&self, feed: &Arc<Feed>) {
        let had_place = {
            let mut registry = self.0.registry.lock();
            // Under the lock, so that it does not take a place again.
            feed.close();
            !feed.is_managed() && registry.feeds.remove(&feed.id()).is_some()
        };
        feed.end();
        if had_place {
            self.tell_stopped(feed, &mut feed.story(), StopReason::Requested);
        }
        if !feed.is_managed() {
            self.0.health.forget_feed(feed.id());
        }
    }

    fn tell_stopped(&self, feed: &Feed, story: &mut Story, reason: StopReason) {
        *story = Story::default();
        self.0.health.emit(|| reason.into_event().of_feed(feed.id(), feed.name()));
    }

    fn services(&self) -> Services {
        let inner = &self.0;
        Services {
            pool: inner.pool.clone(),
            agenda: inner.agenda.clone(),
            health: inner.health.clone(),
            output: inner.output.clone(),
        }
    }
}
