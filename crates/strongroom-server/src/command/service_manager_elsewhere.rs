//! Other platforms have no such service manager.

pub(super) fn ready() {}

pub(super) fn stopping() {}
