use gst_video::VideoRegionOfInterestMeta;

use super::*;

const FRAME: (u32, u32) = (200, 100);

fn buffer() -> gst::Buffer {
    gst::init().unwrap();
    gst::Buffer::new()
}

fn read(buffer: &gst::Buffer) -> Annotations {
    Annotations::read(buffer, FRAME)
}

fn add_region(buffer: &mut gst::Buffer, label: &str, rect: (u32, u32, u32, u32), params: &[gst::Structure]) {
    let mut region = VideoRegionOfInterestMeta::add(buffer.get_mut().unwrap(), label, rect);
    params.iter().for_each(|param| region.add_param(param.clone()));
}

fn param(name: &str, label: &str, label_id: i32, confidence: f64) -> gst::Structure {
    gst::Structure::builder(name)
        .field("label", label)
        .field("label_id", label_id)
        .field("confidence", confidence)
        .build()
}

fn places(annotations: &Annotations) -> Vec<(&str, [f32; 4])> {
    let place = |object: &Object| [object.x, object.y, object.w, object.h];
    annotations.objects.iter().map(|object| (&*object.label, place(object))).collect()
}

#[test]
fn ours_comes_with_all_that_was_written_and_unrounded() {
    let mut buffer = buffer();
    let mut detection = param("detection", "square", 1, 0.5);
    for (name, edge) in [("x_min", 0.052), ("x_max", 0.202), ("y_min", 0.206), ("y_max", 0.606)] {
        detection.set(name, edge);
    }
    let classes = [param("classification", "red", 3, 0.75), param("classification", "blue", 4, 0.25)];
    add_region(&mut buffer, "square", (10, 21, 30, 40), &[&[detection][..], &classes].concat());
    let object = &read(&buffer).objects[0];
    assert_eq!((&*object.label, object.label_id, object.confidence), ("square", Some(1), Some(0.5)));
    for (found, expected) in [(object.x, 10.4), (object.y, 20.6), (object.w, 30.0), (object.h, 40.0)] {
        assert!((found - expected).abs() < 1e-4, "{found} instead of {expected}");
    }
    let red = NamedClass { label: "red".into(), label_id: Some(3), confidence: Some(0.75) };
    let blue = NamedClass { label: "blue".into(), label_id: Some(4), confidence: Some(0.25) };
    assert_eq!((&object.classes[..], object.track_id, object.region), (&[red, blue][..], None, Some(0)));
}

#[test]
fn a_region_that_was_moved_since_is_where_it_is_now() {
    let mut buffer = buffer();
    let mut detection = param("detection", "square", 1, 0.5);
    for (name, edge) in [("x_min", 0.0), ("x_max", 0.1), ("y_min", 0.0), ("y_max", 0.1)] {
        detection.set(name, edge);
    }
    add_region(&mut buffer, "square", (50, 20, 20, 10), &[detection]);
    assert_eq!(places(&read(&buffer)), [("square", [50.0, 20.0, 20.0, 10.0])]);
}

#[test]
fn others_may_say_no_more_than_where_or_in_structures_of_their_own() {
    let mut buffer = buffer();
    add_region(&mut buffer, "face", (1, 2, 3, 4), &[]);
    let track = gst::Structure::builder("object_id").field("id", 7).build();
    let color = gst::Structure::builder("color_layer").field("label", "red").field("confidence", 0.5_f32).build();
    let unknown = gst::Structure::builder("speed").field("confidence", "high").field("label", 5).build();
    let params = [param("theirs", "car", 2, 0.75), color, track, unknown];
    add_region(&mut buffer, "car", (10, 20, 30, 40), &params);
    let objects = read(&buffer).objects;
    assert_eq!((objects[0].label_id, objects[0].confidence, objects[0].classes.len()), (None, None, 0));
    let car = &objects[1];
    assert_eq!((car.label_id, car.confidence, car.track_id, car.region), (Some(2), Some(0.75), Some(7), Some(1)));
    assert_eq!(car.classes, [NamedClass { label: "red".into(), label_id: None, confidence: Some(0.5) }]);
}

#[test]
fn classes_on_a_region_over_the_frame_are_those_of_the_frame() {
    let mut buffer = buffer();
    add_region(&mut buffer, "cat", (0, 0, 200, 100), &[param("classification", "cat", 3, 0.75)]);
    add_region(&mut buffer, "everything", (0, 0, 200, 100), &[param("detection", "everything", 0, 0.5)]);
    let found = read(&buffer);
    assert_eq!(found.classes, [NamedClass { label: "cat".into(), label_id: Some(3), confidence: Some(0.75) }]);
    assert_eq!(places(&found), [("everything", [0.0, 0.0, 200.0, 100.0])]);
    assert_eq!(found.objects[0].region, Some(1));
}

