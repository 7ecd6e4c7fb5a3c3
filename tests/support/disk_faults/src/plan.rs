//! What is to happen, and when.

use std::env;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use libc::{c_char, c_int};

use crate::files::{self, Path};
use crate::real;

/// What was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Write,
    Sync,
    Truncate,
    Create,
    Unlink,
    Rename,
}

/// What happens at the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `none`: nothing; the calls are only counted.
    None,
    /// `kill`: the process ends before the call.
    Kill,
    /// `torn`: it ends in the middle of a write, or after any other call.
    Torn,
    /// `power`: it ends before the call, and of every file all is undone that was not synchronised.
    Power,
    /// `power_random`: as `power`, but some of the unsynchronised changes stay, in no order.
    PowerRandom,
    /// `short`: the call, if it is a write, writes half and says so.
    Short,
    /// `eio`: the call fails, and only this one.
    Io,
    /// `enospc`: from this call on there is no room, for good.
    Full,
    /// `enospc_once`: there is no room at this call, and at the next there is.
    FullOnce,
    /// `short_enospc`: half of a write finds room, and from then on there is none.
    ShortFull,
    /// `erofs`: from this call on nothing may be written.
    ReadOnly,
}

const KINDS: [(&str, Kind); 11] = [
    ("none", Kind::None),
    ("kill", Kind::Kill),
    ("torn", Kind::Torn),
    ("power", Kind::Power),
    ("power_random", Kind::PowerRandom),
    ("short", Kind::Short),
    ("eio", Kind::Io),
    ("enospc", Kind::Full),
    ("enospc_once", Kind::FullOnce),
    ("short_enospc", Kind::ShortFull),
    ("erofs", Kind::ReadOnly),
];

/// How a call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// As without this library.
    Run,
    /// It fails.
    Fail(c_int),
    /// It writes half.
    Half,
    /// It does half of its work, and then the process ends.
    HalfThenEnd,
    /// The process ends.
    End,
    /// The process ends and what was not synchronised is lost; with a seed, only some of it.
    CutPower(Option<u64>),
}

/// The script of one process.
pub(crate) struct Plan {
    files: Vec<u8>,
    kind: Kind,
    at: u64,
    seed: u64,
    log: Option<c_int>,
    count: u64,
    done: bool,
}

impl Plan {
    pub(crate) fn from_environment() -> Self {
        let text = |name: &str| env::var(name).ok();
        let number = |name: &str| text(name).map_or(0, |text| text.parse().expect("a number"));
        let kind = text("DISK_FAULT_KIND").unwrap_or_else(|| "none".to_owned());
        let kind = KINDS.iter().find(|(name, _)| *name == kind).expect("a known kind of fault").1;
        Self {
            files: env::var_os("DISK_FAULT_FILES").map_or_else(Vec::new, |path| path.as_bytes().to_vec()),
            kind,
            at: number("DISK_FAULT_AT"),
            seed: number("DISK_FAULT_SEED"),
            log: env::var_os("DISK_FAULT_LOG").map(|path| {
                let path = CString::new(path.as_bytes()).expect("a path");
                // SAFETY: the path is terminated.
                unsafe { real::open(path.as_ptr(), libc::O_CREAT | libc::O_WRONLY | libc::O_APPEND, 0o600) }
            }),
            count: 0,
            done: false,
        }
    }

    pub(crate) fn cuts_power(&self) -> bool {
        matches!(self.kind, Kind::Power | Kind::PowerRandom)
    }

    /// The path behind a descriptor, if it is watched.
    pub(crate) fn watched(&self, fd: c_int) -> Option<Path> {
        if self.files.is_empty() {
            return None;
        }
        files::of_descriptor(fd).filter(|path| self.is_watched(path))
    }

    /// The path of a name, if it is watched.
    ///
    /// # Safety
    /// `name` must be a terminated string.
    pub(crate) unsafe fn watched_name(&self, name: *const c_char) -> Option<Path> {
        if self.files.is_empty() {
            return None;
        }
        unsafe { files::of_name(name) }.filter(|path| self.is_watched(path))
    }

    fn is_watched(&self, path: &Path) -> bool {
        let bytes = path.as_os_str().as_bytes();
        bytes.starts_with(&self.files) || self.directory() == bytes
    }

    fn directory(&self) -> &[u8] {
        let end = self.files.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        &self.files[..end]
    }

    /// Counts a call and says how it goes on.
    pub(crate) fn step(&mut self, call: Call, path: &Path) -> Step {
        self.count += 1;
        self.note(call, path);
        if self.at == 0 || self.count < self.at {
            return Step::Run;
        }
        let is_first = !self.done;
        let takes_room = matches!(call, Call::Write | Call::Create);
        let step = match self.kind {
            Kind::None => Step::Run,
            Kind::Kill => Step::End,
            Kind::Torn => Step::HalfThenEnd,
            Kind::Power => Step::CutPower(None),
            Kind::PowerRandom => Step::CutPower(Some(self.seed)),
            Kind::Short if is_first && call == Call::Write => Step::Half,
            Kind::Io if is_first => Step::Fail(libc::EIO),
            Kind::ShortFull if is_first && call == Call::Write => Step::Half,
            Kind::ShortFull if !is_first && takes_room => Step::Fail(libc::ENOSPC),
            Kind::Full if takes_room => Step::Fail(libc::ENOSPC),
            Kind::FullOnce if is_first && takes_room => Step::Fail(libc::ENOSPC),
            Kind::ReadOnly if call != Call::Sync => Step::Fail(libc::EROFS),
            _ => Step::Run,
        };
        self.done |= step != Step::Run;
        step
    }

    fn note(&self, call: Call, path: &Path) {
        let Some(log) = self.log else { return };
        let end = path.as_os_str().as_bytes().get(self.files.len()..).unwrap_or(b"/");
        let line = format!("{call:?} {}\n", String::from_utf8_lossy(end));
        // SAFETY: the line is that long.
        unsafe { real::write(log, line.as_ptr().cast(), line.len()) };
    }
}
