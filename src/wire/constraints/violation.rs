//! Violated constraints, and their text in the form of AWS.

use std::fmt::{self, Write as _};

use super::pattern::Pattern;
use super::shape::Shape;
use crate::wire::rejection::Rejection;
use crate::wire::value::{Value, lower_camel};

/// The largest number of violations in one message, as in recorded answers of AWS.
const MAX_REPORTED: usize = 10;

/// The largest number of characters of a value in a message. AWS repeats the complete value.
const MAX_SHOWN: usize = 256;

/// A constraint on the value of a member.
#[derive(Clone, Copy, Debug)]
pub(super) enum Constraint {
    LengthAtMost(usize),
    LengthAtLeast(usize),
    ValueAtMost(i128),
    ValueAtLeast(i128),
    Enum(&'static [&'static str]),
    Pattern(Pattern),
    NotNull,
}

impl Constraint {
    /// Returns the constraints of a type, without those of its elements or members.
    pub(super) fn of(shape: &Shape) -> Vec<Self> {
        match *shape {
            Shape::Text { min, max, pattern, .. } => {
                let lengths = [Self::LengthAtMost(max), Self::LengthAtLeast(min)];
                lengths.into_iter().chain(pattern.map(Self::Pattern)).collect()
            }
            Shape::Enum(values) => vec![Self::Enum(values)],
            Shape::Blob { min, max, .. } | Shape::List { min, max, .. } => {
                vec![Self::LengthAtMost(max), Self::LengthAtLeast(min)]
            }
            Shape::Integer { min, max } => vec![Self::ValueAtMost(max), Self::ValueAtLeast(min)],
            Shape::Boolean | Shape::Timestamp | Shape::StringMap | Shape::Structure(_) => Vec::new(),
        }
    }

    /// Returns `true` if a length satisfies the constraint.
    pub(super) const fn allows_length(self, length: usize) -> bool {
        match self {
            Self::LengthAtMost(most) => length <= most,
            Self::LengthAtLeast(least) => length >= least,
            _ => true,
        }
    }

    /// Returns `true` if a number satisfies the constraint.
    pub(super) const fn allows_integer(self, value: i128) -> bool {
        match self {
            Self::ValueAtMost(most) => value <= most,
            Self::ValueAtLeast(least) => value >= least,
            _ => true,
        }
    }

    /// Returns `true` if a string satisfies the constraint.
    pub(super) fn allows_text(self, value: &str) -> bool {
        match self {
            Self::Enum(values) => values.contains(&value),
            Self::Pattern(pattern) => pattern.matches(value),
            _ => self.allows_length(value.chars().count()),
        }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LengthAtMost(most) => write!(f, "Member must have length less than or equal to {most}"),
            Self::LengthAtLeast(least) => write!(f, "Member must have length greater than or equal to {least}"),
            Self::ValueAtMost(most) => write!(f, "Member must have value less than or equal to {most}"),
            Self::ValueAtLeast(least) => write!(f, "Member must have value greater than or equal to {least}"),
            Self::Enum(values) => write!(f, "Member must satisfy enum value set: [{}]", values.join(", ")),
            Self::Pattern(pattern) => {
                write!(f, "Member must satisfy regular expression pattern: {}", pattern.as_str())
            }
            Self::NotNull => f.write_str("Member must not be null"),
        }
    }
}

/// The place of a value in a request.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    Member(Option<&'p Path<'p>>, &'p str),
    /// An element of a list, counted from zero.
    Element(&'p Path<'p>, usize),
}

/// Writes member names in lower camel case and counts elements from one: `tags.1.member.tagKey`.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Member(None, name) => f.write_str(&lower_camel(name)),
            Self::Member(Some(parent), name) => write!(f, "{parent}.{}", lower_camel(name)),
            Self::Element(list, at) => write!(f, "{list}.{}.member", at.saturating_add(1)),
        }
    }
}

/// The form in which a message contains the value.
#[derive(Clone, Copy)]
pub(super) enum Shown<'v> {
    /// Not at all: blobs, sensitive members even if they are absent, and encryption contexts.
    Hidden,
    Missing,
    Value(&'v Value<'v>),
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hidden => f.write_str("Value"),
            Self::Missing => f.write_str("Value null"),
            Self::Value(value) => write!(f, "Value '{}'", excerpt(value)),
        }
    }
}

/// Returns the start of a scalar, or of a list of scalars. Escapes control characters.
fn excerpt(value: &Value<'_>) -> String {
    let mut shown = String::new();
    let mut room = MAX_SHOWN;
    match value {
        Value::List(values) => {
            push(&mut shown, &mut room, "[");
            for (at, element) in values.iter().enumerate() {
                push(&mut shown, &mut room, if at == 0 { "" } else { ", " });
                push_scalar(&mut shown, &mut room, element);
            }
            push(&mut shown, &mut room, "]");
        }
        scalar => push_scalar(&mut shown, &mut room, scalar),
    }
    shown
}

fn push_scalar(shown: &mut String, room: &mut usize, value: &Value<'_>) {
    match value {
        Value::Text(text) => push(shown, room, text.as_str()),
        Value::Number(number) => push(shown, room, &number.to_string()),
        Value::Bool(value) => push(shown, room, if *value { "true" } else { "false" }),
        Value::Null | Value::List(_) | Value::Object(_) => push(shown, room, "null"),
    }
}

/// Appends text until the room for it is used up, and marks the cut.
fn push(shown: &mut String, room: &mut usize, text: &str) {
    for character in text.chars() {
        if *room == 0 {
            if !shown.ends_with('…') {
                shown.push('…');
            }
            return;
        }
        *room -= 1;
        if character.is_control() { shown.extend(character.escape_default()) } else { shown.push(character) }
    }
}

/// The violations of a request, as the beginning of a message.
#[derive(Debug, Default)]
pub(super) struct Report {
    violations: String,
    count: usize,
}

impl Report {
    /// Adds a violation: the violated rule of the value at a path.
    pub(super) fn add(&mut self, shown: Shown<'_>, path: Path<'_>, rule: fmt::Arguments<'_>) {
        if self.count == MAX_REPORTED {
            return;
        }
        let separator = if self.count == 0 { "" } else { "; " };
        write!(self.violations, "{separator}{shown} at '{path}' failed to satisfy constraint: {rule}")
            .expect("writing to a string does not fail");
        self.count += 1;
    }

    /// Returns the refusal of a request with violations.
    pub(super) fn into_result(self) -> Result<(), Rejection> {
        let Self { violations, count } = self;
        if count == 0 {
            return Ok(());
        }
        let errors = if count == 1 { "error" } else { "errors" };
        Err(Rejection::invalid(format!("{count} validation {errors} detected: {violations}")))
    }
}
