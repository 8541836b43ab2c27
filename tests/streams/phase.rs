//! Many cameras that send at the same moment.

use crate::common::{LONG, Started, count, owner, push_frame, stats};

const CAMERAS: usize = 32;

/// A processor with far less room than there are cameras: what counts is what each feed has in it, not who came first.
#[test]
fn cameras_in_phase_lose_nothing_while_the_model_keeps_up() {
    let _owner = owner("phase");
    let feeds: Vec<Started> = (0..CAMERAS)
        .map(|_| Started::playing("appsrc name=s format=time is-live=true ! nvfeed name=f processor-id=phase"))
        .collect();
    let caps: gst::Caps = "video/x-raw,format=GRAY8,width=8,height=8,framerate=1/1".parse().unwrap();
    for second in 0..100 {
        for feed in &feeds {
            push_frame(&feed.child("s"), &caps, 64, second);
        }
        for feed in &feeds {
            let wanted = [gst::MessageType::Element, gst::MessageType::Error, gst::MessageType::Qos];
            let message = feed.bus.timed_pop_filtered(LONG, &wanted).expect("a result of each camera");
            let result = message.structure().filter(|result| result.name() == "nv-result");
            assert_eq!(count(result.unwrap_or_else(|| panic!("{message:?}")), "frame"), second);
        }
    }
    for feed in &feeds {
        let stats = stats(&feed.child("f"));
        assert_eq!((count(&stats, "results"), count(&stats, "dropped")), (100, 0), "{stats}");
    }
}
