//! What a model shows when it is run once, where it leaves open what its outputs look like: exporters that follow tensors
//! through a batch of open size often lose all other dimensions too.

use std::sync::Arc;

use super::weights::Weights;
use super::{BatchDim, DecoderKind, ModelConfig, ModelInterface, Session, describe};

/// Whether an output leaves more open than its batch.
pub(super) fn tells_more(interface: &ModelInterface) -> bool {
    interface.outputs.iter().any(|output| output.dims.iter().skip(1).any(Option::is_none))
}

/// Runs the model on a black frame and fills in the dimensions that `interface` leaves open, but those of the batch and
/// those that are empty then. `None` where that cannot be done: what is wrong shows again, and is told, without it.
pub(super) fn fill_in(config: &ModelConfig, weights: &Arc<Weights>, interface: &mut ModelInterface) -> Option<()> {
    // The input is the same whatever the outputs mean.
    let plain = ModelConfig { decoder: DecoderKind::Tensors, ..config.clone() };
    let input = describe(&plain, interface).ok()?.0.input;
    let frames = match input.batch {
        BatchDim::Dynamic => 1,
        BatchDim::Fixed(frames) => frames,
    };
    let black = vec![0; input.frame_bytes().checked_mul(frames)?];
    let mut session = Session::new(weights, &input, config.intra_op_threads.max(1)).ok()?;
    let shown = session
        .run(&black, frames, |outputs| outputs.iter().map(|output| output.dims.to_vec()).collect::<Vec<_>>())
        .ok()?;
    for (output, shown) in interface.outputs.iter_mut().zip(shown) {
        for (dim, shown) in output.dims.iter_mut().zip(shown).skip(1) {
            *dim = dim.or(usize::try_from(shown).ok().filter(|&shown| shown > 0));
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::model::prepare;
    use super::super::{Model, ModelDescription};
    use super::*;

    fn config(name: &str, decoder: DecoderKind) -> ModelConfig {
        let model = [env!("CARGO_MANIFEST_DIR"), "tests", "models", name].iter().collect();
        ModelConfig { model, decoder, ..ModelConfig::default() }
    }

    fn described(decoder: DecoderKind) -> ModelDescription {
        Model::load(&config("echo-yolo-open.onnx", decoder)).unwrap().description().clone()
    }

    #[test]
    fn outputs_that_are_open_show_what_they_are() {
        assert_eq!(described(DecoderKind::Auto).decoder.kind(), DecoderKind::Yolo);
        assert_eq!(&*described(DecoderKind::Tensors).tensors[0].id, "yolo-v8-out");
    }

    #[test]
    fn the_batch_stays_open_and_what_is_known_stays() {
        let config = config("echo-yolo-open.onnx", DecoderKind::Auto);
        let (weights, mut interface) = prepare(&config).unwrap();
        assert!(tells_more(&interface));
        interface.outputs[0].dims[1] = Some(9);
        fill_in(&config, &Arc::new(weights), &mut interface).unwrap();
        assert_eq!(interface.outputs[0].dims, [None, Some(9), Some(64)]);
        assert!(!tells_more(&interface));
    }

    /// It starts a session, and each of its runs fails.
    #[test]
    fn a_model_that_does_not_run_tells_nothing() {
        let config = config("bad-start.onnx", DecoderKind::Auto);
        let (weights, mut interface) = prepare(&config).unwrap();
        let before = interface.clone();
        assert_eq!(fill_in(&config, &Arc::new(weights), &mut interface), None);
        assert_eq!(interface, before);
    }
}
