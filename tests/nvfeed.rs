//! What `nvfeed` does without a processor: its properties, its states, and what it refuses.

mod common;

use std::{ffi::CString, path::Path, thread};

use common::{LONG, element, init, launch, wait_for, wait_for_eos, wait_for_error};
use gst::prelude::*;

/// An upstream of its own, outside of any pipeline.
fn source_of(element: &gst::Element) -> gst::Pad {
    let pad = gst::Pad::builder(gst::PadDirection::Src).name("src").build();
    pad.link(&element.static_pad("sink").unwrap()).unwrap();
    pad.set_active(true).unwrap();
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Gray8, 16, 16).build().unwrap();
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(pad.push_event(gst::event::StreamStart::new("stream")));
    assert!(pad.push_event(gst::event::Caps::new(&info.to_caps().unwrap())));
    assert!(pad.push_event(gst::event::Segment::new(&segment)));
    pad
}

fn frame() -> gst::Buffer {
    gst::Buffer::with_size(16 * 16).unwrap()
}

#[test]
fn starts_as_the_documentation_says() {
    let (feed, _bus) = element("nvfeed name=camera");
    assert!(!feed.property::<bool>("sync") && !feed.property::<bool>("enable-last-sample"));
    assert!(feed.property::<bool>("message") && feed.property::<bool>("async"));
    assert_eq!(feed.property::<String>("processor-id"), "default");
    assert_eq!(feed.property::<String>("feed-name"), "camera");
    assert_eq!(feed.property::<Option<String>>("location"), None);
    assert_eq!(feed.property::<u64>("feed-id"), 0);
}

#[test]
fn has_a_place_from_paused_on_under_another_number_each_time() {
    let (feed, _bus) = element("nvfeed processor-id=place");
    let mut seen = Vec::new();
    for _ in 0..2 {
        feed.set_state(gst::State::Ready).unwrap();
        assert_eq!(feed.property::<u64>("feed-id"), 0);
        feed.set_state(gst::State::Paused).unwrap();
        seen.push(feed.property::<u64>("feed-id"));
    }
    feed.set_state(gst::State::Null).unwrap();
    assert!(seen[0] > 0 && seen[1] > seen[0], "{seen:?}");
    assert_eq!(feed.property::<u64>("feed-id"), 0);
}

