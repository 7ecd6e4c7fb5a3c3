//! Values that conditions are about.

use crate::clock::Timestamp;

/// One value of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'v> {
    Text(&'v str),
    Number(u32),
    Time(Timestamp),
    Bool(bool),
}

/// What kind of value a condition key has; it says which operators fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    /// Text.
    Text,
    /// Text that is the ARN of a principal.
    Arn,
    /// A number of days.
    Number,
    /// A point in time.
    Date,
    /// A point in time that may be compared as a number of seconds, too.
    Epoch,
    /// True or false.
    Bool,
}
