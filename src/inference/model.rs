//! A model as loaded: described, and ready to be run by any number of instances.

use std::path::PathBuf;
use std::sync::{Arc, Once};

use ort::value::ValueType;

use super::library::{self, Library, library};
use super::weights::{Weights, read_file, release_freed_memory};
use super::{
    DecoderKind, Error, ErrorKind, ExecutionProvider, ModelDescription, ModelInterface, Session, TensorSpec, describe,
    ending, trial,
};

/// Everything that decides how a model is loaded and read.
#[derive(Debug, Clone, Default)]
pub struct ModelConfig {
    pub model: PathBuf,
    /// `None`: the file of the same name with `.modelinfo` beside the model, if it is there.
    pub model_info: Option<PathBuf>,
    /// `None`: the labels in the model's own metadata.
    pub labels: Option<PathBuf>,
    pub decoder: DecoderKind,
    pub provider: ExecutionProvider,
    pub device_id: i32,
    /// Passed to the provider as they are.
    pub provider_options: Vec<(String, String)>,
    /// Threads inside one instance's run, at least 1.
    pub intra_op_threads: usize,
}

/// A loaded model. Its weights are in memory once, whatever the number of sessions.
#[derive(Debug)]
pub struct Model {
    weights: Arc<Weights>,
    intra_op_threads: usize,
    description: ModelDescription,
    warnings: Vec<String>,
}

impl Model {
    /// Reads, checks and prepares the model; may take long. Loads ONNX Runtime where that has not happened yet.
    pub fn load(config: &ModelConfig) -> Result<Self, Error> {
        let (weights, mut interface) = prepare(config)?;
        let weights = Arc::new(weights);
        let mut described = describe(config, &interface);
        let says_too_little = described.is_err() || config.decoder == DecoderKind::Tensors;
        if says_too_little
            && trial::tells_more(&interface)
            && trial::fill_in(config, &weights, &mut interface).is_some()
        {
            described = describe(config, &interface);
        }
        let (description, warnings) = described.map_err(|error| of_model(config, error))?;
        Ok(Self { weights, intra_op_threads: config.intra_op_threads, description, warnings })
    }

    pub fn description(&self) -> &ModelDescription {
        &self.description
    }

    /// The provider that runs it: never `Auto`.
    pub fn provider(&self) -> ExecutionProvider {
        self.weights.provider()
    }

    /// What its user should know though the model works, such as fewer labels than classes.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The version of ONNX Runtime, such as `1.20.1`.
    pub fn library_version(&self) -> &str {
        self.weights.library_version()
    }

    /// A number for the content of the model: of the file as it was loaded, and of those in which it keeps weights
    /// outside of it, which are read again. The error says why they cannot be read.
    pub fn fingerprint(&self) -> Result<String, String> {
        self.weights.fingerprint().map_err(|reason| format!("the model's weights cannot be read again: {reason}"))
    }

    /// One more instance of the model, with as many threads as it was loaded for.
    pub fn session(&self) -> Result<Session, Error> {
        self.session_with(self.intra_op_threads)
    }

    /// One more instance of the model, with so many threads inside a run, at least 1.
    pub fn session_with(&self, intra_op_threads: usize) -> Result<Session, Error> {
        Session::new(&self.weights, &self.description.input, intra_op_threads)
    }
}

/// The model ready for sessions with the provider that is asked for, and what it says about itself.
pub(super) fn prepare(config: &ModelConfig) -> Result<(Weights, ModelInterface), Error> {
    if matches!(config.provider, ExecutionProvider::Auto | ExecutionProvider::Cpu)
        && let Some((key, _)) = config.provider_options.first()
    {
        let message = format!(
            "provider-options sets {key:?}, and execution-provider={} takes no options: name the provider that they are for",
            config.provider.nick()
        );
        return Err(Error::new(ErrorKind::InvalidConfig, message));
    }
    let file = Arc::new(read_file(&config.model)?);
    let _inside = ending::enter()?;
    let library = library()?;
    let path = config.model.display();
    let mut failures = Vec::new();
    for provider in config.provider.candidates()? {
        match Weights::new(library, config, provider, &file, interface) {
            Ok(prepared) => {
                drop(file);
                release_freed_memory();
                static FIRST_MODEL: Once = Once::new();
                ending::watch(&FIRST_MODEL);
                return Ok(prepared);
            }
            Err(reason) if provider == ExecutionProvider::Cpu => {
                return Err(unloadable(config, &reason));
            }
            Err(reason) => {
                let failure = format!("{} does not start: {}", provider.nick(), one_line(reason.message()));
                library::log_warning(&format!("model {path}: {failure}"));
                failures.push(failure);
            }
        }
    }
    Err(provider_failure(library, config, &file, &failures.join("; ")))
}

