//! The documentation of the public interface: overviews and examples of modules, the share of
//! functions with an example, and `# Errors` sections that are lists.
//!
//! A function *has an example* if its own documentation contains one, or if an example of its type
//! or of its module calls it. The second half is for accessors and setters, whose meaning shows in
//! the example of their type. Methods of `Kms` need their own. An *example* is Rust code that
//! asserts its outcome, or that is only compiled (`no_run`, `compile_fail`).
//!
//! The following command lists the functions without one:
//!
//! ```text
//! STRONGROOM_DOCUMENTATION=list cargo test --test it public_functions_have_examples -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use syn::{Attribute, Expr, ExprLit, File, ImplItem, Item, ItemMod, Lit, Meta, TraitItem, Type, Visibility};

use crate::layering::read_sources;

/// The level that an area has reached. Levels only rise.
struct Level {
    /// The beginning of the paths of the area's files, below `src`. The longest match counts.
    area: &'static str,
    /// The minimum share of public functions with an example, in percent.
    examples: usize,
    /// The maximum number of `# Errors` sections that are not lists, also of private items.
    errors_as_prose: usize,
}

const fn level(area: &'static str, examples: usize, errors_as_prose: usize) -> Level {
    Level { area, examples, errors_as_prose }
}

const LEVELS: [Level; 21] = [
    level("kms/", 100, 0),
    level("kms/request/", 100, 0),
    level("audit", 100, 0),
    level("policy", 100, 0),
    level("store", 100, 0),
    level("key", 100, 0),
    level("identity", 100, 0),
    level("algorithm", 100, 0),
    level("error", 100, 0),
    level("context", 100, 0),
    level("clock", 100, 0),
    level("secret", 100, 0),
    level("private_file", 100, 0),
    level("envelope", 85, 0),
    level("message", 100, 0),
    level("crypto", 72, 0),
    level("provider", 85, 0),
    level("provider/pkcs11", 81, 0),
    level("seal", 79, 0),
    level("blob", 100, 0),
    // The crate root, and modules that several areas use.
    level("", 100, 0),
];

/// Public modules whose overview or example is still missing. Remove a module once it has both.
const WITHOUT_OVERVIEW: [&str; 3] = ["envelope/conformance", "provider/conformance", "seal/conformance"];

/// Modules that are no interface: pages of the manual, and hidden entry points for fuzzing.
const NO_INTERFACE: [&str; 2] = ["manual", "fuzzing"];

#[test]
fn public_functions_have_examples() {
    let interface = Interface::read(&sources());
    let functions = interface.functions();
    // Fewer would mean that the source was not read.
    assert!(functions.len() > 700, "{} functions", functions.len());
    if std::env::var("STRONGROOM_DOCUMENTATION").is_ok_and(|mode| mode == "list") {
        LEVELS.iter().for_each(|level| println!("{}", share(level, &LEVELS, &functions)));
    }
    let problems = too_few_examples(&LEVELS, &functions);
    assert!(problems.is_empty(), "too few public functions have an example:\n{}", problems.join("\n"));
}

#[test]
fn every_operation_of_the_kms_has_its_own_example() {
    let interface = Interface::read(&sources());
    let functions = interface.functions();
    let operations = functions.iter().filter(|function| function.type_name == Some("Kms"));
    assert!(operations.clone().count() > 80, "the operations were not read");
    let without: Vec<_> = operations.filter(|function| !function.has_own_example).map(Function::place).collect();
    assert!(without.is_empty(), "operations without an example: {without:#?}");
}

#[test]
fn every_public_module_has_an_overview_and_an_example() {
    let interface = Interface::read(&sources());
    let modules = interface.public_modules();
    assert!(modules.len() > 15, "{} modules", modules.len());
    let problems: Vec<String> = modules
        .iter()
        .filter(|(path, _)| !WITHOUT_OVERVIEW.contains(path))
        .flat_map(|(path, docs)| module_problems(docs).map(move |problem| format!("{path}: {problem}")))
        .collect();
    assert!(problems.is_empty(), "{problems:#?}");
    let done =
        modules.iter().filter(|(path, docs)| WITHOUT_OVERVIEW.contains(path) && module_problems(docs).next().is_none());
    let done: Vec<_> = done.map(|(path, _)| path).collect();
    assert!(done.is_empty(), "remove these from WITHOUT_OVERVIEW: {done:?}");
}

