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

    pub(super) fn bind(&self, feed: &Arc<Feed>, processor: &Arc<Processor>) {
        processor.attach(feed);
        let processor_there = self.processor(processor.id()).is_some_and(|there| Arc::ptr_eq(&there, processor));
        let feed_there = self.feed(feed.id()).is_some_and(|there| Arc::ptr_eq(&there, feed));
        if !processor_there || !feed_there {
            // One of them was removed meanwhile, and the other one told before they were bound.
            feed.detach_from(processor);
            return;
        }
        gst::debug!(CAT, "feed {} is bound to processor '{}'", feed.name(), processor.id());
        self.0.health.emit(|| {
            Event::new("feed-attached", Severity::Info).of_feed(feed.id(), feed.name()).of_processor(processor.id())
        });
    }
}
