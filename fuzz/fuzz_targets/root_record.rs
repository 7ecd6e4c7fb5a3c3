//! The record with the wrapped versions of a root key is not sealed: whoever can write the store can put anything there. Whatever
//! is accepted has one encoding, and that is what was read.
//!
//! Input: a record up to its checksum, which the target adds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom::fuzzing::rewritten_root_record;

fuzz_target!(|content: &[u8]| {
    if let Some(rewritten) = rewritten_root_record(content) {
        assert_eq!(rewritten, content, "what is accepted is canonical");
    }
});
