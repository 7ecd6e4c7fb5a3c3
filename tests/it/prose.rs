//! Sentences in idiomatic English: markers of translated prose are counted, and their share may only
//! fall. This covers comments, documents, and the string literals that are messages.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use regex::Regex;

/// Maximum share of marked lines in an area, in tenths of a percent.
const LIMIT: usize = 20;

/// Areas whose prose and messages are read: folders with everything below them.
const SOURCE_AREAS: [&str; 13] = [
    "src/audit",
    "src/crypto",
    "src/envelope",
    "src/key",
    "src/kms",
    "src/message",
    "src/policy",
    "src/provider",
    "src/seal",
    "src/store",
    "src",
    "tests",
    "examples",
];

/// Areas whose prose alone is read: files, or folders with everything below them.
const OTHER_AREAS: [&str; 6] = ["src/manual", "benches", "fuzz", "README.md", "CHANGELOG.md", "SECURITY.md"];

/// The minimum number of words of a message. Shorter literals are mostly names.
const MESSAGE_WORDS: usize = 3;

/// Folders that contain no prose of this crate.
const SKIPPED: [&str; 5] = ["target", "corpus", "vectors", "node_modules", "data"];

/// A pattern that seldom occurs in idiomatic technical English, and what makes an occurrence legitimate.
///
/// A marker is a place to look, not a verdict. Rewrite the sentence, do not evade the pattern.
const MARKERS: [(&str, &str, &str); 16] = [
    ("opens with a question word", r"^(What|Who|Whom|Whose|Whether|How|Which|Why|Where|Whoever)\b", r"\?"),
    (
        "who as a noun",
        r"\bwhoever\b|\b(for|to|by|than|only) who\b|^[Ww]ho |[,;] who \w+ ",
        r"[,;] who (is|are|was|were|has|have|can|could|may|must|will)",
    ),
    ("tell for report", r"\b(tells?|told|telling)\b", ""),
    (
        "stands or lies for is",
        r"\b(stands?|stood|lies|lie|lay) (in|at|on|beside|behind|between|under|there|elsewhere|outside|over|by|within)\b",
        "",
    ),
    (
        "make for create",
        r"\b(makes?|made|making) (a|an|the|new|no|one|it|them|of|in|by|under|anew|when|here|for|keys?|material|messages?|with|on|there|before|what|this)\b|\b(is|are|was|were|be|been) made\b",
        "",
    ),
    ("is there for exists", r"\b(is|are|was|were) (not |no longer |still |already )?there\b", r"\bthere (is|are)\b"),
    ("of yours", r"\bof (yours|ours|theirs|(your|its|their|one's|his) own)\b", ""),
    (", say", r", say\b", ""),
    ("goes on", r"\b(go|goes|went|gone|going) on\b", ""),
    ("anew, for ever, meanwhile, in clear, beside", r"\b(anew|for ever|meanwhile|in clear|beside)\b", ""),
    ("a tail of and none", r",? and (no more|none|nobody|nothing|no other)\b", ""),
    ("takes for accepts", r"\btakes? (no|any|over|its|part|what)\b", ""),
    ("gives out, brings", r"\b(gives?|given|gave|hands?|handed) out\b|\bbrings?\b|\bbrought\b", ""),
    ("time is over", r"\b(is|was) over\b", ""),
    ("a clause with what as a noun", r"\bwhat (is|was|are|were|it|they|he|others|nobody|nothing|somebody)\b", r"\?"),
    ("in one piece, cut off, whole", r"\bin one piece\b|\bcut off\b|\b(is|not) whole\b", ""),
];

struct Marker {
    name: &'static str,
    pattern: Regex,
    unless: Option<Regex>,
}

impl Marker {
    fn all() -> Vec<Self> {
        let compiled = |text: &str| Regex::new(text).expect("a valid pattern");
        let marker = |&(name, pattern, unless): &(&'static str, &str, &str)| Self {
            name,
            pattern: compiled(pattern),
            unless: (!unless.is_empty()).then(|| compiled(unless)),
        };
        MARKERS.iter().map(marker).collect()
    }

    fn marks(&self, line: &str) -> bool {
        self.pattern.is_match(line) && !self.unless.as_ref().is_some_and(|unless| unless.is_match(line))
    }
}

/// Files with prose below a path.
fn files_under(path: &Path, found: &mut Vec<PathBuf>) {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if path.is_dir() {
        if SKIPPED.contains(&name(path).as_str()) {
            return;
        }
        let entries = fs::read_dir(path).expect("the folder can be read");
        entries.for_each(|entry| files_under(&entry.expect("the entry can be read").path(), found));
    } else if ["rs", "md", "toml", "sh"].iter().any(|kind| path.extension().is_some_and(|found| found == *kind)) {
        found.push(path.to_owned());
    }
}

/// The lines of prose of a file with their numbers: comments in code, text outside of code blocks in Markdown.
fn prose(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).expect("the file can be read");
    let (mut in_code, mut lines) = (false, Vec::new());
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let content = match path.extension().and_then(|kind| kind.to_str()) {
            Some("rs") => line.strip_prefix("//").map(|rest| rest.trim_start_matches(['/', '!'])),
            Some("md") => Some(line),
            _ => line.strip_prefix("# "),
        };
        let Some(content) = content.map(str::trim) else {
            in_code = false;
            continue;
        };
        if content.starts_with("```") {
            in_code = !in_code;
        } else if !content.is_empty() && !in_code {
            lines.push((number + 1, content.to_owned()));
        }
    }
    lines
}

