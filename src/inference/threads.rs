//! The threads inside of a session, which run a model beside the thread that asks for it.
//!
//! They are started before the session is made. ONNX Runtime has to get all that it asks for: where it gets some, and
//! then no more, it waits for ever for those to end.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use ort::environment::ThreadManager;
use parking_lot::Mutex;

use super::{Error, ErrorKind, RAISE_LIMIT_OF_THREADS};

type Work = Box<dyn FnOnce() + Send>;

/// Threads that wait for a session to ask for them. Those that it does not ask for end with this.
#[derive(Default)]
pub struct Reserve {
    waiting: Mutex<Vec<Waiting>>,
}

struct Waiting {
    work: SyncSender<Work>,
    thread: JoinHandle<()>,
}

impl Reserve {
    /// `NoThread` where `count` threads are not to be had at once.
    pub fn of(count: usize) -> Result<Self, Error> {
        let started: io::Result<Vec<_>> = (0..count).map(|_| Waiting::start()).collect();
        match started {
            Ok(waiting) => Ok(Self { waiting: Mutex::new(waiting) }),
            Err(reason) => Err(Error::new(
                ErrorKind::NoThread,
                format!(
                    "cannot start the {count} threads that run an instance beside its own: {reason}; \
                     {RAISE_LIMIT_OF_THREADS}, or set fewer `intra-op-threads`"
                ),
            )),
        }
    }

    pub fn count(&self) -> usize {
        self.waiting.lock().len()
    }
}

impl Waiting {
    fn start() -> io::Result<Self> {
        let (work, given) = sync_channel(1);
        let serve = |given: Receiver<Work>| {
            if let Ok(work) = given.recv() {
                work();
            }
        };
        let thread = thread::Builder::new().name("nv-run".into()).spawn(move || serve(given))?;
        Ok(Self { work, thread })
    }
}

impl ThreadManager for Reserve {
    type Thread = JoinHandle<()>;

    fn create(&self, work: impl FnOnce() + Send + 'static) -> ort::Result<JoinHandle<()>> {
        let reserved = self.waiting.lock().pop().map_or_else(Waiting::start, Ok);
        let Waiting { work: give, thread } = reserved.map_err(|reason| ort::Error::new(reason.to_string()))?;
        give.send(Box::new(work)).map_err(|reason| ort::Error::new(reason.to_string()))?;
        Ok(thread)
    }

    fn join(thread: JoinHandle<()>) -> ort::Result<()> {
        thread.join().map_err(|_| ort::Error::new("a thread of a session panicked"))
    }
}

/// Why ONNX Runtime does not start an instance. Execution providers may want threads of their own.
pub fn not_started(reason: &ort::Error) -> Error {
    let message = format!("one more instance of the model does not start: {reason}");
    match reason.message().contains("pthread_create") {
        true => Error::new(ErrorKind::NoThread, format!("{message}; {RAISE_LIMIT_OF_THREADS}")),
        false => Error::new(ErrorKind::ModelInvalid, message),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn threads_that_are_asked_for_were_there_before() {
        let reserve = Reserve::of(2).unwrap();
        let reserved: Vec<_> = reserve.waiting.lock().iter().map(|waiting| waiting.thread.thread().id()).collect();
        let (tell, told) = mpsc::channel();
        let ask = || {
            let tell = tell.clone();
            reserve.create(move || tell.send(thread::current().id()).unwrap()).unwrap()
        };
        // One more than was reserved.
        for thread in [ask(), ask(), ask()] {
            Reserve::join(thread).unwrap();
        }
        let ran: Vec<_> = told.try_iter().collect();
        assert_eq!(ran.len(), 3);
        assert!(reserved.iter().all(|thread| ran.contains(thread)));
    }

    #[test]
    fn who_is_not_asked_for_ends() {
        let reserve = Reserve::of(1).unwrap();
        let Waiting { work, thread } = reserve.waiting.lock().pop().unwrap();
        drop((reserve, work));
        thread.join().unwrap();
    }
}
