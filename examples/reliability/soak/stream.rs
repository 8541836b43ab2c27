//! A pipeline as an application builds it, and what can be done to it.

use std::collections::VecDeque;

use fastrand::Rng;
use gst::{glib::WeakRef, prelude::*};

use super::ledger::Ledger;
use crate::Fallible;

const FORMATS: [&str; 6] = ["NV12", "I420", "RGB", "BGRx", "GRAY8", "YUY2"];
const RATES: [u32; 4] = [5, 10, 15, 25];
const LEAKY: [&str; 4] = ["auto", "no", "upstream", "downstream"];
/// What a source says whose frame was refused.
const TOLD_TO_FAIL: &str = "Internal data stream error";
const BLACK: u32 = 0xff00_0000;
/// How long a change of state is waited for: GStreamer itself may hang where the next is asked for before.
const ARRIVAL: gst::ClockTime = gst::ClockTime::from_seconds(2);

pub struct Stream {
    pipeline: gst::Pipeline,
    /// Gone by its own end or an error.
    over: bool,
    told_to_fail: bool,
    last_frame: Option<u64>,
}

/// Undoes what was done to a stream, where that is still there.
pub type Heal = Box<dyn FnOnce()>;

/// Processors that streams come to; `slow` and `flaky` run models that fail by the brightness of frames.
pub const PROCESSORS: [&str; 4] = ["steady", "swapped", "flaky", "slow"];

impl Stream {
    pub fn begin(number: u64, random: &mut Rng) -> Fallible<Self> {
        let linked = random.u8(..3) == 0;
        let (element, tail) = if linked { ("nvbatch", "! fakesink name=out sync=false") } else { ("nvfeed", "") };
        let line = format!(
            "videotestsrc name=source is-live=true pattern=solid-color foreground-color={BLACK} \
             ! capsfilter name=caps caps={} \
             ! {element} name=feed feed-name=stream-{number} processor-id={} leaky={} interval={} deadline={} priority={} {tail}",
            caps(random),
            pick(random, &PROCESSORS),
            pick(random, &LEAKY),
            random.u32(1..=2),
            pick(random, &[0u64, 0, 200_000_000]),
            random.i32(0..=1),
        );
        let pipeline = gst::parse::launch(&line)?.downcast::<gst::Pipeline>().map_err(|_| "not a pipeline")?;
        let stream = Self { pipeline, over: false, told_to_fail: false, last_frame: None };
        stream.go_to(gst::State::Playing);
        Ok(stream)
    }

    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Takes what is on the bus.
    pub fn listen(&mut self, ledger: &mut Ledger) {
        let Some(bus) = self.pipeline.bus() else { return };
        while let Some(message) = bus.pop() {
            match message.view() {
                gst::MessageView::Eos(_) => self.over = true,
                gst::MessageView::Error(error) => {
                    self.over = true;
                    let text = format!("{} {:?}", error.error(), error.debug());
                    if !(self.told_to_fail && text.contains(TOLD_TO_FAIL)) {
                        ledger.violation("an error that nobody caused", text);
                    }
                }
                gst::MessageView::Element(_) => self.result(&message, ledger),
                _ => (),
            }
        }
    }

    fn result(&mut self, message: &gst::Message, ledger: &mut Ledger) {
        let Some(result) = message.structure().filter(|structure| structure.name() == "nv-result") else { return };
        let Ok(frame) = result.get::<u64>("frame") else { return };
        ledger.told(1);
        if self.last_frame.replace(frame).is_some_and(|last| frame <= last) {
            ledger.violation("results out of order", result.to_string());
        }
    }

    /// No frame comes any more.
    pub fn stall(&self) -> Heal {
        // Not by a `valve`: once it is open again it tells the end of the stream anew, on the thread of whatever event comes
        // first. In PAUSED that is a seek of ours, which no sink lets go then.
        hold(self.source_pad(), gst::PadProbeType::BUFFER, gst::PadProbeReturn::Drop)
    }

    /// The stream turns that bright: what it means depends on the model.
    pub fn brighten(&self, grey: u32) -> Heal {
        self.set_until("source", "foreground-color", BLACK | grey << 16 | grey << 8 | grey, BLACK)
    }

    pub fn change_caps(&self, random: &mut Rng) {
        if let Some(element) = self.pipeline.by_name("caps")
            && let Ok(caps) = caps(random).parse::<gst::Caps>()
        {
            element.set_property("caps", caps);
        }
    }

