//! Which decoder reads a model's outputs, and what to say where none does.

use super::classifier::Classifier;
use super::detr::Detr;
use super::end2end::End2end;
use super::ssd::Ssd;
use super::tensors::Tensors;
use super::yolo::Yolo;
use super::{DecoderHints, DecoderKind, Family, OutputSpec};
use crate::inference::{Error, ErrorKind, TensorSpec, description::shown};

/// The family that `hints.kind` names, or the one that everything known speaks for.
pub(super) fn choose(hints: &DecoderHints) -> Result<Family, Error> {
    if hints.kind == DecoderKind::Auto {
        return recognise(hints).map_err(|reason| {
            let message = format!(
                "What the model's outputs mean cannot be told: {reason}. Its outputs are {}. Set decoder= to one of yolo, \
                 yolo-end2end, ssd, detr, classifier, or to tensors to have the numbers as they are.",
                list(&hints.outputs)
            );
            Error::new(ErrorKind::ModelInvalid, message)
        });
    }
    fit(hints.kind, hints).map_err(|reason| {
        let message = format!(
            "decoder={} cannot read this model: {reason}. Its outputs are {}. Set decoder= to another one, or to tensors \
             to have the numbers as they are.",
            hints.kind.name(),
            list(&hints.outputs)
        );
        Error::new(ErrorKind::InvalidConfig, message)
    })
}

/// The family asked for, or why it cannot read the outputs.
fn fit(kind: DecoderKind, hints: &DecoderHints) -> Result<Family, String> {
    match kind {
        DecoderKind::Auto => recognise(hints),
        DecoderKind::Yolo => Yolo::fit(hints).map(Family::Yolo),
        DecoderKind::YoloEnd2end => End2end::fit(hints).map(Family::End2end),
        DecoderKind::Ssd => Ssd::fit(hints).map(Family::Ssd),
        DecoderKind::Detr => Detr::fit(hints).map(Family::Detr),
        DecoderKind::Classifier => Classifier::fit(hints).map(Family::Classifier),
        DecoderKind::Tensors => Tensors::fit(hints).map(Family::Tensors),
    }
}

/// By tensor id, then by the exporter's task, then by shapes and names. Wrong boxes are worse than an error: what
/// could mean two things is not taken for either.
fn recognise(hints: &DecoderHints) -> Result<Family, String> {
    for id in hints.outputs.iter().filter_map(|spec| spec.id.as_deref()) {
        if let Some(kind) = kind_of_id(id)? {
            return fit(kind, hints);
        }
    }
    match hints.task.as_deref() {
        Some("classify") => return fit(DecoderKind::Classifier, hints),
        Some(task @ ("segment" | "pose" | "obb")) => {
            return Err(format!("its metadata say that its task is `{task}`, which no decoder reads yet"));
        }
        _ => {}
    }
    if let Ok(ssd) = Ssd::fit(hints) {
        return Ok(Family::Ssd(ssd));
    }
    let detr = Detr::fit(hints);
    if let Ok(detr) = detr {
        return match detr.queries.and_then(|queries| anchors_per_cell(hints, queries)) {
            None => Ok(Family::Detr(detr)),
            Some(_) => Err("boxes and scores for each cell of the input's grid are not the queries of a DETR".into()),
        };
    }
    if let Ok(end2end) = End2end::fit(hints)
        && end2end.evident
    {
        return Ok(Family::End2end(end2end));
    }
    let yolo = match Yolo::fit(hints) {
        Ok(yolo) if yolo.as_many_rows_as_queries => {
            return Err(
                "300 rows may be YOLO anchors in pixels (decoder=yolo) or the normalised queries of an RT-DETR, \
                        for which there is no decoder in this form"
                    .into(),
            );
        }
        Ok(yolo) if yolo.evident => return Ok(Family::Yolo(yolo)),
        Ok(_) => "nothing but its dimensions speaks for YOLO".to_owned(),
        Err(reason) => reason,
    };
    match Classifier::fit(hints) {
        Ok(classifier) if hints.outputs.len() == 1 || classifier.matches(hints) => Ok(Family::Classifier(classifier)),
        // What comes closest has the most to say.
        _ if hints.outputs.iter().any(|spec| named(spec, "box")) => Err(detr.err().unwrap_or(yolo)),
        _ => Err(yolo),
    }
}

/// The decoder that one of GStreamer's tensor ids stands for.
fn kind_of_id(id: &str) -> Result<Option<DecoderKind>, String> {
    Ok(Some(match id {
        "yolo-v8-out" | "yolo-v8-out-normalized" | "yolox-out" => DecoderKind::Yolo,
        "yolo-26-end2end-out" => DecoderKind::YoloEnd2end,
        "classification-generic-out" | "classification-generic-softmaxed-out" => DecoderKind::Classifier,
        _ if id.starts_with("ssd-mobilenet-v1-variant-1-out-") => DecoderKind::Ssd,
        _ if id.starts_with("yolo") => return Err(format!("no decoder reads tensors of the id `{}` yet", shown(id))),
        _ => return Ok(None),
    }))
}

/// The output that has one of `ids`, else the only one of floating numbers whose dimensions are right.
pub(super) fn pick<'a>(
    hints: &'a DecoderHints,
    ids: &[&str],
    right: impl Fn(&[Option<usize>]) -> bool,
) -> Option<&'a OutputSpec> {
    let floats = || hints.outputs.iter().filter(|spec| is_float(spec));
    sole(floats().filter(|spec| spec.id.as_deref().is_some_and(|id| ids.contains(&id))))
        .or_else(|| sole(floats().filter(|spec| right(&spec.dims))))
}

/// The only item there is.
pub(super) fn sole<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    items.next().filter(|_| items.next().is_none())
}

pub(super) fn is_float(spec: &OutputSpec) -> bool {
    matches!(spec.element.as_str(), "float32" | "float16")
}

pub(super) fn named(spec: &OutputSpec, word: &str) -> bool {
    spec.name.to_ascii_lowercase().contains(word)
}

/// How many anchors a YOLO of these would have in each cell of its grids, where the number fits at all: 1 (v8, YOLOX)
/// or 3 (v5). The grids have strides of 8, 16 and 32 pixels; some models have one more, of 4 or of 64.
pub(super) fn anchors_per_cell(hints: &DecoderHints, anchors: usize) -> Option<usize> {
    let cells = |stride: usize| (hints.input_width / stride).checked_mul(hints.input_height / stride);
    [&[8, 16, 32][..], &[4, 8, 16, 32], &[8, 16, 32, 64]].iter().find_map(|strides| {
        let cells = strides.iter().try_fold(0usize, |sum, &stride| sum.checked_add(cells(stride)?))?;
        [1, 3].into_iter().find(|&each| cells > 0 && cells.checked_mul(each) == Some(anchors))
    })
}

/// An output as a person reads it: ``` `output0` float32 [?, 84, 8400] ```
pub(super) fn describe(spec: &OutputSpec) -> String {
    let OutputSpec { name, element, dims, .. } = spec.clone();
    TensorSpec { name, element, dims }.to_string()
}

fn list(outputs: &[OutputSpec]) -> String {
    const MOST: usize = 8;
    let more = if outputs.len() > MOST { ", ..." } else { "" };
    outputs.iter().take(MOST).map(describe).collect::<Vec<_>>().join(", ") + more
}
