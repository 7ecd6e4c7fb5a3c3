//! Resolves the name of a method.

use super::calls::Walker;
use super::items::{Function, Key, Origin, key};
use super::std_types::{is_common, is_transparent};
use super::types::{Arguments, Type};

/// The result of a method lookup.
pub(super) enum Found<'a> {
    /// The receiver's type, dereferenced as far as the method requires, and the methods of that
    /// name.
    Own(Type, Vec<&'a Function>),
    /// The type has no such method in this crate.
    Foreign,
    Unknown,
}

impl<'a> Walker<'a> {
    /// Returns the type that a type of the crate dereferences to.
    pub(super) fn target(&self, this: &Type) -> Option<Type> {
        let Type::Own(id, _) = this else { return None };
        let (pattern, target) = self.definitions.targets.get(id)?;
        let mut arguments = Arguments::new();
        pattern.unify(this, &mut arguments);
        Some(target.with(&arguments))
    }

    /// Returns the method that a name means on a value of unknown type: the crate's only method of
    /// that name, unless other crates are likely to have one too. A declaration in a trait and all
    /// its implementations count as one.
    pub(super) fn only(&self, name: &str) -> Option<&'a Function> {
        if is_common(name) {
            return None;
        }
        let functions = &self.definitions.functions;
        let all: Vec<&Function> = self
            .definitions
            .by_name
            .get(name)?
            .iter()
            .map(|&index| &functions[index])
            .filter(|one| one.has_receiver)
            .collect();
        let declared = |one: &&Function| matches!(one.origin, Origin::Declared(_));
        if let Some(declaration) = all.iter().copied().find(declared) {
            let Origin::Declared(id) = &declaration.origin else { return None };
            let same =
                all.iter().all(|one| one.origin == declaration.origin || one.origin == Origin::Implements(id.clone()));
            return same.then_some(declaration);
        }
        (all.len() == 1 && all[0].origin == Origin::Inherent).then(|| all[0])
    }

    /// Returns the methods of a type that have a name.
    pub(super) fn find(&self, this: &Type, name: &str) -> Found<'a> {
        match this {
            Type::Unknown => Found::Unknown,
            Type::Own(..) => self.find_own(this, name),
            Type::Foreign(wrapper, arguments) => {
                if is_transparent(wrapper)
                    && let Some(inner) = arguments.first()
                    && name != "clone"
                {
                    match self.find(inner, name) {
                        Found::Foreign => {}
                        found => return found,
                    }
                }
                match self.lookup(&Key::Foreign(wrapper.clone()), name) {
                    Some(functions) => Found::Own(this.clone(), functions),
                    None => Found::Foreign,
                }
            }
            Type::Param(_, bounds) | Type::Bounds(bounds) => {
                let mut result = if bounds.is_empty() { Found::Unknown } else { Found::Foreign };
                for bound in bounds {
                    match self.find(bound, name) {
                        found @ Found::Own(..) => return found,
                        Found::Unknown => result = Found::Unknown,
                        Found::Foreign => {}
                    }
                }
                result
            }
            Type::Function(..) | Type::Tuple(_) => Found::Foreign,
        }
    }

    fn find_own(&self, this: &Type, name: &str) -> Found<'a> {
        let Some(own) = key(this) else { return Found::Unknown };
        if let Some(functions) = self.lookup(&own, name) {
            return Found::Own(this.clone(), functions);
        }
        // Provided by a trait, or by one of its supertraits.
        for trait_ in self.definitions.traits.get(&own).into_iter().flatten() {
            if let Type::Own(..) = trait_
                && let Found::Own(_, functions) = self.find_own(trait_, name)
            {
                return Found::Own(this.clone(), functions);
            }
        }
        if let Some(target) = self.target(this) {
            return self.find(&target, name);
        }
        Found::Foreign
    }

    fn lookup(&self, key: &Key, name: &str) -> Option<Vec<&'a Function>> {
        let functions = self.definitions.methods.get(key)?.get(name)?;
        Some(functions.iter().map(|&index| &self.definitions.functions[index]).collect())
    }
}
