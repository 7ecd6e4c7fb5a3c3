//! Stands between a program and its files. Loaded with `LD_PRELOAD`, it takes the place of those functions of the C library
//! through which SQLite and this crate change files, counts the calls, and at one of them does what the environment says.
//!
//! | variable | meaning |
//! |---|---|
//! | `DISK_FAULT_FILES` | only files whose path begins like this, and the directory they are in, are watched |
//! | `DISK_FAULT_KIND` | what happens; see [`plan::Kind`] |
//! | `DISK_FAULT_AT` | at which call, counted from 1; 0 for never |
//! | `DISK_FAULT_SEED` | which of the unsynchronised writes a random power cut keeps |
//! | `DISK_FAULT_LOG` | a file that gets a line for each call: what was called, and the end of the path |
//!
//! Only calls that change something count: `write`, `pwrite`, `ftruncate`, `fsync`, `fdatasync`, `open` of a new file, `unlink`
//! and `rename`. What is written through a memory map (the index of SQLite's log, which is made anew after a crash) does not.

#![cfg(target_os = "linux")]

mod files;
mod plan;
mod power;
mod real;

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use libc::{c_char, c_int, c_void, mode_t, off_t, size_t, ssize_t};

use crate::files::Path;
use crate::plan::{Call, Plan, Step};
use crate::power::Journal;

/// What all calls share.
struct State {
    plan: Plan,
    journal: Journal,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(|| {
    let plan = Plan::from_environment();
    let journal = Journal::new(plan.cuts_power());
    Mutex::new(State { plan, journal })
});

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Counts a call and ends the process here if it is to end here; says otherwise how the call goes on.
    fn step(&mut self, call: Call, path: &Path) -> Step {
        let step = self.plan.step(call, path);
        match step {
            Step::End => real::end(),
            Step::CutPower(seed) => {
                self.journal.cut(seed);
                real::end()
            }
            _ => step,
        }
    }
}

/// Sets `errno` and returns what a function that failed returns.
fn fail<T: From<i8>>(errno: c_int) -> T {
    // SAFETY: the address of this thread's `errno` is always valid.
    unsafe { *libc::__errno_location() = errno };
    T::from(-1)
}

/// A write, at the file's own position or at one that is given.
///
/// # Safety
/// As `write(2)`.
unsafe fn change(fd: c_int, bytes: *const c_void, length: size_t, at: Option<off_t>) -> ssize_t {
    let write = |length| unsafe {
        match at {
            None => real::write(fd, bytes, length),
            Some(at) => real::pwrite(fd, bytes, length, at),
        }
    };
    let mut state = state();
    let Some(path) = state.plan.watched(fd) else {
        drop(state);
        return write(length);
    };
    match state.step(Call::Write, &path) {
        Step::Fail(errno) => fail(errno),
        Step::Half => write(length.div_ceil(2)),
        Step::HalfThenEnd => {
            write(length / 2);
            real::end()
        }
        _ => {
            // SAFETY: the caller vouches for `length` readable bytes.
            let new = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) };
            state.journal.note_write(fd, at, new);
            write(length)
        }
    }
}

/// A call without a length.
fn other(call: Call, path: Option<Path>, state: &mut State, run: impl FnOnce(&mut Journal) -> c_int) -> c_int {
    let Some(path) = path else { return run(&mut state.journal) };
    match state.step(call, &path) {
        Step::Fail(errno) => fail(errno),
        Step::HalfThenEnd => {
            run(&mut state.journal);
            real::end()
        }
        _ => run(&mut state.journal),
    }
}

fn sync(fd: c_int, run: impl FnOnce() -> c_int) -> c_int {
    let mut state = state();
    let path = state.plan.watched(fd);
    let kept = path.clone();
    other(Call::Sync, path, &mut state, |journal| {
        let done = run();
        if let Some(path) = kept.filter(|_| done == 0) {
            journal.note_sync(fd, &path);
        }
        done
    })
}

fn truncate(fd: c_int, length: off_t) -> c_int {
    let mut state = state();
    let path = state.plan.watched(fd);
    let is_watched = path.is_some();
    other(Call::Truncate, path, &mut state, |journal| {
        if is_watched {
            journal.note_truncate(fd, length);
        }
        unsafe { real::ftruncate(fd, length) }
    })
}

/// # Safety
/// As `open(2)`.
unsafe fn open_file(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let run = || unsafe { real::open(path, flags, mode) };
    let makes = flags & libc::O_CREAT != 0 && unsafe { libc::access(path, libc::F_OK) } != 0;
    if !makes {
        return run();
    }
    let mut state = state();
    let watched = unsafe { state.plan.watched_name(path) };
    let kept = watched.clone();
    other(Call::Create, watched, &mut state, |journal| {
        let fd = run();
        if let Some(path) = kept.filter(|_| fd >= 0) {
            journal.note_create(path);
        }
        fd
    })
}

macro_rules! interpose {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block)*) => {
        $($(#[$doc])*
        /// # Safety
        /// As the function of the C library whose place it takes.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result $body)*
    };
}

interpose! {
    fn write(fd: c_int, bytes: *const c_void, length: size_t) -> ssize_t {
        unsafe { change(fd, bytes, length, None) }
    }

    fn pwrite(fd: c_int, bytes: *const c_void, length: size_t, at: off_t) -> ssize_t {
        unsafe { change(fd, bytes, length, Some(at)) }
    }

    fn pwrite64(fd: c_int, bytes: *const c_void, length: size_t, at: off_t) -> ssize_t {
        unsafe { change(fd, bytes, length, Some(at)) }
    }

    fn fsync(fd: c_int) -> c_int {
        sync(fd, || unsafe { real::fsync(fd) })
    }

    fn fdatasync(fd: c_int) -> c_int {
        sync(fd, || unsafe { real::fdatasync(fd) })
    }

    fn ftruncate(fd: c_int, length: off_t) -> c_int {
        truncate(fd, length)
    }

    fn ftruncate64(fd: c_int, length: off_t) -> c_int {
        truncate(fd, length)
    }

    // In C the mode is optional; where it is passed is the same for both on every Linux.
    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        unsafe { open_file(path, flags, mode) }
    }

    fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        unsafe { open_file(path, flags, mode) }
    }

    fn unlink(path: *const c_char) -> c_int {
        let mut state = state();
        let watched = unsafe { state.plan.watched_name(path) };
        other(Call::Unlink, watched, &mut state, |_| unsafe { real::unlink(path) })
    }

    fn rename(from: *const c_char, to: *const c_char) -> c_int {
        let mut state = state();
        let watched = unsafe { state.plan.watched_name(to) };
        other(Call::Rename, watched, &mut state, |_| unsafe { real::rename(from, to) })
    }
}
