//! A source that hangs in a change of state holds up its own feed and nobody else.

use std::sync::{Mutex, mpsc};

use glib::subclass::prelude::*;
use gst::{prelude::*, subclass::prelude::*};
use gstnextvision::runtime::ErrorCode;

use super::{Bench, FAR, clip, text};

/// Who waits in a change of state says so, and goes on when told to.
struct Hang {
    entered: mpsc::Sender<()>,
    gate: mpsc::Receiver<()>,
}

static HANGS: Mutex<Vec<(gst::StateChange, Hang)>> = Mutex::new(Vec::new());

mod imp {
    use super::*;

    /// Hangs in the next change of state that [`HANGS`] asks for.
    #[derive(Default)]
    pub struct HangingSource;

    #[glib::object_subclass]
    impl ObjectSubclass for HangingSource {
        const NAME: &'static str = "NvTestHangingSource";
        type Type = super::HangingSource;
        type ParentType = gst::Element;
    }

    impl ObjectImpl for HangingSource {
        fn constructed(&self) {
            self.parent_constructed();
            let template = self.obj().pad_template("src").unwrap();
            self.obj().add_pad(&gst::Pad::from_template(&template)).unwrap();
        }
    }

    impl GstObjectImpl for HangingSource {}

    impl ElementImpl for HangingSource {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: std::sync::LazyLock<Vec<gst::PadTemplate>> = std::sync::LazyLock::new(|| {
                let caps = gst::Caps::new_any();
                vec![gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, &caps).unwrap()]
            });
            &TEMPLATES
        }

        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: std::sync::LazyLock<gst::subclass::ElementMetadata> = std::sync::LazyLock::new(|| {
                gst::subclass::ElementMetadata::new("Hanging source", "Source/Video", "Hangs", "tests")
            });
            Some(&METADATA)
        }

        fn change_state(&self, change: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
            let hang = {
                let mut hangs = HANGS.lock().unwrap();
                let index = hangs.iter().position(|(at, _)| *at == change);
                index.map(|index| hangs.remove(index).1)
            };
            if let Some(hang) = hang {
                hang.entered.send(()).unwrap();
                _ = hang.gate.recv();
            }
            self.parent_change_state(change)
        }
    }
}

glib::wrapper! {
    pub struct HangingSource(ObjectSubclass<imp::HangingSource>) @extends gst::Element, gst::Object;
}

const FACTORY: &str = "nvtesthangingsource";

/// From now on one such source hangs there: what tells that it does, and what ends it.
fn hang(at: gst::StateChange) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
    static REGISTERED: std::sync::Once = std::sync::Once::new();
    REGISTERED.call_once(|| {
        gst::Element::register(None, FACTORY, gst::Rank::NONE, HangingSource::static_type()).unwrap();
    });
    let ((entered, is_entered), (open, gate)) = (mpsc::channel(), mpsc::channel());
    HANGS.lock().unwrap().push((at, Hang { entered, gate }));
    (is_entered, open)
}

#[test]
fn removal_leaves_a_hanging_start_behind_and_reaps_it() {
    let bench = Bench::new("managed-hang");
    bench.runtime.configure(|config| config.feed_join_timeout = 1_000_000).unwrap();
    let (entered, open) = hang(gst::StateChange::NullToReady);
    let id = bench.add(&format!("pipeline={FACTORY}, feed-name=stuck"));
    entered.recv_timeout(FAR).unwrap();

    let other = bench.add(&format!("uri={}", clip("gate")));
    assert_eq!(text(&bench.wait("feed-stopped", other), "reason"), "eos");

    bench.runtime.remove_feed(id).unwrap();
    bench.assert_empty();
    assert_eq!(bench.runtime.remove_feed(id).unwrap_err().code, ErrorCode::FeedNotFound);
    assert_eq!(text(&bench.wait("feed-stopped", id), "reason"), "requested");
    assert_eq!(text(&bench.wait("thread-detached", id), "label"), "feed 'stuck'");
    drop(open);
    assert_eq!(text(&bench.wait("thread-reaped", id), "label"), "feed 'stuck'");
}

#[test]
fn removal_leaves_a_hanging_stop_behind_and_reaps_it() {
    let bench = Bench::new("managed-hang-stop");
    bench.runtime.configure(|config| config.feed_join_timeout = 1_000_000).unwrap();
    let (entered, open) = hang(gst::StateChange::ReadyToNull);
    // The source is beside the video: it has none of its own to give.
    let fragment =
        format!("{FACTORY} ! fakesink async=false videotestsrc is-live=true ! video/x-raw,width=64,height=64");
    let (location, mut results) = bench.results("results");
    let id = bench.add(&format!("pipeline=\"{fragment}\", location={}", location.display()));
    results.next().unwrap().unwrap();
    bench.runtime.remove_feed(id).unwrap();
    entered.recv_timeout(FAR).unwrap();
    bench.assert_empty();
    bench.wait("thread-detached", id);
    drop(open);
    bench.wait("thread-reaped", id);
}

#[test]
fn pausing_a_hanging_feed_returns_and_takes_effect_later() {
    let bench = Bench::new("managed-hang-pause");
    bench.runtime.configure(|config| config.feed_join_timeout = 1_000_000).unwrap();
    let (entered, open) = hang(gst::StateChange::NullToReady);
    let id = bench.add(&format!("pipeline={FACTORY}"));
    entered.recv_timeout(FAR).unwrap();
    bench.runtime.pause_feed(id).unwrap();
    assert_eq!(bench.runtime.pause_feed(id).unwrap_err().code, ErrorCode::AlreadyPaused);
    drop(open);
    bench.wait("feed-paused", id);
    bench.runtime.remove_feed(id).unwrap();
    bench.assert_empty();
}