/// The string literals of a Rust source that look like messages, with their line numbers. The texts
/// of attributes for documentation are not among them, because they are comments.
fn messages(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    collect_messages(source.parse().expect("Rust tokens"), &mut found);
    found
}

fn collect_messages(stream: TokenStream, found: &mut Vec<(usize, String)>) {
    let (mut is_documentation, mut follows_equals) = (false, false);
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => collect_messages(group.stream(), found),
            TokenTree::Ident(word) => is_documentation = word == "doc",
            TokenTree::Punct(mark) => {
                follows_equals = mark.as_char() == '=';
                continue;
            }
            TokenTree::Literal(_) if is_documentation && follows_equals => {}
            TokenTree::Literal(literal) => {
                let literal = syn::parse2::<syn::LitStr>(TokenTree::from(literal).into());
                let text = literal.map(|text| text.value()).unwrap_or_default();
                if text.split_whitespace().count() >= MESSAGE_WORDS {
                    found.push((line, text));
                }
            }
        }
        follows_equals = false;
    }
}

/// Returns a report for each area in which the share of marked lines exceeds the limit.
fn too_many_marked(areas: &[&str], lines_of: impl Fn(&Path) -> Vec<(usize, String)>) -> Vec<String> {
    let markers = Marker::all();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut problems = Vec::new();
    for area in areas {
        let mut files = Vec::new();
        files_under(&root.join(area), &mut files);
        let (mut total, mut marked) = (0, Vec::new());
        for file in files {
            for (number, line) in lines_of(&file) {
                total += 1;
                if let Some(marker) = markers.iter().find(|marker| marker.marks(&line)) {
                    let path = file.strip_prefix(root).unwrap_or(&file).display().to_string();
                    marked.push(format!("{path}:{number}: [{}] {line}", marker.name));
                }
            }
        }
        assert!(total > 0, "{area} has no prose: the table is out of date");
        if is_over_limit(marked.len(), total) {
            problems.push(format!("{area}: {} of {total} lines\n{}", marked.len(), marked.join("\n")));
        }
    }
    problems
}

const fn is_over_limit(marked: usize, total: usize) -> bool {
    marked * 1_000 > total * LIMIT
}

#[test]
fn prose_reads_as_written_in_english() {
    let areas = [&SOURCE_AREAS[..], &OTHER_AREAS[..]].concat();
    let (problems, limit) = (too_many_marked(&areas, prose), LIMIT / 10);
    assert!(problems.is_empty(), "more than {limit} % of the lines read as translated:\n\n{}", problems.join("\n\n"));
}

#[test]
fn messages_read_as_written_in_english() {
    let messages_of = |file: &Path| match file.extension().is_some_and(|kind| kind == "rs") {
        true => messages(&fs::read_to_string(file).expect("the file can be read")),
        false => Vec::new(),
    };
    let (problems, limit) = (too_many_marked(&SOURCE_AREAS, messages_of), LIMIT / 10);
    assert!(
        problems.is_empty(),
        "more than {limit} % of the messages read as translated:\n\n{}",
        problems.join("\n\n")
    );
}

#[test]
fn messages_are_found_in_code_and_judged_like_prose() {
    let bad = r##"
        /// Whether it is made anew.
        #[doc = "what is not there is made anew"]
        #[error("the key of {0} is cut off, and nobody has it")]
        struct Failed(String);
        // "what is told in a comment"
        fn fail(name: &str) -> Error {
            let short = "made anew";
            Error::new(format!("{name} makes one version of a key and \
                                no more"), r#"the "key" is not there"#)
        }
    "##;
    let found = messages(bad);
    assert_eq!(
        found,
        [
            (4, "the key of {0} is cut off, and nobody has it".to_owned()),
            (9, "{name} makes one version of a key and no more".to_owned()),
            (10, "the \"key\" is not there".to_owned()),
        ]
    );
    let markers = Marker::all();
    let marked = |found: &[(usize, String)]| {
        found.iter().filter(|(_, text)| markers.iter().any(|marker| marker.marks(text))).count()
    };
    assert!(marked(&found) == 3 && is_over_limit(3, 3));
    let good =
        messages(r#"fn f() { g("cannot open {path}: wrong root key", "the provider {} does not support rotation") }"#);
    assert!(good.len() == 2 && marked(&good) == 0);
    assert!(is_over_limit(21, 1_000) && !is_over_limit(20, 1_000));
}

#[test]
fn markers_find_translated_prose_and_nothing_else() {
    let markers = Marker::all();
    let is_marked = |line: &str| markers.iter().any(|marker| marker.marks(line));
    for bad in [
        "Whether the key may be used.",
        "Makes a key of your own, and no more.",
        "The trail tells who did what.",
        "What is not there is made anew.",
    ] {
        assert!(is_marked(bad), "{bad}");
    }
    for good in ["Returns `true` if the key exists.", "What is a grant?", "There is no such key.", "Creates a key."] {
        assert!(!is_marked(good), "{good}");
    }
}
