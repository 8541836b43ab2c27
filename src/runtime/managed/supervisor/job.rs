//! What a managed feed's job does, one task after another: runs that start, fail, turn and end.

use std::{sync::Arc, time::Instant};

use gst::prelude::*;

use super::{Run, Supervisor, Task, Work};
use crate::runtime::{
    CAT, Error, Event, Severity, StopReason, clock,
    managed::{
        pipeline::{self, End, Failure},
        ticket::FeedTicket,
    },
};

impl Supervisor {
    pub(super) fn work_off(self: Arc<Self>, mut work: Work) {
        loop {
            let task = {
                let mut state = self.state.lock();
                match state.tasks.pop_front() {
                    Some(task) => task,
                    None => {
                        state.work = Some(work);
                        return;
                    }
                }
            };
            if !work.over {
                self.do_task(&mut work, task);
            }
        }
    }

    fn do_task(self: &Arc<Self>, work: &mut Work, task: Task) {
        match task {
            Task::Start => self.start_run(work),
            Task::Ended { run, end } if run == work.runs && work.run.is_some() => self.run_ended(work, end),
            Task::Ended { .. } => {}
            Task::Set(target, done) => {
                self.set_target(work, target);
                _ = done.send(());
            }
            Task::Stop => {
                let reason = self.state.lock().ending.clone();
                self.end(work, reason.unwrap_or(StopReason::Requested));
            }
        }
    }

    fn start_run(self: &Arc<Self>, work: &mut Work) {
        work.runs += 1;
        let run = work.runs;
        self.state.lock().run = run;
        if let Err(reason) = self.runtime.0.pool.grow() {
            // GStreamer would wait for what it cannot start, and this thread with it.
            return self.failed(work, Error::no_thread("what runs the feed", &reason).into());
        }
        let frames = self.feed().snapshot().counters.received;
        let supervisor = Arc::downgrade(self);
        let ended = move |end| {
            if let Some(supervisor) = supervisor.upgrade() {
                supervisor.ask(|state| state.tasks.push_back(Task::Ended { run, end }));
            }
        };
        let pipeline = match pipeline::build(&self.config, &self.name, &FeedTicket::new(self, run), ended.clone()) {
            Ok(pipeline) => pipeline,
            Err(error) => return self.failed(work, error.into()),
        };
        work.run = Some(Run { pipeline: pipeline.clone(), started: clock::now(), frames, frames_of_turn: frames });
        gst::info!(CAT, "feed {}: run {run} of {}", self.name, self.config.source.redacted());
        if pipeline.set_state(work.target).is_err() {
            // Mostly the pipeline has said why, before this.
            ended(End::Failed(Failure { detail: "the pipeline does not start".into(), lasting: false }));
        }
    }

    fn set_target(&self, work: &mut Work, target: gst::State) {
        work.target = target;
        if let Some(run) = &work.run
            && run.pipeline.set_state(target).is_err()
        {
            gst::warning!(CAT, "feed {} does not go to {target:?}", self.name);
        }
        let event = if target == gst::State::Paused { "feed-paused" } else { "feed-resumed" };
        self.emit(|| Event::new(event, Severity::Info));
    }

    fn run_ended(self: &Arc<Self>, work: &mut Work, end: End) {
        match end {
            End::Failed(failure) => self.failed(work, failure),
            End::Eos if self.config.source.reconnects() => {
                self.failed(work, Failure { detail: "the source has ended the stream".into(), lasting: false });
            }
            End::Eos if self.config.looping => self.rewind(work),
            End::Eos => self.end(work, StopReason::Eos),
        }
    }

    /// From the beginning again.
    fn rewind(self: &Arc<Self>, work: &mut Work) {
        let Some(run) = &mut work.run else { return };
        let frames = self.feed().snapshot().counters.received;
        if frames == run.frames_of_turn {
            let detail = "`loop` is set, and the stream ended without a frame".into();
            return self.end(work, StopReason::Error(detail));
        }
        run.frames_of_turn = frames;
        if run.pipeline.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO).is_err() {
            self.tear_down(work);
            self.start_run(work);
        }
    }

    fn failed(&self, work: &mut Work, failure: Failure) {
        gst::warning!(CAT, "feed {}: {}", self.name, failure.detail);
        let healthy = match &work.run {
            Some(run) if self.feed().snapshot().counters.received > run.frames => {
                clock::now().saturating_sub(run.started)
            }
            _ => 0,
        };
        self.tear_down(work);
        if failure.lasting {
            return self.end(work, StopReason::Error(failure.detail));
        }
        let Some(delay) = work.backoff.next(healthy, glib::random_double()) else {
            return self.end(work, StopReason::RestartLimit(failure.detail));
        };
        let count = self.feed().count_restart();
        self.emit(|| {
            Event::new("feed-restarting", Severity::Warning)
                .count("restart-count", count)
                .duration("delay", delay)
                .text("detail", failure.detail)
        });
        let mut state = self.state.lock();
        if state.ending.is_none() {
            state.restart_at = Some(clock::now().saturating_add(delay));
        }
    }

    fn tear_down(&self, work: &mut Work) {
        let Some(run) = work.run.take() else { return };
        if run.pipeline.set_state(gst::State::Null).is_err() {
            gst::warning!(CAT, "feed {}: its pipeline does not stop cleanly", self.name);
        }
    }

    /// The feed ends for good.
    fn end(&self, work: &mut Work, reason: StopReason) {
        if self.state.lock().ending.get_or_insert(reason) == &StopReason::Shutdown {
            let feed = self.feed();
            feed.join(Instant::now() + self.runtime.feed_join_timeout());
            feed.finish();
        }
        self.tear_down(work);
        work.over = true;
        if !self.give_place_back() {
            self.runtime.detached().reap_of(Some((self.id, &self.name)), &self.label());
        }
    }
}
