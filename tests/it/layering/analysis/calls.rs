//! Finds the methods and associated functions that each file calls, and the files that define them.
//!
//! The type of a receiver is inferred from declarations: fields, signatures, patterns, constructors
//! and closures, through references, smart pointers and the containers of the standard library. If
//! the type is known, a call means the method of that type, or of the trait behind `dyn`, `impl`
//! and generic parameters. Otherwise, the name alone decides, provided that it belongs to only one
//! method of the crate and is not in the list of common names.
//!
//! The analysis does not see:
//!
//! - calls by operators (`==`, `Deref`, `Drop`), by `?` and by formatting,
//! - calls in the expansion of a macro of the crate,
//! - fields that are read without a call.
//!
//! It ignores a call that could mean methods in several files.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::parse::Parser as _;
use syn::{Block, Expr, ImplItem, Item, Pat, Stmt, TraitItem};

use super::graph::{Edge, Kind, Tree};
use super::items::{Definitions, Function, Origin, Scope, for_tests};
use super::tokens::flat;
use super::types::Type;

/// The calls of a source tree.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// Calls that lead from one file to another.
    pub(crate) edges: Vec<Edge>,
    /// Ignored calls on a value of unknown type that may mean a method of the crate.
    pub(crate) unplaced: Vec<String>,
}

/// Finds every call outside tests.
pub(crate) fn calls(tree: &Tree) -> Calls {
    let definitions = Definitions::new(tree);
    let mut found = Calls::default();
    tree.each_item(&mut |module, item| {
        let scope = Scope { module: module.clone(), ..Scope::default() };
        let calls = std::mem::take(&mut found);
        let mut walker = Walker { tree, definitions: &definitions, scope, locals: Vec::new(), calls };
        walker.item(item);
        found = walker.calls;
    });
    found
}

/// Walks the code of one item.
pub(super) struct Walker<'a> {
    pub(super) tree: &'a Tree,
    pub(super) definitions: &'a Definitions<'a>,
    pub(super) scope: Scope,
    /// Local names, innermost last.
    pub(super) locals: Vec<(String, Type)>,
    calls: Calls,
}

impl<'a> Walker<'a> {
    pub(super) fn item(&mut self, item: &Item) {
        match item {
            Item::Fn(item) => self.function(&item.sig, Some(&item.block)),
            Item::Const(item) => drop(self.expr(&item.expr)),
            Item::Static(item) => drop(self.expr(&item.expr)),
            Item::Impl(item) => {
                let outer = self.scope.clone();
                self.scope = self.definitions.impl_scope(self.tree, &outer, item).0;
                for one in &item.items {
                    match one {
                        ImplItem::Fn(one) if !for_tests(&one.attrs) => self.function(&one.sig, Some(&one.block)),
                        ImplItem::Const(one) => drop(self.expr(&one.expr)),
                        _ => {}
                    }
                }
                self.scope = outer;
            }
            Item::Trait(item) => {
                let outer = self.scope.clone();
                self.scope = self.definitions.trait_scope(self.tree, &outer.module, item);
                for one in &item.items {
                    if let TraitItem::Fn(one) = one
                        && !for_tests(&one.attrs)
                    {
                        self.function(&one.sig, one.default.as_ref());
                    }
                }
                self.scope = outer;
            }
            Item::Macro(item) => self.tokens(item.mac.tokens.clone()),
            _ => {}
        }
    }

    fn function(&mut self, signature: &syn::Signature, body: Option<&Block>) {
        let Some(body) = body else { return };
        let outer = self.scope.clone();
        self.scope = self.definitions.generic(self.tree, &outer, &signature.generics);
        let before = std::mem::take(&mut self.locals);
        for input in &signature.inputs {
            match input {
                syn::FnArg::Receiver(_) => {
                    let this = self.scope.this.clone().unwrap_or(Type::Unknown);
                    self.locals.push(("self".to_owned(), this));
                }
                syn::FnArg::Typed(input) => {
                    let given = self.lower(&input.ty);
                    self.bind(&input.pat, &given);
                }
            }
        }
        self.block(body);
        self.locals = before;
        self.scope = outer;
    }

    pub(super) fn lower(&self, written: &syn::Type) -> Type {
        self.definitions.lower(self.tree, &self.scope, written)
    }

    pub(super) fn block(&mut self, block: &Block) -> Type {
        let depth = self.locals.len();
        let mut last = Type::unit();
        for statement in &block.stmts {
            last = self.statement(statement);
        }
        self.locals.truncate(depth);
        last
    }

