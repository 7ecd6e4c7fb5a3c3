//! The record with the wrapped versions of a root key is not sealed, so an attacker with write
//! access to the store can replace it. Accepted records have a single encoding: the input.
//!
//! Input: a record up to its checksum, which the target appends.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom::fuzzing::rewritten_root_record;

fuzz_target!(|content: &[u8]| {
    if let Some(rewritten) = rewritten_root_record(content) {
        assert_eq!(rewritten, content, "accepted bytes are canonical");
    }
});
