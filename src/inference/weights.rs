//! A model's bytes, in the form that its sessions share.
//!
//! On the CPU the model is optimised once and written in ONNX Runtime's own format into memory; every session then
//! uses the weights in place, where they lie in those bytes. Other providers keep their weights on their device, and
//! a model that cannot be written so is read by each session for itself.

use std::fmt;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{InMemorySession, Session, SessionInputValue, SessionOutputs};

use super::fingerprint::Content;
use super::library::{self, Library};
use super::threads::Reserve;
use super::{Error, ErrorKind, ExecutionProvider, ModelConfig, ending, file};

/// Neither of the formats (protobuf, flatbuffers) can hold more.
const MAX_FILE_BYTES: u64 = i32::MAX as u64;

/// Up to this size every session keeps a copy of the weights in the order that its kernels read them fastest
/// ("prepacked"). That saves a few per cent of a run in convolutional models and 5 to 15 % in transformers, but sessions
/// cannot share such a copy: in a larger model memory counts for more.
const PREPACK_UP_TO_BYTES: usize = 16 << 20;

/// A model ready to become sessions.
pub(super) struct Weights {
    bytes: Bytes,
    options: SessionOptions,
    content: Content,
}

enum Bytes {
    /// The file as it is.
    Read(Arc<Vec<u8>>),
    /// The optimised model in ONNX Runtime's format.
    Optimised(Mmap),
}

/// What all sessions of a model have in common.
struct SessionOptions {
    library: &'static Library,
    provider: ExecutionProvider,
    device_id: i32,
    provider_options: Vec<(String, String)>,
    /// Where files lie that the model names: weights kept outside of it.
    folder: PathBuf,
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.are_shared() { "shared" } else { "as read" };
        f.debug_struct("Weights").field("bytes", &self.bytes().len()).field("kind", &kind).finish_non_exhaustive()
    }
}

impl Weights {
    /// Prepares the model in `file` for one provider, and hands the first session of it to `inspect`.
    pub(super) fn new<R>(
        library: &'static Library,
        config: &ModelConfig,
        provider: ExecutionProvider,
        file: &Arc<Vec<u8>>,
        inspect: impl Fn(&Session) -> ort::Result<R>,
    ) -> ort::Result<(Self, R)> {
        let folder = config.model.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let options = SessionOptions {
            library,
            provider,
            device_id: config.device_id,
            provider_options: config.provider_options.clone(),
            folder: std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()),
        };
        if provider == ExecutionProvider::Cpu && !is_ort_format(file) {
            match optimise(&options, file, &inspect) {
                Ok((map, inspected)) => {
                    return Ok((Self { bytes: Bytes::Optimised(map), options, content: Content::of(file) }, inspected));
                }
                Err(reason) => library::log_warning(&format!(
                    "{}: its sessions do not share weights: {reason}",
                    config.model.display()
                )),
            }
        }
        let weights = Self { bytes: Bytes::Read(file.clone()), options, content: Content::of(file) };
        let inspected = inspect(&*weights.options.commit(weights.bytes(), Reserve::default())?)?;
        Ok((weights, inspected))
    }

    /// Whether all sessions use the same weights in memory.
    pub(super) fn are_shared(&self) -> bool {
        is_ort_format(self.bytes())
    }

    pub(super) fn provider(&self) -> ExecutionProvider {
        self.options.provider
    }

    pub(super) fn library_version(&self) -> &str {
        &self.options.library.version
    }

    /// As [`Content::fingerprint`].
    pub(super) fn fingerprint(&self) -> std::io::Result<String> {
        self.content.fingerprint(&self.options.folder)
    }

    /// One more session of the model, with these threads inside a run beside the one that asks for it.
    pub(super) fn session(self: &Arc<Self>, threads: Reserve) -> ort::Result<SharedSession> {
        let session = self.options.commit(self.bytes(), threads)?;
        // SAFETY: the lifetime is that of the borrow of `self.bytes`. The bytes do not move or change while `self`
        // lives, and `SharedSession` keeps `self` until after the session is dropped (its fields drop after its own `drop`).
        let session = unsafe { std::mem::transmute::<InMemorySession<'_>, InMemorySession<'static>>(session) };
        Ok(SharedSession { session: ManuallyDrop::new(session), _weights: self.clone() })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Read(bytes) => bytes,
            Bytes::Optimised(map) => map,
        }
    }
}

/// A session and the weights that it reads.
pub(super) struct SharedSession {
    session: ManuallyDrop<InMemorySession<'static>>,
    _weights: Arc<Weights>,
}

impl Drop for SharedSession {
    fn drop(&mut self) {
        // At the end of the process ONNX Runtime is gone, and the session with it.
        if let Ok(_inside) = ending::enter() {
            // SAFETY: it is not used after this.
            unsafe { ManuallyDrop::drop(&mut self.session) };
        }
    }
}