/// Names the model in an error about what is in it; other files have their own names in theirs.
fn of_model(config: &ModelConfig, error: Error) -> Error {
    match error.kind {
        ErrorKind::ModelInvalid => {
            Error::new(error.kind, format!("model {}: {}", config.model.display(), error.message))
        }
        _ => error,
    }
}

/// ONNX Runtime refuses the file itself.
fn unloadable(config: &ModelConfig, reason: &ort::Error) -> Error {
    Error::new(
        ErrorKind::ModelInvalid,
        format!(
            "model {}: ONNX Runtime cannot load it: {}. Set model to a whole ONNX file; if it should be one, copy or \
             export it again, with an opset that this ONNX Runtime knows",
            config.model.display(),
            one_line(reason.message()).trim_end_matches('.')
        ),
    )
}

/// Why a provider that was asked for failed: the model is at fault if the CPU cannot load it either.
fn provider_failure(library: &'static Library, config: &ModelConfig, file: &Arc<Vec<u8>>, failures: &str) -> Error {
    let on_cpu = ModelConfig { provider: ExecutionProvider::Cpu, provider_options: Vec::new(), ..config.clone() };
    let path = config.model.display();
    match Weights::new(library, &on_cpu, ExecutionProvider::Cpu, file, interface) {
        Ok(_) => Error::new(
            ErrorKind::ProviderUnavailable,
            format!(
                "model {path}: {failures}. Check the device, its driver and provider-options, or set execution-provider=cpu"
            ),
        ),
        Err(reason) => unloadable(config, &reason),
    }
}

/// ONNX Runtime breaks its messages over lines.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn interface(session: &ort::session::Session) -> ort::Result<ModelInterface> {
    let metadata = session.metadata()?;
    let specs = |outlets: &[ort::value::Outlet]| outlets.iter().map(|o| tensor_spec(o.name(), o.dtype())).collect();
    Ok(ModelInterface {
        inputs: specs(session.inputs()),
        outputs: specs(session.outputs()),
        metadata: metadata
            .custom_keys()?
            .into_iter()
            .filter_map(|key| metadata.custom(&key).map(|value| (key, value)))
            .collect(),
    })
}

