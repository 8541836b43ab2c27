//! One instance of a model: runs one batch at a time.

use std::fmt;
use std::sync::Arc;

use half::f16;
use half::slice::HalfFloatSliceExt;
use ort::session::SessionInputValue;
use ort::value::{DynValue, PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType};
use smallvec::SmallVec;

use super::threads::{self, Reserve};
use super::weights::{SharedSession, Weights};
use super::{BatchDim, ElementType, Error, ErrorKind, InputSpec, Layout, TensorView, TensorViewData, ending};

/// So many are listed without an allocation.
const USUAL_OUTPUTS: usize = 4;

/// One instance of a model. Not shared: whoever runs it owns it.
pub struct Session {
    session: SharedSession,
    input: InputSpec,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("input", &self.input).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(weights: &Arc<Weights>, input: &InputSpec, intra_op_threads: usize) -> Result<Self, Error> {
        let _inside = ending::enter()?;
        let threads = Reserve::of(intra_op_threads.saturating_sub(1))?;
        let session = weights.session(threads).map_err(|reason| threads::not_started(&reason))?;
        Ok(Self { session, input: input.clone() })
    }

    /// Runs the model over the first `frames` frames of `input`, one after the other in the model's own layout and
    /// type ([`super::InputSpec`]), and hands its outputs to `read` where ONNX Runtime put them: nothing is copied.
    ///
    /// `input` is aligned to its element type. A model with a fixed batch reads all of its frames, so `input` then
    /// has room for that many; what lies behind `frames` is computed and ignored.
    pub fn run<R>(&mut self, input: &[u8], frames: usize, read: impl FnOnce(&[TensorView]) -> R) -> Result<R, Error> {
        let _inside = ending::enter()?;
        let input = input_tensor(&self.input, input, frames)?;
        let outputs = self.session.run(input).map_err(|reason| failed(reason.message()))?;
        let views = outputs
            .keys()
            .enumerate()
            .map(|(index, name)| view(name, &outputs[index]))
            .collect::<Result<SmallVec<[_; USUAL_OUTPUTS]>, _>>()?;
        Ok(read(&views))
    }
}

/// The frames as a tensor, where they lie.
fn input_tensor<'a>(spec: &InputSpec, bytes: &'a [u8], frames: usize) -> Result<SessionInputValue<'a>, Error> {
    let batch = match spec.batch {
        BatchDim::Dynamic => frames,
        BatchDim::Fixed(batch) => batch,
    };
    if frames == 0 || frames > batch {
        return Err(failed(&format!("a run of {frames} frames, where the model takes 1 to {batch}")));
    }
    let taken = spec.frame_bytes().checked_mul(batch).and_then(|needed| bytes.get(..needed));
    let Some(taken) = taken else {
        let (have, each) = (bytes.len(), spec.frame_bytes());
        return Err(failed(&format!("the input has {have} bytes, too few for {batch} frames of {each} bytes")));
    };
    let dims = match spec.layout {
        Layout::Nchw => [batch, spec.color.channels(), spec.height, spec.width],
        Layout::Nhwc => [batch, spec.height, spec.width, spec.color.channels()],
    };
    match spec.element {
        ElementType::Float32 => tensor(dims, aligned::<f32>(taken)?),
        ElementType::Float16 => tensor(dims, aligned::<f16>(taken)?),
        ElementType::Uint8 => tensor(dims, taken),
    }
}

fn tensor<'a, T>(dims: [usize; 4], data: &'a [T]) -> Result<SessionInputValue<'a>, Error>
where
    T: PrimitiveTensorElementType + fmt::Debug + Clone + 'static,
{
    let tensor = TensorRef::from_array_view((dims, data)).map_err(|reason| failed(reason.message()))?;
    Ok(tensor.into())
}

/// A number of which every pattern of bits is a value.
trait Plain: Copy {}
impl Plain for f32 {}
impl Plain for f16 {}

fn aligned<T: Plain>(bytes: &[u8]) -> Result<&[T], Error> {
    // SAFETY: every pattern of bits is a value of a `Plain` type.
    match unsafe { bytes.align_to::<T>() } {
        ([], numbers, []) => Ok(numbers),
        _ => Err(failed("the input does not lie at a multiple of its element's size")),
    }
}

fn view<'a>(name: &'a str, value: &'a DynValue) -> Result<TensorView<'a>, Error> {
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(unread(name, &value.dtype().to_string()));
    };
    let data = match ty {
        TensorElementType::Float32 => TensorViewData::Float32(numbers(value)?),
        TensorElementType::Float16 => TensorViewData::Float16(numbers::<f16>(value)?.reinterpret_cast()),
        TensorElementType::Uint8 => TensorViewData::Uint8(numbers(value)?),
        TensorElementType::Int8 => TensorViewData::Int8(numbers(value)?),
        TensorElementType::Int32 => TensorViewData::Int32(numbers(value)?),
        TensorElementType::Int64 => TensorViewData::Int64(numbers(value)?),
        TensorElementType::Bool => TensorViewData::Bool(numbers(value)?),
        other => return Err(unread(name, &format!("{other:?}").to_lowercase())),
    };
    Ok(TensorView { name, dims: shape, data })
}

