//! Patterns with `*` and `?`.

/// A pattern in which `*` matches any text, `?` matches any single character, and everything else
/// matches literally.
///
/// Matching takes linear time, except for parts between two stars that contain a `?`: see
/// [`Pattern::search_length`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// The text between the stars: one more part than there are stars.
    parts: Box<[Part]>,
}

/// A piece of a pattern without `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    text: Box<str>,
    /// `true` if the part contains a `?`.
    any: bool,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let part = |text: &str| Part { text: text.into(), any: text.contains('?') };
        Self { parts: text.split('*').map(part).collect() }
    }

    /// Returns `true` if the pattern matches every text.
    pub(super) fn is_anything(&self) -> bool {
        self.parts.len() > 1 && self.parts.iter().all(|part| part.text.is_empty())
    }

    /// Returns `true` if the only wildcard in the pattern is a trailing `*`.
    pub(super) fn is_prefix(&self) -> bool {
        matches!(&*self.parts, [start, end] if !start.any && end.text.is_empty())
    }

    /// Returns the number of characters that may be compared at every position of a text. These are
    /// the characters of parts between two stars that contain a `?`.
    pub(super) fn search_length(&self) -> usize {
        let middle = self.parts.get(1..self.parts.len().saturating_sub(1)).unwrap_or_default();
        middle.iter().filter(|part| part.any).map(|part| part.text.len()).sum()
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.parts.split_first() else { return text.is_empty() };
        let Some(mut left) = first.strip_from(text) else { return false };
        let Some((last, middle)) = rest.split_last() else { return left.is_empty() };
        // The leftmost match is always sufficient, because it leaves the longest remainder.
        for part in middle {
            match part.find_in(left) {
                Some(after) => left = after,
                None => return false,
            }
        }
        last.ends(left)
    }
}

impl Part {
    /// Returns the remaining text if the text starts with this part.
    fn strip_from<'t>(&self, text: &'t str) -> Option<&'t str> {
        if !self.any {
            return text.strip_prefix(&*self.text);
        }
        let mut left = text.chars();
        for expected in self.text.chars() {
            let found = left.next()?;
            if expected != '?' && expected != found {
                return None;
            }
        }
        Some(left.as_str())
    }

    /// Returns the text after the first match of this part.
    fn find_in<'t>(&self, text: &'t str) -> Option<&'t str> {
        if !self.any {
            return text.find(&*self.text).map(|at| &text[at + self.text.len()..]);
        }
        text.char_indices().find_map(|(at, _)| self.strip_from(&text[at..]))
    }

    fn ends(&self, text: &str) -> bool {
        if !self.any {
            return text.ends_with(&*self.text);
        }
        let wanted = self.text.chars().rev();
        let mut left = text.chars().rev();
        wanted.into_iter().all(|expected| left.next().is_some_and(|found| expected == '?' || expected == found))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Implements the definition directly: short, but slow.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skipped| by_definition(rest, &text[skipped..])),
            Some((expected, rest)) => text
                .split_first()
                .is_some_and(|(found, left)| (*expected == '?' || expected == found) && by_definition(rest, left)),
        }
    }

    #[test]
    fn stars_and_question_marks_stand_for_text() {
        let rows = [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abcd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?", "é", true),
            ("??", "é", false),
            ("*ab*ab", "ab", false),
            ("*ab*ab", "abab", true),
            ("a*?", "a", false),
            ("**", "anything", true),
        ];
        for (pattern, text, matched) in rows {
            assert_eq!(Pattern::new(pattern).matches(text), matched, "{pattern} {text}");
        }
    }

    #[test]
    fn only_parts_with_a_question_mark_between_stars_are_searched_for() {
        for (pattern, length) in [("*", 0), ("a?b", 0), ("a?*?b", 0), ("*abc*", 0), ("*a?c*", 3), ("x?*a?*bb*??*", 4)] {
            assert_eq!(Pattern::new(pattern).search_length(), length, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn matching_is_that_of_the_definition(pattern in "[ab?*é]{0,8}", text in "[abé]{0,10}") {
            let (wanted, given): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), by_definition(&wanted, &given));
        }
    }
}
