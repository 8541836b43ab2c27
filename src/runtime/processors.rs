//! Processors: who owns an id, and which feeds are bound to it.

use std::{sync::Arc, time::Instant};

use super::{
    CAT, Error, ErrorCode, clock,
    counters::DropCause,
    feed::{Feed, Story},
    health::{Event, Severity},
    limits::ProcessorConfig,
    owners::OwnedProcessor,
    processor::Processor,
    registry::{Runtime, Slot},
    startup::Startup,
};

impl Runtime {
    /// Loads a model and starts its instances; may take long, and nothing else waits meanwhile.
    pub fn add_processor(&self, config: ProcessorConfig) -> Result<OwnedProcessor, Error> {
        self.prepare_threads()?;
        let id = config.id.clone();
        let startup = Startup::new(&config);
        {
            let mut registry = self.0.registry.lock();
            if registry.closed {
                return Err(Error::shutdown_in_progress());
            }
            if registry.processors.contains_key(&id) {
                return Err(Error::new(
                    ErrorCode::DuplicateProcessorId,
                    format!(
                        "processor '{id}' has an owner already: choose another `processor-id`, or leave `model` unset to share it"
                    ),
                ));
            }
            registry.processors.insert(id.clone(), Slot::Starting(startup.clone()));
        }
        let origin = config.origin.clone();
        let begun = clock::now();
        let started = startup.run(config, &self.0.health, self.0.pool.detached());
        let registered = started.and_then(|processor| self.register(processor));
        if registered.is_err() {
            self.0.registry.lock().processors.remove(&id);
        }
        startup.over();
        let (processor, waiting) = registered?;
        self.0.health.know_processor(processor.id().clone(), origin);
        self.0.health.emit(|| {
            Event::new("processor-ready", Severity::Info)
                .of_processor(processor.id())
                .duration("startup-time", clock::now() - begun)
                .count("instances", processor.limits().instances as u64)
                .count("max-batch-size", processor.limits().max_batch as u64)
                .count("intra-op-threads", processor.limits().intra_op_threads as u64)
                .text("settings", processor.limits().source.as_str())
                .duration("measuring-time", processor.limits().source.time().map_or(0, |time| time.as_nanos() as u64))
        });
        for feed in waiting {
            self.rebind(&feed, &mut feed.story());
        }
        Ok(OwnedProcessor { runtime: self.clone(), processor })
    }

    /// Makes a processor known; returns the feeds that wait for it. One that comes too late is undone.
    fn register(&self, processor: Arc<Processor>) -> Result<(Arc<Processor>, Vec<Arc<Feed>>), Error> {
        {
            let mut registry = self.0.registry.lock();
            if !registry.closed {
                let id = &**processor.id();
                registry.processors.insert(id.to_owned(), Slot::Ready(processor.clone()));
                let waiting = registry.feeds_of(id);
                return Ok((processor, waiting));
            }
        }
        processor.stop();
        processor.join(Instant::now() + processor.batch_join_timeout(), DropCause::Shutdown);
        Err(Error::shutdown_in_progress())
    }

    pub(super) fn remove_processor(&self, processor: &Arc<Processor>) {
        let id = &**processor.id();
        let bound = {
            let mut registry = self.0.registry.lock();
            match registry.processors.get_mut(id) {
                Some(slot) => *slot = Slot::Stopping(processor.clone()),
                // It went with the runtime's shutdown.
                None => return,
            }
            registry.feeds_of(id)
        };
        for feed in &bound {
            self.rebind(feed, &mut feed.story());
        }
        processor.stop();
        processor.join(Instant::now() + processor.batch_join_timeout(), DropCause::TimedOut);
        self.forget_processor(processor.id());
    }

    pub(super) fn forget_processor(&self, id: &Arc<str>) {
        if self.0.registry.lock().processors.remove(&**id).is_some() {
            self.0.health.emit(|| Event::new("processor-removed", Severity::Info).of_processor(id));
            self.0.health.forget_processor(id);
        }
    }

