//! Finds the modules that a source file declares and the paths that it names, excluding test code.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;

use super::tokens::{Kind, Token, flat};

/// A path of a source file, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// The modules inside the file that contain the path, empty at the top level of the file.
    pub(super) inside: Vec<String>,
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
    pub(super) role: Role,
}

/// The use of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A `use` that binds a name, public or private.
    Binding { name: String, public: bool },
    /// A glob `use` of a module.
    Glob { public: bool },
    /// A path in other code.
    Mention,
}

/// The modules and paths found in a source file.
#[derive(Debug, Default)]
pub(super) struct File {
    /// Modules declared with `mod name;`: the enclosing modules and the name.
    pub(super) declared: Vec<(Vec<String>, String)>,
    /// Same as `declared`, for modules compiled only in tests.
    pub(super) declared_for_tests: Vec<(Vec<String>, String)>,
    /// Modules with a body in this file.
    pub(super) inline: BTreeSet<Vec<String>>,
    pub(super) paths: Vec<Path>,
}

/// Reads one file.
pub(super) fn parse(source: TokenStream) -> File {
    let mut parser = Parser { tokens: flat(source), at: 0, depth: 0, open: Vec::new(), file: File::default() };
    while parser.at < parser.tokens.len() {
        parser.step();
    }
    parser.file
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// The enclosing inline modules, with the brace depth outside them.
    open: Vec<(String, usize)>,
    file: File,
}

impl Parser {
    fn step(&mut self) {
        let Some(token) = self.tokens.get(self.at).cloned() else { return };
        match &token.kind {
            Kind::Punctuation('#') => self.attribute(),
            Kind::Punctuation('{') => {
                self.depth += 1;
                self.at += 1;
            }
            Kind::Punctuation('}') => {
                self.depth = self.depth.saturating_sub(1);
                self.open.pop_if(|(_, outside)| *outside == self.depth);
                self.at += 1;
            }
            Kind::Word(word) => self.word(word, token.line),
            _ => self.at += 1,
        }
    }

    fn word(&mut self, word: &str, line: usize) {
        if word == "mod" && self.peek(1).and_then(Token::word).is_some() {
            return self.module();
        }
        if word == "use" && !self.peek(1).is_some_and(|next| next.is('<')) {
            let public = self.follows_visibility();
            self.at += 1;
            return self.use_tree(&[], line, public);
        }
        let continues = self.peek(1).is_some_and(|next| next.kind == Kind::PathSeparator);
        if continues && !self.follows_separator() && !self.is_visibility_scope() {
            return self.mention(line);
        }
        self.at += 1;
    }

    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn back(&self, behind: usize) -> Option<&Token> {
        self.at.checked_sub(behind).and_then(|at| self.tokens.get(at))
    }

