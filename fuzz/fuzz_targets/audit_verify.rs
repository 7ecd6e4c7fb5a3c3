//! Untrusted audit trail files: the verifier is total, accepts any bytes as a file, and never
//! reports an altered record as intact.
//!
//! Input: modifications of the files of a valid trail, applied in sequence.

#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use strongroom::Kms;
use strongroom::audit::{Durability, FileTrail};
use strongroom_fuzz::Edit;

#[derive(Arbitrary, Debug)]
struct Damage {
    /// Index of the modified file.
    file: u8,
    kind: Kind,
}

#[derive(Arbitrary, Debug)]
enum Kind {
    Edit(Edit),
    /// Replaces the contents of the file with arbitrary bytes.
    Replace(Vec<u8>),
    Delete,
    /// Swaps the file with another one.
    Swap(u8),
}

/// A KMS whose trail contains changes, some reads and a checkpoint, and its files in order.
struct Good {
    kms: Kms,
    directory: PathBuf,
    files: Vec<(PathBuf, Vec<u8>)>,
}

static GOOD: LazyLock<Good> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("strongroom-fuzz-audit-{}", std::process::id()));
    let trail = FileTrail::new(&directory).durability(Durability::Buffered).file_bytes(2_500);
    let trail = std::sync::Arc::new(trail);
    let kms = Kms::builder().audit(std::sync::Arc::clone(&trail)).build().expect("a trail");
    for _ in 0..3 {
        kms.create_key(Default::default()).expect("a key");
        kms.list_keys(Default::default()).expect("a list");
    }
    trail.checkpoint(&|message: &[u8]| Ok(message.to_vec())).expect("a checkpoint");
    kms.run_maintenance().expect("a sweep");
    let entries = fs::read_dir(&directory).expect("a directory").filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    paths.sort();
    let files: Vec<_> = paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("a file"))).collect();
    assert!(files.len() > 2, "records cross from file to file");
    Good { kms, directory, files }
});

/// Returns all lines except the first, which has no MAC. Its encoding may differ as long as its
/// content is the same.
fn records(bytes: &[u8]) -> &[u8] {
    bytes.iter().position(|byte| *byte == b'\n').map_or(&[], |end| &bytes[end + 1..])
}

fuzz_target!(|damages: Vec<Damage>| {
    let good = &*GOOD;
    let count = good.files.len();
    let mut files: Vec<Option<Vec<u8>>> = good.files.iter().map(|(_, bytes)| Some(bytes.clone())).collect();
    for Damage { file, kind } in damages {
        let file = usize::from(file) % count;
        match kind {
            Kind::Edit(edit) => files[file].iter_mut().for_each(|bytes| edit.apply(bytes)),
            Kind::Replace(bytes) => files[file] = Some(bytes),
            Kind::Delete => files[file] = None,
            Kind::Swap(other) => files.swap(file, usize::from(other) % count),
        }
    }
    for ((path, _), bytes) in good.files.iter().zip(&files) {
        match bytes {
            Some(bytes) => fs::write(path, bytes).expect("a file"),
            None => drop(fs::remove_file(path)),
        }
    }
    let report = good.kms.verify_audit_trail(&good.directory).expect("the files can be read");
    // The store records how far the trail extends, so nothing can be missing. A torn last line is
    // handled by the writer.
    if report.is_intact() {
        for (place, ((_, good), bytes)) in good.files.iter().zip(&files).enumerate() {
            let (good, bytes) = (records(good), records(bytes.as_deref().unwrap_or_default()));
            let same = if place + 1 == count { bytes.starts_with(good) } else { bytes == good };
            assert!(same, "an altered trail was reported as intact");
        }
    }
});