#[test]
fn errors_sections_are_lists() {
    let problems = too_many_errors_as_prose(&LEVELS, &sources());
    assert!(problems.is_empty(), "`# Errors` sections that are not lists:\n{}", problems.join("\n"));
}

fn sources() -> BTreeMap<String, String> {
    let mut sources = read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("src can be read");
    sources.retain(|file, _| !file.ends_with("/tests.rs") && !file.contains("/tests/"));
    sources
}

/// Returns `true` if a level is the one of a file, which is that of the longest matching area.
fn is_level_of(level: &Level, levels: &[Level], file: &str) -> bool {
    let areas = levels.iter().map(|level| level.area).filter(|area| file.starts_with(area));
    areas.max_by_key(|area| area.len()) == Some(level.area)
}

/// The functions of an area, and those among them without an example.
struct Share {
    area: &'static str,
    functions: usize,
    own: usize,
    without: Vec<String>,
}

impl Share {
    fn percent(&self) -> usize {
        (self.functions - self.without.len()) * 100 / self.functions.max(1)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, functions, own) = (self.percent(), self.functions, self.own);
        write!(f, "{}: {percent} % of {functions} have an example, {own} their own", self.area)?;
        self.without.iter().try_for_each(|place| write!(f, "\n    {place}"))
    }
}

fn share(level: &Level, levels: &[Level], functions: &[Function<'_>]) -> Share {
    let of_area: Vec<_> = functions.iter().filter(|function| is_level_of(level, levels, function.file)).collect();
    let without = of_area.iter().filter(|function| !function.has_example).map(|function| function.place());
    Share {
        area: level.area,
        functions: of_area.len(),
        own: of_area.iter().filter(|function| function.has_own_example).count(),
        without: without.collect(),
    }
}

/// Returns the areas that are below their level, with their functions that lack an example.
fn too_few_examples(levels: &[Level], functions: &[Function<'_>]) -> Vec<String> {
    let shares = levels.iter().map(|level| (level.examples, share(level, levels, functions)));
    let low = shares.filter(|(wanted, share)| share.functions > 0 && share.percent() < *wanted);
    low.map(|(wanted, share)| format!("{share}\n  and must be {wanted} %")).collect()
}

/// Returns the areas with more `# Errors` sections in prose than their level allows.
fn too_many_errors_as_prose(levels: &[Level], sources: &BTreeMap<String, String>) -> Vec<String> {
    let in_prose = |level: &Level| -> Vec<String> {
        let files = sources.iter().filter(|(file, _)| is_level_of(level, levels, file));
        let places = files.flat_map(|(file, text)| {
            errors_as_prose_in(text).into_iter().map(move |line| format!("src/{file}:{line}"))
        });
        places.collect()
    };
    let found = levels.iter().map(|level| (level, in_prose(level)));
    let many = found.filter(|(level, places)| places.len() > level.errors_as_prose);
    many.map(|(level, places)| {
        let (area, most) = (level.area, level.errors_as_prose);
        format!("{area}: {} instead of at most {most}: {places:#?}", places.len())
    })
    .collect()
}

/// A public function or method.
struct Function<'a> {
    file: &'a str,
    type_name: Option<&'a str>,
    name: &'a str,
    has_own_example: bool,
    has_example: bool,
}

impl Function<'_> {
    fn place(&self) -> String {
        let type_name = self.type_name.map(|name| format!("{name}::")).unwrap_or_default();
        format!("{}: {type_name}{}", self.file, self.name)
    }
}

/// A function as it is read, before the examples of its type are known.
struct Declared {
    file: String,
    type_name: Option<String>,
    name: String,
    docs: String,
}

/// The documentation of the public items of a source tree.
#[derive(Default)]
struct Interface {
    functions: Vec<Declared>,
    /// Documentation of types and traits, and of their `impl` blocks.
    types: BTreeMap<String, String>,
    /// Documentation of modules, by their path with `/`, and `true` for those that are public.
    modules: BTreeMap<String, (bool, String)>,
}

impl Interface {
    /// Reads the files of a source tree, by their paths below `src`.
    fn read(sources: &BTreeMap<String, String>) -> Self {
        let mut interface = Self::default();
        for (file, text) in sources {
            let path = file.trim_end_matches(".rs").trim_end_matches("/mod").to_owned();
            let parsed: File = syn::parse_file(text).unwrap_or_else(|error| panic!("{file} is Rust: {error}"));
            interface.modules.entry(path.clone()).or_default().1 += &docs(&parsed.attrs);
            interface.read_items(file, &path, &parsed.items);
        }
        interface
    }

