//! Values that conditions compare.

use crate::clock::Timestamp;

/// A value of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::policy) enum Value<'v> {
    Text(&'v str),
    Number(u32),
    Time(Timestamp),
    Bool(bool),
}

/// The type of the values of a condition key, which determines the operators that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::policy) enum ValueType {
    /// Text.
    Text,
    /// Text that is the ARN of a principal.
    Arn,
    /// A number of days.
    Number,
    /// A point in time.
    Date,
    /// A point in time that may also be compared as a number of seconds.
    Epoch,
    /// True or false.
    Bool,
}
