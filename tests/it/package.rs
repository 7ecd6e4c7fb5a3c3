//! The contents and dependencies of the published package, and the rules for every source file.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

/// Files and folders that a published package may contain, in addition to those that cargo adds.
const PUBLISHED: [&str; 8] =
    ["build.rs", "src/", "benches/", "README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// Files that cargo adds to every package.
const ADDED_BY_CARGO: [&str; 4] = [".cargo_vcs_info.json", "Cargo.lock", "Cargo.toml", "Cargo.toml.orig"];

/// Features whose documentation states a newer compiler than the crate.
const NEEDS_NEWER_COMPILER: [&str; 1] = ["columns-sqlx"];

/// Maximum length of a source file in lines. Split longer files.
const LONGEST_FILE: usize = 600;

#[test]
fn the_package_holds_what_users_need_and_nothing_else() {
    let Some(list) = cargo(&["package", "--package", "strongroom", "--list", "--allow-dirty"]) else { return };
    let files: BTreeSet<&str> = list.lines().collect();
    let allowed = |file: &&str| {
        let published =
            PUBLISHED.iter().any(|entry| *file == *entry || (entry.ends_with('/') && file.starts_with(entry)));
        let peers = file.starts_with("benches/peers/");
        (published && !peers) || ADDED_BY_CARGO.contains(file)
    };
    let strangers: Vec<_> = files.iter().filter(|file| !allowed(file)).collect();
    assert!(strangers.is_empty(), "the package must not contain {strangers:?}");

    let missing: Vec<_> = PUBLISHED.iter().filter(|entry| !entry.ends_with('/') && !files.contains(*entry)).collect();
    assert!(missing.is_empty(), "the package lacks {missing:?}");
    let unpublished: Vec<_> = files_under("src").into_iter().filter(|file| !files.contains(file.as_str())).collect();
    assert!(unpublished.is_empty(), "the package lacks {unpublished:?}");
}

#[test]
fn no_dependency_needs_a_newer_compiler_than_the_stated_one() {
    let manifest = read("Cargo.toml");
    let older = features_of(&manifest).into_iter().filter(|feature| !NEEDS_NEWER_COMPILER.contains(feature));
    let features = older.collect::<Vec<_>>().join(",");
    let arguments = ["metadata", "--format-version", "1", "--locked", "--no-default-features", "--features", &features];
    let Some(text) = cargo(&arguments) else { return };
    let metadata: Value = serde_json::from_str(&text).expect("cargo prints JSON");
    let packages: BTreeMap<&str, &Value> =
        array(&metadata["packages"]).map(|package| (text_of(&package["id"]), package)).collect();
    let root = text_of(&metadata["resolve"]["root"]);
    let stated = version(text_of(&packages[root]["rust_version"])).expect("Cargo.toml states a rust-version");

    let built = dependencies_in_a_build(&metadata["resolve"], root);
    assert!(built.len() > 10, "the graph of dependencies was not read");
    let newer: Vec<String> = built
        .iter()
        .map(|id| packages[id])
        .filter(|package| package["rust_version"].as_str().and_then(version).is_some_and(|needed| needed > stated))
        .map(|package| format!("{} needs {}", text_of(&package["name"]), text_of(&package["rust_version"])))
        .collect();
    assert!(newer.is_empty(), "newer than the stated {stated:?}: {newer:?}");
}

#[test]
fn source_files_stay_short_and_finished() {
    for file in files_under("src").into_iter().filter(|file| file.ends_with(".rs")) {
        let text = read(&file);
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{file} has {lines} lines: split it by concept");
        for (number, line) in text.lines().enumerate() {
            let unfinished =
                ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("].into_iter().find(|mark| line.contains(mark));
            assert_eq!(unfinished, None, "{file}:{}", number + 1);
        }
    }
}

#[test]
fn every_test_that_holds_a_promise_exists() {
    let page = read("SECURITY.md");
    let (_, table) = page.split_once("\n## Tests for each promise\n").expect("the section exists");
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let named: Vec<&str> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 40, "the table was not read: {named:?}");
    let files = ["src", "tests/it", "tests/memory"].into_iter().flat_map(files_under);
    let texts: Vec<String> = files.filter(|file| file.ends_with(".rs")).map(|file| read(&file)).collect();
    let tests: BTreeSet<&str> = texts.iter().flat_map(|text| tests_in(text)).collect();
    let missing: Vec<_> = named.iter().filter(|name| !tests.contains(*name)).collect();
    assert!(missing.is_empty(), "SECURITY.md names tests that do not exist: {missing:?}");
}

#[test]
fn links_to_files_in_the_documents_lead_somewhere() {
    let mut checked = 0;
    for document in ["README.md", "CONTRIBUTING.md", "RELEASING.md", "CHANGELOG.md", "benches/peers/results.md"] {
        let text = read(document);
        let folder = Path::new(document).parent().expect("the path of a file");
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().expect("a split has a part")) {
            if target.starts_with("https://") || target.starts_with('#') {
                continue;
            }
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target);
            assert!(path.exists(), "{document} links to {target}, which does not exist");
            checked += 1;
        }
    }
    assert!(checked > 20, "the links were not read: {checked}");
}