    fn read_items(&mut self, file: &str, module: &str, items: &[Item]) {
        for item in items {
            match item {
                Item::Fn(item) if is_public(&item.vis, &item.attrs) => {
                    self.add_function(file, None, &item.sig.ident, &item.attrs);
                }
                Item::Struct(item) => self.add_type(&item.ident, &item.attrs),
                Item::Enum(item) => self.add_type(&item.ident, &item.attrs),
                Item::Trait(item) => {
                    self.add_type(&item.ident, &item.attrs);
                    let methods = item.items.iter().filter_map(|item| match item {
                        TraitItem::Fn(method) => Some(method),
                        _ => None,
                    });
                    for method in methods.filter(|method| is_public(&item.vis, &method.attrs)) {
                        self.add_function(file, Some(item.ident.to_string()), &method.sig.ident, &method.attrs);
                    }
                }
                Item::Impl(item) if item.trait_.is_none() => {
                    let Type::Path(of) = &*item.self_ty else { continue };
                    let Some(of) = of.path.segments.last().map(|segment| &segment.ident) else { continue };
                    self.add_type(of, &item.attrs);
                    for method in item.items.iter() {
                        if let ImplItem::Fn(method) = method
                            && is_public(&method.vis, &method.attrs)
                        {
                            self.add_function(file, Some(of.to_string()), &method.sig.ident, &method.attrs);
                        }
                    }
                }
                Item::Mod(item) => self.read_module(file, module, item),
                _ => {}
            }
        }
    }

    fn read_module(&mut self, file: &str, parent: &str, module: &ItemMod) {
        let name = module.ident.to_string();
        let path = if parent == "lib" { name } else { format!("{parent}/{name}") };
        if is_for_tests(&module.attrs) {
            return;
        }
        let known = self.modules.entry(path.clone()).or_default();
        known.0 |= is_public(&module.vis, &module.attrs);
        known.1 += &docs(&module.attrs);
        if let Some((_, items)) = &module.content {
            self.read_items(file, &path, items);
        }
    }

    fn add_type(&mut self, name: &syn::Ident, attributes: &[Attribute]) {
        *self.types.entry(name.to_string()).or_default() += &docs(attributes);
    }

    fn add_function(&mut self, file: &str, type_name: Option<String>, name: &syn::Ident, attributes: &[Attribute]) {
        let (file, name, docs) = (file.to_owned(), name.to_string(), docs(attributes));
        self.functions.push(Declared { file, type_name, name, docs });
    }

    fn functions(&self) -> Vec<Function<'_>> {
        let modules: BTreeMap<&str, Vec<String>> =
            self.modules.iter().map(|(path, (_, docs))| (path.as_str(), examples(docs))).collect();
        let types: BTreeMap<&str, Vec<String>> =
            self.types.iter().map(|(name, docs)| (name.as_str(), examples(docs))).collect();
        let is_interface = |declared: &&Declared| {
            let mut parts = declared.file.split(['/', '.']);
            !parts.any(|part| NO_INTERFACE.contains(&part))
        };
        let is_shown = |declared: &Declared| -> bool {
            let of_type = declared.type_name.as_deref().and_then(|name| types.get(name));
            let path = declared.file.trim_end_matches(".rs").trim_end_matches("/mod");
            // The modules around the function: public ones have the overviews.
            let around = modules.iter().filter(|(module, _)| is_within(path, module)).map(|(_, examples)| examples);
            around.chain(of_type).flatten().any(|example| calls(example, &declared.name))
        };
        let functions = self.functions.iter().filter(is_interface);
        functions
            .map(|declared| {
                let has_own_example = !examples(&declared.docs).is_empty();
                Function {
                    file: &declared.file,
                    type_name: declared.type_name.as_deref(),
                    name: &declared.name,
                    has_own_example,
                    has_example: has_own_example || is_shown(declared),
                }
            })
            .collect()
    }

    /// Returns the paths and documentation of the public modules.
    fn public_modules(&self) -> Vec<(&str, &str)> {
        let is_interface = |path: &str| !NO_INTERFACE.iter().any(|name| path.starts_with(name));
        let modules = self.modules.iter().filter(|(path, (is_public, _))| *is_public && is_interface(path));
        modules.map(|(path, (_, docs))| (path.as_str(), docs.as_str())).collect()
    }
}