    fn statement(&mut self, statement: &Stmt) -> Type {
        match statement {
            Stmt::Local(local) if !for_tests(&local.attrs) => {
                let mut given = Type::Unknown;
                if let Some(init) = &local.init {
                    let expected = match &local.pat {
                        Pat::Type(pattern) => Some(self.lower(&pattern.ty)),
                        _ => None,
                    };
                    given = self.expr_as(&init.expr, expected.as_ref());
                    if let Some((_, diverge)) = &init.diverge {
                        self.expr(diverge);
                    }
                }
                self.bind(&local.pat, &given);
                Type::unit()
            }
            Stmt::Local(_) => Type::unit(),
            Stmt::Item(item) => {
                let locals = std::mem::take(&mut self.locals);
                self.item(item);
                self.locals = locals;
                Type::unit()
            }
            Stmt::Expr(expr, semicolon) => {
                let result = self.expr(expr);
                if semicolon.is_some() { Type::unit() } else { result }
            }
            Stmt::Macro(statement) => self.macro_call(&statement.mac),
        }
    }

    pub(super) fn macro_call(&mut self, call: &syn::Macro) -> Type {
        let name = call.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        let mut first = Type::Unknown;
        for (at, part) in parts(call.tokens.clone()).into_iter().enumerate() {
            match syn::parse2::<Expr>(part.clone()) {
                Ok(expr) => {
                    let found = self.expr(&expr);
                    if at == 0 {
                        first = found;
                    }
                }
                Err(_) => match Block::parse_within.parse2(part.clone()) {
                    Ok(stmts) if name != "matches" => {
                        let block = Block { brace_token: syn::token::Brace::default(), stmts };
                        self.block(&block);
                    }
                    _ => self.tokens(part),
                },
            }
        }
        match name.as_str() {
            "format" => Type::foreign("String", Vec::new()),
            "vec" => Type::foreign("Vec", vec![first]),
            _ => Type::Unknown,
        }
    }

    /// Records calls in tokens that are not an expression: `.name(`, by the name alone.
    fn tokens(&mut self, stream: TokenStream) {
        let tokens = flat(stream);
        for window in tokens.windows(3) {
            if let [dot, name, open] = window
                && dot.is('.')
                && open.is('(')
                && let Some(name) = name.word()
                && let Some(function) = self.only(name)
            {
                self.record(&[function], &format!(".{name}()"), window[1].line);
            }
        }
    }

    /// Records a call, unless its target is in the same file or could be in several files.
    pub(super) fn record(&mut self, functions: &[&Function], called: &str, line: usize) {
        let from = self.tree.file_of(self.scope.module.clone());
        let files: BTreeSet<_> = functions.iter().map(|function| (&function.file, function.line)).collect();
        let distinct: BTreeSet<_> = files.iter().map(|(file, _)| *file).collect();
        if let (Some((to, defined)), 1) = (files.first(), distinct.len())
            && **to != from
        {
            let place = format!(
                "src/{}:{line}: `{called}`, defined in src/{}:{defined}",
                self.tree.name(&from),
                self.tree.name(to)
            );
            self.calls.edges.push(Edge { from, to: (*to).clone(), place, kind: Kind::Call });
        }
    }

    pub(super) fn note_unplaced(&mut self, name: &str, line: usize) {
        let functions = &self.definitions.functions;
        let Some(named) = self.definitions.by_name.get(name) else { return };
        let here = self.tree.file_of(self.scope.module.clone());
        let files: BTreeSet<&str> = named
            .iter()
            .map(|&index| &functions[index])
            .filter(|one| one.has_receiver && one.origin != Origin::Foreign)
            .map(|one| self.tree.name(&one.file))
            .collect();
        if !files.is_empty() {
            let files: Vec<&str> = files.into_iter().collect();
            self.calls.unplaced.push(format!(
                "src/{}:{line}: .{name}() in {}",
                self.tree.name(&here),
                files.join(", ")
            ));
        }
    }
}

/// Returns the tokens between the commas and semicolons of a macro call.
fn parts(stream: TokenStream) -> Vec<TokenStream> {
    let mut parts = vec![TokenStream::new()];
    for tree in stream {
        match &tree {
            TokenTree::Punct(mark) if mark.as_char() == ',' => parts.push(TokenStream::new()),
            _ => parts.last_mut().expect("there is at least one").extend([tree]),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}