#[test]
fn the_readme_stays_short_and_names_the_minimum_rust_version() {
    let readme = read("README.md");
    let words = readme.replace('|', " ").split_whitespace().count();
    assert!(words <= 1_300, "README.md has {words} words: move some to the manual");
    let manual = readme.lines().position(|line| line.contains("(src/manual/")).expect("links to the manual");
    assert!(manual < 60, "the first link to the manual is in line {}", manual + 1);
    let manifest = read("Cargo.toml");
    let stated = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a rust-version");
    assert!(readme.contains(&format!("Rust {}", stated.trim_matches('"'))), "README.md must name Rust {stated}");
}

#[test]
fn tests_of_an_area_import_from_it_and_from_support_only() {
    let mut areas = BTreeSet::new();
    for file in files_under("tests/it") {
        let path: Vec<&str> = file.split('/').skip(2).collect();
        // `layering` contains source text with imports of all kinds.
        let [area, _, ..] = path[..] else { continue };
        if area == "layering" {
            continue;
        }
        areas.insert(area.to_owned());
        let is_direct = path.len() == 2;
        for (number, line) in read(&file).lines().enumerate() {
            let leaves = is_direct && line.contains("super::super::");
            assert!(!leaves, "{file}:{}: leaves its area with super::super", number + 1);
            for import in line.split("crate::").skip(1) {
                let from = import.split(|character: char| !(character.is_alphanumeric() || character == '_')).next();
                let is_allowed = from.is_some_and(|from| from == area || from == "support");
                assert!(is_allowed, "{file}:{}: imports from {from:?}, which is another area", number + 1);
            }
        }
    }
    assert!(areas.len() > 10, "the folders were not read: {areas:?}");
}

#[test]
fn the_workflow_tests_every_feature_alone() {
    let manifest = read("Cargo.toml");
    let features = features_of(&manifest);

    let workflow = read(".github/workflows/ci.yml");
    let matrix = workflow.lines().find_map(|line| line.trim().strip_prefix("feature: [")?.strip_suffix(']'));
    let tested: Vec<&str> = matrix.expect("a matrix of features").split(", ").collect();
    assert_eq!(tested, features, "the matrix of .github/workflows/ci.yml must list the features of Cargo.toml");
    let commands = workflow.lines().filter(|line| line.contains("--features ${{ matrix.feature }}"));
    let is_alone = |line: &str| line.contains("--no-default-features");
    assert_eq!(commands.map(is_alone).collect::<Vec<_>>(), [true, true], "Clippy and the tests, with one feature");
}

