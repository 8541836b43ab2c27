//! An instance: the thread that runs a processor's model. It touches nothing that can block.

use std::sync::Arc;

use super::{
    CAT, Error, ErrorCode,
    batch::BatchBuffer,
    clock,
    counters::Timing,
    feed::{Feed, Inferred, ItemId, Outcome},
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
    let serve = move || Instance { processor: &worker, index, session: Some(session), lists: Lists::default() }.serve();
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
    lists: Lists,
}

/// Lists of a batch. Empty between two batches, so that only their memory is kept.
#[derive(Default)]
struct Lists {
    taken: Vec<(usize, Written)>,
    wanted: Vec<Wanted>,
    running: Vec<(Arc<Feed>, ItemId)>,
    results: Vec<Result<Output, Error>>,
}

/// A frame in its place, and how its result is to be read.
type Wanted = (usize, DecodeParams, Written);

impl Instance<'_> {
    fn serve(mut self) {
        loop {
            match self.processor.next_work(self.index, &mut self.lists.taken) {
                Work::Write(reservation) => self.processor.write(reservation),
                Work::Run(buffer) => self.run(buffer),
                Work::Stop => break,
            }
        }
    }

    fn run(&mut self, mut buffer: Arc<BatchBuffer>) {
        let started = clock::now();
        let Lists { taken, mut wanted, running, mut results } = std::mem::take(&mut self.lists);
        let mut lists = Lists { taken, running, ..Lists::default() };
        let admit = |(place, frame): (usize, Written)| Some((place, frame.feed.admit(frame.id, started)?, frame));
        wanted.extend(lists.taken.drain(..).filter_map(admit));
        let frames = wanted.len();
        let mut time = 0;
        if !wanted.is_empty() {
            let ran = match Arc::get_mut(&mut buffer) {
                Some(buffer) => {
                    close_gaps(&mut wanted, |from, to| buffer.move_frame(from, to));
                    lists.running.extend(wanted.iter().map(|(_, _, frame)| (frame.feed.clone(), frame.id)));
                    self.processor.runs.started(self.index, started, lists.running);
                    let ran = self.infer(buffer.bytes(), &wanted, &mut results);
                    lists.running = self.processor.runs.ended(self.index);
                    lists.running.clear();
                    ran
                }
                None => Err(Error::new(ErrorCode::ModelInvalid, "the memory of a batch is still being written")),
            };
            time = clock::now() - started;
            if let Err(error) = ran {
                results.clear();
                results.extend(wanted.iter().map(|_| Err(error.clone())));
            }
            self.settle(&mut wanted, &mut results, started);
        }
        (lists.wanted, lists.results) = (wanted, results);
        self.lists = lists;
        self.processor.recycle(buffer, frames, time);
    }

    /// Adds what the model says about each of the frames to `results`.
    fn infer(
        &mut self,
        input: &[u8],
        frames: &[Wanted],
        results: &mut Vec<Result<Output, Error>>,
    ) -> Result<(), Error> {
        let decoder = &self.processor.description().decoder;
        let batch = frames.len();
        with_session(
            &mut self.session,
            || self.processor.model.session_with(self.processor.limits().intra_op_threads),
            |session| {
                session.run(input, batch, |outputs| {
                    let decode = |(index, (_, params, frame)): (usize, &Wanted)| {
                        panics::caught(|| decoder.decode(outputs, index, batch, params, &frame.placement))
                    };
                    results.extend(frames.iter().enumerate().map(decode));
                })
            },
        )
    }

    /// Tells what became of the frames, of which there is one result each.
    fn settle(&self, frames: &mut Vec<Wanted>, results: &mut Vec<Result<Output, Error>>, started: u64) {
        let processor = self.processor;
        let ended = clock::now();
        let batch_size = frames.len();
        let oldest = frames.iter().map(|(_, _, frame)| frame.arrival).min().unwrap_or(started);
        let failure = results.iter().find_map(|result| result.as_ref().err().cloned());
        let good = results.iter().filter(|result| result.is_ok()).count();
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
        for ((_, _, frame), result) in frames.drain(..).zip(results.drain(..)) {
            let outcome = match result {
                Ok(output) => Outcome::Result(Inferred {
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
                }),
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

/// Moves the last frames into the places of those that are not wanted any more, so that the batch has no holes. The
/// frames come in the order of their places, and leave so.
fn close_gaps<P, F>(frames: &mut [(usize, P, F)], mut move_frame: impl FnMut(usize, usize)) {
    let count = frames.len();
    // Frames before `stays` are where they belong; those from `last` on came from places behind `count`.
    let (mut stays, mut last) = (0, count);
    for hole in 0..count {
        if frames.get(stays).is_some_and(|(place, ..)| *place == hole) {
            stays += 1;
        } else {
            last -= 1;
            if let Some((place, ..)) = frames.get_mut(last) {
                move_frame(*place, hole);
                *place = hole;
            }
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
    fn gaps_are_closed_whichever_frames_are_not_wanted() {
        const PLACES: usize = 6;
        for wanted in 1u32..1 << PLACES {
            let mut memory: Vec<usize> = (0..PLACES).collect();
            let is_wanted = |place: &usize| wanted >> place & 1 == 1;
            let mut frames: Vec<_> = (0..PLACES).filter(is_wanted).map(|place| (place, (), place)).collect();
            close_gaps(&mut frames, |from, to| memory[to] = memory[from]);
            assert_eq!(frames.len(), wanted.count_ones() as usize);
            for (index, (place, (), written)) in frames.iter().enumerate() {
                assert_eq!((*place, memory[*place]), (index, *written), "{wanted:06b}");
            }
        }
    }

    #[test]
    fn a_session_that_cannot_be_made_is_tried_again() {
        let mut kept = None;
        let failure = || Error::new(ErrorCode::ModelInvalid, "not now");
        assert_eq!(with_session(&mut kept, || Err(failure()), |session: &mut u32| Ok(*session)), Err(failure()));
        assert_eq!(with_session(&mut kept, || Ok::<_, Error>(7), |session| Ok(*session)), Ok(7));
    }
}
