//! Types of the names in patterns.

use std::collections::BTreeMap;

use syn::Pat;

use super::calls::Walker;
use super::expressions::{is_vague, member};
use super::std_types::{element, peeled};
use super::types::{Arguments, Type};

impl Walker<'_> {
    /// Assigns types to the names of a pattern.
    pub(super) fn bind(&mut self, pattern: &Pat, given: &Type) {
        match pattern {
            Pat::Ident(pattern) => {
                if let Some((_, inner)) = &pattern.subpat {
                    self.bind(inner, given);
                }
                self.locals.push((pattern.ident.to_string(), given.clone()));
            }
            Pat::Type(pattern) => {
                let written = self.lower(&pattern.ty);
                let known = if is_vague(&written) { given.clone() } else { written };
                self.bind(&pattern.pat, &known);
            }
            Pat::Reference(pattern) => self.bind(&pattern.pat, given),
            Pat::Paren(pattern) => self.bind(&pattern.pat, given),
            Pat::Guard(pattern) => {
                self.bind(&pattern.pat, given);
                self.expr(&pattern.guard);
            }
            Pat::Or(pattern) => pattern.cases.iter().for_each(|case| self.bind(case, given)),
            Pat::Tuple(pattern) => {
                let types = match peeled(given) {
                    Type::Tuple(types) => types.clone(),
                    _ => Vec::new(),
                };
                self.bind_each(pattern.elems.iter(), &types);
            }
            Pat::Slice(pattern) => {
                let one = element(given);
                pattern.elems.iter().for_each(|pattern| self.bind(pattern, &one));
            }
            Pat::TupleStruct(pattern) => {
                let fields = self.pattern_fields(&pattern.path, given);
                let types: Vec<Type> = (0..pattern.elems.len())
                    .map(|at| fields.get(&at.to_string()).cloned().unwrap_or(Type::Unknown))
                    .collect();
                self.bind_each(pattern.elems.iter(), &types);
            }
            Pat::Struct(pattern) => {
                let fields = self.pattern_fields(&pattern.path, given);
                for field in &pattern.fields {
                    let known = fields.get(&member(&field.member)).cloned().unwrap_or(Type::Unknown);
                    self.bind(&field.pat, &known);
                }
            }
            _ => {}
        }
    }

    fn bind_each<'p>(&mut self, patterns: impl Iterator<Item = &'p Pat>, types: &[Type]) {
        let mut exact = true;
        for (at, pattern) in patterns.enumerate() {
            exact &= !matches!(pattern, Pat::Rest(_));
            let known = types.get(at).filter(|_| exact).cloned().unwrap_or(Type::Unknown);
            self.bind(pattern, &known);
        }
    }

    /// Returns the fields of the struct or variant that a pattern or literal names.
    pub(super) fn pattern_fields(&self, path: &syn::Path, given: &Type) -> BTreeMap<String, Type> {
        let given = peeled(given);
        let name = path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        let index = match name.as_str() {
            "Some" | "Ok" => Some(0),
            "Err" => Some(1),
            _ => None,
        };
        if let Some(index) = index {
            return BTreeMap::from([("0".to_owned(), given.argument(index))]);
        }
        let (this, variant) = self.constructed(path);
        let Type::Own(id, _) = &this else { return BTreeMap::new() };
        let Some(shape) = self.definitions.shapes.get(id) else { return BTreeMap::new() };
        let arguments = if let Type::Own(other, arguments) = given
            && other == id
        {
            shape.parameters.iter().cloned().zip(arguments.iter().cloned()).collect()
        } else {
            Arguments::new()
        };
        let fields = match variant {
            Some(variant) => shape.variants.get(&variant).cloned().unwrap_or_default(),
            None => shape.fields.clone(),
        };
        fields.into_iter().map(|(name, field)| (name, field.with(&arguments))).collect()
    }

    /// Returns the type that a path constructs, with the variant if it is an enum.
    pub(super) fn constructed(&self, path: &syn::Path) -> (Type, Option<String>) {
        let whole = self.definitions.lower_path(self.tree, &self.scope, path);
        if let Type::Own(id, _) = &whole
            && self.definitions.shapes.contains_key(id)
        {
            return (whole, None);
        }
        if let Some((this, variant)) = self.split(path) {
            return (this, Some(variant));
        }
        // `use Enum::Variant` is not followed.
        (Type::Unknown, None)
    }

    /// Splits a path of at least two segments into a type and the name after it.
    fn split(&self, path: &syn::Path) -> Option<(Type, String)> {
        let mut front = path.clone();
        let last = front.segments.pop()?.ident.to_string();
        front.segments.pop_punct();
        if front.segments.is_empty() {
            let segments = [last];
            let (module, rest) = self.tree.locate(&self.scope.module, &segments)?;
            let [owner, variant] = rest.as_slice() else { return None };
            return Some((Type::Own((module, owner.clone()), Vec::new()), variant.clone()));
        }
        Some((self.definitions.lower_path(self.tree, &self.scope, &front), last))
    }
}
