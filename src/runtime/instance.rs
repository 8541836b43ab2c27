//! An instance: the thread that runs a processor's model. It touches nothing that can block.

use std::sync::Arc;

use super::{
    CAT, Error, ErrorCode,
    batch::BatchBuffer,
    clock,
    counters::Timing,
    feed::{Inferred, Outcome},
    former::Complete,
    health::{Event, Severity},
    panics,
    processor::{Processor, Work, Written},
    threads::Worker,
};
use crate::inference::{DecodeParams, Output, Session};

/// Starts instance number `index` of `processor`.
pub fn start(processor: &Arc<Processor>, index: usize, session: Session) -> Result<(), Error> {
    let worker = processor.clone();
    let label = format!("instance {index} of processor '{}'", processor.id());
    let serve = move || Instance { processor: &worker, index, session: Some(session) }.serve();
    let started = Worker::start(format!("nv-instance-{index}"), label, &processor.detached, serve);
    let instance = started.map_err(|error| {
        let thread = format!("thread {index} of processor '{}'", processor.id());
        let Error { message, .. } = Error::no_thread(thread, &error);
        Error::new(ErrorCode::ThreadSpawnFailed, format!("{message}, or set fewer `instances`"))
    })?;
    processor.instance_started(instance);
    Ok(())
}

struct Instance<'a> {
    processor: &'a Arc<Processor>,
    index: usize,
    /// `None` after a panic, until it is made anew.
    session: Option<Session>,
}

impl Instance<'_> {
    fn serve(mut self) {
        loop {
            match self.processor.next_work() {
                Work::Write(reservation) => self.processor.write(reservation),
                Work::Run(batch) => self.run(batch),
                Work::Stop => break,
            }
        }
    }

    fn run(&mut self, batch: Complete<Written, Arc<BatchBuffer>>) {
        let started = clock::now();
        let Complete { mut buffer, frames } = batch;
        let wanted =
            frames.into_iter().filter_map(|(place, frame)| Some((place, frame.feed.admit(frame.id, started)?, frame)));
        let mut wanted: Vec<(usize, DecodeParams, Written)> = wanted.collect();
        if !wanted.is_empty() {
            let results = match Arc::get_mut(&mut buffer) {
                Some(buffer) => {
                    close_gaps(buffer, &mut wanted);
                    let feeds = wanted.iter().map(|(_, _, frame)| (frame.feed.clone(), frame.id)).collect();
                    self.processor.run_started(self.index, started, feeds);
                    let results = self.infer(buffer.bytes(), &wanted);
                    self.processor.run_ended(self.index);
                    results
                }
                None => Err(Error::new(ErrorCode::ModelInvalid, "the memory of a batch is still being written")),
            };
            self.settle(wanted, results, started);
        }
        self.processor.recycle(buffer);
    }

    fn infer(
        &mut self,
        input: &[u8],
        frames: &[(usize, DecodeParams, Written)],
    ) -> Result<Vec<Result<Output, Error>>, Error> {
        let decoder = &self.processor.description().decoder;
        let batch = frames.len();
        with_session(
            &mut self.session,
            || self.processor.model.session_with(self.processor.limits().intra_op_threads),
            |session| {
                session.run(input, batch, |outputs| {
                    let decode = |(index, (_, params, frame)): (usize, &(usize, DecodeParams, Written))| {
                        panics::caught(|| decoder.decode(outputs, index, batch, params, &frame.placement))
                    };
                    frames.iter().enumerate().map(decode).collect()
                })
            },
        )
    }

    fn settle(
        &self,
        frames: Vec<(usize, DecodeParams, Written)>,
        results: Result<Vec<Result<Output, Error>>, Error>,
        started: u64,
    ) {
        let processor = self.processor;
        let ended = clock::now();
        let batch_size = frames.len();
        let oldest = frames.iter().map(|(_, _, frame)| frame.arrival).min().unwrap_or(started);
        let (failure, good) = match &results {
            Err(error) => (Some(error.clone()), 0),
            Ok(results) => {
                let failure = results.iter().find_map(|result| result.as_ref().err().cloned());
                (failure, results.iter().filter(|result| result.is_ok()).count())
            }
        };
        let (errors_before, errors) = {
            let mut counters = processor.counters();
            // Before anybody hears of a result, so that who does finds it counted.
            counters.batches += 1;
            counters.results += good as u64;
            counters.errors += (batch_size - good) as u64;
            if let Some(count) = counters.batch_sizes.get_mut(batch_size - 1) {
                *count += 1;
            }
            counters.formation.record(started.saturating_sub(oldest));
            counters.inference.record(ended - started);
            let errors = if failure.is_some() { counters.consecutive_errors + 1 } else { 0 };
            (std::mem::replace(&mut counters.consecutive_errors, errors), errors)
        };
        let outcomes: Box<dyn Iterator<Item = Result<Output, Error>>> = match results {
            Ok(results) => Box::new(results.into_iter()),
            Err(error) => Box::new(std::iter::repeat_n(Err(error), batch_size)),
        };
        for ((_, _, frame), result) in frames.into_iter().zip(outcomes) {
            let outcome = match result {
                Ok(output) => Outcome::Result(Box::new(Inferred {
                    model: processor.description().clone(),
                    processor_id: processor.id().clone(),
                    output,
                    placement: frame.placement,
                    timing: Timing {
                        queue: started.saturating_sub(frame.arrival + frame.preprocess),
                        preprocess: frame.preprocess,
                        inference: ended - started,
                        total: ended - frame.arrival,
                        batch_size: batch_size as u32,
                    },
                    told: None,
                })),
                Err(error) => Outcome::Failed(error),
            };
            frame.feed.settle(frame.id, outcome);
        }
        if let Some(error) = failure {
            gst::warning!(CAT, "processor '{}': a batch of {batch_size} failed: {error}", processor.id());
            processor.health.emit(|| {
                Event::new("batch-error", Severity::Error)
                    .of_processor(processor.id())
                    .count("batch-size", batch_size as u64)
                    .count("consecutive-errors", errors)
                    .text("detail", &error.message)
            });
        } else if errors_before > 0 {
            processor.health.settle(None, Some(processor.id()));
        }
    }
}

