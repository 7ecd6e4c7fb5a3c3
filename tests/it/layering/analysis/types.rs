//! Types, as far as they are needed to resolve methods. References and lifetimes are dropped.

use std::collections::BTreeMap;

use super::graph::Module;

/// An item, as the module that defines it and its name.
pub(super) type Id = (Module, String);

/// A type, or the known part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Unknown,
    /// A type or trait of the crate.
    Own(Id, Vec<Type>),
    /// A type or trait of another crate, by the last segment of its path.
    Foreign(String, Vec<Type>),
    /// A generic parameter with its bounds.
    Param(String, Vec<Type>),
    /// `impl A + B` and `dyn A + B`.
    Bounds(Vec<Type>),
    /// A closure, a function pointer or a bound such as `FnOnce(A) -> B`.
    Function(Vec<Type>, Box<Type>),
    Tuple(Vec<Type>),
}

/// Generic parameters with the types that replace them.
pub(super) type Arguments = BTreeMap<String, Type>;

impl Type {
    pub(super) fn foreign(name: &str, arguments: Vec<Self>) -> Self {
        Self::Foreign(name.to_owned(), arguments)
    }

    pub(super) fn unit() -> Self {
        Self::Tuple(Vec::new())
    }

    /// Returns the n-th generic argument.
    pub(super) fn argument(&self, index: usize) -> Self {
        match self {
            Self::Own(_, arguments) | Self::Foreign(_, arguments) => {
                arguments.get(index).cloned().unwrap_or(Self::Unknown)
            }
            _ => Self::Unknown,
        }
    }

    /// Returns the type with its parameters replaced.
    pub(super) fn with(&self, arguments: &Arguments) -> Self {
        let all = |types: &[Self]| types.iter().map(|one| one.with(arguments)).collect();
        match self {
            Self::Unknown => Self::Unknown,
            Self::Own(id, types) => Self::Own(id.clone(), all(types)),
            Self::Foreign(name, types) => Self::Foreign(name.clone(), all(types)),
            Self::Param(name, bounds) => match arguments.get(name) {
                Some(known) => known.clone(),
                None => Self::Param(name.clone(), all(bounds)),
            },
            Self::Bounds(types) => Self::Bounds(all(types)),
            Self::Function(inputs, output) => Self::Function(all(inputs), Box::new(output.with(arguments))),
            Self::Tuple(types) => Self::Tuple(all(types)),
        }
    }

    /// Infers the parameters of `self` from the type that takes its place.
    pub(super) fn unify(&self, actual: &Self, arguments: &mut Arguments) {
        let zip = |left: &[Self], right: &[Self], arguments: &mut Arguments| {
            left.iter().zip(right).for_each(|(left, right)| left.unify(right, arguments));
        };
        match (self, actual) {
            (Self::Param(name, bounds), actual) => {
                bounds.iter().for_each(|bound| bound.unify(actual, arguments));
                if *actual != Self::Unknown {
                    arguments.entry(name.clone()).or_insert_with(|| actual.clone());
                }
            }
            (Self::Bounds(bounds), actual) => bounds.iter().for_each(|bound| bound.unify(actual, arguments)),
            (Self::Own(left, one), Self::Own(right, other)) if left == right => zip(one, other, arguments),
            (Self::Foreign(left, one), Self::Foreign(right, other)) if left == right => zip(one, other, arguments),
            (Self::Tuple(one), Self::Tuple(other)) => zip(one, other, arguments),
            (Self::Function(inputs, output), Self::Function(others, result)) => {
                zip(inputs, others, arguments);
                output.unify(result, arguments);
            }
            _ => {}
        }
    }

    /// Returns the inputs and the output, if it is callable.
    pub(super) fn as_function(&self) -> Option<(&[Self], &Self)> {
        match self {
            Self::Function(inputs, output) => Some((inputs, output)),
            Self::Param(_, bounds) | Self::Bounds(bounds) => bounds.iter().find_map(Self::as_function),
            Self::Foreign(name, arguments) if matches!(name.as_str(), "Box" | "Arc" | "Option") => {
                arguments.first().and_then(Self::as_function)
            }
            _ => None,
        }
    }
}
