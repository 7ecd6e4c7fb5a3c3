//! Resolves calls, and the types that they return.

use std::collections::BTreeMap;

use syn::Expr;

use super::calls::Walker;
use super::items::Function;
use super::lookup::Found;
use super::std_types::{closure_inputs, element, output, standard_call};
use super::types::{Arguments, Type};

/// The item that a path names.
pub(super) enum Callee<'a> {
    Function(Option<Type>, &'a Function),
    Constructor(Type, BTreeMap<String, Type>),
    Constant(Type),
    /// A function of another crate, with the type before its name.
    Standard(Type, String),
    Unknown,
}

impl<'a> Walker<'a> {
    pub(super) fn call(&mut self, call: &syn::ExprCall) -> Type {
        let Expr::Path(path) = &*call.func else {
            let function = self.expr(&call.func);
            call.args.iter().for_each(|argument| drop(self.expr(argument)));
            return function.as_function().map_or(Type::Unknown, |(_, output)| output.clone());
        };
        if let Some(name) = path.path.get_ident()
            && let Some((_, local)) = self.locals.iter().rev().find(|(local, _)| name == local)
        {
            let local = local.clone();
            call.args.iter().for_each(|argument| drop(self.expr(argument)));
            return local.as_function().map_or(Type::Unknown, |(_, output)| output.clone());
        }
        match self.callee(path) {
            Callee::Function(this, function) => {
                let mut inputs = function.inputs.clone();
                if function.has_receiver {
                    inputs.insert(0, this.clone().unwrap_or(Type::Unknown));
                }
                let arguments = self.arguments(function, this.as_ref(), &inputs, call.args.iter());
                self.returned(function, this.as_ref(), &arguments)
            }
            Callee::Constructor(this, fields) => {
                let mut arguments = Arguments::new();
                for (at, argument) in call.args.iter().enumerate() {
                    let declared = fields.get(&at.to_string()).cloned().unwrap_or(Type::Unknown);
                    let given = self.expr_as(argument, Some(&declared));
                    declared.unify(&given, &mut arguments);
                }
                self.filled(this, &arguments)
            }
            Callee::Standard(this, name) => {
                let given: Vec<Type> = call.args.iter().map(|argument| self.expr(argument)).collect();
                standard_call(&this, &name, given)
            }
            Callee::Constant(_) | Callee::Unknown => {
                call.args.iter().for_each(|argument| drop(self.expr(argument)));
                Type::Unknown
            }
        }
    }

