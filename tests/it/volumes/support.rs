//! Volumes for the tests of this area, and the programs that verify them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use strongroom::key::KeyId;
use strongroom::volumes::{SectorSize, VolumeGeometry, VolumeHeader, VolumeId, VolumeKey, VolumeKeys};
use strongroom::{Kms, SecretBytes};

use crate::support::external_tools;

pub(super) type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

pub(super) const SECTOR_SIZES: [SectorSize; 2] = [SectorSize::Bytes512, SectorSize::Bytes4096];

/// A KMS with a key and a volume under it.
pub(super) struct Setup {
    pub(super) kms: Kms,
    pub(super) key: KeyId,
    pub(super) keys: VolumeKeys,
    pub(super) id: VolumeId,
    pub(super) header: VolumeHeader,
}

impl Setup {
    pub(super) fn new(sector_size: SectorSize, size: u64) -> TestResult<Self> {
        let kms = Kms::in_memory()?;
        let key = kms.create_key(Default::default())?.key_id();
        let keys = VolumeKeys::new(&kms, key)?;
        let id = VolumeId::parse("vol-0a1b2c3d4e5f60718")?;
        let header = keys.create(&id, VolumeGeometry::new(sector_size, size)?)?;
        Ok(Self { kms, key, keys, id, header })
    }

    pub(super) fn attach(&self) -> strongroom::Result<VolumeKey> {
        self.keys.attach(&self.header, &self.id)
    }
}

/// Returns a key that is the same in every test.
pub(super) fn fixed_key() -> VolumeKey {
    VolumeKey::from_secret(SecretBytes::from_vec((0..64).collect())).expect("two different keys")
}

/// Returns bytes without a period that sectors could have.
pub(super) fn pattern(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(step).collect()
}

/// Returns `true` if a program is installed. Otherwise the test is reported as skipped.
pub(super) fn is_installed(test: &str, program: &str) -> bool {
    let ran = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let is_installed = ran.is_ok_and(|status| status.success());
    if !is_installed {
        external_tools::missing(test, &format!("{program} is not installed; ./test.sh installs it"));
    }
    is_installed
}

/// Runs a program in a folder with input. Returns `true` and its output, or `false` and its output
/// with its errors.
pub(super) fn run(folder: &Path, command: &[&str], input: &[u8]) -> TestResult<(bool, String)> {
    let (program, arguments) = command.split_first().ok_or("a program")?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().ok_or("a pipe")?;
    let output = thread::scope(|scope| {
        // The program may exit before it has read everything.
        scope.spawn(move || stdin.write_all(input).unwrap_or_default());
        child.wait_with_output()
    })?;
    let mut printed = output.stdout;
    if !output.status.success() {
        printed.extend(output.stderr);
    }
    Ok((output.status.success(), String::from_utf8_lossy(&printed).into_owned()))
}

/// Runs a program that must succeed, and returns its output.
pub(super) fn must(folder: &Path, command: &[&str]) -> TestResult<String> {
    let (succeeded, printed) = run(folder, command, &[])?;
    assert!(succeeded, "{command:?}: {printed}");
    Ok(printed)
}