/// All features but `fips` are built together: its C library takes minutes, and makes the strict
/// backend the default.
#[test]
fn nothing_enables_fips_by_enabling_all_features() {
    let manifest = read("Cargo.toml");
    let mut expected = features_of(&manifest);
    expected.retain(|feature| *feature != "fips");
    let (_, listed) = manifest.split_once("\n[package.metadata.docs.rs]\n").expect("settings of docs.rs");
    let listed = listed.split(']').next().and_then(|text| text.split_once('[')).expect("a list of features").1;
    let listed: Vec<&str> = listed.split('"').skip(1).step_by(2).collect();
    assert_eq!(listed, expected, "docs.rs documents all features but fips");

    let scripts = [".ci/run", ".ci/resolve", "test.sh", ".github/workflows/ci.yml"];
    for file in scripts.into_iter().chain(["CONTRIBUTING.md", "RELEASING.md"]) {
        assert!(!read(file).contains("--all-features"), "{file} must use all_but_fips of .ci/lib.sh");
    }
    assert!(scripts.iter().all(|file| read(file).contains("all_but_fips")));
    let script = "source .ci/lib.sh && all_but_fips";
    let output = Command::new("bash").args(["-c", script]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    // Without a shell there is nothing that uses the function.
    let Ok(output) = output else { return };
    let printed = String::from_utf8(output.stdout).expect("names of features");
    assert_eq!(printed.trim().split(',').collect::<Vec<_>>(), expected, "all_but_fips of .ci/lib.sh");
}

/// Crates with cryptographic primitives.
const PRIMITIVES: [&str; 20] = [
    "aes_gcm",
    "aes_kw",
    "argon2",
    "aws_lc_rs",
    "cbc",
    "ecdsa",
    "ed25519_dalek",
    "getrandom",
    "hkdf",
    "hmac",
    "hpke",
    "k256",
    "ml_dsa",
    "ml_kem",
    "p256",
    "p384",
    "p521",
    "rsa",
    "sha2",
    "xts_mode",
];

/// Files outside the backends that name such crates, and why no primitive escapes the strict backend.
const OUTSIDE_BACKENDS: [(&str, &str); 9] = [
    ("src/crypto/signature_format.rs", "converts encodings of signatures"),
    ("src/crypto/rsa_numbers.rs", "checks the numbers of a key"),
    ("src/kms/key_handles/signing_key.rs", "hashes for a signature of a hash value, which the strict backend rejects"),
    ("src/kms/key_handles/signature_types.rs", "types of signatures and keys"),
    ("src/envelope/keyring/hybrid/wrapping.rs", "HPKE, which the strict backend rejects"),
    ("src/envelope/keyring/hybrid/drawn.rs", "the traits of generators"),
    ("src/s3_encryption/content.rs", "AES-CBC, which the strict backend rejects"),
    ("src/volumes/sector.rs", "AES-XTS, with which volumes are rejected together with the strict backend"),
    ("src/seal/passphrase.rs", "Argon2id, which the strict backend rejects"),
];

/// All other code reaches primitives through a backend, so that the strict one confines them to its
/// module.
#[test]
fn primitives_are_named_in_backends_only() {
    let mut naming = BTreeSet::new();
    for file in files_under("src").into_iter().filter(|file| file.ends_with(".rs") && !is_for_tests(file)) {
        let is_backend = ["rust_crypto", "aws_lc", "fips"].iter().any(|part| file.contains(&format!("crypto/{part}/")));
        let text = read(&file);
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        let names = |line: &str| {
            PRIMITIVES.iter().any(|name| {
                let mut rest = line;
                std::iter::from_fn(|| {
                    let (before, after) = rest.split_once(&format!("{name}::"))?;
                    rest = after;
                    Some(before.ends_with(|last: char| last.is_alphanumeric() || last == '_' || last == ':'))
                })
                .any(|is_part_of_a_longer_path| !is_part_of_a_longer_path)
            })
        };
        if !is_backend && lines.into_iter().any(names) {
            naming.insert(file);
        }
    }
    naming.retain(|file| file != "src/envelope/keyring/mod.rs"); // its module `rsa`
    let expected: BTreeSet<String> = OUTSIDE_BACKENDS.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(naming, expected);
}

/// Returns the features of a manifest, without `default`.
fn features_of(manifest: &str) -> Vec<&str> {
    let (_, section) = manifest.split_once("\n[features]\n").expect("Cargo.toml has features");
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let keys = lines.filter(|line| line.starts_with(|first: char| first.is_ascii_alphanumeric()));
    let names = keys.filter_map(|line| Some(line.split_once('=')?.0.trim()));
    let features: Vec<&str> = names.filter(|name| *name != "default").collect();
    assert!(features.len() >= 10, "the features were not read: {features:?}");
    features
}

/// Returns the names of the functions under `#[test]` in a source file.
fn tests_in(text: &str) -> impl Iterator<Item = &str> {
    let marked = text.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn "));
    marked.filter_map(|(_, rest)| rest.split('(').next())
}

#[test]
fn the_documentation_of_the_kms_names_every_method() {
    let page = read("src/kms/engine/handle.rs");
    let table: String = page.lines().filter(|line| line.starts_with("/// | ")).collect();
    let sources: Vec<String> = files_under("src/kms").into_iter().filter(|file| file.ends_with(".rs")).collect();
    let texts: Vec<String> = sources.iter().map(|file| read(file)).collect();
    let methods: Vec<&str> = texts.iter().flat_map(|text| methods_of_the_kms(text)).collect();
    assert!(methods.len() > 80, "the methods were not read: {methods:?}");
    let unnamed: Vec<_> = methods.iter().filter(|method| !table.contains(&format!("`{method}`"))).collect();
    assert!(unnamed.is_empty(), "the table of `Kms` lacks {unnamed:?}");
}

/// Returns the public methods of all `impl Kms` in a source file.
/// A program must depend on the same versions of the crates whose types are part of the interface.
#[test]
fn the_manual_names_the_versions_of_crates_in_the_interface() {
    let manifest = read("Cargo.toml");
    let stated = |name: &str| {
        let start = format!("{name} = {{ version = \"");
        let line = manifest.lines().find_map(|line| line.strip_prefix(&start)).expect("a dependency");
        line.split('"').next().expect("a version").to_owned()
    };
    let curves = ["p256", "p384", "p521", "k256"].map(stated);
    assert!(curves.iter().all(|version| *version == curves[0]), "{curves:?}");
    let [rsa, edwards, traits] = ["rsa", "ed25519-dalek", "signature"].map(stated);
    // The last number says only which release is the oldest that fits.
    let lattice = stated("ml-dsa").rsplit_once('.').map(|(version, _)| version.to_owned()).expect("three numbers");
    let curve = &curves[0];
    let expected = [
        ("src/manual/key_types.md", format!("`p256`, `p384`, `p521` and `k256` {curve}, `rsa` {rsa}")),
        ("src/manual/key_types.md", format!("`ed25519-dalek` {edwards} and `ml-dsa` {lattice}")),
        ("src/manual/key_types.md", format!("and the traits those of `signature` {traits}")),
        ("src/manual/cookbook.md", format!("`p256` ({curve}, with `signature` {traits})")),
        ("src/kms/key_handles/signature_types.rs", format!("`k256` {curve}, `rsa` {rsa},")),
        ("src/kms/key_handles/signature_types.rs", format!("`ed25519-dalek` {edwards}, and `ml-dsa` {lattice}.")),
        (
            "src/kms/key_handles/signature_types.rs",
            format!("k256 {curve}, rsa {rsa}, ed25519-dalek {edwards}, or ml-dsa {lattice}"),
        ),
    ];
    for (file, text) in expected {
        let plain = read(file).split_whitespace().filter(|word| *word != "///").collect::<Vec<_>>().join(" ");
        assert!(plain.contains(&text), "{file} does not contain {text:?}");
    }
}

fn methods_of_the_kms(text: &str) -> impl Iterator<Item = &str> {
    let blocks = text.split("\nimpl Kms {\n").skip(1).filter_map(|block| block.split("\n}\n").next());
    let lines = blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("    pub "));
    let names = lines.filter_map(|line| line.strip_prefix("const ").unwrap_or(line).strip_prefix("fn "));
    names.filter_map(|name| name.split(['(', '<']).next())
}

