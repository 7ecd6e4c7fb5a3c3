//! Identifies the file that a call operates on.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use libc::{c_char, c_int};

pub(crate) type Path = PathBuf;

/// Returns the path that a descriptor was opened with.
pub(crate) fn of_descriptor(fd: c_int) -> Option<Path> {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()
}

/// Returns the absolute path for a C string.
///
/// # Safety
/// `name` must be a NUL-terminated string.
pub(crate) unsafe fn of_name(name: *const c_char) -> Option<Path> {
    let name = unsafe { CStr::from_ptr(name) };
    std::path::absolute(OsStr::from_bytes(name.to_bytes())).ok()
}
