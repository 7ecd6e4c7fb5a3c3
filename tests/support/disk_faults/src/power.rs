//! The effect of a power cut: all changes that were not synchronized are lost.
//!
//! This simulates the worst disk that POSIX allows. It may lose any or all unsynchronized writes,
//! and a new name until the directory is synchronized. So before each change, its inverse is
//! recorded. The record is discarded when the file is synchronized.

use std::collections::HashMap;

use libc::{c_int, off_t};

use crate::files::Path;
use crate::real;

type Inode = (u64, u64);

enum Change {
    /// The position and bytes of a write, the previous bytes, and the previous length of the file.
    Write { file: Inode, at: off_t, new: Vec<u8>, old: Vec<u8>, length: off_t },
    /// The new length of a file, the removed bytes, and the previous length.
    Truncate { file: Inode, to: off_t, old: Vec<u8>, length: off_t },
    /// A file that was created with this name.
    Create(Path),
}

impl Change {
    fn is_of(&self, inode: Inode) -> bool {
        matches!(self, Self::Write { file, .. } | Self::Truncate { file, .. } if *file == inode)
    }
}

/// The unsynchronized changes, in order.
pub(crate) struct Journal {
    is_kept: bool,
    changes: Vec<Change>,
    /// A separate descriptor for each file. It is never closed, because that would release the
    /// locks of the process.
    descriptors: HashMap<Inode, c_int>,
}

impl Journal {
    pub(crate) fn new(is_kept: bool) -> Self {
        Self { is_kept, changes: Vec::new(), descriptors: HashMap::new() }
    }

    pub(crate) fn note_write(&mut self, fd: c_int, at: Option<off_t>, new: &[u8]) {
        if !self.is_kept {
            return;
        }
        let Some((file, length)) = self.find(fd) else { return };
        // SAFETY: No memory is involved.
        let at = at.unwrap_or_else(|| unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) });
        let end = (at + new.len() as off_t).min(length);
        let old = read(self.descriptors[&file], at, end);
        self.changes.push(Change::Write { file, at, new: new.to_vec(), old, length });
    }

    pub(crate) fn note_truncate(&mut self, fd: c_int, to: off_t) {
        if !self.is_kept {
            return;
        }
        let Some((file, length)) = self.find(fd) else { return };
        let old = read(self.descriptors[&file], to, length);
        self.changes.push(Change::Truncate { file, to, old, length });
    }

    pub(crate) fn note_create(&mut self, path: Path) {
        if self.is_kept {
            self.changes.push(Change::Create(path));
        }
    }

    /// Records that a file synchronized its bytes, or a directory its names.
    pub(crate) fn note_sync(&mut self, fd: c_int, path: &Path) {
        if !self.is_kept {
            return;
        }
        let Some((inode, _)) = self.find(fd) else { return };
        self.changes.retain(|change| match change {
            Change::Create(name) => name.parent() != Some(path),
            change => !change.is_of(inode),
        });
    }

    /// Undoes unsynchronized changes. With a seed, undoes only some of them.
    pub(crate) fn cut(&mut self, seed: Option<u64>) {
        for change in self.changes.iter().rev() {
            match change {
                Change::Write { file, at, old, length, .. } => {
                    write(self.descriptors[file], *at, old);
                    set_length(self.descriptors[file], *length);
                }
                Change::Truncate { file, to, old, length } => {
                    set_length(self.descriptors[file], *length);
                    write(self.descriptors[file], *to, old);
                }
                Change::Create(_) => {}
            }
        }
        let Some(mut state) = seed else {
            self.changes.iter().for_each(lose_name);
            return;
        };
        for change in &self.changes {
            // SplitMix64.
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let is_lost = (mixed ^ (mixed >> 27)) & (1 << 40) == 0;
            match change {
                change if is_lost => lose_name(change),
                Change::Write { file, at, new, .. } => write(self.descriptors[file], *at, new),
                Change::Truncate { file, to, .. } => set_length(self.descriptors[file], *to),
                Change::Create(_) => {}
            }
        }
    }

    /// Returns the file behind a descriptor, and its length.
    fn find(&mut self, fd: c_int) -> Option<(Inode, off_t)> {
        // SAFETY: All-zero bytes are a valid `stat`, which the call fills in.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        if unsafe { libc::fstat(fd, &mut stat) } != 0 {
            return None;
        }
        let inode = (stat.st_dev, stat.st_ino);
        self.descriptors.entry(inode).or_insert_with(|| open_again(fd));
        Some((inode, stat.st_size))
    }
}

/// Opens another descriptor for the same file, if necessary also for reading.
fn open_again(fd: c_int) -> c_int {
    let name = std::ffi::CString::new(format!("/proc/self/fd/{fd}")).expect("no byte of it is zero");
    // SAFETY: The name is NUL-terminated. A directory can only be opened for reading.
    unsafe {
        match real::open(name.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC, 0) {
            -1 => real::open(name.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC, 0),
            opened => opened,
        }
    }
}

fn lose_name(change: &Change) {
    if let Change::Create(path) = change {
        use std::os::unix::ffi::OsStrExt;
        if let Ok(path) = std::ffi::CString::new(path.as_os_str().as_bytes()) {
            // SAFETY: The path is NUL-terminated.
            unsafe { real::unlink(path.as_ptr()) };
        }
    }
}

fn read(fd: c_int, from: off_t, to: off_t) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(0)];
    // SAFETY: The buffer has that length.
    let count = unsafe { libc::pread(fd, bytes.as_mut_ptr().cast(), bytes.len(), from) };
    assert_eq!(usize::try_from(count), Ok(bytes.len()), "the data to restore can be read");
    bytes
}

fn write(fd: c_int, at: off_t, bytes: &[u8]) {
    // SAFETY: The buffer has that length.
    let count = unsafe { real::pwrite(fd, bytes.as_ptr().cast(), bytes.len(), at) };
    assert_eq!(usize::try_from(count), Ok(bytes.len()), "the restored data can be written");
}

fn set_length(fd: c_int, length: off_t) {
    // SAFETY: No memory is involved.
    let done = unsafe { real::ftruncate(fd, length) };
    assert_eq!(done, 0, "a length can be restored");
}
