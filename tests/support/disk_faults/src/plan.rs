//! The plan: which fault is injected, and when.

use std::env;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use libc::{c_char, c_int};

use crate::files::{self, Path};
use crate::real;

/// The function that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Write,
    Sync,
    Truncate,
    Create,
    Unlink,
    Rename,
}

/// The fault that is injected at the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `none`: no fault; the calls are only counted.
    None,
    /// `kill`: the process ends before the call.
    Kill,
    /// `torn`: the process ends in the middle of a write, or after any other call.
    Torn,
    /// `power`: the process ends before the call, and all unsynchronized changes of every file are
    /// undone.
    Power,
    /// `power_random`: as `power`, but some of the unsynchronized changes stay, in no order.
    PowerRandom,
    /// `short`: the call, if it is a write, writes half and reports that.
    Short,
    /// `eio`: only this call fails.
    Io,
    /// `enospc`: from this call on, the disk is permanently full.
    Full,
    /// `enospc_once`: the disk is full only at this call.
    FullOnce,
    /// `short_enospc`: half of a write fits, and from then on the disk is full.
    ShortFull,
    /// `erofs`: from this call on, the file system is read-only.
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

/// The way a call proceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// As without this library.
    Run,
    /// The call fails.
    Fail(c_int),
    /// The call writes half.
    Half,
    /// The call does half of its work, and then the process ends.
    HalfThenEnd,
    /// The process ends.
    End,
    /// The process ends, and unsynchronized changes are lost. With a seed, only some of them are.
    CutPower(Option<u64>),
}

/// The plan for one process.
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
                // SAFETY: The path is NUL-terminated.
                unsafe { real::open(path.as_ptr(), libc::O_CREAT | libc::O_WRONLY | libc::O_APPEND, 0o600) }
            }),
            count: 0,
            done: false,
        }
    }

    pub(crate) fn cuts_power(&self) -> bool {
        matches!(self.kind, Kind::Power | Kind::PowerRandom)
    }

    /// Returns the path behind a descriptor, if it is watched.
    pub(crate) fn watched(&self, fd: c_int) -> Option<Path> {
        if self.files.is_empty() {
            return None;
        }
        files::of_descriptor(fd).filter(|path| self.is_watched(path))
    }

    /// Returns the path for a name, if it is watched.
    ///
    /// # Safety
    /// `name` must be a NUL-terminated string.
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

    /// Counts a call and returns how it proceeds.
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
        // SAFETY: The line has that length.
        unsafe { real::write(log, line.as_ptr().cast(), line.len()) };
    }
}
