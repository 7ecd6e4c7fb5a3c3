//! The tokens of a source file as one flat list with line numbers. Comments are dropped, and
//! literals and lifetimes have no content.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// Kinds of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An identifier or keyword, without `r#`.
    Word(String),
    /// `::`.
    PathSeparator,
    /// Any other single punctuation character.
    Punctuation(char),
    /// A string, character or number literal, or a lifetime.
    Opaque,
}

/// A token and the line that it starts on, counted from 1.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

impl Token {
    /// Returns the identifier, if the token is one.
    pub(super) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    /// Returns `true` if it is this punctuation character.
    pub(super) fn is(&self, character: char) -> bool {
        self.kind == Kind::Punctuation(character)
    }
}

/// Flattens a token stream.
pub(super) fn flat(stream: TokenStream) -> Vec<Token> {
    let mut tokens = Vec::new();
    collect(stream, &mut tokens);
    tokens
}

fn collect(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        let kind = match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ('(', ')'),
                    Delimiter::Brace => ('{', '}'),
                    Delimiter::Bracket => ('[', ']'),
                    Delimiter::None => {
                        collect(group.stream(), tokens);
                        continue;
                    }
                };
                tokens.push(Token { kind: Kind::Punctuation(open), line });
                collect(group.stream(), tokens);
                let line = group.span_close().start().line;
                tokens.push(Token { kind: Kind::Punctuation(close), line });
                continue;
            }
            TokenTree::Ident(word) => {
                let word = word.to_string();
                Kind::Word(word.strip_prefix("r#").unwrap_or(&word).to_owned())
            }
            TokenTree::Literal(_) => Kind::Opaque,
            TokenTree::Punct(mark) => {
                let joint = mark.spacing() == Spacing::Joint;
                let mut follows =
                    |character| matches!(trees.peek(), Some(TokenTree::Punct(next)) if next.as_char() == character);
                match mark.as_char() {
                    ':' if joint && follows(':') => {
                        trees.next();
                        Kind::PathSeparator
                    }
                    '\'' => {
                        trees.next();
                        Kind::Opaque
                    }
                    other => Kind::Punctuation(other),
                }
            }
        };
        tokens.push(Token { kind, line });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        flat(source.parse().expect("tokens")).iter().filter_map(|token| token.word().map(str::to_owned)).collect()
    }

    #[test]
    fn comments_and_literals_hold_no_words() {
        let source = r####"a // crate::x
            /* b /* nested */ still */ c "d \" e" r#"f " g"# b"h" 'i' '\'' b'j' br"k" c"l" 1u8 0xFF m"####;
        assert_eq!(words(source), ["a", "c", "m"]);
    }

    #[test]
    fn lifetimes_are_no_characters() {
        assert_eq!(
            words("fn f<'a>(x: &'a str, y: &'static str) -> char { 'x' }"),
            ["fn", "f", "x", "str", "y", "str", "char"]
        );
    }

    #[test]
    fn raw_identifiers_lose_their_prefix_and_lines_count_through_literals() {
        let tokens = flat("r#type\n\"two\nlines\"\nlast".parse().expect("tokens"));
        assert_eq!(tokens[0].word(), Some("type"));
        assert_eq!((tokens[2].word(), tokens[2].line), (Some("last"), 4));
    }
}
