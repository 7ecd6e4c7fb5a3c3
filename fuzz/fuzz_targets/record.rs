//! Sealed data is parsed as carefully as unsealed data: the record of a key, and the keys in an
//! export. Accepted data has a single encoding: the input.
//!
//! Input: a byte 0 and a record, or any other byte and the sealed part of an export.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom::fuzzing::{rewritten_export_payload, rewritten_key_record};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    let rewritten = match which {
        0 => rewritten_key_record(rest),
        _ => rewritten_export_payload(rest),
    };
    if let Some(rewritten) = rewritten {
        assert_eq!(rewritten, rest, "accepted bytes are canonical");
    }
});
