//! Settings that were measured, kept for the next start: one small file for each model on each machine.
//!
//! A file is only ever a hint. What is broken, not ours, or names a setting that would not be tried is passed over.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use serde::{Deserialize, Serialize};

use super::{Setting, candidates::Candidates};
use crate::{
    inference::Model,
    runtime::{CAT, limits::ProcessorConfig},
};

/// Set to `off`, nothing is kept and nothing that was kept is used; set to `always`, everything is.
const SWITCH: &str = "NV_SETTINGS_CACHE";
/// A file of ours has some hundred bytes.
const MAX_BYTES: u64 = 16 << 10;

pub struct Cache {
    /// `None`: off.
    folder: Option<PathBuf>,
    /// Also what was measured while others had the cores.
    pub keeps_all: bool,
}

/// All that a measured setting depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Key {
    plugin: String,
    /// SHA-256 of its bytes.
    model: String,
    input: String,
    onnxruntime: String,
    provider: String,
    device_id: i32,
    provider_options: Vec<(String, String)>,
    processor: String,
    cores: usize,
    /// What was tried: it depends on what is set by hand.
    tried: Vec<Setting>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    key: Key,
    setting: Setting,
}

impl Key {
    /// Reads what the model keeps outside of its file. The error says why that does not go.
    pub fn new(config: &ProcessorConfig, model: &Model, candidates: &Candidates) -> Result<Self, String> {
        let input = &model.description().input;
        Ok(Self {
            plugin: env!("CARGO_PKG_VERSION").into(),
            model: model.fingerprint()?,
            input: format!("{}x{} {:?}", input.width, input.height, input.batch),
            onnxruntime: model.library_version().into(),
            provider: model.provider().nick().into(),
            device_id: config.model.device_id,
            provider_options: config.model.provider_options.clone(),
            processor: processor_name(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            cores: thread::available_parallelism().map_or(1, usize::from),
            tried: candidates.settings(),
        })
    }

    fn file_name(&self) -> Option<String> {
        let text = serde_json::to_vec(self).ok()?;
        let mut checksum = glib::Checksum::new(glib::ChecksumType::Sha256)?;
        checksum.update(&text);
        Some(format!("{:.32}.json", checksum.string()?))
    }
}

/// What the system calls the processor: its name, or the numbers of maker and part that stand for one on Arm.
fn processor_name(cpuinfo: &str) -> String {
    const NAMES: [&str; 5] = ["model name", "cpu model", "CPU implementer", "CPU variant", "CPU part"];
    let values = cpuinfo.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        NAMES.contains(&name.trim()).then(|| value.trim())
    });
    values.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
}

impl Cache {
    /// Below `$XDG_CACHE_HOME`, or `~/.cache`.
    pub fn of_user() -> Self {
        let set = env::var(SWITCH).unwrap_or_default().to_ascii_lowercase();
        let off = ["off", "0", "no", "false"].contains(&&*set);
        let folder = folder(env::var_os("XDG_CACHE_HOME").as_deref(), env::var_os("HOME").as_deref());
        Self { folder: folder.filter(|_| !off), keeps_all: set == "always" }
    }

    #[cfg(test)]
    pub fn at(folder: PathBuf) -> Self {
        Self { folder: Some(folder), keeps_all: false }
    }

    #[cfg(test)]
    pub fn off() -> Self {
        Self { folder: None, keeps_all: false }
    }

    pub fn is_on(&self) -> bool {
        self.folder.is_some()
    }

    pub fn read(&self, key: &Key) -> Option<Setting> {
        let path = self.folder.as_ref()?.join(key.file_name()?);
        let bytes = match read_own(&path) {
            Ok(bytes) => bytes,
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => return None,
            Err(reason) => {
                gst::debug!(CAT, "{} is not used: {reason}", path.display());
                return None;
            }
        };
        match serde_json::from_slice::<Kept>(&bytes) {
            Ok(kept) if kept.key == *key => Some(kept.setting),
            Ok(_) => {
                gst::debug!(CAT, "{} is of something else", path.display());
                None
            }
            Err(reason) => {
                gst::debug!(CAT, "{} is not used: {reason}", path.display());
                None
            }
        }
    }

    /// A reader sees the whole of it or nothing.
    pub fn write(&self, key: &Key, setting: Setting) {
        let (Some(folder), Some(name)) = (&self.folder, key.file_name()) else { return };
        let kept = Kept { key: key.clone(), setting };
        let written = serde_json::to_vec(&kept).map_err(io::Error::from).and_then(|text| replace(folder, &name, &text));
        if let Err(reason) = written {
            gst::debug!(
                CAT,
                "{} cannot be written: {reason}; the next start measures again",
                folder.join(name).display()
            );
        }
    }
}

/// Relative paths are to be ignored, by the XDG Base Directory Specification.
fn folder(cache_home: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
    let absolute = |path: Option<&OsStr>| path.map(Path::new).filter(|path| path.is_absolute()).map(Path::to_owned);
    let cache = absolute(cache_home).or_else(|| absolute(home).map(|home| home.join(".cache")))?;
    Some(cache.join("nextvision").join("settings"))
}

/// A file of the cache, for [`crate::runtime::fuzzing`]: what is read is what would be written.
#[cfg(any(test, fuzzing))]
pub fn settings_cache(bytes: &[u8]) {
    let Ok(kept) = serde_json::from_slice::<Kept>(bytes) else { return };
    let again: Kept = serde_json::to_vec(&kept).and_then(|text| serde_json::from_slice(&text)).expect("it is JSON");
    assert!(again.key == kept.key && again.setting == kept.setting);
}

