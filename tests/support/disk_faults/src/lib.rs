//! Sits between a program and its files. Loaded with `LD_PRELOAD`, it replaces the functions of the
//! C library through which SQLite and this crate change files. It counts the calls and, at one of
//! them, injects the fault that the environment specifies.
//!
//! | variable | meaning |
//! |---|---|
//! | `DISK_FAULT_FILES` | only files whose path starts with this value, and their directory, are watched |
//! | `DISK_FAULT_KIND` | the fault to inject; see [`plan::Kind`] |
//! | `DISK_FAULT_AT` | the call at which to inject it, counted from 1; 0 for never |
//! | `DISK_FAULT_SEED` | selects the unsynchronized writes that a random power cut keeps |
//! | `DISK_FAULT_LOG` | a file that receives a line for each call: the function, and the end of the path |
//!
//! Only calls that change something count: `write`, `pwrite`, `ftruncate`, `fsync`, `fdatasync`,
//! `open` of a new file, `unlink` and `rename`. Writes through a memory map do not count. These are
//! writes to the index of SQLite's log, which is rebuilt after a crash.

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

/// The state shared by all calls.
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
    /// Counts a call. Ends the process here if the plan says so, and otherwise returns how the call
    /// proceeds.
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

/// Sets `errno` and returns the result of a failed function.
fn fail<T: From<i8>>(errno: c_int) -> T {
    // SAFETY: The address of this thread's `errno` is always valid.
    unsafe { *libc::__errno_location() = errno };
    T::from(-1)
}

/// Writes at the file's own position, or at a given one.
///
/// # Safety
/// As for `write(2)`.
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
            // SAFETY: The caller guarantees `length` readable bytes.
            let new = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) };
            state.journal.note_write(fd, at, new);
            write(length)
        }
    }
}

/// Performs a call without a length.
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
/// As for `open(2)`.
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
        /// As for the function of the C library that it replaces.
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

    // In C, the mode is optional. On every Linux, it is passed in the same place for both
    // signatures.
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
