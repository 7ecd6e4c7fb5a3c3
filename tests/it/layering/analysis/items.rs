//! Definitions of a source tree: types with their fields, functions and methods with their
//! signatures.

use std::collections::BTreeMap;

use syn::punctuated::Punctuated;
use syn::{Attribute, FnArg, Generics, ImplItem, Item, Meta, ReturnType, TraitItem, TypeParamBound};

use super::graph::{Module, Tree, join};
use super::parse::implies_test;
use super::tokens::{Token, flat};
use super::types::{Arguments, Id, Type};

/// A function or method.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub(super) name: String,
    /// The type that it belongs to, as written in the `impl`.
    pub(super) owner: Option<Type>,
    pub(super) origin: Origin,
    /// The file that defines it.
    pub(super) file: Module,
    pub(super) line: usize,
    pub(super) has_receiver: bool,
    /// Types of the inputs, without the receiver.
    pub(super) inputs: Vec<Type>,
    pub(super) output: Type,
}

/// The kinds of items that define a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Free,
    Inherent,
    /// The declaration in a trait of the crate, with or without a body.
    Declared(Id),
    /// The implementation of a trait of the crate.
    Implements(Id),
    /// The implementation of a trait of another crate.
    Foreign,
}

/// A struct or enum: fields by name, or by number for fields without names. The variants of an enum
/// are listed separately.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    pub(super) parameters: Vec<String>,
    pub(super) fields: BTreeMap<String, Type>,
    pub(super) variants: BTreeMap<String, BTreeMap<String, Type>>,
}

/// The type that provides the methods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Own(Id),
    Foreign(String),
}

/// Names in scope in a piece of code.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) module: Module,
    pub(super) this: Option<Type>,
    pub(super) parameters: Arguments,
    pub(super) associated: BTreeMap<String, Type>,
}

/// All definitions of a source tree.
#[derive(Default)]
pub(super) struct Definitions<'a> {
    pub(super) functions: Vec<Function>,
    pub(super) shapes: BTreeMap<Id, Shape>,
    /// Free functions.
    pub(super) free: BTreeMap<Id, usize>,
    pub(super) methods: BTreeMap<Key, BTreeMap<String, Vec<usize>>>,
    /// Traits of the crate that a type implements, and the supertraits of a trait.
    pub(super) traits: BTreeMap<Key, Vec<Type>>,
    pub(super) by_name: BTreeMap<String, Vec<usize>>,
    pub(super) constants: BTreeMap<Id, Type>,
    /// The dereference target of each type.
    pub(super) targets: BTreeMap<Id, (Type, Type)>,
    aliases: BTreeMap<Id, (&'a Generics, &'a syn::Type)>,
}

/// Visits the non-test items of a module, and of the modules inside it that have a body.
pub(super) fn each_module<'a>(module: &Module, items: &'a [Item], visit: &mut impl FnMut(&Module, &'a Item)) {
    for item in items.iter().filter(|item| !for_tests(attributes(item))) {
        visit(module, item);
        if let Item::Mod(inner) = item
            && let Some((_, items)) = &inner.content
        {
            each_module(&join(module, &[inner.ident.to_string()]), items, visit);
        }
    }
}