/// Returns `true` if a file's module is a module or within it.
fn is_within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_public(visibility: &Visibility, attributes: &[Attribute]) -> bool {
    let is_hidden = attributes.iter().any(|attribute| {
        attribute.path().is_ident("doc")
            && matches!(&attribute.meta, Meta::List(list) if list.tokens.to_string() == "hidden")
    });
    matches!(visibility, Visibility::Public(_)) && !is_hidden && !is_for_tests(attributes)
}

/// Returns `true` for `#[cfg(test)]`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && matches!(&attribute.meta, Meta::List(list) if list.tokens.to_string() == "test")
    })
}

/// Returns the text of the doc comments among some attributes.
fn docs(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        let Meta::NameValue(pair) = &attribute.meta else { continue };
        if let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &pair.value {
            let line = line.value();
            text.push_str(line.strip_prefix(' ').unwrap_or(&line));
            text.push('\n');
        }
    }
    text
}

/// Returns the examples in a documentation: blocks of Rust code that assert, or are only compiled.
fn examples(docs: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block: Option<(bool, String)> = None;
    for line in docs.lines() {
        match (line.trim().strip_prefix("```"), &mut block) {
            (Some(tags), None) => {
                let is_only_compiled = tags.contains("no_run") || tags.contains("compile_fail");
                let is_rust = tags.is_empty() || is_only_compiled || tags.split(',').any(|tag| tag.trim() == "rust");
                // Other code never counts as an example.
                block = Some((is_only_compiled, if is_rust { String::new() } else { "other".to_owned() }));
            }
            (Some(_), Some((is_only_compiled, text))) => {
                if !text.starts_with("other") && (*is_only_compiled || text.contains("assert")) {
                    found.push(std::mem::take(text));
                }
                block = None;
            }
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// Returns `true` if an example calls a function, implements it, or passes it by its path.
fn calls(example: &str, name: &str) -> bool {
    let is_part_of_name = |character: char| character.is_alphanumeric() || character == '_';
    example.match_indices(name).any(|(start, _)| {
        let (before, after) = (&example[..start], &example[start + name.len()..]);
        let is_whole = !before.ends_with(is_part_of_name) && !after.starts_with(is_part_of_name);
        is_whole && (after.starts_with('(') || after.starts_with("::<") || before.ends_with("::"))
    })
}

/// Returns the problems of the documentation of a public module.
fn module_problems(docs: &str) -> impl Iterator<Item = &'static str> {
    let mut is_code = false;
    let prose: Vec<&str> = docs
        .lines()
        .filter(|line| {
            let is_fence = line.trim().starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence && !line.starts_with('#')
        })
        .collect();
    let prose = prose.join("\n");
    let paragraphs = prose.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()).count();
    let has_overview = paragraphs >= 2;
    let has_links = prose.contains("[`");
    let problems = [
        (!has_overview, "no overview: more than a first paragraph"),
        (!has_links, "no links to its main items"),
        (examples(docs).is_empty(), "no example that asserts"),
    ];
    problems.into_iter().filter_map(|(is_problem, text)| is_problem.then_some(text))
}

/// Returns the lines of the `# Errors` sections that are not lists of kinds.
fn errors_as_prose_in(text: &str) -> Vec<usize> {
    let comment = |line: &str| -> Option<String> {
        let line = line.trim_start();
        let comment = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?;
        Some(comment.strip_prefix(' ').unwrap_or(comment).to_owned())
    };
    let lines: Vec<Option<String>> = text.lines().map(comment).collect();
    let heading = |line: &Option<String>| line.as_deref() == Some("# Errors");
    let sections = lines.iter().enumerate().filter(|(_, line)| heading(line)).map(|(number, _)| number);
    sections
        .filter(|start| {
            let section = lines[start + 1..].iter().map_while(Option::as_ref).take_while(|line| !line.starts_with('#'));
            let texts: Vec<&String> = section.filter(|line| !line.is_empty()).collect();
            texts.is_empty()
                || !texts[0].starts_with("- ")
                || !texts.iter().all(|line| line.starts_with("- ") || line.starts_with("  "))
        })
        .map(|start| start + 1)
        .collect()
}

/// Returns the files of a small crate.
fn files(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect()
}

/// Returns the functions of a file without an example.
fn without_example(text: &str) -> Vec<String> {
    let interface = Interface::read(&files(&[("vault.rs", text)]));
    let functions = interface.functions();
    functions.iter().filter(|function| !function.has_example).map(Function::place).collect()
}

#[test]
fn a_function_without_an_example_lowers_the_share() {
    let text =
        "/// Opens.\n///\n/// ```\n/// assert!(true);\n/// ```\npub fn open() {}\n/// Closes.\npub fn close() {}\n";
    assert_eq!(without_example(text), ["vault.rs: close"]);
    let interface = Interface::read(&files(&[("vault.rs", text)]));
    let levels = [level("vault", 50, 0)];
    assert_eq!(too_few_examples(&levels, &interface.functions()), Vec::<String>::new());
    let levels = [level("vault", 51, 0), level("", 100, 0)];
    let problems = too_few_examples(&levels, &interface.functions());
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("vault: 50 % of 2") && problems[0].contains("vault.rs: close"), "{problems:?}");
}