    /// Walks the arguments of a call and learns the type parameters from them.
    fn arguments<'e>(
        &mut self,
        function: &Function,
        this: Option<&Type>,
        inputs: &[Type],
        given: impl Iterator<Item = &'e Expr>,
    ) -> Arguments {
        let mut arguments = Arguments::new();
        if let (Some(owner), Some(this)) = (&function.owner, this) {
            owner.unify(this, &mut arguments);
        }
        for (at, argument) in given.enumerate() {
            let declared = inputs.get(at).cloned().unwrap_or(Type::Unknown);
            let found = self.expr_as(argument, Some(&declared.with(&arguments)));
            declared.unify(&found, &mut arguments);
        }
        arguments
    }

    pub(super) fn returned(&self, function: &Function, this: Option<&Type>, arguments: &Arguments) -> Type {
        let mut arguments = arguments.clone();
        if let (Some(owner), Some(this)) = (&function.owner, this) {
            owner.unify(this, &mut arguments);
        }
        function.output.with(&arguments)
    }

    /// Resolves a path that is called or passed as a value.
    pub(super) fn callee(&mut self, path: &syn::ExprPath) -> Callee<'a> {
        let line = path.path.segments.last().map_or(0, |segment| segment.ident.span().start().line);
        if let Some(qself) = &path.qself {
            let this = self.lower(&qself.ty);
            let name = path.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
            return self.associated(&this, &name, line);
        }
        let segments: Vec<String> = path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments[0] != "Self"
            && let Some((module, rest)) = self.tree.locate(&self.scope.module, &segments)
            && let [name] = rest.as_slice()
        {
            let id = (module, name.clone());
            if let Some(&index) = self.definitions.free.get(&id) {
                return Callee::Function(None, &self.definitions.functions[index]);
            }
            if let Some(constant) = self.definitions.constants.get(&id) {
                return Callee::Constant(constant.clone());
            }
        }
        let (this, variant) = self.constructed(&path.path);
        match variant {
            None if this != Type::Unknown => {
                let fields = self.pattern_fields(&path.path, &this);
                Callee::Constructor(this, fields)
            }
            None => Callee::Standard(Type::Unknown, segments.last().cloned().unwrap_or_default()),
            Some(name) => {
                if let Type::Own(id, _) = &this
                    && self.definitions.shapes.get(id).is_some_and(|shape| shape.variants.contains_key(&name))
                {
                    let fields = self.pattern_fields(&path.path, &this);
                    return Callee::Constructor(this, fields);
                }
                self.associated(&this, &name, line)
            }
        }
    }

    fn associated(&mut self, this: &Type, name: &str, line: usize) -> Callee<'a> {
        match self.find(this, name) {
            Found::Own(this, functions) => {
                self.record(&functions, &format!("{}::{name}", described(&this)), line);
                match functions.first() {
                    Some(function) => Callee::Function(Some(this), function),
                    None => Callee::Unknown,
                }
            }
            Found::Foreign => Callee::Standard(this.clone(), name.to_owned()),
            Found::Unknown => Callee::Unknown,
        }
    }

    pub(super) fn method_call(&mut self, call: &syn::ExprMethodCall) -> Type {
        let receiver = self.expr(&call.receiver);
        let name = call.method.to_string();
        let line = call.method.span().start().line;
        match self.find(&receiver, &name) {
            Found::Own(this, functions) => {
                self.record(&functions, &format!("{}.{name}()", described(&this)), line);
                let function = functions[0];
                let arguments = self.arguments(function, Some(&this), &function.inputs, call.args.iter());
                self.returned(function, Some(&this), &arguments)
            }
            Found::Foreign => self.standard_method(call, &receiver, &name),
            Found::Unknown => match self.only(&name) {
                Some(function) => {
                    self.record(&[function], &format!(".{name}()"), line);
                    let arguments = self.arguments(function, None, &function.inputs, call.args.iter());
                    self.returned(function, None, &arguments)
                }
                None => {
                    self.note_unplaced(&name, line);
                    self.standard_method(call, &receiver, &name)
                }
            },
        }
    }

    fn standard_method(&mut self, call: &syn::ExprMethodCall, receiver: &Type, name: &str) -> Type {
        let inputs = Type::Function(closure_inputs(receiver, name), Box::new(Type::Unknown));
        let mut result = Type::Unknown;
        for argument in &call.args {
            let given = self.expr_as(argument, Some(&inputs));
            result = given.as_function().map_or(given.clone(), |(_, output)| output.clone());
        }
        if let ("collect" | "parse" | "into", Some(turbofish)) = (name, &call.turbofish) {
            let arguments = syn::PathArguments::AngleBracketed(turbofish.clone());
            let written = self.definitions.arguments(self.tree, &self.scope, &arguments).into_iter().next();
            return match written {
                Some(written) if name == "parse" => Type::foreign("Result", vec![written]),
                Some(written) => written,
                None => Type::Unknown,
            };
        }
        if name == "collect" {
            return Type::foreign("Vec", vec![element(receiver)]);
        }
        output(receiver, name, &result)
    }
}

/// Describes a type for a message.
fn described(this: &Type) -> String {
    match this {
        Type::Own((_, name), _) => name.clone(),
        Type::Param(name, _) => name.clone(),
        Type::Foreign(name, _) => name.clone(),
        _ => "_".to_owned(),
    }
}