fn tensor_spec(name: &str, dtype: &ValueType) -> TensorSpec {
    let (element, dims) = match dtype {
        // The names of `ort`'s variants are ONNX's.
        ValueType::Tensor { ty, shape, .. } => {
            (format!("{ty:?}").to_lowercase(), shape.iter().map(|&dim| usize::try_from(dim).ok()).collect())
        }
        ValueType::Sequence(_) => ("sequence".into(), Vec::new()),
        ValueType::Map { .. } => ("map".into(), Vec::new()),
        ValueType::Optional(_) => ("optional".into(), Vec::new()),
    };
    TensorSpec { name: name.into(), element, dims }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "tests", "models", name].iter().collect()
    }

    fn config(model: PathBuf) -> ModelConfig {
        ModelConfig { model, ..ModelConfig::default() }
    }

    fn loaded(name: &str) -> (Weights, ModelInterface) {
        prepare(&config(fixture(name))).unwrap_or_else(|error| panic!("{name} loads: {error}"))
    }

    /// The error of loading `model`: its kind is `kind`, and its message has each of `parts` and the path.
    #[track_caller]
    fn assert_refused(model: PathBuf, kind: ErrorKind, parts: &[&str]) {
        let path = model.display().to_string();
        let error = prepare(&config(model)).expect_err("it is no model");
        assert_eq!(error.kind, kind, "{error}");
        for part in parts.iter().copied().chain([path.as_str()]) {
            assert!(error.message.contains(part), "{part} is not in: {error}");
        }
    }

    #[test]
    fn a_model_tells_its_inputs_outputs_and_metadata() {
        let (weights, interface) = loaded("echo-yolo.onnx");
        assert_eq!(weights.provider(), ExecutionProvider::Cpu);
        let spec = |name: &str, dims: [Option<usize>; 4]| TensorSpec {
            name: name.into(),
            element: "float32".into(),
            dims: dims.into(),
        };
        assert_eq!(interface.inputs, [spec("images", [None, Some(3), Some(64), Some(64)])]);
        assert_eq!(interface.outputs.len(), 1);
        assert_eq!(interface.outputs[0].dims, [None, Some(7), Some(64)]);
        assert_eq!(interface.metadata["names"], "{0: 'red', 1: 'green', 2: 'blue'}");
        assert_eq!(interface.metadata["imgsz"], "[64, 64]");

        let (_, interface) = loaded("open-shape.onnx");
        assert_eq!(interface.inputs, [spec("images", [None; 4])]);
        let (_, interface) = loaded("mean-batch4.onnx");
        assert_eq!(interface.inputs[0].dims[0], Some(4));
    }

    #[test]
    fn element_types_have_the_names_of_onnx() {
        for (name, element) in [
            ("mean-f16.onnx", "float16"),
            ("mean-nhwc-uint8.onnx", "uint8"),
            ("int64-input.onnx", "int64"),
            ("string-input.onnx", "string"),
        ] {
            assert_eq!(loaded(name).1.inputs[0].element, element, "{name}");
        }
        let outputs = loaded("types.onnx").1.outputs;
        // Each output bears the name of its type.
        assert_eq!(outputs.len(), 7);
        assert!(outputs.iter().all(|output| output.name == output.element), "{outputs:?}");
    }

    #[test]
    fn weights_are_shared_on_the_cpu() {
        assert!(loaded("mean.onnx").0.are_shared());
        assert!(loaded("external.onnx").0.are_shared());
    }

    #[test]
    fn a_model_that_was_optimised_before_loads_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let optimised = folder.path().join("mean.ort");
        std::fs::write(&optimised, loaded("mean.onnx").0.bytes()).unwrap();
        let (weights, interface) = prepare(&config(optimised)).unwrap();
        assert!(weights.are_shared());
        assert_eq!(interface.inputs[0].name, "images");
    }

    #[test]
    fn files_that_are_no_models_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let model = std::fs::read(fixture("echo-yolo.onnx")).unwrap();
        let noise: Vec<u8> = (0..4096u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();

        assert_refused(folder.path().join("nothing.onnx"), ErrorKind::ModelNotFound, &["does not exist", "set model"]);
        assert_refused(folder.path().to_owned(), ErrorKind::ModelInvalid, &["is a directory"]);
        assert_refused("/dev/null".into(), ErrorKind::ModelInvalid, &["not a regular file"]);
        assert_refused(file("empty.onnx", b""), ErrorKind::ModelInvalid, &["is empty"]);
        assert_refused(file("half.onnx", &model[..model.len() / 2]), ErrorKind::ModelInvalid, &["cannot load it"]);
        assert_refused(file("noise.onnx", &noise), ErrorKind::ModelInvalid, &["cannot load it"]);
        assert_refused(file("noise.ort", b"\x08\0\0\0ORTMnoise"), ErrorKind::ModelInvalid, &["cannot load it"]);
        let huge = file("huge.onnx", b"");
        std::fs::File::options().write(true).open(&huge).unwrap().set_len(1 << 40).unwrap();
        assert_refused(huge, ErrorKind::ModelInvalid, &["1099511627776 bytes"]);
    }

    #[test]
    fn the_model_is_opened_once_and_stays_what_was_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["m.onnx", "other.onnx"].map(|name| folder.path().join(name));
        std::fs::copy(fixture("echo-yolo.onnx"), &path).unwrap();
        std::fs::copy(fixture("echo-ssd.onnx"), &other).unwrap();
        let opened = Opened::watch(&path);
        let config = ModelConfig { intra_op_threads: 1, ..config(path.clone()) };
        let model = Model::load(&config).unwrap();
        std::fs::rename(&other, &path).unwrap();
        let later = Model::load(&ModelConfig { decoder: DecoderKind::Ssd, ..config }).unwrap();
        assert_ne!(model.fingerprint().unwrap(), later.fingerprint().unwrap());
        assert_eq!(model.fingerprint(), Model::load(&self::config(fixture("echo-yolo.onnx"))).unwrap().fingerprint());
        let input = vec![0; model.description().input.frame_bytes() + 3];
        let aligned = input.as_ptr().align_offset(4);
        let outputs = model.session().unwrap().run(&input[aligned..], 1, |outputs| outputs.len());
        assert_eq!(outputs.unwrap(), 1, "not the four of the other one");
        assert_eq!(opened.times(), 1);
    }

    /// How often a file was opened, wherever its path leads by then.
    struct Opened(std::fs::File);

    impl Opened {
        fn watch(path: &std::path::Path) -> Self {
            use std::os::fd::{AsRawFd, FromRawFd};

            // SAFETY: a descriptor that is valid is new and nobody else's.
            let watch = unsafe {
                let descriptor = libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC);
                assert!(descriptor >= 0);
                std::fs::File::from_raw_fd(descriptor)
            };
            // Closing too: events that are alike and follow each other come as one.
            const WATCHED: u32 = libc::IN_OPEN | libc::IN_CLOSE_NOWRITE;
            let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
            // SAFETY: the path is a C string.
            assert!(unsafe { libc::inotify_add_watch(watch.as_raw_fd(), path.as_ptr(), WATCHED) } >= 0);
            Self(watch)
        }

        fn times(mut self) -> usize {
            let mut events = [0; 4096];
            let length = std::io::Read::read(&mut self.0, &mut events).unwrap_or(0);
            // An event of a file, not of what is in a folder, has no name.
            let opened = |event: &&[u8]| event[4..8] == libc::IN_OPEN.to_ne_bytes();
            events[..length].chunks_exact(size_of::<libc::inotify_event>()).filter(opened).count()
        }
    }

    #[test]
    fn no_model_at_all_says_what_to_set() {
        let error = prepare(&ModelConfig::default()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::ModelNotFound);
        assert!(error.message.contains("set model"), "{error}");
    }

    #[test]
    fn a_missing_second_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let alone = folder.path().join("external.onnx");
        std::fs::copy(fixture("external.onnx"), &alone).unwrap();
        assert_refused(alone, ErrorKind::ModelInvalid, &["external.bin"]);
    }

    #[test]
    fn a_named_provider_that_is_missing_is_an_error() {
        // No build of ONNX Runtime has both.
        let missing = [ExecutionProvider::Rocm, ExecutionProvider::Cuda].map(|provider| {
            prepare(&ModelConfig { provider, ..config(fixture("mean.onnx")) }).err().map(|error| (provider, error))
        });
        let (provider, error) = missing.into_iter().flatten().next().expect("one of them is missing");
        assert_eq!(error.kind, ErrorKind::ProviderUnavailable);
        for part in [provider.nick(), "it has cpu", "ORT_DYLIB_PATH"] {
            assert!(error.message.contains(part), "{part} is not in: {error}");
        }
    }

    #[test]
    fn options_need_a_provider_that_takes_them() {
        for provider in [ExecutionProvider::Auto, ExecutionProvider::Cpu] {
            let provider_options = vec![("key".into(), "value".into())];
            let config = ModelConfig { provider, provider_options, ..config(fixture("mean.onnx")) };
            let error = prepare(&config).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidConfig);
            assert!(error.message.contains("\"key\"") && error.message.contains(provider.nick()), "{error}");
        }
    }
}
