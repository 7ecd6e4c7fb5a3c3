//! Just enough of Rust's lexical structure to find paths: comments and literals fall away, lines are kept.

/// What a token is.
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

/// A token and the line it starts on, counted from 1.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

impl Token {
    /// The identifier, if it is one.
    pub(super) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    /// Whether it is this punctuation character.
    pub(super) fn is(&self, character: char) -> bool {
        self.kind == Kind::Punctuation(character)
    }
}

/// Splits source text into tokens.
pub(super) fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { rest: source, line: 1 };
    let mut tokens = Vec::new();
    while !lexer.rest.is_empty() {
        let line = lexer.line;
        if let Some(kind) = lexer.next() {
            tokens.push(Token { kind, line });
        }
    }
    tokens
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl Lexer<'_> {
    /// Takes one token, or one piece of white space or comment, which is `None`.
    fn next(&mut self) -> Option<Kind> {
        let first = self.peek(0)?;
        if first.is_whitespace() {
            self.take(first.len_utf8());
            return None;
        }
        if self.rest.starts_with("//") {
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
            return None;
        }
        if self.rest.starts_with("/*") {
            self.block_comment();
            return None;
        }
        if let Some(kind) = self.literal_with_prefix() {
            return Some(kind);
        }
        Some(match first {
            '"' => self.quoted('"'),
            '\'' => self.character_or_lifetime(),
            _ if first.is_alphanumeric() || first == '_' => self.word_or_number(first),
            _ if self.rest.starts_with("::") => {
                self.take(2);
                Kind::PathSeparator
            }
            _ => {
                self.take(first.len_utf8());
                Kind::Punctuation(first)
            }
        })
    }

    fn peek(&self, index: usize) -> Option<char> {
        self.rest.chars().nth(index)
    }

    fn take(&mut self, bytes: usize) -> &str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    /// Block comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0;
        while !self.rest.is_empty() {
            if self.rest.starts_with("/*") {
                depth += 1;
                self.take(2);
            } else if self.rest.starts_with("*/") {
                depth -= 1;
                self.take(2);
                if depth == 0 {
                    return;
                }
            } else {
                self.take(self.peek(0).map_or(0, char::len_utf8));
            }
        }
    }

    /// `b'x'`, `b"x"`, `c"x"`, and the raw strings `r"x"`, `br#"x"#`, `cr"x"`.
    fn literal_with_prefix(&mut self) -> Option<Kind> {
        for prefix in ["br", "cr", "r"] {
            let Some(after) = self.rest.strip_prefix(prefix) else { continue };
            let hashes = after.len() - after.trim_start_matches('#').len();
            if after[hashes..].starts_with('"') {
                let end = format!("\"{}", "#".repeat(hashes));
                let start = prefix.len() + hashes + 1;
                let length = self.rest[start..].find(&end).map_or(self.rest.len(), |at| start + at + end.len());
                self.take(length);
                return Some(Kind::Opaque);
            }
        }
        for prefix in ["b\"", "c\"", "b'"] {
            if self.rest.starts_with(prefix) {
                self.take(1);
                return Some(self.quoted(if prefix.ends_with('"') { '"' } else { '\'' }));
            }
        }
        None
    }

    /// A literal between quotes, with backslash escapes.
    fn quoted(&mut self, quote: char) -> Kind {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|&(_, character)| {
            let ends = !escaped && character == quote;
            escaped = !escaped && character == '\\';
            ends
        });
        self.take(end.map_or(self.rest.len(), |(at, _)| at + 1));
        Kind::Opaque
    }

    /// `'x'` and `'\n'` end with a quote; `'static` does not.
    fn character_or_lifetime(&mut self) -> Kind {
        if self.peek(1) == Some('\\') || self.peek(2) == Some('\'') {
            return self.quoted('\'');
        }
        self.take(1);
        self.take_word();
        Kind::Opaque
    }

    fn word_or_number(&mut self, first: char) -> Kind {
        if let Some(name) = self.rest.strip_prefix("r#")
            && name.starts_with(|character: char| character.is_alphabetic() || character == '_')
        {
            self.take(2);
        }
        let word = self.take_word();
        if first.is_numeric() { Kind::Opaque } else { Kind::Word(word) }
    }

    fn take_word(&mut self) -> String {
        let inside = |character: char| character.is_alphanumeric() || character == '_';
        let length = self.rest.find(|character| !inside(character)).unwrap_or(self.rest.len());
        self.take(length).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        tokens(source).iter().filter_map(|token| token.word().map(str::to_owned)).collect()
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
        let tokens = tokens("r#type\n\"two\nlines\"\nlast");
        assert_eq!(tokens[0].word(), Some("type"));
        assert_eq!((tokens[2].word(), tokens[2].line), (Some("last"), 4));
    }
}