    /// Binds the feed to the processor that is there now, and tells what that changes. Whoever changes which of them are
    /// there calls this afterwards, so that the last call sees the last change.
    pub(super) fn rebind(&self, feed: &Arc<Feed>, story: &mut Story) {
        let there = {
            let registry = self.0.registry.lock();
            if !registry.feeds.get(&feed.id()).is_some_and(|there| Arc::ptr_eq(there, feed)) {
                return;
            }
            registry.processors.get(feed.processor_id()).and_then(Slot::ready).cloned()
        };
        let bound = feed.processor();
        if bound.as_ref().map(Arc::as_ptr) == there.as_ref().map(Arc::as_ptr) && bound.is_some() {
            return;
        }
        if let Some(lost) = bound {
            feed.detach_from(&lost);
            self.tell(feed, || Event::new("processor-lost", Severity::Warning).of_processor(lost.id()));
        }
        match there {
            Some(processor) => {
                if processor.attach(feed) {
                    gst::debug!(CAT, "feed {} is bound to processor '{}'", feed.name(), processor.id());
                    story.is_pending = false;
                    self.tell(feed, || Event::new("feed-attached", Severity::Info).of_processor(processor.id()));
                }
            }
            None if feed.collects() || feed.is_closed() || story.is_pending => {}
            None => {
                gst::info!(CAT, "feed {} waits for processor '{}'", feed.name(), feed.processor_id());
                story.is_pending = true;
                self.tell(feed, || Event::new("feed-pending", Severity::Info));
            }
        }
    }

    fn tell(&self, feed: &Feed, event: impl FnOnce() -> Event) {
        self.0.health.emit(|| event().of_feed(feed.id(), feed.name()));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        path::PathBuf,
        sync::{Weak, mpsc},
        time::Duration,
    };

    use super::*;
    use crate::{
        inference::{DecoderKind, ModelConfig},
        runtime::{FeedConfig, FeedSettings, HealthEvent, Origin, OwnedFeed, registry::Inner},
    };

    fn load(runtime: &Runtime) -> OwnedProcessor {
        let model: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "models", "mean.onnx"].iter().collect();
        let model = ModelConfig { model, decoder: DecoderKind::Tensors, intra_op_threads: 1, ..ModelConfig::default() };
        let minute = 60_000_000_000;
        let config = ProcessorConfig {
            id: "p".into(),
            model,
            instances: 1,
            max_batch_size: 1,
            startup_timeout: minute,
            response_timeout: minute,
            batch_join_timeout: minute,
            ..ProcessorConfig::default()
        };
        runtime.add_processor(config).unwrap()
    }

    fn listen(runtime: &Runtime) -> OwnedFeed {
        let listener: Weak<Infallible> = Weak::new();
        let config = FeedConfig {
            name: "f".into(),
            processor_id: "p".into(),
            settings: FeedSettings::default(),
            passes_frames: false,
            listener,
            origin: Origin::default(),
        };
        runtime.add_feed(config).unwrap()
    }

    #[test]
    fn what_was_told_last_of_a_feed_is_how_it_is() {
        gst::init().unwrap();
        let runtime = Runtime(Inner::new());
        let (tell, told) = mpsc::channel();
        let of_feeds = move |told: &HealthEvent| {
            if told.event.feed.is_some() {
                tell.send(told.event.name).unwrap();
            }
        };
        let _subscription = runtime.health().subscribe(|| true, of_feeds);
        let feed = listen(&runtime);
        let late = || runtime.rebind(&feed, &mut feed.story());
        // Whoever saw a change before others did, and was kept from going on until after them.
        late();
        let first = load(&runtime);
        late();
        let is_bound_to =
            |to: &OwnedProcessor| feed.processor().is_some_and(|bound| Arc::ptr_eq(&bound, &to.processor));
        assert!(is_bound_to(&first));
        drop(first);
        late();
        assert!(feed.processor().is_none());
        let second = load(&runtime);
        late();
        assert!(is_bound_to(&second));
        drop(feed);
        let expected = [
            "feed-added",
            "feed-pending",
            "feed-attached",
            "processor-lost",
            "feed-pending",
            "feed-attached",
            "feed-stopped",
        ];
        let told: Vec<_> = expected.iter().map(|_| told.recv_timeout(Duration::from_secs(60)).unwrap()).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_feed_that_is_gone_is_not_bound() {
        gst::init().unwrap();
        let runtime = Runtime(Inner::new());
        let _processor = load(&runtime);
        let feed = listen(&runtime);
        let gone = feed.feed.clone();
        drop(feed);
        runtime.rebind(&gone, &mut gone.story());
        assert!(gone.processor().is_none());
    }
}
