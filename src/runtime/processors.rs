//! Processors: who owns an id, and which feeds are bound to it.

use std::{sync::Arc, time::Instant};

use super::{
    CAT, Error, ErrorCode, clock,
    counters::DropCause,
    feed::Feed,
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
            self.bind(&feed, &processor);
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
            feed.detach_from(processor);
            self.0.health.emit(|| {
                Event::new("processor-lost", Severity::Warning)
                    .of_feed(feed.id(), feed.name())
                    .of_processor(processor.id())
            });
            self.0.health.emit(|| Event::new("feed-pending", Severity::Info).of_feed(feed.id(), feed.name()));
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

    /// Binds the feed to the processor, or to whichever has come in its place by then.
    pub(super) fn bind(&self, feed: &Arc<Feed>, processor: &Arc<Processor>) {
        let mut processor = processor.clone();
        loop {
            let attached = processor.attach(feed);
            let there = self.processor_of(feed);
            if there.as_ref().is_some_and(|there| Arc::ptr_eq(there, &processor)) {
                if attached {
                    self.tell_attached(feed, &processor);
                }
                return;
            }
            // One of them was removed meanwhile, and the other one told before they were bound.
            feed.detach_from(&processor);
            // Whoever came in its place may have been bound before: that binding is gone with this one.
            match self.processor_of(feed) {
                Some(there) => processor = there,
                None => return,
            }
        }
    }

    /// What the feed is to be bound to, where both are there.
    fn processor_of(&self, feed: &Arc<Feed>) -> Option<Arc<Processor>> {
        let registry = self.0.registry.lock();
        let feed_there = registry.feeds.get(&feed.id()).is_some_and(|there| Arc::ptr_eq(there, feed));
        registry.processors.get(feed.processor_id()).and_then(Slot::ready).filter(|_| feed_there).cloned()
    }

    fn tell_attached(&self, feed: &Feed, processor: &Processor) {
        gst::debug!(CAT, "feed {} is bound to processor '{}'", feed.name(), processor.id());
        self.0.health.emit(|| {
            Event::new("feed-attached", Severity::Info).of_feed(feed.id(), feed.name()).of_processor(processor.id())
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, path::PathBuf, sync::Weak};

    use super::*;
    use crate::{
        inference::{DecoderKind, ModelConfig},
        runtime::{FeedConfig, FeedSettings, Origin, OwnedFeed, registry::Inner},
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
    fn who_binds_a_feed_to_a_processor_that_is_gone_leaves_it_to_the_next() {
        gst::init().unwrap();
        let runtime = Runtime(Inner::new());
        let first = load(&runtime);
        let feed = listen(&runtime);
        let gone = first.processor.clone();
        drop(first);
        assert!(feed.processor().is_none());
        let second = load(&runtime);
        let is_bound = || feed.processor().is_some_and(|bound| Arc::ptr_eq(&bound, &second.processor));
        assert!(is_bound());
        // Somebody who saw the first one, and was kept from going on until now.
        runtime.bind(&feed, &gone);
        assert!(is_bound());
    }

    #[test]
    fn a_feed_that_is_gone_is_not_bound() {
        gst::init().unwrap();
        let runtime = Runtime(Inner::new());
        let processor = load(&runtime);
        let feed = listen(&runtime);
        let gone = feed.feed.clone();
        drop(feed);
        runtime.bind(&gone, &processor.processor);
        assert!(gone.processor().is_none());
    }
}
