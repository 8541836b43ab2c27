//! Models that cannot be loaded, and one that can with a warning.

use std::{fs, path::Path};

use gst::prelude::*;

use crate::{
    bystander::Bystander,
    common::{Started, model, next_result, wait_for, wait_for_error},
};

/// A model that is refused: why the processor does not come, in the words that have to be there.
struct Case {
    line: String,
    code: &'static str,
    says: Vec<String>,
}

fn case(line: impl Into<String>, code: &'static str, says: &[&str]) -> Case {
    Case { line: line.into(), code, says: says.iter().map(|&part| part.into()).collect() }
}

/// Files that are no models, each with its path in the message.
fn files(folder: &Path) -> Vec<Case> {
    let good = fs::read(model("mean")).unwrap();
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let random: Vec<u8> = std::iter::successors(Some(1), next).map(|state| (state >> 24) as u8).take(4096).collect();
    let cut = &good[..good.len() / 2];
    let contents: [(&str, &[u8]); 4] = [("empty", &[]), ("cut", cut), ("random", &random), ("text", b"no model")];
    let mut cases: Vec<_> = contents
        .into_iter()
        .map(|(name, content)| {
            let path = folder.join(name).with_extension("onnx");
            fs::write(&path, content).unwrap();
            let path = path.to_str().unwrap();
            case(format!("model={path}"), "model-invalid", &[path])
        })
        .collect();
    let missing = folder.join("missing.onnx");
    let (folder, missing) = (folder.to_str().unwrap(), missing.to_str().unwrap());
    cases.push(case(format!("model={missing}"), "model-not-found", &[missing, "model"]));
    cases.push(case(format!("model={folder}"), "model-invalid", &[folder, "directory"]));
    cases
}

fn fixture(name: &str, code: &'static str, says: &[&str]) -> Case {
    let mut case = case(format!("model={}", model(name)), code, says);
    case.says.push(model(name));
    case
}

#[test]
fn what_cannot_be_used_is_refused_by_name_and_disturbs_nobody() {
    let bystander = Bystander::new("models-bystander");
    let folder = tempfile::tempdir().unwrap();
    let mean = model("mean");
    let mut cases = files(folder.path());
    cases.extend([
        fixture("no-image", "model-invalid", &["features", "[?, 10]"]),
        fixture("two-inputs", "model-invalid", &["images", "others"]),
        fixture("int64-input", "model-invalid", &["images", "int64"]),
        fixture("string-input", "model-invalid", &["images", "string"]),
        fixture("bad-start", "model-invalid", &[]),
        fixture("bad-batch", "model-invalid", &["tried with a batch of 2", "`max-batch-size` to 1"]),
        case(format!("model={mean} execution-provider=cuda"), "provider-unavailable", &["cuda", "execution-provider"]),
        case(format!("model={mean} labels=/no/such/labels"), "invalid-config", &["/no/such/labels", "labels"]),
        case(format!("model={mean} model-info=/no/such/info"), "invalid-config", &["/no/such/info", "model-info"]),
        case(format!("model={mean} decoder=yolo"), "invalid-config", &["decoder=yolo", "tensors"]),
        case(format!("model={mean} processor-id=\"\""), "invalid-config", &["processor-id"]),
    ]);
    for Case { line, code, says } in cases {
        let refused = Started::new(&format!("nvbatch processor-id=refused {line}"));
        assert!(refused.set_state(gst::State::Playing).is_err(), "{line}");
        let (got, message) = wait_for_error(&refused.bus);
        assert_eq!(got, code, "{line}: {message}");
        for part in says {
            assert!(message.contains(&part), "{part} is not in: {message}");
        }
        bystander.assert_undisturbed();
    }
}

#[test]
fn the_element_that_was_refused_works_with_another_model() {
    let element = Started::new("nvbatch processor-id=second-try model=/no/such.onnx decoder=tensors");
    assert!(element.set_state(gst::State::Playing).is_err());
    assert_eq!(wait_for_error(&element.bus).0, "model-not-found");
    element.element.set_property("model", model("mean"));
    element.set_state(gst::State::Playing).unwrap();
    let feed = Started::playing("videotestsrc num-buffers=3 ! nvfeed processor-id=second-try");
    assert_eq!(std::iter::from_fn(|| next_result(&feed.bus)).count(), 3);
}

#[test]
fn fewer_labels_than_classes_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels.txt");
    fs::write(&labels, "only one\n").unwrap();
    let owner = Started::playing(&format!(
        "nvbatch processor-id=labels model={} labels={} decoder=yolo",
        model("echo-yolo"),
        labels.display()
    ));
    let message = wait_for(&owner.bus, &[gst::MessageType::Warning]);
    let gst::MessageView::Warning(warning) = message.view() else { unreachable!() };
    let said = warning.error().message().to_owned();
    for part in ["echo-yolo.onnx", "1 ", "3 ", "labels"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    let feed = Started::playing("videotestsrc pattern=red num-buffers=1 ! nvfeed processor-id=labels");
    let result = next_result(&feed.bus).unwrap();
    let objects = result.get::<gst::Array>("objects").unwrap();
    let label = objects.first().unwrap().get::<gst::Structure>().unwrap().get::<String>("label").unwrap();
    assert_eq!(label, "only one");
}
