//! Feeds whose pipelines the runtime owns.

use fastrand::Rng;
use gstnextvision::runtime::{ErrorCode, ManagedFeedConfig, Runtime};

use super::stream::{PROCESSORS, pick};
use crate::Fallible;

pub struct ManagedFeed {
    id: u64,
    paused: bool,
}

impl ManagedFeed {
    pub fn add(number: u64, random: &mut Rng) -> Fallible<Self> {
        let live = "videotestsrc is-live=true pattern=black ! video/x-raw,width=128,height=96,framerate=15/1";
        let clip = format!("file://{}/tests/clips/lift.mp4", env!("CARGO_MANIFEST_DIR"));
        let source = match random.u8(..5) {
            0 => format!("uri=\"{clip}\", loop=true, sync=true, interval=2"),
            1 => String::from("uri=\"file:///no/such/video.mp4\""),
            2 => format!("pipeline=\"{live} ! identity error-after={}\"", random.u32(5..100)),
            3 => format!("pipeline=\"{live} ! identity eos-after={}\"", random.u32(1..200)),
            _ => format!("pipeline=\"{live}\""),
        };
        let fields = format!(
            "feed, {source}, name=managed-{number}, processor-id={}, max-restarts=3, restart-delay=(guint64)100000000",
            pick(random, &PROCESSORS[..2]),
        );
        let structure: gst::Structure = fields.parse()?;
        let config = ManagedFeedConfig::from_structure(&structure).map_err(|error| error.to_string())?;
        let id = Runtime::get().add_managed_feed(config).map_err(|error| error.to_string())?;
        Ok(Self { id, paused: false })
    }

    /// Pauses or resumes; what has ended by itself meanwhile is no more.
    pub fn toggle(&mut self) -> Fallible<()> {
        let runtime = Runtime::get();
        let answer = if self.paused { runtime.resume_feed(self.id) } else { runtime.pause_feed(self.id) };
        match answer {
            Ok(()) => self.paused = !self.paused,
            Err(error) if error.code == ErrorCode::FeedNotFound => (),
            Err(error) => return Err(error.to_string().into()),
        }
        Ok(())
    }

    pub fn remove(&self) -> Fallible<()> {
        match Runtime::get().remove_feed(self.id) {
            Err(error) if error.code != ErrorCode::FeedNotFound => Err(error.to_string().into()),
            _ => Ok(()),
        }
    }
}
