//! Who is compared: each way is a program that does a [`Job`](crate::job::Job), and may not be there.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    cases::Case,
    job::{Job, VARIABLE},
};

/// What gets a way that is not there.
pub const SETUP: &str = "benches/peers/setup";

pub struct Way {
    pub id: &'static str,
    pub title: &'static str,
    pub program: Program,
    /// [`Job::mode`](crate::job::Job::mode).
    pub mode: &'static str,
}

/// Where the worker comes from.
pub enum Program {
    /// This program, here.
    Own,
    /// This program, built and run in the root file system of a Debian release, with the ONNX Runtime of that release.
    Root(&'static str),
    /// `benches/peers/nv-runtime`.
    NvRuntime,
    /// `benches/peers/python/worker.py`.
    Python,
}

use Program::{NvRuntime, Own, Python, Root};

pub const CEILING: &str = "ceiling";
pub const OURS: &str = "nvfeed";

pub const WAYS: &[Way] = &[
    Way { id: CEILING, title: "the library alone", program: Own, mode: "" },
    Way { id: OURS, title: "nvfeed", program: Own, mode: "" },
    Way { id: "nv-runtime-block", title: "nv-runtime, blocking queue", program: NvRuntime, mode: "block" },
    Way { id: "nv-runtime-drop", title: "nv-runtime, drop oldest", program: NvRuntime, mode: "drop" },
    Way { id: "python-each", title: "Python, a call a frame", program: Python, mode: "each" },
    Way { id: "python-eight", title: "Python, collector of eight", program: Python, mode: "eight" },
    Way { id: "onnxinference-1.26", title: "onnxinference 1.26", program: Root("trixie"), mode: "onnxinference" },
    Way { id: "nvfeed-1.26", title: "nvfeed, same library", program: Root("trixie"), mode: "" },
    Way { id: "onnxinference-1.28", title: "onnxinference 1.28", program: Root("forky"), mode: "onnxinference" },
    Way { id: "nvfeed-1.28", title: "nvfeed, same library", program: Root("forky"), mode: "" },
];

impl Way {
    pub fn is_ceiling(&self) -> bool {
        self.id == CEILING
    }

    pub fn is_ours(&self) -> bool {
        self.id.starts_with(OURS)
    }

    /// The Debian release in whose root file system it runs.
    pub fn release(&self) -> Option<&'static str> {
        match self.program {
            Root(release) => Some(release),
            _ => None,
        }
    }

    /// We in other places are there to be compared with what else is there: in two cases that is enough.
    pub fn joins(&self, case: &Case) -> bool {
        match (&self.program, self.mode) {
            (Own, _) if self.is_ceiling() => !case.is_live(),
            (Root(_), "") => matches!(case.id, "small" | "live"),
            _ => true,
        }
    }

    /// Why it cannot run, if it cannot, and what to do about it.
    pub fn missing(&self) -> Option<String> {
        let (worker, name) = match self.program {
            Own => return None,
            Root(release) => (root(release).join("target/bench/worker"), release),
            NvRuntime => (nv_runtime(), "nv-runtime"),
            Python => (python(), "python"),
        };
        // A link that points to where it leads inside the root is there without being followed.
        let there = worker.symlink_metadata().is_ok();
        (!there).then(|| format!("it is not set up: run {SETUP} {name}"))
    }

    /// Whether it was built before this program was, maybe from other sources.
    pub fn is_older(&self) -> bool {
        let built = |path: PathBuf| path.metadata().and_then(|file| file.modified()).ok();
        let own = env::current_exe().ok().and_then(built);
        let Root(release) = self.program else { return false };
        built(root(release).join("target/bench/worker")).zip(own).is_some_and(|(theirs, own)| theirs < own)
    }

    /// The worker with its job. No variable gets into a root file system, so there the job is an argument.
    pub fn command(&self, job: &Job) -> Command {
        let job = serde_json::to_string(job).expect("a job becomes JSON");
        let mut command = match self.program {
            Own => {
                let mut command = Command::new(env::current_exe().expect("a path of its own"));
                command.env("XDG_CACHE_HOME", settings_folder()).env("NV_SETTINGS_CACHE", "always");
                command
            }
            Root(release) => {
                let mut command = Command::new(checkout().join("ci/with-gstreamer"));
                command.args([release, "benches/peers/in-root", &job]).env("XDG_CACHE_HOME", cache_home());
                command
            }
            NvRuntime => Command::new(nv_runtime()),
            Python => {
                let mut command = Command::new(python());
                command.arg(checkout().join("benches/peers/python/worker.py"));
                command
            }
        };
        command.env(VARIABLE, job);
        command
    }
}

pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn nv_runtime() -> PathBuf {
    checkout().join("target/bench/nv-runtime/release/nv-runtime-worker")
}

fn python() -> PathBuf {
    cache().join("peers/python/bin/python")
}

fn root(release: &str) -> PathBuf {
    cache().join("with-gstreamer").join(release)
}

/// Where this run keeps the settings that it measured.
pub fn settings_folder() -> PathBuf {
    checkout().join("target/bench/cache")
}

/// Where the scripts keep what they fetched.
fn cache() -> PathBuf {
    cache_home().join("nextvision")
}

/// The user's: what `.cargo/config.toml` sets is for tests.
fn cache_home() -> PathBuf {
    let set = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Path::new(&env::var_os("HOME").unwrap_or_default()).join(".cache");
    set.filter(|folder| *folder != checkout().join("target/cache")).unwrap_or_else(home)
}
