//! ONNX Runtime: found, loaded and started once a process, on first use.

use std::error::Error as _;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Once};
use std::thread;

use once_cell::sync::OnceCell;
use ort::environment::Environment;
use ort::logging::LogLevel;

use super::{Error, ErrorKind, RAISE_LIMIT_OF_THREADS, ending};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("nextvision-onnxruntime", gst::DebugColorFlags::empty(), Some("What ONNX Runtime says"))
});

/// ONNX Runtime as this process uses it, until it ends.
#[derive(Debug)]
pub(super) struct Library {
    pub(super) environment: Environment,
    /// Such as `1.20.1`.
    pub(super) version: String,
}

/// A library that can be used: where it lies and its version, such as `1.20.1`.
struct Probe {
    path: PathBuf,
    version: String,
}

/// Loads ONNX Runtime at the first call. A failure is not kept: the next call tries again.
pub(super) fn library() -> Result<&'static Library, Error> {
    static LIBRARY: OnceCell<Library> = OnceCell::new();
    LIBRARY.get_or_try_init(|| {
        // Its own threads, which live as long as the process, take the name of the one that starts it.
        let start = || start(&find(&candidates())?);
        let started = thread::Builder::new().name("onnxruntime".into()).spawn(start);
        let started = started.map_err(|error| {
            let message = format!("cannot start a thread to start ONNX Runtime on: {error}; {RAISE_LIMIT_OF_THREADS}");
            Error::new(ErrorKind::NoThread, message)
        })?;
        started.join().unwrap_or_else(|_| Err(missing("it panicked when it was started")))
    })
}

/// How much ONNX Runtime is to say, by the threshold of the debug category.
pub(super) fn log_level() -> LogLevel {
    match CAT.threshold() {
        gst::DebugLevel::None => LogLevel::Fatal,
        gst::DebugLevel::Error | gst::DebugLevel::Warning | gst::DebugLevel::Fixme => LogLevel::Error,
        gst::DebugLevel::Info => LogLevel::Warning,
        gst::DebugLevel::Debug => LogLevel::Info,
        _ => LogLevel::Verbose,
    }
}

/// A line of ours in ONNX Runtime's debug category.
pub(super) fn log_warning(message: &str) {
    gst::warning!(CAT, "{message}");
}

/// Where to look, in order: only `ORT_DYLIB_PATH` where that is set, else beside the plugin, else wherever the
/// system's loader looks.
fn candidates() -> Vec<PathBuf> {
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return vec![path.into()];
    }
    let mut found = own_path().and_then(|path| path.parent().map(beside)).unwrap_or_default();
    found.extend(["libonnxruntime.so", "libonnxruntime.so.1"].map(PathBuf::from));
    found
}

/// `libonnxruntime.so` and `libonnxruntime.so.1*` in `folder`, in this order, the newest name first.
fn beside(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .filter(|name| name.as_bytes().starts_with(b"libonnxruntime.so.1"))
        .map(|name| folder.join(name))
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    let plain = folder.join("libonnxruntime.so");
    if plain.exists() {
        found.insert(0, plain);
    }
    found
}

/// The file of the shared object that holds this code.
fn own_path() -> Option<PathBuf> {
    object_path(own_path as *const libc::c_void)
}

/// The file of the shared object (or program) that holds `address`.
fn object_path(address: *const libc::c_void) -> Option<PathBuf> {
    // SAFETY: `Dl_info` is a struct of integers and pointers: all zero is a value of it.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: dladdr only compares the address; `info` outlives the call.
    if unsafe { libc::dladdr(address, &mut info) } == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: after success the name is a C string that lives as long as the object is loaded; it is copied here.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    std::path::absolute(OsStr::from_bytes(name.to_bytes())).ok()
}

/// The first candidate that is ONNX Runtime and new enough.
fn find(candidates: &[PathBuf]) -> Result<Probe, Error> {
    let mut tried = Vec::new();
    for path in candidates {
        match probe(path) {
            Ok(probe) => return Ok(probe),
            Err(reason) => tried.push(reason),
        }
    }
    Err(missing(&tried.join("; ")))
}

