//! The original functions of the C library.

use std::ffi::CStr;

use libc::{c_char, c_int, c_void, mode_t, off_t, size_t, ssize_t};

macro_rules! real {
    ($($name:ident as $symbol:literal: fn($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(
            /// # Safety
            /// As for the function of that name in the C library.
            pub(crate) unsafe fn $name($($argument: $type),*) -> $result {
                static FOUND: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
                let address = *FOUND.get_or_init(|| find($symbol));
                // SAFETY: The next library that has the symbol is the C library, with this
                // signature.
                let function: unsafe extern "C" fn($($type),*) -> $result = unsafe { std::mem::transmute(address) };
                unsafe { function($($argument),*) }
            }
        )*
    };
}

real! {
    write as c"write": fn(fd: c_int, bytes: *const c_void, length: size_t) -> ssize_t;
    pwrite as c"pwrite": fn(fd: c_int, bytes: *const c_void, length: size_t, at: off_t) -> ssize_t;
    fsync as c"fsync": fn(fd: c_int) -> c_int;
    fdatasync as c"fdatasync": fn(fd: c_int) -> c_int;
    ftruncate as c"ftruncate": fn(fd: c_int, length: off_t) -> c_int;
    open as c"open": fn(path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    unlink as c"unlink": fn(path: *const c_char) -> c_int;
    rename as c"rename": fn(from: *const c_char, to: *const c_char) -> c_int;
}

fn find(symbol: &CStr) -> usize {
    // SAFETY: The name is NUL-terminated. The lookup starts at the library after this one.
    let address = unsafe { libc::dlsym(libc::RTLD_NEXT, symbol.as_ptr()) };
    assert!(!address.is_null(), "the C library has no {symbol:?}");
    address.addr()
}

/// Ends the process immediately, as `kill -9` does.
pub(crate) fn end() -> ! {
    // SAFETY: No memory is involved.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGKILL);
        loop {
            libc::pause();
        }
    }
}
