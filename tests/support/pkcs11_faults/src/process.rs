//! Child processes that share the memory of their parent.

/// Runs `work` in a forked child, and returns the child's exit code: that of `work`, or 255 if it
/// panicked.
pub fn in_child(work: impl FnOnce() -> i32 + std::panic::UnwindSafe) -> i32 {
    // SAFETY: The child runs `work` and ends without unwinding into the frames of the parent or
    // running exit handlers.
    unsafe {
        match libc::fork() {
            -1 => panic!("no child"),
            0 => libc::_exit(std::panic::catch_unwind(work).unwrap_or(255)),
            child => {
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
            }
        }
    }
}
