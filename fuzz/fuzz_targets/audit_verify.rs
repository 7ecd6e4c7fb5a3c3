//! Trail files from outside: the verifier is total, takes any bytes for a file, and calls no altered record good.
//!
//! Input: edits of a good trail, or a file of any bytes.

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
enum Case {
    Edited(Vec<Edit>),
    Bytes(Vec<u8>),
}

/// A KMS whose trail has a change, some reading, and a checkpoint; and its one file.
struct Good {
    kms: Kms,
    directory: PathBuf,
    file: PathBuf,
    bytes: Vec<u8>,
}

static GOOD: LazyLock<Good> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("strongroom-fuzz-audit-{}", std::process::id()));
    let trail = std::sync::Arc::new(FileTrail::new(&directory).durability(Durability::Buffered));
    let kms = Kms::builder().audit(std::sync::Arc::clone(&trail)).build().expect("a trail");
    for _ in 0..3 {
        kms.create_key(Default::default()).expect("a key");
        kms.list_keys(Default::default()).expect("a list");
    }
    trail.checkpoint(&|message: &[u8]| Ok(message.to_vec())).expect("a checkpoint");
    kms.run_maintenance().expect("a sweep");
    let files = fs::read_dir(&directory).expect("a directory").filter_map(|entry| Some(entry.ok()?.path()));
    let file = files.into_iter().find(|path| path.extension().is_some_and(|end| end == "jsonl")).expect("a file");
    let bytes = fs::read(&file).expect("a file");
    Good { kms, directory, file, bytes }
});

fuzz_target!(|case: Case| {
    let good = &*GOOD;
    let bytes = match case {
        Case::Bytes(bytes) => bytes,
        Case::Edited(edits) => {
            let mut bytes = good.bytes.clone();
            edits.iter().for_each(|edit| edit.apply(&mut bytes));
            bytes
        }
    };
    fs::write(&good.file, &bytes).expect("a file");
    let report = good.kms.verify_audit_trail(&good.directory).expect("the files can be read");
    // The store knows how far the trail is, so that nothing can be missing; a torn last line is the writer's business.
    if report.is_intact() {
        // The first line has no code: it may be written otherwise, as long as it says the same.
        let records = |bytes: &[u8]| bytes.splitn(2, |byte| *byte == b'\n').nth(1).unwrap_or_default().to_vec();
        assert!(records(&bytes).starts_with(&records(&good.bytes)), "an altered trail was called intact");
    }
});
