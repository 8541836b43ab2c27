//! gst-plugins-rs turns what was found into ONVIF's XML. Debian has the element in no release: it is in the crate
//! `gst-plugin-analytics`, whose `libgstrsanalytics.so` this test takes from a folder of `GST_PLUGIN_PATH`.

use super::{DETECTOR, common::decoded, first_frame, has, objects::objects};

#[test]
fn relationmeta2onvifmeta_tells_every_object() {
    if !has("relationmeta2onvifmeta") {
        return;
    }
    let line = format!("{} ! nvbatch processor-id=onvif model={DETECTOR}", decoded("gate"));
    let frame = first_frame(&format!("{line} ! relationmeta2onvifmeta"));
    let meta = gst::meta::CustomMeta::from_buffer(frame.buffer().unwrap(), "OnvifXMLFrameMeta").unwrap();
    let texts = meta.structure().get::<gst::BufferList>("frames").unwrap();
    let text = texts.get(0).unwrap().map_readable().unwrap();
    let text = std::str::from_utf8(&text).unwrap();
    let objects = objects(&frame);
    assert!(objects.len() > 3);
    assert_eq!(text.matches("ObjectId=").count(), objects.len(), "{text}");
    for object in objects {
        let [x, y, w, h] = object.bounds;
        for (edge, pixel) in [("left", x), ("top", y), ("right", x + w), ("bottom", y + h)] {
            assert!(text.contains(&format!("{edge}=\"{pixel}\"")), "{edge} of {object:?} is not in {text}");
        }
        assert!(text.contains(&object.label), "{object:?}");
    }
}