#[test]
fn boxes_are_clipped_to_the_frame_and_those_with_nothing_in_it_left_out() {
    let mut buffer = buffer();
    let most = u32::MAX;
    for rect in [(0, 0, 0, 10), (200, 0, 10, 10), (most, most, most, most), (5, 5, 10, 0)] {
        add_region(&mut buffer, "out", rect, &[]);
    }
    add_region(&mut buffer, "edge", (190, 90, 50, 50), &[]);
    add_region(&mut buffer, "huge", (1, 1, most, most), &[]);
    let expected = [("edge", [190.0, 90.0, 10.0, 10.0]), ("huge", [1.0, 1.0, 199.0, 99.0])];
    assert_eq!(places(&read(&buffer)), expected);
    assert!(Annotations::read(&buffer, (0, 0)).objects.is_empty());
}

#[test]
fn numbers_that_are_none_or_out_of_range_do_no_harm() {
    let mut buffer = buffer();
    let mut detection = param("detection", "square", -1, f64::NAN);
    for (name, edge) in [("x_min", f64::NAN), ("x_max", f64::INFINITY), ("y_min", -1e300), ("y_max", 1.0)] {
        detection.set(name, edge);
    }
    let classes = [param("classification", "sure", 0, 1e9), param("classification", "unsure", 0, f64::NEG_INFINITY)];
    add_region(&mut buffer, "square", (10, 20, 30, 40), &[&[detection][..], &classes].concat());
    let found = read(&buffer);
    assert_eq!(places(&found), [("square", [10.0, 20.0, 30.0, 40.0])]);
    assert_eq!((found.objects[0].label_id, found.objects[0].confidence), (None, None));
    let confidences: Vec<_> = found.objects[0].classes.iter().map(|class| class.confidence).collect();
    assert_eq!(confidences, [Some(1.0), Some(0.0)]);
}

#[test]
fn a_region_without_a_type_has_the_label_of_its_detection_if_any() {
    let mut buffer = buffer();
    for detection in [None, Some(param("detection", "square", 1, 0.5))] {
        add_region(&mut buffer, "", (10, 20, 30, 40), detection.as_slice());
    }
    let untyped = buffer.get_mut().unwrap().as_mut_ptr();
    // SAFETY: the buffer is alive and writable; GStreamer takes a type of 0 for none.
    unsafe { gst_video::ffi::gst_buffer_add_video_region_of_interest_meta_id(untyped, 0, 1, 1, 2, 2) };
    let labels: Vec<_> = read(&buffer).objects.into_iter().map(|object| object.label).collect();
    assert_eq!(labels, ["", "square", ""]);
}

#[test]
fn no_more_are_read_than_anybody_finds() {
    let mut buffer = buffer();
    for n in 0..MAX_OBJECTS as u32 + 1000 {
        add_region(&mut buffer, "dot", (n % 200, n % 100, 1, 1), &[]);
    }
    assert_eq!(read(&buffer).objects.len(), MAX_OBJECTS);
}

#[cfg(feature = "v1_24")]
mod with_analytics {
    use glib::Quark;
    use gst_analytics::{AnalyticsRelationMeta, RelTypes, prelude::*};

    use super::*;

    type Relations<'a> = gst::MetaRefMut<'a, AnalyticsRelationMeta, gst::meta::Standalone>;

    fn add_object(relations: &mut Relations, label: &str, [x, y, w, h]: [i32; 4]) -> u32 {
        relations.add_od_mtd(Quark::from_str(label), x, y, w, h, 0.5).unwrap().id()
    }