#[test]
fn examples_count_if_they_assert_or_are_only_compiled() {
    let of = |block: &str| {
        let comment: String = block.lines().map(|line| format!("/// {line}\n")).collect();
        without_example(&format!("/// Opens.\n///\n{comment}pub fn open() {{}}\n")).is_empty()
    };
    assert!(
        of("```\nassert_eq!(1, 1);\n```") && of("```rust,no_run\nopen();\n```") && of("```compile_fail\nopen();\n```")
    );
    assert!(!of("```\nopen();\n```") && !of("```text\nassert\n```") && !of("assert!"));
}

#[test]
fn the_example_of_a_type_counts_for_the_methods_that_it_calls() {
    let text = "/// A vault.\n///\n/// ```\n/// assert!(Vault::open(1).is_locked());\n/// ```\npub struct Vault;\n\
        impl Vault {\n    /// O.\n    pub fn open(_: u8) -> Self {}\n    /// L.\n    pub fn is_locked(&self) {}\n    \
        /// N.\n    pub fn lock(&self) {}\n    fn private(&self) {}\n}\n";
    assert_eq!(without_example(text), ["vault.rs: Vault::lock"]);
}

#[test]
fn a_module_needs_an_overview_links_and_an_example() {
    let problems = |docs: &str| module_problems(docs).collect::<Vec<_>>();
    assert_eq!(problems("Vaults.").len(), 3);
    let example = "```\nassert!(true);\n```";
    assert_eq!(problems(&format!("Vaults.\n\nA [`Vault`] locks.\n\n# Examples\n{example}")), Vec::<&str>::new());
    assert_eq!(problems(&format!("Vaults with a [`Vault`].\n\n# Examples\n{example}")).len(), 1);

    let lib =
        ("lib.rs", "/// Vaults.\npub mod vault {\n    pub use crate::inner::Vault;\n}\nmod inner;\npub mod manual;\n");
    let interface = Interface::read(&files(&[lib, ("inner.rs", "//! Inner.\n"), ("manual.rs", "//! Pages.\n")]));
    assert_eq!(interface.public_modules(), [("vault", "Vaults.\n")]);
}

#[test]
fn an_errors_section_in_prose_is_caught() {
    let list =
        "/// Opens.\n///\n/// # Errors\n/// - [`A`] if it is\n///   locked.\n///\n/// # Examples\n/// ```\nfn a() {}\n";
    assert_eq!(errors_as_prose_in(list), Vec::<usize>::new());
    for prose in
        ["Returns an error.", "If it is locked:\n/// - [`A`]", "- [`A`]\n///\n/// See above.", "\n/// # Panics"]
    {
        let text = format!("/// Opens.\n///\n/// # Errors\n/// {prose}\nfn a() {{}}\n");
        assert_eq!(errors_as_prose_in(&text), [3], "{prose}");
        let problems = too_many_errors_as_prose(&[level("vault", 0, 0)], &files(&[("vault.rs", &text)]));
        assert!(problems.len() == 1 && problems[0].contains("src/vault.rs:3"), "{problems:?}");
        assert!(too_many_errors_as_prose(&[level("vault", 0, 1)], &files(&[("vault.rs", &text)])).is_empty());
    }
}
