//! The tests of the feature `object_store`.

mod binding;
mod conditions;
mod faults;
mod folders;
mod interop;
mod keys;
mod kills;
mod multipart;
mod properties;
mod ranges;
mod suite;
mod support;
mod sweep;
mod sweep_keys;
mod tampering;