impl SharedSession {
    /// The outputs borrow the session: none outlives the weights.
    pub(super) fn run(&mut self, input: SessionInputValue<'_>) -> ort::Result<SessionOutputs<'_>> {
        self.session.run([input])
    }
}

impl SessionOptions {
    /// A session made from `bytes`, which it uses in place if they are in ONNX Runtime's format.
    fn commit<'b>(&self, bytes: &'b [u8], threads: Reserve) -> ort::Result<InMemorySession<'b>> {
        let mut builder = self.builder(&threads)?;
        if threads.count() > 0 {
            builder = builder.with_thread_manager(threads)?;
        }
        if is_ort_format(bytes) && bytes.len() > PREPACK_UP_TO_BYTES {
            builder = builder.with_config_entry("session.disable_prepacking", "1")?;
        }
        builder.commit_from_memory_directly(bytes)
    }

    fn builder(&self, threads: &Reserve) -> ort::Result<SessionBuilder> {
        let mut builder = Session::builder(&self.library.environment)?
            .with_log_level(library::log_level())?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(1 + threads.count())?
            .with_inter_threads(1)?
            // A waiting thread that spins takes its core from another instance.
            .with_config_entry("session.intra_op.allow_spinning", "0")?
            // A pattern is kept for each shape that was seen, and batches come in all sizes.
            .with_memory_pattern(false)?
            .with_config_entry("session.model_external_initializers_file_folder_path", self.folder.to_string_lossy())?;
        self.provider.register(&mut builder, self.device_id, &self.provider_options)?;
        Ok(builder)
    }
}

/// The whole of the model file. What is wrong with it, as far as that can be seen without ONNX Runtime, is an error.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let error = |kind, what: &str| Err(Error::new(kind, format!("model {} {what}", path.display())));
    if path.as_os_str().is_empty() {
        return Err(Error::new(ErrorKind::ModelNotFound, "no model is set: set model to the path of an ONNX file"));
    }
    let unreadable = |reason: std::io::Error| match reason.kind() {
        std::io::ErrorKind::NotFound => {
            error(ErrorKind::ModelNotFound, "does not exist; set model to the path of an ONNX file")
        }
        _ => error(ErrorKind::ModelNotFound, &format!("cannot be read ({reason}); set model to a file that can")),
    };
    let (file, metadata) = match file::open(path) {
        Ok(opened) => opened,
        Err(reason) => return unreadable(reason),
    };
    if metadata.is_dir() {
        return error(ErrorKind::ModelInvalid, "is a directory; set model to the ONNX file in it");
    }
    if !metadata.is_file() {
        return error(ErrorKind::ModelInvalid, "is not a regular file; set model to the path of an ONNX file");
    }
    let too_large = |bytes: u64| {
        let what = format!("has {bytes} bytes, more than ONNX allows; export it with its weights in a second file");
        error(ErrorKind::ModelInvalid, &what)
    };
    if metadata.len() > MAX_FILE_BYTES {
        return too_large(metadata.len());
    }
    match file::read(file, metadata.len(), MAX_FILE_BYTES) {
        Ok(bytes) if bytes.is_empty() => error(ErrorKind::ModelInvalid, "is empty; export or copy it again"),
        Ok(bytes) if bytes.len() as u64 > MAX_FILE_BYTES => too_large(bytes.len() as u64),
        Ok(bytes) => Ok(bytes),
        Err(reason) => unreadable(reason),
    }
}

/// Optimises the model and gives it back in ONNX Runtime's format, which a session was made from to see that it works.
fn optimise<R>(
    options: &SessionOptions,
    file: &[u8],
    inspect: impl Fn(&Session) -> ort::Result<R>,
) -> ort::Result<(Mmap, R)> {
    let target = memory_file().map_err(ort::Error::wrap)?;
    let session = options
        .builder(&Reserve::default())?
        // What is prepacked is not written.
        .with_config_entry("session.disable_prepacking", "1")?
        .with_config_entry("session.save_model_format", "ORT")?
        .with_optimized_model_path(format!("/proc/self/fd/{}", target.as_raw_fd()))?
        .commit_from_memory(file)?;
    let inspected = inspect(&session)?;
    drop(session);
    // SAFETY: the file has no name and this is its only handle, which closes here: nobody can change it or cut it off.
    let map = unsafe { Mmap::map(&target) }.map_err(ort::Error::wrap)?;
    if !is_ort_format(&map) {
        return Err(ort::Error::new("ONNX Runtime did not write the optimised model"));
    }
    options.commit(&map, Reserve::default())?;
    Ok((map, inspected))
}

/// A file in memory without a name. It needs no place on a disk, and is gone with its last handle and mapping.
fn memory_file() -> std::io::Result<File> {
    // SAFETY: the name is a C string.
    let fd = unsafe { libc::memfd_create(c"nextvision-model".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// The file identifier of flatbuffers lies behind the offset of the root table: `ORTM` for ONNX Runtime's models.
fn is_ort_format(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"ORTM")
}

/// Optimising takes about three times the model's size for a moment, and sessions that were only tried leave theirs;
/// glibc would keep that.
pub(crate) fn release_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time and from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