/// Returns the names that an item defines. For a macro, returns those of the types in its input.
pub(super) fn names(item: &Item) -> Vec<String> {
    let name = match item {
        Item::Struct(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Const(item) => &item.ident,
        Item::Static(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => {
            let tokens = flat(item.mac.tokens.clone());
            let declares = |word: &Token| matches!(word.word(), Some("enum" | "struct" | "trait"));
            let pairs = tokens.windows(2).filter(|pair| declares(&pair[0]));
            return pairs.filter_map(|pair| pair[1].word().map(str::to_owned)).collect();
        }
        _ => return Vec::new(),
    };
    vec![name.to_string()]
}

impl<'a> Definitions<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        let mut definitions = Self::default();
        tree.each_item(&mut |module, item| {
            if let Item::Type(item) = item {
                definitions.aliases.insert((module.clone(), item.ident.to_string()), (&item.generics, &item.ty));
            }
        });
        tree.each_item(&mut |module, item| definitions.define(tree, module, item));
        for (index, function) in definitions.functions.iter().enumerate() {
            definitions.by_name.entry(function.name.clone()).or_default().push(index);
        }
        definitions
    }

    fn define(&mut self, tree: &Tree, module: &Module, item: &'a Item) {
        let scope = Scope { module: module.clone(), ..Scope::default() };
        let id = |name: &syn::Ident| (module.clone(), name.to_string());
        match item {
            Item::Struct(item) => {
                let scope = self.generic(tree, &scope, &item.generics);
                let parameters = names_of(&item.generics);
                let fields = self.fields(tree, &scope, &item.fields);
                self.shapes.insert(id(&item.ident), Shape { parameters, fields, variants: BTreeMap::new() });
            }
            Item::Enum(item) => {
                let scope = self.generic(tree, &scope, &item.generics);
                let parameters = names_of(&item.generics);
                let variant = |one: &syn::Variant| (one.ident.to_string(), self.fields(tree, &scope, &one.fields));
                let variants = item.variants.iter().map(variant).collect();
                self.shapes.insert(id(&item.ident), Shape { parameters, fields: BTreeMap::new(), variants });
            }
            Item::Const(item) => {
                self.constants.insert(id(&item.ident), self.lower(tree, &scope, &item.ty));
            }
            Item::Static(item) => {
                self.constants.insert(id(&item.ident), self.lower(tree, &scope, &item.ty));
            }
            Item::Fn(item) => {
                let function = self.signature(tree, &scope, &item.sig, Origin::Free);
                self.free.insert(id(&item.sig.ident), self.functions.len());
                self.functions.push(function);
            }
            Item::Trait(item) => self.define_trait(tree, module, item),
            Item::Impl(item) => self.define_impl(tree, &scope, item),
            _ => {}
        }
    }

    fn define_trait(&mut self, tree: &Tree, module: &Module, item: &syn::ItemTrait) {
        let id: Id = (module.clone(), item.ident.to_string());
        let scope = self.trait_scope(tree, module, item);
        let above = self.bounds(tree, &scope, &item.supertraits);
        self.traits.entry(Key::Own(id.clone())).or_default().extend(above);
        for one in &item.items {
            if let TraitItem::Fn(one) = one
                && !for_tests(&one.attrs)
            {
                let mut function = self.signature(tree, &scope, &one.sig, Origin::Declared(id.clone()));
                function.owner.clone_from(&scope.this);
                self.add_method(Key::Own(id.clone()), function);
            }
        }
    }

    pub(super) fn trait_scope(&self, tree: &Tree, module: &Module, item: &syn::ItemTrait) -> Scope {
        let id: Id = (module.clone(), item.ident.to_string());
        let mut scope = Scope { module: module.clone(), ..Scope::default() };
        scope = self.generic(tree, &scope, &item.generics);
        let arguments = names_of(&item.generics).into_iter().map(|name| scope.parameters[&name].clone()).collect();
        let this = Type::Own(id, arguments);
        scope.this = Some(Type::Param("Self".to_owned(), vec![this]));
        scope
    }

    fn define_impl(&mut self, tree: &Tree, scope: &Scope, item: &syn::ItemImpl) {
        let (scope, trait_) = self.impl_scope(tree, scope, item);
        let Some(this) = scope.this.clone() else { return };
        let key = key(&this);
        if let (Some(key), Some(trait_ @ Type::Own(..))) = (&key, &trait_) {
            self.traits.entry(key.clone()).or_default().push(trait_.clone());
        }
        if let (Some(Key::Own(id)), Some(Type::Foreign(name, _))) = (&key, &trait_)
            && name == "Deref"
            && let Some(target) = scope.associated.get("Target")
        {
            self.targets.insert(id.clone(), (this.clone(), target.clone()));
        }
        let origin = match trait_ {
            None => Origin::Inherent,
            Some(Type::Own(id, _)) => Origin::Implements(id),
            Some(_) => Origin::Foreign,
        };
        for one in &item.items {
            if let ImplItem::Fn(one) = one
                && !for_tests(&one.attrs)
            {
                let mut function = self.signature(tree, &scope, &one.sig, origin.clone());
                function.owner = Some(this.clone());
                match &key {
                    Some(key) => self.add_method(key.clone(), function),
                    None => self.functions.push(function),
                }
            }
        }
    }

    /// Returns the scope inside an `impl`, and the trait that it implements.
    pub(super) fn impl_scope(&self, tree: &Tree, scope: &Scope, item: &syn::ItemImpl) -> (Scope, Option<Type>) {
        let mut scope = self.generic(tree, scope, &item.generics);
        scope.this = Some(self.lower(tree, &scope, &item.self_ty));
        for one in &item.items {
            if let ImplItem::Type(one) = one {
                let target = self.lower(tree, &scope, &one.ty);
                scope.associated.insert(one.ident.to_string(), target);
            }
        }
        let trait_ = item.trait_.as_ref().map(|(path, _)| self.lower_path(tree, &scope, path));
        (scope, trait_)
    }

    fn add_method(&mut self, key: Key, function: Function) {
        let named = self.methods.entry(key).or_default().entry(function.name.clone()).or_default();
        named.push(self.functions.len());
        self.functions.push(function);
    }

    fn fields(&self, tree: &Tree, scope: &Scope, fields: &syn::Fields) -> BTreeMap<String, Type> {
        let named = fields.iter().filter(|field| !for_tests(&field.attrs)).enumerate();
        let name =
            |index: usize, field: &syn::Field| field.ident.as_ref().map_or(index.to_string(), ToString::to_string);
        named.map(|(index, field)| (name(index, field), self.lower(tree, scope, &field.ty))).collect()
    }

    fn signature(&self, tree: &Tree, scope: &Scope, signature: &syn::Signature, origin: Origin) -> Function {
        let scope = self.generic(tree, scope, &signature.generics);
        let inputs = signature.inputs.iter().filter_map(|input| match input {
            FnArg::Receiver(_) => None,
            FnArg::Typed(input) => Some(self.lower(tree, &scope, &input.ty)),
        });
        Function {
            name: signature.ident.to_string(),
            owner: None,
            origin,
            file: tree.file_of(scope.module.clone()),
            line: signature.ident.span().start().line,
            has_receiver: signature.receiver().is_some(),
            inputs: inputs.collect(),
            output: self.output(tree, &scope, &signature.output),
        }
    }

    pub(super) fn output(&self, tree: &Tree, scope: &Scope, output: &ReturnType) -> Type {
        match output {
            ReturnType::Default => Type::unit(),
            ReturnType::Type(_, output) => self.lower(tree, scope, output),
        }
    }

    /// Returns the scope with the parameters of an item.
    pub(super) fn generic(&self, tree: &Tree, scope: &Scope, generics: &Generics) -> Scope {
        let mut scope = scope.clone();
        let plain = |name: &String| (name.clone(), Type::Param(name.clone(), Vec::new()));
        scope.parameters.extend(names_of(generics).iter().map(plain));
        let mut bounded: BTreeMap<String, Vec<Type>> = BTreeMap::new();
        for parameter in generics.type_params() {
            let bounds = self.bounds(tree, &scope, &parameter.bounds);
            bounded.entry(parameter.ident.to_string()).or_default().extend(bounds);
        }
        for predicate in generics.where_clause.iter().flat_map(|clause| &clause.predicates) {
            if let syn::WherePredicate::Type(predicate) = predicate
                && let Type::Param(name, _) = self.lower(tree, &scope, &predicate.bounded_ty)
            {
                bounded.entry(name).or_default().extend(self.bounds(tree, &scope, &predicate.bounds));
            }
        }
        scope.parameters.extend(bounded.into_iter().map(|(name, bounds)| (name.clone(), Type::Param(name, bounds))));
        scope
    }

    fn bounds<P>(&self, tree: &Tree, scope: &Scope, bounds: &Punctuated<TypeParamBound, P>) -> Vec<Type> {
        let lower = |bound: &TypeParamBound| match bound {
            TypeParamBound::Trait(bound) => Some(self.lower_path(tree, scope, &bound.path)),
            _ => None,
        };
        bounds.iter().filter_map(lower).collect()
    }

    /// Resolves a type as written.
    pub(super) fn lower(&self, tree: &Tree, scope: &Scope, written: &syn::Type) -> Type {
        let lower = |one: &syn::Type| self.lower(tree, scope, one);
        match written {
            syn::Type::Reference(one) => lower(&one.elem),
            syn::Type::Paren(one) => lower(&one.elem),
            syn::Type::Group(one) => lower(&one.elem),
            syn::Type::Slice(one) => Type::foreign("Vec", vec![lower(&one.elem)]),
            syn::Type::Array(one) => Type::foreign("Vec", vec![lower(&one.elem)]),
            syn::Type::Tuple(one) => Type::Tuple(one.elems.iter().map(lower).collect()),
            syn::Type::ImplTrait(one) => Type::Bounds(self.bounds(tree, scope, &one.bounds)),
            syn::Type::TraitObject(one) => Type::Bounds(self.bounds(tree, scope, &one.bounds)),
            syn::Type::FnPtr(one) => {
                let inputs = one.inputs.iter().map(|input| lower(&input.ty)).collect();
                Type::Function(inputs, Box::new(self.output(tree, scope, &one.output)))
            }
            syn::Type::Path(one) if one.qself.is_none() => self.lower_path(tree, scope, &one.path),
            _ => Type::Unknown,
        }
    }

    pub(super) fn lower_path(&self, tree: &Tree, scope: &Scope, path: &syn::Path) -> Type {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let Some(last) = path.segments.last() else { return Type::Unknown };
        if let syn::PathArguments::Parenthesized(call) = &last.arguments {
            let inputs = call.inputs.iter().map(|input| self.lower(tree, scope, &input.ty)).collect();
            return Type::Function(inputs, Box::new(self.output(tree, scope, &call.output)));
        }
        match (segments[0].as_str(), segments.len()) {
            ("Self", 1) => return scope.this.clone().unwrap_or(Type::Unknown),
            ("Self", 2) => return scope.associated.get(&segments[1]).cloned().unwrap_or(Type::Unknown),
            (name, 1) if scope.parameters.contains_key(name) => return scope.parameters[name].clone(),
            (name, _) if scope.parameters.contains_key(name) => return Type::Unknown,
            _ => {}
        }
        let arguments = self.arguments(tree, scope, &last.arguments);
        match tree.locate(&scope.module, &segments) {
            Some((module, rest)) if rest.len() == 1 => self.own((module, rest[0].clone()), arguments, tree),
            Some(_) => Type::Unknown,
            None => Type::Foreign(last.ident.to_string(), arguments),
        }
    }

    /// Resolves generic arguments, including those of `Iterator<Item = T>`.
    pub(super) fn arguments(&self, tree: &Tree, scope: &Scope, arguments: &syn::PathArguments) -> Vec<Type> {
        let syn::PathArguments::AngleBracketed(arguments) = arguments else { return Vec::new() };
        let lower = |argument: &syn::GenericArgument| match argument {
            syn::GenericArgument::Type(one) => Some(self.lower(tree, scope, one)),
            syn::GenericArgument::AssocType(one) => Some(self.lower(tree, scope, &one.ty)),
            _ => None,
        };
        arguments.args.iter().filter_map(lower).collect()
    }

    /// Resolves a named type and follows aliases.
    fn own(&self, id: Id, arguments: Vec<Type>, tree: &Tree) -> Type {
        let Some((generics, target)) = self.aliases.get(&id) else { return Type::Own(id, arguments) };
        let scope = Scope { module: id.0, ..Scope::default() };
        let scope = self.generic(tree, &scope, generics);
        let mut given = names_of(generics).into_iter().zip(arguments).collect::<Arguments>();
        for parameter in generics.type_params() {
            if let Some((_, default)) = &parameter.default {
                let default = self.lower(tree, &scope, default);
                given.entry(parameter.ident.to_string()).or_insert(default);
            }
        }
        self.lower(tree, &scope, target).with(&given)
    }
}

/// Returns the key that a type's methods are stored under.
pub(super) fn key(this: &Type) -> Option<Key> {
    match this {
        Type::Own(id, _) => Some(Key::Own(id.clone())),
        Type::Foreign(name, _) => Some(Key::Foreign(name.clone())),
        // `impl dyn Trait`
        Type::Bounds(bounds) => bounds.first().and_then(key),
        _ => None,
    }
}

fn names_of(generics: &Generics) -> Vec<String> {
    generics.type_params().map(|parameter| parameter.ident.to_string()).collect()
}

/// Returns `true` if an attribute restricts the item to tests.
pub(super) fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && implies_test(&flat(list.tokens.clone())),
        _ => false,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        _ => &[],
    }
}
