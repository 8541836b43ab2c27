//! Feeds whose pipeline the runtime owns: added by what they watch, restarted when they fail.
//!
//! A managed feed has one id, one place and one set of figures for its whole life, over all restarts. It keeps the
//! runtime alive.

mod backoff;
mod config;
mod pipeline;
mod supervisor;
mod ticket;
mod value;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{Error, FeedConfig, Origin, Runtime, StopReason, clock::Time};
pub use backoff::RestartPolicy;
pub use config::{ManagedFeedConfig, ManagedSource};
use supervisor::Supervisor;
pub use ticket::FeedTicket;

/// The managed feeds of a runtime.
#[derive(Default)]
pub(super) struct ManagedFeeds {
    /// A leaf.
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    feeds: BTreeMap<u64, Arc<Supervisor>>,
    /// The runtime shuts down: no more of them.
    closed: bool,
}

impl Runtime {
    /// Starts a feed and returns its id. What its pipeline does is told by health events: it may take long to connect,
    /// and is restarted when it fails.
    ///
    /// Errors: `invalid-config`, `custom-pipeline-rejected`, `insecure-source-rejected`, `feed-limit-exceeded`,
    /// `shutdown-in-progress`, `thread-spawn-failed`.
    pub fn add_managed_feed(&self, config: ManagedFeedConfig) -> Result<u64, Error> {
        config.check(self.config().custom_pipeline_policy)?;
        pipeline::check(&config.source)?;
        self.0.pool.grow().map_err(|reason| Error::no_thread("what runs the feed", &reason))?;
        let feed = self.reserve_feed(|id| FeedConfig {
            name: config.name.clone().unwrap_or_else(|| format!("feed-{id}")),
            processor_id: config.processor_id.clone(),
            settings: config.settings.clone(),
            passes_frames: false,
            listener: std::sync::Weak::<std::convert::Infallible>::new(),
            origin: Origin::default(),
        })?;
        let supervisor = Supervisor::new(self.clone(), feed, config);
        let id = supervisor.id();
        if !self.0.managed.insert(&supervisor) {
            self.give_place_back(id, StopReason::Shutdown);
            return Err(Error::shutdown_in_progress());
        }
        supervisor.start();
        Ok(id)
    }

    /// Ends a managed feed. Its place is free when this returns, within `feed-join-timeout`: a pipeline that does not
    /// stop by then is left behind.
    ///
    /// Errors: `feed-not-found`.
    pub fn remove_feed(&self, id: u64) -> Result<(), Error> {
        let supervisor = self.managed_feed(id)?;
        if !supervisor.stop(StopReason::Requested) {
            return Err(Error::feed_not_found(id));
        }
        supervisor.join(Instant::now() + self.feed_join_timeout());
        Ok(())
    }

    /// When this returns no more frames are taken, unless the source hangs for longer than `feed-join-timeout`.
    ///
    /// Errors: `feed-not-found`, `already-paused`.
    pub fn pause_feed(&self, id: u64) -> Result<(), Error> {
        self.managed_feed(id)?.set(gst::State::Paused, self.feed_join_timeout())
    }

    /// Errors: `feed-not-found`, `not-paused`.
    pub fn resume_feed(&self, id: u64) -> Result<(), Error> {
        self.managed_feed(id)?.set(gst::State::Playing, self.feed_join_timeout())
    }

    fn managed_feed(&self, id: u64) -> Result<Arc<Supervisor>, Error> {
        self.0.managed.table.lock().feeds.get(&id).cloned().ok_or_else(|| Error::feed_not_found(id))
    }

    pub(super) fn feed_join_timeout(&self) -> Duration {
        // Longer than that is for ever, and must not overflow an `Instant`.
        const LONGEST: Duration = Duration::from_secs(1 << 30);
        Duration::from_nanos(self.config().feed_join_timeout).min(LONGEST)
    }
}

impl ManagedFeeds {
    fn insert(&self, supervisor: &Arc<Supervisor>) -> bool {
        let mut table = self.table.lock();
        if !table.closed {
            table.feeds.insert(supervisor.id(), supervisor.clone());
        }
        !table.closed
    }

    fn forget(&self, id: u64) {
        self.table.lock().feeds.remove(&id);
    }

    fn all(&self) -> Vec<Arc<Supervisor>> {
        self.table.lock().feeds.values().cloned().collect()
    }

    /// Starts the runs that are due.
    pub fn tick(&self, now: Time) {
        self.all().iter().for_each(|supervisor| supervisor.tick(now));
    }

    /// For the shutdown: takes no more feeds and tells all that there are to stop. Waits for nothing. Those that are to be
    /// waited for come back.
    pub fn close(&self) -> ClosingFeeds {
        let supervisors: Vec<_> = {
            let mut table = self.table.lock();
            table.closed = true;
            table.feeds.values().cloned().collect()
        };
        for supervisor in &supervisors {
            supervisor.stop(StopReason::Shutdown);
        }
        ClosingFeeds(supervisors)
    }
}

/// Managed feeds that were told to stop.
pub(super) struct ClosingFeeds(Vec<Arc<Supervisor>>);

impl ClosingFeeds {
    /// Waits until all have ended; those that have not by then are left behind. How many those are.
    pub fn join(self, until: Instant) -> usize {
        self.0.iter().filter(|supervisor| !supervisor.join(until)).count()
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, net::TcpListener, sync::mpsc};

    use super::*;
    use crate::runtime::clock;

    const FAR: Duration = Duration::from_secs(60);

    #[test]
    fn a_camera_that_takes_the_connection_and_says_nothing_gets_another() {
        gst::init().unwrap();
        crate::plugin_register_static().unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let source = ManagedSource::Uri(format!("rtspt://{}/", server.local_addr().unwrap()));
        let runtime = Runtime::get();
        let (tell, told) = mpsc::channel();
        let _events = runtime.health().subscribe(|| true, move |told| _ = tell.send(told.event.clone()));
        let id = runtime.add_managed_feed(ManagedFeedConfig::new(source)).unwrap();
        let connection = || {
            let (mut connection, _) = server.accept().unwrap();
            connection.read_exact(&mut [0; 7]).unwrap();
            connection
        };
        let silent = connection();
        let supervisor = runtime.managed_feed(id).unwrap();
        let seconds = |seconds: u64| clock::now() + seconds * 1_000_000_000;
        // It may take its time with the first frame.
        supervisor.tick(seconds(10));
        supervisor.tick(seconds(40));
        let restart = std::iter::from_fn(|| told.recv_timeout(FAR).ok()).find(|event| event.name == "feed-restarting");
        assert!(format!("{restart:?}").contains("no frame came for"), "{restart:?}");
        // Once is enough for each run.
        supervisor.tick(seconds(80));
        let _silent_again = connection();
        runtime.remove_feed(id).unwrap();
        assert_eq!(told.try_iter().filter(|event| event.name == "feed-restarting").count(), 0);
        drop(silent);
    }
}