fn numbers<T: PrimitiveTensorElementType>(value: &DynValue) -> Result<&[T], Error> {
    value.try_extract_tensor::<T>().map(|(_, numbers)| numbers).map_err(|reason| failed(reason.message()))
}

fn unread(name: &str, kind: &str) -> Error {
    failed(&format!(
        "output {name} is of type {kind}, which cannot be read; export the model without it or with a Cast"
    ))
}

fn failed(reason: &str) -> Error {
    Error::new(ErrorKind::RunFailed, format!("the model did not run: {reason}"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::ModelConfig;
    use super::super::model::prepare;
    use super::*;

    const SIDE: usize = 64;

    fn spec() -> InputSpec {
        let (layout, element) = (Layout::Nchw, ElementType::Float32);
        InputSpec { layout, element, ..InputSpec::of_bytes(SIDE, SIDE) }
    }

    fn sessions(name: &str, spec: &InputSpec, count: usize) -> Vec<Session> {
        let model: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "models", name].iter().collect();
        let (weights, _) = prepare(&ModelConfig { model, ..ModelConfig::default() })
            .unwrap_or_else(|error| panic!("{name} loads: {error}"));
        let weights = Arc::new(weights);
        (0..count).map(|_| Session::new(&weights, spec, 1).unwrap()).collect()
    }

    fn session(name: &str, spec: &InputSpec) -> Session {
        sessions(name, spec, 1).remove(0)
    }

    fn bytes(numbers: &[f32]) -> &[u8] {
        // SAFETY: every number is made of bytes.
        unsafe { numbers.align_to::<u8>().1 }
    }

    /// `frames` frames in NCHW; channel `c` of frame `f` is `value(f, c)` everywhere.
    fn frames(frames: usize, value: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        (0..frames * 3 * SIDE * SIDE).map(|i| i / (SIDE * SIDE)).map(|plane| value(plane / 3, plane % 3)).collect()
    }

    fn means(session: &mut Session, input: &[u8], frames: usize) -> Result<Vec<f32>, Error> {
        session.run(input, frames, |outputs| match outputs {
            [TensorView { name: "mean", dims: [_, 3], data: TensorViewData::Float32(numbers) }] => numbers.to_vec(),
            other => panic!("not the outputs of this model: {other:?}"),
        })
    }

    #[track_caller]
    fn assert_failed<R: fmt::Debug>(result: Result<R, Error>, part: &str) {
        let error = result.unwrap_err();
        assert_eq!(error.kind, ErrorKind::RunFailed);
        assert!(error.message.contains(part), "{part} is not in: {error}");
    }

    #[test]
    fn batches_of_any_size_run_in_order() {
        let value = |frame: usize, channel: usize| (frame * 4 + channel) as f32 / 32.0;
        let input = frames(5, value);
        let mut session = session("mean.onnx", &spec());
        for count in [1, 5, 2] {
            let expected: Vec<f32> = (0..count).flat_map(|f| (0..3).map(move |c| value(f, c))).collect();
            assert_eq!(means(&mut session, bytes(&input), count).unwrap(), expected);
        }
    }

    #[test]
    fn open_sizes_take_the_size_of_the_spec() {
        let input = frames(2, |frame, _| frame as f32);
        for name in ["dynamic-size.onnx", "open-shape.onnx"] {
            // Half the height: the same numbers are four frames.
            let spec = InputSpec { height: SIDE / 2, ..spec() };
            let expected = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
            assert_eq!(means(&mut session(name, &spec), bytes(&input), 4).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn a_fixed_batch_is_read_whole() {
        let input = frames(4, |frame, _| frame as f32);
        let spec = InputSpec { batch: BatchDim::Fixed(4), ..spec() };
        let mut session = session("mean-batch4.onnx", &spec);
        let all = means(&mut session, bytes(&input), 3).unwrap();
        assert_eq!(all.len(), 4 * 3);
        assert_eq!(all[..9], [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
        assert_failed(means(&mut session, bytes(&input), 5), "takes 1 to 4");
        assert_failed(means(&mut session, &bytes(&input)[..spec.frame_bytes() * 3], 3), "too few for 4 frames");
    }

    #[test]
    fn bytes_and_halves_run_in_their_layout() {
        let nhwc = InputSpec { layout: Layout::Nhwc, element: ElementType::Uint8, ..spec() };
        let input = [10u8, 20, 30].repeat(SIDE * SIDE);
        assert_eq!(means(&mut session("mean-nhwc-uint8.onnx", &nhwc), &input, 1).unwrap(), [10.0, 20.0, 30.0]);

        let half = InputSpec { element: ElementType::Float16, ..spec() };
        let input: Vec<u16> = frames(1, |_, c| c as f32).iter().map(|&n| f16::from_f32(n).to_bits()).collect();
        // SAFETY: every number is made of bytes.
        let input = unsafe { input.align_to::<u8>().1 };
        let read = session("mean-f16.onnx", &half).run(input, 1, |outputs| match outputs[0].data {
            TensorViewData::Float16(bits) => bits.to_vec(),
            other => panic!("not float16: {other:?}"),
        });
        assert_eq!(read.unwrap(), [0x0000, 0x3c00, 0x4000]);
    }

    #[test]
    fn outputs_come_in_each_type_under_their_names() {
        let input = frames(2, |frame, channel| [0.0, 0.5, 1.0][channel] * (frame as f32));
        session("types.onnx", &spec())
            .run(bytes(&input), 2, |outputs| {
                let names: Vec<_> = outputs.iter().map(|output| output.name).collect();
                assert_eq!(names, ["float32", "float16", "uint8", "int8", "int32", "int64", "bool"]);
                for output in outputs {
                    assert_eq!(output.dims, [2, 3], "{}", output.name);
                    match output.data {
                        TensorViewData::Float32(n) => assert_eq!(n, [0.0, 0.0, 0.0, 0.0, 50.0, 100.0]),
                        TensorViewData::Float16(n) => assert_eq!(n, [0, 0, 0, 0, 0x5240, 0x5640]),
                        TensorViewData::Uint8(n) => assert_eq!(n, [0, 0, 0, 0, 50, 100]),
                        TensorViewData::Int8(n) => assert_eq!(n, [0, 0, 0, 0, 50, 100]),
                        TensorViewData::Int32(n) => assert_eq!(n, [0, 0, 0, 0, 50, 100]),
                        TensorViewData::Int64(n) => assert_eq!(n, [0, 0, 0, 0, 50, 100]),
                        TensorViewData::Bool(n) => assert_eq!(n, [false, false, false, false, true, true]),
                    }
                }
            })
            .unwrap();
    }

    #[test]
    fn weights_in_a_second_file_are_found() {
        let input = frames(1, |_, channel| channel as f32);
        assert_eq!(means(&mut session("external.onnx", &spec()), bytes(&input), 1).unwrap(), [0.0, 2.0, 4.0]);
    }

    #[test]
    fn instances_run_side_by_side_and_outlive_the_model() {
        let mut sessions = sessions("echo-yolo.onnx", &spec(), 4);
        std::thread::scope(|scope| {
            for (index, session) in sessions.iter_mut().enumerate() {
                scope.spawn(move || {
                    let input = frames(2, |frame, channel| (index + frame + channel) as f32);
                    for _ in 0..20 {
                        let (first_cell, scores) = session
                            .run(bytes(&input), 2, |outputs| {
                                assert_eq!(outputs[0].dims, [2, 7, 64]);
                                let TensorViewData::Float32(n) = outputs[0].data else { panic!("not float32") };
                                ([n[0], n[64], n[128], n[192]], [n[4 * 64], n[7 * 64 + 6 * 64 + 63]])
                            })
                            .unwrap();
                        assert_eq!(first_cell, [4.0, 4.0, 8.0, 8.0]);
                        assert_eq!(scores, [index as f32, (index + 3) as f32]);
                    }
                });
            }
        });
        // One instance goes; the others still have their weights.
        sessions.remove(0);
        let input = frames(1, |_, _| 1.0);
        assert!(sessions[0].run(bytes(&input), 1, |outputs| outputs.len()).is_ok());
    }

    #[test]
    fn bad_input_is_an_error_and_the_session_goes_on() {
        let input = frames(2, |_, _| 1.0);
        let mut session = session("mean.onnx", &spec());
        assert_failed(means(&mut session, bytes(&input), 3), "too few for 3 frames");
        assert_failed(means(&mut session, bytes(&input), 0), "a run of 0 frames");
        assert_failed(means(&mut session, &bytes(&input)[2..], 1), "does not lie at a multiple");
        assert_failed(means(&mut session, bytes(&input), usize::MAX), "too few");
        assert_eq!(means(&mut session, bytes(&input), 1).unwrap(), [1.0; 3]);
    }

    #[test]
    fn a_failed_run_is_an_error_and_the_session_goes_on() {
        let (dark, bright) = (frames(2, |_, _| 0.25), frames(2, |_, _| 1.0));
        let mut session = session("bad-run.onnx", &spec());
        assert_failed(means(&mut session, bytes(&bright), 2), "did not run");
        assert_eq!(means(&mut session, bytes(&dark), 1).unwrap(), [0.25; 3]);
    }

    #[test]
    fn a_spec_that_is_not_the_models_is_an_error() {
        let input = frames(2, |_, _| 1.0);
        let wide = InputSpec { width: SIDE * 2, ..spec() };
        assert_failed(means(&mut session("mean.onnx", &wide), bytes(&input), 1), "dimensions");
        let bytewise = InputSpec { element: ElementType::Uint8, ..spec() };
        assert_failed(means(&mut session("mean.onnx", &bytewise), bytes(&input), 1), "did not run");
    }

    #[test]
    fn an_output_that_cannot_be_read_is_named() {
        let input = frames(1, |_, _| 1.0);
        let result = session("string-output.onnx", &spec()).run(bytes(&input), 1, |outputs| outputs.len());
        assert_failed(result, "output text is of type string");
    }
}
