//! The properties that every feed has, on `nvfeed` and on a linked `nvbatch` alike.

use glib::{ParamFlags, ParamSpec, ParamSpecBuilderExt, Value};

use super::{
    object::NvRuntime,
    settings::{FeedSettings, Leaky, RtspSecurity},
};

/// Their specifications; [`set`] and [`get`] know each of them.
pub fn specs() -> Vec<ParamSpec> {
    let d = FeedSettings::default();
    let playing = ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_PLAYING;
    vec![
        glib::ParamSpecFloat::builder("threshold")
            .nick("Threshold")
            .blurb("Least confidence of an object or a class")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(d.decode.threshold)
            .flags(playing)
            .build(),
        glib::ParamSpecFloat::builder("iou-threshold")
            .nick("IoU threshold")
            .blurb("Of two boxes of one class that overlap more than this (intersection over union) the less confident is suppressed")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(d.decode.iou_threshold)
            .flags(playing)
            .build(),
        glib::ParamSpecUInt::builder("max-detections")
            .nick("Max detections")
            .blurb("Most objects or classes of a frame, the most confident ones")
            .default_value(d.decode.max_detections as u32)
            .flags(playing)
            .build(),
        glib::ParamSpecUInt::builder("interval")
            .nick("Interval")
            .blurb("Every n-th frame is inferred, the others are skipped")
            .minimum(1)
            .default_value(d.interval)
            .flags(playing)
            .build(),
        glib::ParamSpecEnum::builder_with_default("leaky", d.leaky)
            .nick("Leaky")
            .blurb("What happens to a frame for which there is no room")
            .flags(playing)
            .build(),
        glib::ParamSpecUInt::builder("max-queued")
            .nick("Max queued")
            .blurb("Frames that may wait to be taken into a batch (0 = auto)")
            .default_value(d.max_queued)
            .flags(playing)
            .build(),
        glib::ParamSpecUInt::builder("max-in-flight")
            .nick("Max in flight")
            .blurb("Frames taken whose result is not out yet (0 = auto)")
            .default_value(d.max_in_flight)
            .flags(playing)
            .build(),
        time("deadline", "Deadline", "A frame that waited longer is dropped, not inferred, in nanoseconds (0 = none)", d.deadline, playing),
        glib::ParamSpecInt::builder("priority")
            .nick("Priority")
            .blurb("Waiting feeds of a higher priority are served first")
            .default_value(d.priority)
            .flags(playing)
            .build(),
        time("attach-timeout", "Attach timeout", "How long the feed waits for its processor, in nanoseconds", d.attach_timeout, playing),
        time(
            "stall-timeout",
            "Stall timeout",
            "A feed without a frame for so long is reported as stalled, in nanoseconds (0 = off)",
            d.stall_timeout,
            playing,
        ),
        glib::ParamSpecEnum::builder_with_default("rtsp-security", d.rtsp_security)
            .nick("RTSP security")
            .blurb("What is done about an upstream that is plain rtsp://")
            .flags(playing)
            .build(),
    ]
}

/// The `runtime` property that all elements have.
pub fn runtime_spec() -> ParamSpec {
    glib::ParamSpecObject::builder::<NvRuntime>("runtime")
        .nick("Runtime")
        .blurb("The runtime of this process: its limits, its figures, its health")
        .read_only()
        .build()
}

/// Sets the property if it is one of [`specs`].
pub fn set(settings: &mut FeedSettings, name: &str, value: &Value) -> bool {
    // GObject has checked the type and the range by its specification.
    fn put<'a, T: glib::value::FromValue<'a>>(field: &mut T, value: &'a Value) -> bool {
        match value.get() {
            Ok(value) => *field = value,
            Err(_) => gst::error!(super::CAT, "a property got a value of another type"),
        }
        true
    }
    match name {
        "threshold" => put(&mut settings.decode.threshold, value),
        "iou-threshold" => put(&mut settings.decode.iou_threshold, value),
        "max-detections" => {
            let mut max = 0u32;
            let done = put(&mut max, value);
            settings.decode.max_detections = max as usize;
            done
        }
        "interval" => put(&mut settings.interval, value),
        "leaky" => put::<Leaky>(&mut settings.leaky, value),
        "max-queued" => put(&mut settings.max_queued, value),
        "max-in-flight" => put(&mut settings.max_in_flight, value),
        "deadline" => put(&mut settings.deadline, value),
        "priority" => put(&mut settings.priority, value),
        "attach-timeout" => put(&mut settings.attach_timeout, value),
        "stall-timeout" => put(&mut settings.stall_timeout, value),
        "rtsp-security" => put::<RtspSecurity>(&mut settings.rtsp_security, value),
        _ => false,
    }
}

/// Its value, if it is one of [`specs`].
pub fn get(settings: &FeedSettings, name: &str) -> Option<Value> {
    use glib::value::ToValue;
    Some(match name {
        "threshold" => settings.decode.threshold.to_value(),
        "iou-threshold" => settings.decode.iou_threshold.to_value(),
        "max-detections" => (settings.decode.max_detections as u32).to_value(),
        "interval" => settings.interval.to_value(),
        "leaky" => settings.leaky.to_value(),
        "max-queued" => settings.max_queued.to_value(),
        "max-in-flight" => settings.max_in_flight.to_value(),
        "deadline" => settings.deadline.to_value(),
        "priority" => settings.priority.to_value(),
        "attach-timeout" => settings.attach_timeout.to_value(),
        "stall-timeout" => settings.stall_timeout.to_value(),
        "rtsp-security" => settings.rtsp_security.to_value(),
        _ => return None,
    })
}

fn time(name: &str, nick: &str, blurb: &str, default: u64, flags: ParamFlags) -> ParamSpec {
    glib::ParamSpecUInt64::builder(name).nick(nick).blurb(blurb).default_value(default).flags(flags).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_can_be_read_and_written_and_starts_at_its_default() {
        gst::init().unwrap();
        let mut settings = FeedSettings::default();
        for spec in specs() {
            let value = get(&settings, spec.name()).unwrap_or_else(|| panic!("{} cannot be read", spec.name()));
            assert_eq!(format!("{value:?}"), format!("{:?}", spec.default_value()), "{}", spec.name());
            assert!(set(&mut settings, spec.name(), &value), "{} cannot be written", spec.name());
        }
        assert_eq!(settings, FeedSettings::default());
        assert!(set(&mut settings, "interval", &5u32.into()));
        assert_eq!(settings.interval, 5);
        assert!(!set(&mut settings, "colour", &5u32.into()) && get(&settings, "colour").is_none());
    }
}
