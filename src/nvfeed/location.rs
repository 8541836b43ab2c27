//! A file, a named pipe or standard output that results are written to, one line each.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
    ptr,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;

use crate::runtime::{Error, ErrorCode};

/// Stands for standard output.
const STDOUT: &str = "-";

pub struct Location {
    path: PathBuf,
    /// Held while a write blocks; only those who write take it.
    lines: Mutex<Lines<File>>,
    lost: AtomicU64,
}

/// What writing a line came to.
#[derive(Debug)]
pub enum Written {
    Whole,
    /// The first line that could be written again.
    Recovered,
    Lost {
        error: io::Error,
        /// The line before was written.
        first: bool,
    },
}

impl Location {
    /// Does not block. What a file held before is gone, unless it is to be `kept`.
    pub fn open(path: &Path, kept: bool) -> Result<Self, Error> {
        let file = open(path, kept).map_err(|error| {
            let hint = match error.raw_os_error() {
                Some(libc::ENXIO) => "nobody reads this pipe; start its reader first",
                _ => {
                    "set `location` to a file in a folder that is there and can be written, or to - for standard output"
                }
            };
            Error::new(
                ErrorCode::InvalidConfig,
                format!("cannot write results to `location` '{}': {error}: {hint}", path.display()),
            )
        })?;
        Ok(Self { path: path.to_owned(), lines: Mutex::new(Lines::new(file)), lost: AtomicU64::new(0) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines that could not be written.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Writes one line. Blocks as long as a pipe's reader does not read.
    pub fn write(&self, line: &str) -> Written {
        let mut lines = self.lines.lock();
        // Keeps lines whole where several feeds share standard output.
        let _stdout = (self.path.as_os_str() == STDOUT).then(|| io::stdout().lock());
        let was_failing = lines.failing;
        match without_sigpipe(|| lines.write(line)) {
            Ok(()) if was_failing => Written::Recovered,
            Ok(()) => Written::Whole,
            Err(error) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                Written::Lost { error, first: !was_failing }
            }
        }
    }
}

fn open(path: &Path, kept: bool) -> io::Result<File> {
    if path.as_os_str() == STDOUT {
        return Ok(io::stdout().as_fd().try_clone_to_owned()?.into());
    }
    // Appending lets several feeds write to one file. Without O_NONBLOCK a named pipe would wait for its reader here.
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(!kept)
        .custom_flags(libc::O_APPEND | libc::O_NONBLOCK)
        .open(path)?;
    // SAFETY: a plain system call on a descriptor that is open.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, libc::O_APPEND) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}

/// Whole lines, whatever the writer does with parts of them.
struct Lines<W> {
    writer: W,
    text: Vec<u8>,
    /// What was written last is not the end of a line.
    cut: bool,
    failing: bool,
}

impl<W: Write> Lines<W> {
    fn new(writer: W) -> Self {
        Self { writer, text: Vec::new(), cut: false, failing: false }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        self.text.clear();
        if self.cut {
            self.text.push(b'\n');
        }
        self.text.extend_from_slice(line.as_bytes());
        self.text.push(b'\n');
        let mut rest = &*self.text;
        let result = loop {
            match self.writer.write(rest) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    let (done, left) = rest.split_at(written.min(rest.len()));
                    self.cut = !done.ends_with(b"\n");
                    rest = left;
                    if rest.is_empty() {
                        break Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.failing = result.is_err();
        result
    }
}

/// Does `write` so that a pipe that nobody reads any more is an error. Rust's own programs ignore SIGPIPE; any other
/// one that loads this plugin, such as `gst-launch-1.0`, would be ended by it.
fn without_sigpipe<R>(write: impl FnOnce() -> R) -> R {
    let mut sigpipe = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: both sets are valid to write to; `sigemptyset` initialises the first and `pthread_sigmask` the second.
    let was_blocked = unsafe {
        libc::sigemptyset(sigpipe.as_mut_ptr());
        libc::sigaddset(sigpipe.as_mut_ptr(), libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, sigpipe.as_ptr(), before.as_mut_ptr()) != 0
            || libc::sigismember(before.as_ptr(), libc::SIGPIPE) == 1
    };
    let result = write();
    if !was_blocked {
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: both sets were initialised above. A SIGPIPE of a write is pending for this thread alone: it is taken
        // away, and then the thread's mask is what it was.
        unsafe {
            libc::sigtimedwait(sigpipe.as_ptr(), ptr::null_mut(), &at_once);
            libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct Disk {
        room: usize,
        content: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.room);
            if fits == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= fits;
            self.content.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_was_cut_does_not_spoil_the_next() {
        let mut lines = Lines::new(Disk { room: 6, content: Vec::new() });
        lines.write("one").unwrap();
        assert_eq!(lines.write("two").unwrap_err().kind(), ErrorKind::StorageFull);
        assert!(lines.write("three").is_err());
        lines.writer.room = 1;
        // Only the line break of the half line fits.
        assert!(lines.write("four").is_err());
        lines.writer.room = 100;
        lines.write("five").unwrap();
        lines.write("six").unwrap();
        assert_eq!(String::from_utf8(lines.writer.content).unwrap(), "one\ntw\nfive\nsix\n");
    }

    #[test]
    fn a_full_disk_loses_lines_and_says_so() {
        let full = Location::open(Path::new("/dev/full"), false).unwrap();
        for lost in 1..=3 {
            let Written::Lost { error, first } = full.write("{}") else { panic!("it was written") };
            assert_eq!((error.kind(), first), (ErrorKind::StorageFull, lost == 1));
            assert_eq!(full.lost(), lost);
        }
    }

    #[test]
    fn a_closed_pipe_is_an_error_and_not_the_end_of_the_process() {
        // SAFETY: only sets the signal's action back to what programs that are not Rust's start with.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let writer = File::from(std::os::fd::OwnedFd::from(writer));
        let closed = Location { path: "pipe".into(), lines: Mutex::new(Lines::new(writer)), lost: AtomicU64::new(0) };
        for _ in 0..2 {
            let Written::Lost { error, .. } = closed.write("{}") else { panic!("it was written") };
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
    }

    #[test]
    fn what_cannot_be_written_is_refused_with_its_name() {
        let refused = |path: &str| Location::open(Path::new(path), false).err().map(|error| error.to_string()).unwrap();
        assert!(refused("/").contains("'/'"));
        assert!(refused("/no/such/folder/results.jsonl").contains("No such file"));
    }

    #[test]
    fn a_feed_that_goes_on_keeps_what_it_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results");
        for (line, kept, file) in [("a", false, "a\n"), ("b", true, "a\nb\n"), ("c", false, "c\n")] {
            Location::open(&path, kept).unwrap().write(line);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), file);
        }
    }
}
