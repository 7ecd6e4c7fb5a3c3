//! The types of expressions.

use syn::{Expr, Member};

use super::callees::Callee;
use super::calls::Walker;
use super::items::for_tests;
use super::std_types::{element, peeled};
use super::types::{Arguments, Type};

impl Walker<'_> {
    pub(super) fn expr(&mut self, expr: &Expr) -> Type {
        self.expr_as(expr, None)
    }

    /// Walks an expression and returns its type. For a closure, `expected` provides its argument
    /// types.
    pub(super) fn expr_as(&mut self, expr: &Expr, expected: Option<&Type>) -> Type {
        match expr {
            Expr::MethodCall(call) => self.method_call(call),
            Expr::Call(call) => self.call(call),
            Expr::Path(path) => self.path(path),
            Expr::Field(field) => {
                let base = self.expr(&field.base);
                self.field(&base, &member(&field.member))
            }
            Expr::Closure(closure) => self.closure(closure, expected),
            Expr::Macro(call) => self.macro_call(&call.mac),
            Expr::Struct(literal) => self.literal(literal),
            Expr::Block(_)
            | Expr::If(_)
            | Expr::Match(_)
            | Expr::While(_)
            | Expr::Loop(_)
            | Expr::ForLoop(_)
            | Expr::Let(_)
            | Expr::Unsafe(_)
            | Expr::Async(_)
            | Expr::Const(_)
            | Expr::TryBlock(_) => self.flow(expr),
            _ => self.operator(expr),
        }
    }

    fn operator(&mut self, expr: &Expr) -> Type {
        match expr {
            Expr::Reference(one) => self.expr(&one.expr),
            Expr::Paren(one) => self.expr(&one.expr),
            Expr::Group(one) => self.expr(&one.expr),
            Expr::Unary(one) => self.expr(&one.expr),
            Expr::Await(one) => drop_type(self.expr(&one.base)),
            Expr::Try(one) => {
                let tried = self.expr(&one.expr);
                peeled(&tried).argument(0)
            }
            Expr::Cast(one) => {
                self.expr(&one.expr);
                self.lower(&one.ty)
            }
            Expr::Index(one) => {
                let base = self.expr(&one.expr);
                self.expr(&one.index);
                match (&*one.index, peeled(&base)) {
                    (Expr::Range(_), _) => base,
                    (_, Type::Foreign(name, arguments)) if name.contains("Map") => {
                        arguments.get(1).cloned().unwrap_or(Type::Unknown)
                    }
                    _ => element(&base),
                }
            }
            Expr::Tuple(one) => Type::Tuple(one.elems.iter().map(|one| self.expr(one)).collect()),
            Expr::Array(one) => {
                let types: Vec<Type> = one.elems.iter().map(|one| self.expr(one)).collect();
                Type::foreign("Vec", vec![types.into_iter().next().unwrap_or(Type::Unknown)])
            }
            Expr::Repeat(one) => {
                let repeated = self.expr(&one.expr);
                self.expr(&one.len);
                Type::foreign("Vec", vec![repeated])
            }
            Expr::Binary(one) => {
                let left = self.expr(&one.left);
                self.expr(&one.right);
                left
            }
            Expr::Assign(one) => {
                self.expr(&one.left);
                drop_type(self.expr(&one.right))
            }
            Expr::Range(one) => {
                for end in one.start.iter().chain(&one.end) {
                    self.expr(end);
                }
                Type::Unknown
            }
            Expr::Return(one) => one.expr.as_ref().map_or(Type::Unknown, |one| drop_type(self.expr(one))),
            Expr::Break(one) => one.expr.as_ref().map_or(Type::Unknown, |one| drop_type(self.expr(one))),
            _ => Type::Unknown,
        }
    }

    fn flow(&mut self, expr: &Expr) -> Type {
        let depth = self.locals.len();
        let result = match expr {
            Expr::Block(one) => self.block(&one.block),
            Expr::Unsafe(one) => self.block(&one.block),
            Expr::Const(one) => self.block(&one.block),
            Expr::Async(one) => drop_type(self.block(&one.block)),
            Expr::TryBlock(one) => drop_type(self.block(&one.block)),
            Expr::Let(one) => {
                let given = self.expr(&one.expr);
                self.bind(&one.pat, &given);
                // Its bindings remain known until the end of the condition's block.
                return Type::foreign("bool", Vec::new());
            }
            Expr::If(one) => {
                self.condition(&one.cond);
                let then = self.block(&one.then_branch);
                self.locals.truncate(depth);
                let other = one.else_branch.as_ref().map(|(_, other)| self.expr(other));
                if is_vague(&then) { other.unwrap_or(then) } else { then }
            }
            Expr::Match(one) => {
                let given = self.expr(&one.expr);
                let mut result = Type::Unknown;
                for arm in one.arms.iter().filter(|arm| !for_tests(&arm.attrs)) {
                    self.bind(&arm.pat, &given);
                    let found = self.expr(&arm.body);
                    if is_vague(&result) {
                        result = found;
                    }
                    self.locals.truncate(depth);
                }
                result
            }
            Expr::While(one) => {
                self.condition(&one.cond);
                drop_type(self.block(&one.body))
            }
            Expr::Loop(one) => drop_type(self.block(&one.body)),
            Expr::ForLoop(one) => {
                let given = self.expr(&one.expr);
                self.bind(&one.pat, &element(&given));
                drop_type(self.block(&one.body))
            }
            _ => Type::Unknown,
        };
        self.locals.truncate(depth);
        result
    }

    /// Walks a condition and keeps its bindings.
    fn condition(&mut self, condition: &Expr) {
        match condition {
            Expr::Binary(one) if matches!(one.op, syn::BinOp::And(_)) => {
                self.condition(&one.left);
                self.condition(&one.right);
            }
            other => drop(self.expr(other)),
        }
    }

    fn closure(&mut self, closure: &syn::ExprClosure, expected: Option<&Type>) -> Type {
        let depth = self.locals.len();
        let inputs: Vec<Type> =
            expected.and_then(Type::as_function).map(|(inputs, _)| inputs.to_vec()).unwrap_or_default();
        for (at, pattern) in closure.inputs.iter().enumerate() {
            self.bind(pattern, inputs.get(at).unwrap_or(&Type::Unknown));
        }
        let found = self.expr(&closure.body);
        let written = self.definitions.output(self.tree, &self.scope, &closure.output);
        self.locals.truncate(depth);
        let output = if is_vague(&written) { found } else { written };
        Type::Function(inputs, Box::new(output))
    }

    fn literal(&mut self, literal: &syn::ExprStruct) -> Type {
        let (this, _) = self.constructed(&literal.path);
        let mut arguments = Arguments::new();
        let fields = self.pattern_fields(&literal.path, &Type::Unknown);
        for field in &literal.fields {
            let given = self.expr(&field.expr);
            if let Some(declared) = fields.get(&member(&field.member)) {
                declared.unify(&given, &mut arguments);
            }
        }
        if let Some(rest) = &literal.rest {
            self.expr(rest);
        }
        self.filled(this, &arguments)
    }

    /// Returns a type with the parameters inferred from its fields.
    pub(super) fn filled(&self, this: Type, arguments: &Arguments) -> Type {
        match this {
            Type::Own(id, given) if given.is_empty() => {
                let parameters =
                    self.definitions.shapes.get(&id).map(|shape| shape.parameters.clone()).unwrap_or_default();
                let known = |name: &String| arguments.get(name).cloned().unwrap_or(Type::Unknown);
                Type::Own(id, parameters.iter().map(known).collect())
            }
            other => other,
        }
    }

    fn field(&self, base: &Type, name: &str) -> Type {
        match peeled(base) {
            Type::Tuple(types) => {
                name.parse().ok().and_then(|at: usize| types.get(at)).cloned().unwrap_or(Type::Unknown)
            }
            Type::Own(id, arguments) => {
                let Some(shape) = self.definitions.shapes.get(id) else { return Type::Unknown };
                if let Some(field) = shape.fields.get(name) {
                    return field.with(&shape.parameters.iter().cloned().zip(arguments.iter().cloned()).collect());
                }
                self.target(peeled(base)).map_or(Type::Unknown, |target| self.field(&target, name))
            }
            Type::Param(_, bounds) | Type::Bounds(bounds) => bounds
                .iter()
                .map(|bound| self.field(bound, name))
                .find(|found| *found != Type::Unknown)
                .unwrap_or(Type::Unknown),
            _ => Type::Unknown,
        }
    }

    fn path(&mut self, path: &syn::ExprPath) -> Type {
        if path.qself.is_none()
            && let Some(name) = path.path.get_ident()
        {
            let name = name.to_string();
            if let Some((_, local)) = self.locals.iter().rev().find(|(local, _)| *local == name) {
                return local.clone();
            }
        }
        match self.callee(path) {
            Callee::Function(this, function) => {
                let output = self.returned(function, this.as_ref(), &Arguments::new());
                Type::Function(function.inputs.clone(), Box::new(output))
            }
            Callee::Constructor(this, fields) => {
                if fields.is_empty() {
                    return this;
                }
                Type::Function(fields.into_values().collect(), Box::new(this))
            }
            Callee::Constant(this) => this,
            Callee::Standard(..) | Callee::Unknown => Type::Unknown,
        }
    }
}

pub(super) fn member(member: &Member) -> String {
    match member {
        Member::Named(name) => name.to_string(),
        Member::Unnamed(index) => index.index.to_string(),
    }
}

pub(super) fn is_vague(this: &Type) -> bool {
    match this {
        Type::Unknown => true,
        Type::Tuple(types) => types.is_empty(),
        _ => false,
    }
}

fn drop_type(_: Type) -> Type {
    Type::Unknown
}
