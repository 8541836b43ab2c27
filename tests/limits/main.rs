//! No more descriptors, memory, threads or time for the process: whoever asks gets a clear error, and the others go on.
//! Limits are the process's, so each test has one of its own.

#[path = "../common/mod.rs"]
mod common;

mod memory;
mod standstill;
mod threads;

use std::{
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

/// Lowers a limit, and puts it back when it is dropped.
struct Limited {
    resource: Resource,
    before: libc::rlimit,
}

impl Limited {
    fn to(resource: Resource, limit: u64) -> Self {
        let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: both get a pointer to a limit that lives during the call.
        let done = unsafe {
            libc::getrlimit(resource, &mut before) == 0
                && libc::setrlimit(resource, &libc::rlimit { rlim_cur: limit, ..before }) == 0
        };
        assert!(done, "{}", io::Error::last_os_error());
        Self { resource, before }
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::setrlimit(self.resource, &self.before) };
    }
}

/// A process that does `case`, see [`child`].
fn process(case: &str) -> Command {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "child", "--ignored", "--nocapture"]).env("NV_CASE", case);
    process
}

/// `ulimit -u` does not bind root: its processes become another user's, who may do with files what root may.
fn bound_by_limit_of_threads(process: &mut Command) {
    const CAP_SYS_ADMIN: libc::c_ulong = 21;
    const CAP_SYS_RESOURCE: libc::c_ulong = 24;
    // SAFETY: takes nothing.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    // Nobody else's, so that only threads of this process count: neither of another test, nor of this one's siblings.
    static SIBLINGS: AtomicU32 = AtomicU32::new(0);
    let user = 60_000 + (std::process::id() * 8 + SIBLINGS.fetch_add(1, Ordering::Relaxed)) % 5000;
    let become_user = move || {
        // SAFETY: system calls that are allowed between fork and exec.
        let done = unsafe {
            libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0) == 0
                && libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0) == 0
                && libc::setresuid(user, 0, 0) == 0
        };
        if done { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: it allocates nothing and takes no lock.
    unsafe { process.pre_exec(become_user) };
}

fn succeeds(process: &mut Command) {
    let output = process.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "signal {:?}\n{said}", output.status.signal());
    if let Some(why) = said.lines().find(|line| line.starts_with("skipped")) {
        eprintln!("{why}");
    }
}

/// Not a test, but what the tests start.
#[test]
#[ignore = "a program that tests start"]
fn child() {
    match std::env::var("NV_CASE").as_deref() {
        Ok("memory") => memory::child(),
        Ok("no threads") => threads::nobody_gets_one(),
        Ok("no threads at first") => threads::not_even_the_first(),
        Ok("few threads") => threads::one_more_each_time(),
        Ok("standstill") => standstill::child(),
        other => panic!("no case is called {other:?}"),
    }
}