#[test]
fn settings_change_while_playing_and_the_names_do_not() {
    let (feed, _bus) = element("nvfeed processor-id=settings feed-name=before");
    feed.set_state(gst::State::Playing).unwrap();
    feed.set_property("threshold", 0.5f32);
    feed.set_property_from_str("leaky", "downstream");
    feed.set_property("feed-name", "after");
    feed.set_property("processor-id", "other");
    assert_eq!(feed.property::<f32>("threshold"), 0.5);
    assert_eq!(feed.property::<String>("feed-name"), "before");
    assert_eq!(feed.property::<String>("processor-id"), "settings");
    feed.set_state(gst::State::Ready).unwrap();
    feed.set_property("feed-name", "after");
    assert_eq!(feed.property::<String>("feed-name"), "after");
    feed.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_location_that_cannot_be_written_is_refused() {
    let folder = std::env::temp_dir().join(format!("nvfeed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let pipe = folder.join("unread");
    let name = CString::new(pipe.to_str().unwrap()).unwrap();
    // SAFETY: the name is a C string that lives during the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    for (location, reason) in
        [(folder.as_path(), "directory"), (Path::new("/no/such/folder/results"), "No such file"), (&pipe, "reader")]
    {
        let (feed, bus) = element("nvfeed processor-id=location");
        feed.set_property("location", location);
        assert!(feed.set_state(gst::State::Paused).is_err());
        let (code, message) = wait_for_error(&bus);
        assert_eq!(code, "invalid-config");
        assert!(message.contains(reason) && message.contains(location.to_str().unwrap()), "{message}");
        // It is as before, and goes on where the way is free.
        feed.set_property("location", None::<String>);
        feed.set_state(gst::State::Paused).unwrap();
        feed.set_state(gst::State::Null).unwrap();
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_processor_that_never_comes_is_an_error() {
    let pipeline = launch("videotestsrc ! nvfeed processor-id=never attach-timeout=1");
    pipeline.set_state(gst::State::Playing).unwrap();
    let (code, message) = wait_for_error(&pipeline.bus().unwrap());
    assert_eq!(code, "processor-missing");
    assert!(message.contains("'never'") && message.contains("nvbatch processor-id=never"), "{message}");
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_stream_without_frames_ends() {
    let pipeline = launch("videotestsrc num-buffers=0 ! nvfeed processor-id=empty");
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_for_eos(&pipeline.bus().unwrap());
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn the_end_is_not_told_while_frames_wait() {
    let (feed, bus) = element("nvfeed processor-id=waiting async=false");
    feed.set_state(gst::State::Playing).unwrap();
    let source = source_of(&feed);
    source.push(frame()).unwrap();
    let end = thread::spawn({
        let source = source.clone();
        move || source.push_event(gst::event::Eos::new())
    });
    // A pause and its end leave it waiting.
    feed.set_state(gst::State::Paused).unwrap();
    feed.set_state(gst::State::Playing).unwrap();
    assert!(source.push_event(gst::event::FlushStart::new()));
    assert!(!end.join().unwrap(), "the end of the stream was taken");
    assert!(source.push_event(gst::event::FlushStop::new(true)));
    assert!(bus.pop_filtered(&[gst::MessageType::Eos]).is_none());
    // What was flushed away is not waited for.
    assert!(source.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
    assert!(source.push_event(gst::event::Eos::new()));
    wait_for(&bus, &[gst::MessageType::Eos]);
    feed.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_flush_frees_who_waits_for_room_and_makes_room() {
    let (feed, _bus) = element("nvfeed processor-id=flush max-queued=1 async=false");
    feed.set_state(gst::State::Playing).unwrap();
    let source = source_of(&feed);
    source.push(frame()).unwrap();
    let blocked = thread::spawn({
        let source = source.clone();
        move || source.push(frame())
    });
    assert!(source.push_event(gst::event::FlushStart::new()));
    assert_eq!(blocked.join().unwrap(), Err(gst::FlowError::Flushing));
    assert!(source.push_event(gst::event::FlushStop::new(true)));
    assert!(source.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
    assert_eq!(source.push(frame()), Ok(gst::FlowSuccess::Ok));
    feed.set_state(gst::State::Null).unwrap();
}

#[test]
fn pausing_and_stopping_do_not_wait_for_room() {
    let pipeline = launch("videotestsrc ! nvfeed processor-id=stop max-queued=1");
    let (changed, error) = (gst::MessageType::AsyncDone, gst::MessageType::Error);
    // Often: PAUSED may come again before the streaming thread has noticed PLAYING.
    let often = [gst::State::Playing, gst::State::Paused].repeat(200);
    for state in often.into_iter().chain([gst::State::Playing, gst::State::Ready]) {
        pipeline.set_state(state).unwrap();
        assert!(pipeline.state(LONG).0.is_ok());
    }
    while let Some(message) = pipeline.bus().unwrap().pop_filtered(&[changed, error]) {
        assert_eq!(message.type_(), changed, "{message:?}");
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn upstream_need_not_copy_its_frames() {
    let (feed, _bus) = element("nvfeed processor-id=allocation");
    feed.set_state(gst::State::Playing).unwrap();
    let source = source_of(&feed);
    let caps = source.current_caps().unwrap();
    let mut query = gst::query::Allocation::new(Some(&caps), false);
    assert!(source.peer_query(&mut query));
    assert!(query.find_allocation_meta::<gst_video::VideoMeta>().is_some());
    feed.set_state(gst::State::Null).unwrap();
}

mod camera {
    //! Video that says it comes from `location`, as `rtspsrc` does.

    use std::sync::Mutex;

    use gst::{prelude::*, subclass::prelude::*};

    #[derive(Default)]
    pub struct Imp(Mutex<String>);

    #[glib::object_subclass]
    impl ObjectSubclass for Imp {
        const NAME: &'static str = "NvTestCamera";
        type Type = Camera;
        type ParentType = gst::Bin;
    }

    impl ObjectImpl for Imp {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: std::sync::OnceLock<[glib::ParamSpec; 1]> = std::sync::OnceLock::new();
            PROPERTIES.get_or_init(|| [glib::ParamSpecString::builder("location").construct_only().build()])
        }

        fn set_property(&self, _id: usize, value: &glib::Value, _spec: &glib::ParamSpec) {
            *self.0.lock().unwrap() = value.get().unwrap();
        }

        fn property(&self, _id: usize, _spec: &glib::ParamSpec) -> glib::Value {
            self.0.lock().unwrap().to_value()
        }

        fn constructed(&self) {
            self.parent_constructed();
            let source = gst::ElementFactory::make("videotestsrc").build().unwrap();
            self.obj().add(&source).unwrap();
            let pad = gst::GhostPad::with_target(&source.static_pad("src").unwrap()).unwrap();
            self.obj().add_pad(&pad).unwrap();
        }
    }

    impl GstObjectImpl for Imp {}
    impl ElementImpl for Imp {}
    impl BinImpl for Imp {}

    glib::wrapper! {
        pub struct Camera(ObjectSubclass<Imp>) @extends gst::Bin, gst::Element, gst::Object;
    }
}

/// A camera at `location` and an `nvfeed`, playing.
fn play_camera(location: &str, security: &str) -> gst::Pipeline {
    init();
    let camera: camera::Camera = glib::Object::builder().property("location", location).build();
    let feed = gst::ElementFactory::make("nvfeed").property("processor-id", "camera").build().unwrap();
    feed.set_property_from_str("rtsp-security", security);
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([camera.upcast_ref(), &feed]).unwrap();
    camera.link(&feed).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline
}

#[test]
fn plain_rtsp_is_refused_before_the_first_frame_where_tls_is_required() {
    let pipeline = play_camera("rtsp://user:secret@cam/1", "require-tls");
    let (code, message) = wait_for_error(&pipeline.bus().unwrap());
    assert_eq!(code, "insecure-source-rejected");
    assert!(message.contains("rtsp://***@cam/1"), "{message}");
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn plain_rtsp_is_warned_of_by_default_and_rtsps_is_not() {
    for (location, security, warned) in [
        ("RTSP://user:secret@cam/1", "prefer-tls", true),
        ("rtsp://cam/1", "allow-insecure", false),
        ("rtsps://cam/1", "prefer-tls", false),
        ("rtsps://cam/1", "require-tls", false),
    ] {
        let pipeline = play_camera(location, security);
        let wanted = [gst::MessageType::AsyncDone, gst::MessageType::Error, gst::MessageType::Warning];
        let mut warning = None;
        loop {
            let message = wait_for(&pipeline.bus().unwrap(), &wanted);
            match message.view() {
                gst::MessageView::Warning(message) => warning = Some(message.error().message().to_owned()),
                gst::MessageView::AsyncDone(_) => break,
                _ => panic!("{message:?}"),
            }
        }
        pipeline.set_state(gst::State::Null).unwrap();
        assert_eq!(warning.is_some(), warned, "{location} {security}: {warning:?}");
        assert!(warning.is_none_or(|text| text.contains("RTSP://***@cam/1") && !text.contains("secret")));
    }
}