    fn inside(&self) -> Vec<String> {
        self.open.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Returns `true` after `pub` or `pub(...)`.
    fn follows_visibility(&self) -> bool {
        let Some(before) = self.back(1) else { return false };
        if before.word() == Some("pub") {
            return true;
        }
        let opening = (2..8).find(|&behind| self.back(behind).is_some_and(|token| token.is('(')));
        before.is(')') && opening.is_some_and(|behind| self.back(behind + 1).and_then(Token::word) == Some("pub"))
    }

    fn follows_separator(&self) -> bool {
        self.back(1).is_some_and(|before| before.kind == Kind::PathSeparator)
    }

    /// Returns `true` in the path of `pub(in path)`, which names an ancestor and is not a use.
    fn is_visibility_scope(&self) -> bool {
        self.back(1).and_then(Token::word) == Some("in") && self.back(3).and_then(Token::word) == Some("pub")
    }

    /// Parses `mod name;` or `mod name {`.
    fn module(&mut self) {
        let name = self.peek(1).and_then(Token::word).unwrap_or_default().to_owned();
        if self.peek(2).is_some_and(|next| next.is('{')) {
            self.open.push((name, self.depth));
            self.file.inline.insert(self.inside());
        } else {
            self.file.declared.push((self.inside(), name));
        }
        self.at += 2;
    }

    /// Parses a path outside `use`: words joined by `::`.
    fn mention(&mut self, line: usize) {
        let mut segments = Vec::new();
        while let Some(word) = self.peek(0).and_then(Token::word) {
            segments.push(word.to_owned());
            self.at += 1;
            if self.peek(0).is_none_or(|next| next.kind != Kind::PathSeparator) {
                break;
            }
            self.at += 1;
        }
        self.file.paths.push(Path { inside: self.inside(), segments, line, role: Role::Mention });
    }

    /// Parses one branch of a `use`, after `prefix`, up to the `,`, `}` or `;` that ends it.
    fn use_tree(&mut self, prefix: &[String], first_line: usize, public: bool) {
        let mut segments = prefix.to_vec();
        let mut line = self.peek(0).map_or(first_line, |token| token.line);
        let mut alias = None;
        while let Some(token) = self.peek(0).cloned() {
            match &token.kind {
                Kind::Punctuation('{') => return self.use_group(&segments, public),
                Kind::Punctuation('*') => {
                    self.at += 1;
                    let role = Role::Glob { public };
                    return self.file.paths.push(Path { inside: self.inside(), segments, line, role });
                }
                Kind::Word(word) if word == "as" => {
                    alias = self.peek(1).and_then(Token::word).map(str::to_owned);
                    self.at += 2;
                }
                Kind::Word(word) => {
                    // `self` at the end of a group names the prefix itself.
                    if word != "self" || segments.is_empty() {
                        segments.push(word.clone());
                    }
                    line = token.line;
                    self.at += 1;
                }
                Kind::PathSeparator => self.at += 1,
                _ => break,
            }
        }
        if let Some(last) = segments.last() {
            let name = alias.unwrap_or_else(|| last.clone());
            let role = Role::Binding { name, public };
            self.file.paths.push(Path { inside: self.inside(), segments, line, role });
        }
    }

    fn use_group(&mut self, prefix: &[String], public: bool) {
        self.at += 1;
        while let Some(token) = self.peek(0).cloned() {
            if token.is('}') {
                self.at += 1;
                return;
            }
            if token.is(',') {
                self.at += 1;
            } else {
                let before = self.at;
                self.use_tree(prefix, token.line, public);
                assert!(self.at > before, "line {}: not a use group", token.line);
            }
        }
    }

    /// Skips `#[...]`, and also the item that it is attached to if that is compiled only in tests.
    fn attribute(&mut self) {
        let inner = self.peek(1).is_some_and(|next| next.is('!'));
        let start = self.at + if inner { 2 } else { 1 };
        if !self.tokens.get(start).is_some_and(|next| next.is('[')) {
            self.at += 1;
            return;
        }
        let end = self.closing(start);
        let test_only = is_test_only(&self.tokens[start + 1..end]);
        self.at = end + 1;
        if test_only && inner {
            self.at = self.tokens.len();
        } else if test_only {
            self.skip_item();
        }
    }

    /// Returns the index of the bracket that closes the one at `open`.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for (index, token) in self.tokens.iter().enumerate().skip(open) {
            match token.kind {
                Kind::Punctuation('(' | '[' | '{') => depth += 1,
                Kind::Punctuation(')' | ']' | '}') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return index;
            }
        }
        self.tokens.len() - 1
    }

    /// Skips further attributes and one item: up to `;`, `,` or the end of its body.
    fn skip_item(&mut self) {
        let mut is_use = false;
        while let Some(token) = self.peek(0).cloned() {
            match &token.kind {
                Kind::Punctuation(';' | ',') => {
                    self.at += 1;
                    return;
                }
                // The item was the last field, variant or statement of the enclosing item.
                Kind::Punctuation('}' | ')' | ']') => return,
                Kind::Punctuation('(' | '[' | '{') => {
                    self.at = self.closing(self.at) + 1;
                    if token.is('{') && !is_use {
                        return;
                    }
                }
                Kind::Word(word) => {
                    is_use |= word == "use";
                    if word == "mod"
                        && self.peek(2).is_some_and(|next| next.is(';'))
                        && let Some(name) = self.peek(1).and_then(Token::word)
                    {
                        self.file.declared_for_tests.push((self.inside(), name.to_owned()));
                    }
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
    }
}

/// Returns `true` if an attribute's content is a `cfg` that is true only in tests.
fn is_test_only(content: &[Token]) -> bool {
    content.first().and_then(Token::word) == Some("cfg")
        && implies_test(content.get(2..content.len() - 1).unwrap_or(&[]))
}

/// Returns `true` if a `cfg` predicate can be true only in tests: `test`, `all(.., test)`,
/// `any(test, all(test, ..))`.
pub(super) fn implies_test(predicate: &[Token]) -> bool {
    let mut parts = arguments(predicate.get(2..predicate.len().saturating_sub(1)).unwrap_or(&[])).into_iter();
    match predicate.first().and_then(Token::word) {
        Some("test") => predicate.len() == 1,
        Some("all") => parts.any(implies_test),
        Some("any") => parts.len() > 0 && parts.all(implies_test),
        _ => false,
    }
}

/// Splits at the commas outside parentheses.
fn arguments(tokens: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0_usize;
    tokens
        .split(|token| {
            match token.kind {
                Kind::Punctuation('(') => depth += 1,
                Kind::Punctuation(')') => depth -= 1,
                _ => {}
            }
            depth == 0 && token.is(',')
        })
        .filter(|argument| !argument.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(source: &str) -> File {
        super::parse(source.parse().expect("tokens"))
    }

    fn found(source: &str) -> Vec<String> {
        parse(source).paths.iter().map(|path| format!("{}:{}", path.line, path.segments.join("::"))).collect()
    }

    #[test]
    fn a_use_group_over_many_lines_gives_each_leaf_its_line() {
        let source = "use crate::{\n    a::{self, B, c::{D as E, F}},\n    g::*,\n};";
        assert_eq!(
            found(source),
            ["2:crate::a", "2:crate::a::B", "2:crate::a::c::D", "2:crate::a::c::F", "3:crate::g"]
        );
        let roles: Vec<Role> = parse(source).paths.into_iter().map(|path| path.role).collect();
        assert_eq!(roles[0], Role::Binding { name: "a".into(), public: false });
        assert_eq!(roles[2], Role::Binding { name: "E".into(), public: false });
        assert_eq!(roles[4], Role::Glob { public: false });
    }

    #[test]
    fn paths_in_code_macros_and_types_are_found() {
        let source = "fn f(x: crate::a::B) -> Result<(), crate::c::D> { m!(crate::e::F, self::g::<u8>()) }
            macro_rules! n { () => { $crate::h::I } }
            impl super::super::j::K for u8 {}";
        assert_eq!(
            found(source),
            ["1:crate::a::B", "1:crate::c::D", "1:crate::e::F", "1:self::g", "2:crate::h::I", "3:super::super::j::K"]
        );
    }

    #[test]
    fn code_for_tests_is_left_out_and_nothing_else_is() {
        let source = "#[cfg(test)]\n#[allow(unused)]\nuse crate::{a::B, c::D};
            #[cfg(all(test, feature = \"x\"))] mod tests { use crate::e; fn f() { crate::g::h() } }
            #[cfg(any(test, feature = \"x\"))] use crate::kept::One;
            #[cfg(not(test))] use crate::kept::Two;
            struct S { #[cfg(test)] field: crate::i::J, other: crate::kept::Three }
            #[cfg(test)] const K: [crate::l::M; 1] = [crate::l::M { x: 1 }];
            #[cfg_attr(test, derive(Debug))] struct T(crate::kept::Four);
            #[cfg(test)] mod more;
            mod real;";
        assert_eq!(
            found(source),
            ["5:crate::kept::One", "6:crate::kept::Two", "7:crate::kept::Three", "9:crate::kept::Four"]
        );
        let file = parse(source);
        assert_eq!(file.declared, [(Vec::new(), "real".to_owned())]);
        assert_eq!(file.declared_for_tests, [(Vec::new(), "more".to_owned())]);
    }

    #[test]
    fn visibility_is_seen_and_its_scope_is_no_use() {
        let source = "pub use a::B; pub(crate) use c::D; pub(in crate::e) use f::G; use h::I; pub(super) fn j() {}";
        let public: Vec<bool> = parse(source)
            .paths
            .into_iter()
            .map(|path| matches!(path.role, Role::Binding { public: true, .. }))
            .collect();
        assert_eq!(found(source), ["1:a::B", "1:c::D", "1:f::G", "1:h::I"]);
        assert_eq!(public, [true, true, true, false]);
    }

    #[test]
    fn inline_modules_open_and_close() {
        let source = "mod a { mod b { use super::x::Y; } use super::z::W; mod c; } use crate::v;";
        let inside: Vec<String> = parse(source).paths.iter().map(|path| path.inside.join("::")).collect();
        assert_eq!(inside, ["a::b", "a", ""]);
        assert_eq!(parse(source).declared, [(vec!["a".to_owned()], "c".to_owned())]);
    }

    #[test]
    fn precise_capturing_is_no_import() {
        assert_eq!(
            found("fn f<'a>(x: &'a u8) -> impl Iterator<Item = u8> + use<'a> { crate::a::b(x) }"),
            ["1:crate::a::b"]
        );
    }
}