/// The bytes of a file that this user wrote.
fn read_own(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe in its place must not make us wait, and a link must not lead elsewhere.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    // SAFETY: it always succeeds and touches no memory.
    let user = unsafe { libc::geteuid() };
    if !metadata.is_file() || metadata.uid() != user || metadata.len() > MAX_BYTES {
        return Err(io::Error::other("it is no small file of this user's"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn replace(folder: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{name}.{}.{number}", process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written = file.write_all(text).and_then(|()| fs::rename(&temporary, folder.join(name)));
    if written.is_err() {
        _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
impl Key {
    pub fn of_model(model: &str) -> Self {
        Self {
            plugin: "1".into(),
            model: model.into(),
            input: "64x64".into(),
            onnxruntime: "1.31.1".into(),
            provider: "cpu".into(),
            device_id: 0,
            provider_options: Vec::new(),
            processor: "a processor".into(),
            cores: 4,
            tried: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const SETTING: Setting = Setting { instances: 3, intra_op_threads: 1, max_batch_size: 2 };

    #[test]
    fn what_was_written_is_read_for_the_very_same_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("deeper").join("still"));
        let key = Key::of_model("m");
        assert_eq!(cache.read(&key), None);
        cache.write(&key, SETTING);
        assert_eq!(cache.read(&key), Some(SETTING));
        let others = [
            Key { plugin: "2".into(), ..key.clone() },
            Key { model: "n".into(), ..key.clone() },
            Key { onnxruntime: "1.32.0".into(), ..key.clone() },
            Key { provider: "cuda".into(), ..key.clone() },
            Key { device_id: 1, ..key.clone() },
            Key { provider_options: vec![("a".into(), "b".into())], ..key.clone() },
            Key { processor: "another".into(), ..key.clone() },
            Key { cores: 2, ..key.clone() },
            Key { tried: vec![SETTING], ..key.clone() },
        ];
        for other in others {
            assert_eq!(cache.read(&other), None, "{other:?}");
        }
        let files: Vec<_> = fs::read_dir(folder.path().join("deeper/still")).unwrap().collect();
        assert_eq!(files.len(), 1, "no temporary file is left");
        assert_eq!(files[0].as_ref().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_of_another_key_under_our_name_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().into());
        let (key, other) = (Key::of_model("m"), Key::of_model("n"));
        cache.write(&other, SETTING);
        let name = |key: &Key| folder.path().join(key.file_name().unwrap());
        fs::rename(name(&other), name(&key)).unwrap();
        assert_eq!(cache.read(&key), None);
    }

    #[test]
    fn links_pipes_and_folders_in_its_place_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().into());
        let key = Key::of_model("m");
        cache.write(&key, SETTING);
        let (file, aside) = (folder.path().join(key.file_name().unwrap()), folder.path().join("aside"));
        fs::rename(&file, &aside).unwrap();
        symlink(&aside, &file).unwrap();
        assert_eq!(cache.read(&key), None);
        fs::remove_file(&file).unwrap();

        let path = std::ffi::CString::new(file.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: the path is a C string.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        assert_eq!(cache.read(&key), None, "and nobody waits for a writer");
        cache.write(&key, SETTING);
        assert_eq!(cache.read(&key), Some(SETTING), "the pipe is replaced");

        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        cache.write(&key, SETTING);
        assert_eq!(cache.read(&key), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
    }

    #[test]
    fn a_folder_that_cannot_be_written_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "in the way").unwrap();
        let cache = Cache::at(file.join("settings"));
        cache.write(&Key::of_model("m"), SETTING);
        assert_eq!(cache.read(&Key::of_model("m")), None);
    }

    #[test]
    fn a_file_of_another_user_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().into());
        let key = Key::of_model("m");
        cache.write(&key, SETTING);
        let file = folder.path().join(key.file_name().unwrap());
        if std::os::unix::fs::chown(&file, Some(12345), None).is_err() {
            eprintln!("skipped: only root can give a file away");
            return;
        }
        assert_eq!(cache.read(&key), None);
    }

    #[test]
    fn the_folder_is_where_the_specification_says() {
        let at = |cache: Option<&str>, home: Option<&str>| folder(cache.map(OsStr::new), home.map(OsStr::new));
        assert_eq!(at(Some("/c"), Some("/h")), Some("/c/nextvision/settings".into()));
        for unset in [None, Some(""), Some("relative")] {
            assert_eq!(at(unset, Some("/h")), Some("/h/.cache/nextvision/settings".into()));
            assert_eq!(at(unset, None), None);
        }
    }

    #[test]
    fn a_processor_has_the_name_that_the_system_gives_it() {
        let intel =
            "processor: 0\nmodel name\t: Xeon @ 2 GHz\ncpu MHz: 2000.1\n\nprocessor: 1\nmodel name\t: Xeon @ 2 GHz\n";
        assert_eq!(processor_name(intel), "Xeon @ 2 GHz");
        let arm = "processor: 0\nCPU implementer : 0x41\nCPU part : 0xd0c\n\nprocessor: 1\nCPU implementer : 0x41\nCPU part : 0xd44\n";
        assert_eq!(processor_name(arm), "0x41 0xd0c 0xd44");
        assert_eq!(processor_name(""), "");
    }
}
