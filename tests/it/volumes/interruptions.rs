//! Storages that panic, and machines without another thread.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use strongroom::volumes::{SectorSize, Volume, VolumeGeometry, VolumeStorage};

use super::support::{TestResult, fixed_key, pattern};

/// A storage that panics in its first write.
struct Panicking {
    inner: Cursor<Vec<u8>>,
    is_armed: bool,
}

impl Read for Panicking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl Write for Panicking {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        assert!(!std::mem::take(&mut self.is_armed), "the storage panics");
        self.inner.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Panicking {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

impl VolumeStorage for Panicking {
    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        self.inner.set_length(bytes)
    }

    fn synchronize(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn volumes_remain_usable_after_a_panic_of_the_storage() -> TestResult {
    let geometry = VolumeGeometry::new(SectorSize::Bytes512, 64 << 10)?;
    let storage = Panicking { inner: Cursor::new(vec![0; 64 << 10]), is_armed: true };
    let mut volume = Volume::builder(&fixed_key(), geometry).open(storage)?;
    assert!(catch_unwind(AssertUnwindSafe(|| volume.write_at(0, &[1; 1_024]))).is_err());

    // A part of a sector first: without a buffer, complete sectors would never be written.
    let data = pattern(10_000, 5);
    volume.write_at(1_000, &data)?;
    volume.write_at(20_480, &data)?;
    let mut read = vec![0; data.len()];
    for offset in [1_000, 20_480] {
        volume.read_at(offset, &mut read)?;
        assert!(read == data, "other data at {offset}");
    }
    Ok(())
}

// The child processes of the tests need one of these features.
#[cfg(all(target_os = "linux", any(feature = "postgres", feature = "sqlite")))]
mod threads {
    use std::io::Cursor;
    use std::num::NonZeroUsize;
    use std::thread;

    use strongroom::volumes::{SectorSize, Volume, VolumeGeometry};

    use super::{TestResult, fixed_key, pattern};
    use crate::support::child_process::run_tests;

    const CHILD: &str = "volumes::interruptions::threads::runs_without_another_thread";

    /// More than the address space, so that no thread receives a stack.
    const STACK_BYTES: u64 = 1 << 47;

    #[test]
    #[ignore = "run only as a child process"]
    fn runs_without_another_thread() -> TestResult {
        assert!(thread::Builder::new().spawn(|| ()).is_err(), "a thread was started");
        let geometry = VolumeGeometry::new(SectorSize::Bytes4096, 2 << 20)?;
        let data = pattern(2 << 20, 6);
        let write = |threads| -> TestResult<Vec<u8>> {
            let threads = NonZeroUsize::new(threads).ok_or("a number of threads")?;
            let mut volume =
                Volume::builder(&fixed_key(), geometry).threads(threads).create(Cursor::new(Vec::new()))?;
            volume.write_at(0, &data)?;
            let mut read = vec![0; data.len()];
            volume.read_at(0, &mut read)?;
            assert!(read == data, "other data on {threads} threads");
            Ok(volume.into_storage().into_inner())
        };
        assert!(write(1)? == write(8)?);
        Ok(())
    }

    #[test]
    fn threads_that_cannot_be_started_are_replaced_by_the_caller() -> TestResult {
        let arguments = [CHILD, "--exact", "--ignored", "--test-threads=1"];
        let output = run_tests(&arguments, &[("RUST_MIN_STACK", &STACK_BYTES.to_string())])?;
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
        Ok(())
    }
}
