//! A detector and a classifier over real video.

use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;

use crate::{
    common::{LONG, Started, count, decoded, stats},
    stage::{figure, turn},
    truth::{Truth, iou},
};

fn shapes(name: &str) -> String {
    format!("{}/models/{name}.onnx", env!("CARGO_MANIFEST_DIR"))
}

/// Objects of the clip that were found, and how many of them were named right.
fn named(name: &str) -> (u64, u64) {
    let line = format!(
        "{} ! nvbatch processor-id=shapes ! nvbatch name=cls processor-id=shapes-cls region=objects region-margin=0.05 \
         ! appsink name=out sync=false",
        decoded(name)
    );
    let pipeline = Started::playing(&line);
    let out = pipeline.child("out");
    let clip = format!("{}/tests/clips/{name}.mp4", env!("CARGO_MANIFEST_DIR"));
    let truth = Truth::read(clip.as_ref());
    let (mut found, mut right) = (0, 0);
    for (number, objects) in truth.frames.iter().enumerate() {
        let sample = out.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&LONG.nseconds()]);
        let sample = sample.unwrap_or_else(|| panic!("{name}: no frame {number}"));
        for roi in sample.buffer().unwrap().iter_meta::<VideoRegionOfInterestMeta>() {
            let (x, y, w, h) = roi.rect();
            let bounds = [x, y, w, h].map(|edge| edge as f32);
            let Some((label, _)) = objects.iter().find(|(_, there)| iou(there, &bounds) >= 0.5) else { continue };
            let class = roi.param("classification").and_then(|class| class.get::<String>("label").ok());
            found += 1;
            right += u64::from(class.as_ref() == Some(label));
        }
    }
    let stats = stats(&pipeline.child("cls"));
    assert_eq!(count(&stats, "results"), truth.frames.len() as u64, "{stats}");
    (found, right)
}

#[test]
fn objects_of_several_videos_are_named_right() {
    let _turn = turn();
    let owner = |id, options| Started::playing(&format!("nvbatch processor-id={id} model={} {options}", shapes(id)));
    let (_detector, classifier) = (owner("shapes", ""), owner("shapes-cls", "max-latency=5000000"));
    let clips = ["gate", "yard", "lift", "dock"];
    let counted = std::thread::scope(|scope| {
        let running = clips.map(|name| scope.spawn(move || named(name)));
        running.map(|clip| clip.join().unwrap())
    });
    for (name, (found, right)) in clips.iter().zip(counted) {
        let share = right as f64 / found as f64;
        println!("{name}: {:.1} % of {found} objects are named right", 100.0 * share);
        assert!(share >= 0.95, "{name}: {right} of {found}");
    }
    let items = figure(&classifier, "results");
    let found: u64 = counted.iter().map(|(found, _)| found).sum();
    assert!(items >= found, "{items} items, {found} objects");
}