#[test]
fn a_feature_adds_modules_and_names_and_changes_nothing_else() {
    for file in files_under("src").into_iter().filter(|file| file.ends_with(".rs") && !is_for_tests(file)) {
        let text = read(&file);
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines: Vec<&str> = code.lines().map(str::trim).collect();
        for (number, line) in lines.iter().enumerate().filter(|(_, line)| is_feature_gate(line)) {
            let gated = lines[number + 1..]
                .iter()
                .find(|next| !next.is_empty() && !next.starts_with("//") && !next.starts_with("#["));
            let words: Vec<&str> = gated.map_or(Vec::new(), |gated| gated.split_whitespace().take(2).collect());
            assert!(words.contains(&"mod") || words.contains(&"use"), "{file}:{}: `{line}` gates code", number + 1);
        }
    }
}

/// Returns `true` for files that only tests compile, by their names in this crate.
fn is_for_tests(file: &str) -> bool {
    file.ends_with("/tests.rs")
        || file.ends_with("/conformance.rs")
        || file.contains("/conformance/")
        || file.contains("/tests/")
}

/// Returns `true` for `#[cfg(.. feature ..)]`, or `cfg!(feature ..)` in code.
fn is_feature_gate(line: &str) -> bool {
    !line.starts_with("//") && line.contains("feature = ") && (line.contains("#[cfg(") || line.contains("cfg!("))
}