/// Loads a library and asks for its version; the error says why it will not do.
fn probe(path: &Path) -> Result<Probe, String> {
    let shown = path.display();
    // SAFETY: loading runs the library's initialisers. The user, or the system, says that this is ONNX Runtime,
    // whose initialisers may run at any time.
    let library = unsafe { libloading::Library::new(path) }.map_err(|error| {
        // The loader's own words are one level down.
        let reason = error.source().map_or_else(|| error.to_string(), |source| source.to_string());
        format!("{shown} does not load ({reason})")
    })?;
    // SAFETY: the signature is that of ONNX Runtime's C API for all its versions.
    let base_of = unsafe { library.get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase\0") }
        .map_err(|_| format!("{shown} is not ONNX Runtime (it has no OrtGetApiBase)"))?;
    // SAFETY: the function takes nothing and gives a pointer to a static table, or null; it is checked.
    let base = unsafe { base_of().as_ref() }.ok_or_else(|| format!("{shown} gives no API"))?;
    // SAFETY: the table's first two functions are the same in all versions; the text is static.
    let version = unsafe { CStr::from_ptr((base.GetVersionString)()) }.to_string_lossy().into_owned();
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version_number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    // SAFETY: as above; a version that the library does not have gives null.
    if version_number < (1, ort::MINOR_VERSION) || unsafe { (base.GetApi)(ort::sys::ORT_API_VERSION) }.is_null() {
        return Err(format!("{shown} is version {version}, which is too old"));
    }
    let path = object_path(*base_of as *const libc::c_void).unwrap_or_else(|| path.to_owned());
    // It stays loaded: ONNX Runtime is not made to be unloaded, and `ort` loads it again from the same path.
    std::mem::forget(library);
    Ok(Probe { path, version })
}

fn start(probe: &Probe) -> Result<Library, Error> {
    let fail = |error: &dyn std::fmt::Display| missing(&format!("{} does not start ({error})", probe.path.display()));
    let environment = ort::init_from(&probe.path)
        .map_err(|error| fail(&error))?
        .with_name("nextvision")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()
        .map_err(|error| fail(&error))?;
    environment.set_log_level(log_level());
    static STARTED: Once = Once::new();
    ending::watch(&STARTED);
    gst::info!(CAT, "ONNX Runtime {} from {}", probe.version, probe.path.display());
    Ok(Library { environment, version: probe.version.clone() })
}

/// ONNX Runtime warns of what its user can do nothing about, with each session, and informs of much: each of its levels
/// is the next lower one here. What goes wrong is an error of ours besides.
fn log(level: LogLevel, _category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Fatal | LogLevel::Error => gst::error!(CAT, "{message} ({location})"),
        LogLevel::Warning => gst::info!(CAT, "{message} ({location})"),
        LogLevel::Info => gst::debug!(CAT, "{message} ({location})"),
        LogLevel::Verbose => gst::log!(CAT, "{message} ({location})"),
    }
}

fn missing(tried: &str) -> Error {
    let set = std::env::var_os("ORT_DYLIB_PATH").is_some_and(|path| !path.is_empty());
    let origin = if set { "as ORT_DYLIB_PATH says" } else { "beside the plugin and where the system's loader looks" };
    let folder = own_path().and_then(|path| path.parent().map(|folder| folder.display().to_string()));
    Error::new(
        ErrorKind::OnnxRuntimeMissing,
        format!(
            "no ONNX Runtime 1.{minor} or newer, {origin}: {tried}. To get it, unpack the wheel that `pip download \
             onnxruntime` fetches (in the project itself `scripts/setup` does it); then set ORT_DYLIB_PATH to its \
             libonnxruntime.so, or put that beside the plugin in {folder}",
            minor = ort::MINOR_VERSION,
            folder = folder.as_deref().unwrap_or("its folder"),
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_of_the_tests_loads_once() {
        let first = library().unwrap_or_else(|error| panic!("these tests need ONNX Runtime: {error}"));
        assert!(std::ptr::eq(first, library().unwrap()));
    }

    #[test]
    fn candidates_beside_the_plugin_are_found_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["libonnxruntime.so.1.20.1", "libonnxruntime.so.1", "libonnxruntime.so", "libonnxruntime_x.so"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = beside(folder.path());
        let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["libonnxruntime.so", "libonnxruntime.so.1.20.1", "libonnxruntime.so.1"]);
        assert!(beside(&folder.path().join("nothing")).is_empty());
    }

    #[test]
    fn what_is_not_onnxruntime_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("libonnxruntime.so");
        std::fs::write(&text, "no library").unwrap();
        for (path, reason) in [
            (text, "does not load"),
            (folder.path().to_owned(), "does not load"),
            (folder.path().join("nothing.so"), "does not load"),
            (PathBuf::from("libc.so.6"), "is not ONNX Runtime"),
        ] {
            let error = find(std::slice::from_ref(&path)).err().expect("it is no ONNX Runtime");
            assert_eq!(error.kind, ErrorKind::OnnxRuntimeMissing);
            for part in [path.to_str().unwrap(), reason, "pip download onnxruntime", "ORT_DYLIB_PATH", "scripts/setup"]
            {
                assert!(error.message.contains(part), "{part} is not in: {error}");
            }
            assert!(!error.message.contains("dlopen failed"), "the loader's reason is lost: {error}");
        }
    }

    #[test]
    fn an_old_library_is_refused_with_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let (source, library) = (folder.path().join("old.c"), folder.path().join("libonnxruntime.so"));
        std::fs::write(
            &source,
            "static const void *api(unsigned version) { return 0; }\n\
             static const char *version(void) { return \"1.16.3\"; }\n\
             static const struct { void *api, *version; } base = { api, version };\n\
             const void *OrtGetApiBase(void) { return &base; }\n",
        )
        .unwrap();
        // The linker that built this test is there.
        let status =
            std::process::Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
        assert!(status.expect("cc runs").success());
        let error = find(&[library]).err().expect("it is too old");
        assert!(error.message.contains("is version 1.16.3, which is too old"), "{error}");
        assert!(error.message.contains("1.17 or newer"), "{error}");
    }
}