/// Works with the session in `kept`, or with a new one where there is none. One that panicked is in nobody knows what
/// state: it is not kept.
fn with_session<S, R, E: Into<Error>>(
    kept: &mut Option<S>,
    renew: impl FnOnce() -> Result<S, E>,
    work: impl FnOnce(&mut S) -> Result<R, E>,
) -> Result<R, Error> {
    let (session, result) = panics::caught(|| {
        let mut session = kept.take().map_or_else(renew, Ok)?;
        let result = work(&mut session);
        Ok::<_, E>((session, result))
    })?;
    *kept = Some(session);
    result.map_err(Into::into)
}

/// Moves the last frames into the places of those that are not wanted any more, so that the batch has no holes.
fn close_gaps(buffer: &mut BatchBuffer, frames: &mut [(usize, DecodeParams, Written)]) {
    let count = frames.len();
    let mut taken = vec![false; count];
    for (place, ..) in frames.iter() {
        if let Some(taken) = taken.get_mut(*place) {
            *taken = true;
        }
    }
    let mut holes = (0..count).filter(|&place| !taken[place]);
    for (place, ..) in frames.iter_mut() {
        if *place >= count
            && let Some(hole) = holes.next()
        {
            buffer.move_frame(*place, hole);
            *place = hole;
        }
    }
    frames.sort_unstable_by_key(|(place, ..)| *place);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_panicked_is_made_anew() {
        let mut made = 0;
        let mut kept = None;
        let mut work = |work: &dyn Fn(u32) -> Result<u32, Error>| {
            let renew = || {
                made += 1;
                Ok(made)
            };
            with_session(&mut kept, renew, |session| work(*session))
        };
        assert_eq!(work(&Ok), Ok(1));
        let failure = Error::new(ErrorCode::ModelInvalid, "a run that fails");
        assert_eq!(work(&|_| Err(failure.clone())), Err(failure.clone()));
        assert_eq!(work(&Ok), Ok(1), "the one that failed goes on");
        let panicked = work(&|_| panic!("told to")).unwrap_err();
        assert!(panicked.message.contains("told to"), "{panicked}");
        assert_eq!(work(&Ok), Ok(2), "the one that panicked does not");
    }

    #[test]
    fn a_session_that_cannot_be_made_is_tried_again() {
        let mut kept = None;
        let failure = || Error::new(ErrorCode::ModelInvalid, "not now");
        assert_eq!(with_session(&mut kept, || Err(failure()), |session: &mut u32| Ok(*session)), Err(failure()));
        assert_eq!(with_session(&mut kept, || Ok::<_, Error>(7), |session| Ok(*session)), Ok(7));
    }
}