/// Returns the ids of all packages that a build of `root` compiles: normal and build dependencies,
/// but not dev-dependencies.
fn dependencies_in_a_build<'a>(resolve: &'a Value, root: &'a str) -> BTreeSet<&'a str> {
    let nodes: BTreeMap<&str, &Value> = array(&resolve["nodes"]).map(|node| (text_of(&node["id"]), node)).collect();
    let mut found = BTreeSet::new();
    let mut pending = vec![root];
    while let Some(id) = pending.pop() {
        if !found.insert(id) {
            continue;
        }
        let in_build = |dependency: &&Value| array(&dependency["dep_kinds"]).any(|kind| kind["kind"] != "dev");
        pending.extend(array(&nodes[id]["deps"]).filter(in_build).map(|dependency| text_of(&dependency["pkg"])));
    }
    found
}

/// Runs cargo on this package and returns its output. If cargo fails, reports that and returns
/// `None`.
fn cargo(arguments: &[&str]) -> Option<String> {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    match output {
        Ok(output) if output.status.success() => Some(String::from_utf8(output.stdout).expect("cargo prints UTF-8")),
        failed => {
            let reason =
                failed.map_or_else(|error| error.to_string(), |run| String::from_utf8_lossy(&run.stderr).into_owned());
            let all = env::var_os("STRONGROOM_REQUIRE").is_some_and(|value| value == "all");
            assert!(!all, "cargo {arguments:?} failed: {reason}");
            // Not with `println`, whose output the test runner hides if a test passes.
            let _ = writeln!(io::stderr(), "not run: a check of the package (cargo {arguments:?} failed: {reason})");
            None
        }
    }
}

/// Returns all files below a folder of the package, relative to its root, with `/` between the
/// names.
fn files_under(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(&folder)).expect("the folder can be read");
        for entry in entries {
            let entry = entry.expect("the folder can be read");
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else {
                files.push(path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/"));
            }
        }
    }
    files
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a source file is UTF-8")
}

/// Parses `1.90` and `1.90.0` as numbers that compare.
fn version(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split('.').map(str::parse);
    let mut next = || parts.next().map_or(Some(0), Result::ok);
    Some([next()?, next()?, next()?])
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("an array").iter()
}

fn text_of(value: &Value) -> &str {
    value.as_str().expect("a string")
}

#[test]
fn versions_compare_by_number() {
    assert!(version("1.9") < version("1.10.0"));
    assert_eq!(version("1.90"), version("1.90.0"));
    assert_eq!(version("nightly"), None);
}