    /// The source ends by itself. An EOS that is sent into the pipeline would wait for a stream that is blocked.
    pub fn end(&self) {
        self.refuse_frames(gst::FlowError::Eos);
    }

    /// No frame of the source gets any further: it fails.
    pub fn fail(&mut self) {
        self.told_to_fail = true;
        self.refuse_frames(gst::FlowError::Error);
    }

    fn refuse_frames(&self, reason: gst::FlowError) {
        let refuse = move |_: &gst::Pad, info: &mut gst::PadProbeInfo| {
            info.flow_res = Err(reason);
            info.data.take();
            gst::PadProbeReturn::Handled
        };
        self.source_pad().inspect(|pad| _ = pad.add_probe(gst::PadProbeType::BUFFER, refuse));
    }

    fn source_pad(&self) -> Option<gst::Pad> {
        self.pipeline.by_name("source").and_then(|source| source.static_pad("src"))
    }

    /// Nothing goes on behind a linked `nvbatch`; behind an `nvfeed` there is nothing.
    pub fn block_downstream(&self) -> Heal {
        let pad = self.pipeline.by_name("out").and_then(|sink| sink.static_pad("sink"));
        if pad.is_none() {
            return self.stall();
        }
        hold(pad, gst::PadProbeType::BLOCK_DOWNSTREAM, gst::PadProbeReturn::Ok)
    }

    pub fn pause(&self) -> Heal {
        self.go_to(gst::State::Paused);
        let pipeline = self.pipeline.downgrade();
        Box::new(move || {
            if let Some(pipeline) = pipeline.upgrade().filter(|pipeline| pipeline.current_state() == gst::State::Paused)
            {
                go_to(&pipeline, gst::State::Playing);
            }
        })
    }

    /// To NULL and back, as often as said.
    pub fn restart(&mut self, times: u32, troubles: &mut VecDeque<String>) {
        for _ in 0..times {
            if let Err(error) = self.pipeline.set_state(gst::State::Null) {
                troubles.push_back(error.to_string());
            }
            self.last_frame = None;
            self.go_to(gst::State::Playing);
        }
        self.over = false;
    }

    /// A seek to the start drops whatever is inside.
    pub fn flush(&self) {
        // Refused below PAUSED, which changes nothing.
        _ = self.pipeline.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO);
    }

    fn go_to(&self, state: gst::State) {
        go_to(&self.pipeline, state);
    }

    fn set_until<T: Into<gst::glib::Value>>(&self, name: &str, property: &'static str, now: T, later: T) -> Heal {
        let (element, now, later) = (self.pipeline.by_name(name), now.into(), later.into());
        element.iter().for_each(|element| element.set_property_from_value(property, &now));
        let element: Option<WeakRef<_>> = element.map(|element| element.downgrade());
        Box::new(move || {
            if let Some(element) = element.and_then(|element| element.upgrade()) {
                element.set_property_from_value(property, &later);
            }
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Nobody is left to be told.
        _ = self.pipeline.set_state(gst::State::Null);
        self.pipeline.bus().inspect(|bus| bus.set_flushing(true));
    }
}

/// Nothing of that kind passes, until it is healed.
fn hold(pad: Option<gst::Pad>, kind: gst::PadProbeType, answer: gst::PadProbeReturn) -> Heal {
    let probe = pad.as_ref().and_then(|pad| pad.add_probe(kind, move |_, _| answer));
    let pad = pad.map(|pad| pad.downgrade());
    Box::new(move || {
        if let (Some(pad), Some(probe)) = (pad.and_then(|pad| pad.upgrade()), probe) {
            pad.remove_probe(probe);
        }
    })
}

/// An error of it is on the bus.
fn go_to(pipeline: &gst::Pipeline, state: gst::State) {
    if pipeline.set_state(state).is_ok() {
        _ = pipeline.state(ARRIVAL);
    }
}

fn caps(random: &mut Rng) -> String {
    let side = |random: &mut Rng| 32 * random.u32(2..=10);
    format!(
        "video/x-raw,format={},width={},height={},framerate={}/1",
        pick(random, &FORMATS),
        side(random),
        side(random),
        pick(random, &RATES)
    )
}

pub fn pick<T: Copy>(random: &mut Rng, of: &[T]) -> T {
    of[random.usize(..of.len())]
}