    #[test]
    fn an_object_in_both_forms_comes_once() {
        let mut buffer = buffer();
        add_region(&mut buffer, "square", (10, 20, 30, 40), &[param("detection", "square", 1, 0.75)]);
        add_region(&mut buffer, "square", (10, 20, 30, 40), &[]);
        let mut relations = AnalyticsRelationMeta::add(buffer.get_mut().unwrap());
        let twin = add_object(&mut relations, "square", [11, 19, 30, 40]);
        let other_label = add_object(&mut relations, "circle", [10, 20, 30, 40]);
        let other_place = add_object(&mut relations, "square", [12, 20, 30, 40]);
        let second_twin = add_object(&mut relations, "square", [10, 20, 30, 40]);
        let third = add_object(&mut relations, "square", [10, 20, 30, 40]);
        let found: Vec<_> =
            read(&buffer).objects.into_iter().map(|o| (o.region, o.mtd, o.label_id, o.confidence)).collect();
        let expected = [
            (Some(0), Some(twin), Some(1), Some(0.75)),
            (Some(1), Some(second_twin), None, Some(0.5)),
            (None, Some(other_label), None, Some(0.5)),
            (None, Some(other_place), None, Some(0.5)),
            (None, Some(third), None, Some(0.5)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn classes_and_tracks_are_those_that_are_related_in_either_direction() {
        let mut buffer = buffer();
        let classes = [param("detection", "car", 1, 0.75), param("classification", "red", 3, 0.5)];
        add_region(&mut buffer, "car", (10, 20, 30, 40), &classes);
        let mut relations = AnalyticsRelationMeta::add(buffer.get_mut().unwrap());
        let car = add_object(&mut relations, "car", [10, 20, 30, 40]);
        let bus = add_object(&mut relations, "bus", [60, 20, 30, 40]);
        let class = |label| [Quark::from_str(label)];
        let red = relations.add_cls_mtd(&[0.5], &class("red")).unwrap().id();
        let fast = relations.add_cls_mtd(&[0.25], &class("fast")).unwrap().id();
        let scene = relations.add_cls_mtd(&[0.75], &class("street")).unwrap().id();
        // As trackers do where frames have no times.
        let track = relations.add_tracking_mtd(42, gst::ClockTime::ZERO).unwrap().id();
        for (first, second) in [(car, red), (fast, car), (car, fast), (track, bus)] {
            relations.set_relation(RelTypes::RELATE_TO, first, second).unwrap();
        }
        assert!(scene > fast);
        let found = read(&buffer);
        let labels = |object: &Object| object.classes.iter().map(|class| class.label.to_string()).collect::<Vec<_>>();
        assert_eq!(labels(&found.objects[0]), ["red", "fast"], "red is in both forms");
        assert_eq!((found.objects[0].track_id, found.objects[1].track_id), (None, Some(42)));
        assert_eq!(found.classes, [NamedClass { label: "street".into(), label_id: None, confidence: Some(0.75) }]);
    }

    #[test]
    fn boxes_and_names_that_make_no_sense_do_no_harm() {
        let mut buffer = buffer();
        let mut relations = AnalyticsRelationMeta::add(buffer.get_mut().unwrap());
        let (least, most) = (i32::MIN, i32::MAX);
        for place in [[-10, 0, 5, 5], [0, 0, -5, 5], [most, most, most, most], [least, least, least, least]] {
            add_object(&mut relations, "out", place);
        }
        add_object(&mut relations, "edge", [-10, -10, 20, 20]);
        add_object(&mut relations, "huge", [-1000, -1000, most, most]);
        // SAFETY: as the bindings call it, which know of no classes without a name, and of no time that is none.
        unsafe {
            let (mut classification, mut track) = (std::mem::zeroed(), std::mem::zeroed());
            let (mut level, mut unnamed) = (0.5_f32, 0);
            gst_analytics::ffi::gst_analytics_relation_meta_add_cls_mtd(
                relations.as_mut_ptr(),
                1,
                &mut level,
                &mut unnamed,
                &mut classification,
            );
            let never = gst::ffi::GST_CLOCK_TIME_NONE;
            gst_analytics::ffi::gst_analytics_relation_meta_add_tracking_mtd(
                relations.as_mut_ptr(),
                5,
                never,
                &mut track,
            );
            let id = track.id;
            relations.set_relation(RelTypes::RELATE_TO, id, 4).unwrap();
        }
        let found = read(&buffer);
        let expected = [("edge", [0.0, 0.0, 10.0, 10.0]), ("huge", [0.0, 0.0, 200.0, 100.0])];
        assert_eq!(places(&found), expected);
        assert_eq!((found.classes.len(), found.objects[0].track_id), (0, Some(5)));
    }

    #[test]
    fn thousands_in_both_forms_are_joined() {
        let mut buffer = buffer();
        let count = 1500;
        for n in 0..count {
            add_region(&mut buffer, "dot", (n % 190, n / 190 * 5, 3, 3), &[]);
        }
        let mut relations = AnalyticsRelationMeta::add(buffer.get_mut().unwrap());
        for n in (0..count as i32).rev() {
            add_object(&mut relations, "dot", [n % 190, n / 190 * 5, 3, 3]);
        }
        let found = read(&buffer);
        assert_eq!(found.objects.len(), count as usize);
        assert!(found.objects.iter().all(|object| object.region.is_some() && object.mtd.is_some()));
    }
}
