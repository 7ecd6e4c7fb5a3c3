//! Small source trees: violations that the rules must report with their line, and code that they
//! must accept.

use std::collections::BTreeMap;

use super::{Rules, TABLES, Table, read};

/// Returns the problems of a small tree by the table of the crate and those of some modules. Names
/// that are only in a table count as planned.
fn problems_by(modules: &[&str], known: &[&[&str]], files: &[(&str, &str)]) -> Vec<String> {
    let sources: BTreeMap<String, String> =
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let (tree, edges, _) = read(&sources);
    let waiting: Vec<&str> = TABLES.iter().map(|table| table.module).filter(|module| !module.is_empty()).collect();
    let waiting: Vec<&str> = waiting.into_iter().filter(|module| !modules.contains(module)).collect();
    let held = |table: &&Table| !waiting.contains(&table.module);
    let planned = TABLES.iter().filter(held).flat_map(|table| table.missing(&tree)).collect();
    Rules { tables: &TABLES, waiting: &waiting, planned, known }.problems(&tree, &edges)
}

fn problems_of(files: &[(&str, &str)]) -> Vec<String> {
    problems_by(&[], &[], files)
}

/// Asserts that there is exactly one problem and that its text contains everything that is
/// expected.
fn assert_one(problems: &[String], expected: &[&str]) {
    let all = problems.len() == 1 && expected.iter().all(|text| problems[0].contains(text));
    assert!(all, "expected {expected:#?}, found {problems:#?}");
}

fn assert_caught(files: &[(&str, &str)], expected: &str) {
    assert_one(&problems_of(files), &[expected]);
}

#[test]
fn imports_that_go_down_are_allowed() {
    let problems = problems_of(&[
        ("lib.rs", "mod error; mod codec; mod kms; mod blob; pub use kms::Kms; pub use error::{Error, Result};"),
        ("error.rs", "pub struct Error;"),
        ("codec.rs", "use crate::error::Error;"),
        ("blob.rs", "use crate::{Error, codec::Reader}; // crate::kms::Kms"),
        ("kms/mod.rs", "mod pipeline; mod request; pub use request::Request; use crate::blob;"),
        ("kms/pipeline.rs", "use super::Request; fn f() { let _ = \"crate::envelope::X\"; }"),
        ("kms/request.rs", "#[cfg(test)] mod tests; fn f() -> crate::error::Result<()> { Ok(()) }"),
        ("kms/request/tests.rs", "use crate::kms::pipeline::X; use super::*;"),
    ]);
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn a_multi_line_group_that_goes_up_is_caught() {
    let lib = "mod blob; mod kms; mod error;";
    let blob = "use crate::{\n    error::Error,\n    kms::{\n        request::{Encrypt},\n    },\n};";
    let files = [("lib.rs", lib), ("error.rs", ""), ("blob.rs", blob), ("kms.rs", "mod request {}")];
    assert_caught(&files, "src/blob.rs:4: `crate::kms::request::Encrypt` makes blob (L3) import kms (L4)");
}

#[test]
fn siblings_of_a_row_are_strangers() {
    let files = [("lib.rs", "mod blob; mod store;"), ("blob.rs", "use crate::store::Batch;"), ("store.rs", "")];
    assert_caught(&files, "makes blob (L3) import store (L3)");
}

#[test]
fn climbing_out_with_super_is_caught() {
    let lib = "mod message; mod kms;";
    let frame = "impl super::super::kms::Marker for u8 {}";
    let files = [("lib.rs", lib), ("kms.rs", ""), ("message/mod.rs", "mod frame;"), ("message/frame.rs", frame)];
    assert_caught(&files, "src/message/frame.rs:1: `super::super::kms::Marker`");
    let inline = "mod inner { use super::super::kms::Marker; }";
    assert_caught(&[("lib.rs", lib), ("kms.rs", ""), ("message.rs", inline)], "src/message.rs:1:");
}

#[test]
fn a_name_of_the_crate_root_counts_as_where_it_comes_from() {
    let lib = "mod audit; pub mod kms; pub use kms::Kms as Registry;";
    let files = [("lib.rs", lib), ("kms/mod.rs", "mod a; pub use a::Kms;"), ("kms/a.rs", ""), ("audit.rs", "")];
    assert_eq!(problems_of(&files), Vec::<String>::new());
    let mut bad = files;
    bad[3].1 = "fn f(_: &crate::Registry) {}";
    assert_caught(&bad, "makes audit (L3) import kms (L4)");
}

#[test]
fn an_item_of_the_crate_root_itself_is_above_everything() {
    let files = [("lib.rs", "mod error; pub struct Stray;"), ("error.rs", "use crate::Stray;")];
    assert_caught(&files, "makes error (L0) import lib (L6)");
}

#[test]
fn a_macro_body_and_a_feature_gate_hide_nothing() {
    let gated = "#[cfg(feature = \"x\")]\nuse crate::kms::Kms;";
    let in_macro = "macro_rules! m { () => { $crate::kms::Kms } }";
    for policy in [gated, in_macro] {
        assert_caught(
            &[("lib.rs", "mod policy; mod kms;"), ("kms.rs", ""), ("policy.rs", policy)],
            "makes policy (L3)",
        );
    }
}

#[test]
fn files_of_one_module_in_a_circle_are_caught() {
    let files = [
        ("lib.rs", "mod key;"),
        ("key/mod.rs", "mod spec; mod state; mod id; pub use spec::Spec; pub use state::State;"),
        ("key/spec.rs", "use super::State;"),
        ("key/state.rs", "fn f() { super::id::parse() }"),
        ("key/id.rs", "use crate::key::Spec;"),
    ];
    let expected =
        ["in a cycle: key::id, key::spec, key::state", "src/key/spec.rs:1", "src/key/state.rs:1", "src/key/id.rs:1"];
    assert_one(&problems_of(&files), &expected);
}

#[test]
fn a_circle_through_folders_is_caught() {
    let files = [
        ("lib.rs", "mod crypto;"),
        ("crypto/mod.rs", "mod aead; mod soft; pub use aead::Aead;"),
        ("crypto/aead.rs", "use super::soft::DEFAULT;"),
        ("crypto/soft/mod.rs", "mod inner;"),
        ("crypto/soft/inner.rs", "use super::super::Aead;"),
    ];
    let expected = ["in a cycle: crypto::aead, crypto::soft", "src/crypto/aead.rs:1", "src/crypto/soft/inner.rs:1"];
    assert_one(&problems_of(&files), &expected);
}

#[test]
fn a_parent_passes_names_on_and_a_circle_with_its_children_is_caught() {
    let config = ("envelope/config.rs", "use super::Envelope;\npub struct Config;");
    let mut files = [
        ("lib.rs", "mod envelope;"),
        ("envelope/mod.rs", "mod config; mod handle; pub use config::Config; pub use handle::Envelope;"),
        ("envelope/handle.rs", "pub struct Envelope;"),
        config,
    ];
    assert_eq!(problems_of(&files), Vec::<String>::new());
    files[1].1 = "mod config; mod handle;\nuse config::Config; pub struct Envelope(Config);";
    let expected = ["in a cycle: envelope, envelope::config", "src/envelope/mod.rs:2", "src/envelope/config.rs:1"];
    assert_one(&problems_of(&files), &expected);
}

#[test]
fn modules_and_table_name_each_other() {
    assert_caught(&[("lib.rs", "mod utils;"), ("utils.rs", "")], "module utils is in no row");
    let sources =
        BTreeMap::from([("lib.rs".to_owned(), "mod error;".to_owned()), ("error.rs".to_owned(), String::new())]);
    let (tree, _, _) = read(&sources);
    let problems = TABLES[0].unlisted(&tree, &["error".to_owned()]);
    assert!(problems.contains(&"module error exists: remove it from PLANNED".to_owned()), "{problems:?}");
    assert!(problems.contains(&"module kms is in the table but not in src".to_owned()), "{problems:?}");
}

#[test]
fn files_that_nothing_declares_are_caught() {
    assert_caught(&[("lib.rs", ""), ("stray.rs", "")], "stray.rs: no module declares it");
    assert_caught(&[("lib.rs", "mod error;")], "error.rs: declared but missing");
}

#[test]
fn names_that_come_with_a_glob_are_followed() {
    let lib = "mod audit; pub mod kms; pub use kms::*;";
    let kms = "mod request; pub use request::*;";
    let files = [
        ("lib.rs", lib),
        ("kms/mod.rs", kms),
        ("kms/request.rs", "pub struct Encrypt;"),
        ("audit.rs", "fn f(_: &crate::Encrypt) {}"),
    ];
    assert_caught(&files, "src/audit.rs:1: `crate::Encrypt` makes audit (L3) import kms (L4)");
}

/// A type in one file and more of its methods in another, each file calling the other.
const SPREAD: [(&str, &str); 4] = [
    ("lib.rs", "mod key;"),
    ("key/mod.rs", "mod id; mod text;"),
    ("key/id.rs", "pub struct Id;\nimpl Id {\n    pub fn parse(&self) { self.check() }\n}"),
    ("key/text.rs", "use super::id::Id;\nimpl Id {\n    pub fn check(&self) {}\n}"),
];

#[test]
fn a_circle_through_methods_is_caught() {
    let expected = [
        "in a cycle: key::id, key::text",
        "src/key/id.rs:3: `Id.check()`, defined in src/key/text.rs:3",
        "src/key/text.rs:1: `super::id::Id`",
    ];
    assert_one(&problems_of(&SPREAD), &expected);
}

#[test]
fn a_circle_through_methods_alone_is_caught() {
    let files = [
        ("lib.rs", "mod key;"),
        ("key/mod.rs", "mod a; mod b; mod id;"),
        ("key/id.rs", "pub struct Id;"),
        ("key/a.rs", "use super::id::Id;\nimpl Id { pub fn one(&self) { self.two() } }"),
        ("key/b.rs", "use super::id::Id;\nimpl Id { pub fn two(&self) { self.one() } }"),
    ];
    let expected = ["in a cycle: key::a, key::b", "src/key/a.rs:2: `Id.two()`", "src/key/b.rs:2: `Id.one()`"];
    assert_one(&problems_of(&files), &expected);
}

#[test]
fn a_circle_through_associated_functions_is_caught() {
    let mut files = SPREAD;
    files[2].1 = "pub struct Id;\nimpl Id {\n    pub fn parse() -> Self { Self::check(Self) }\n}";
    files[3].1 = "use super::id::Id;\nimpl Id {\n    pub fn check(this: Self) -> Self { this }\n}";
    assert_one(&problems_of(&files), &["in a cycle: key::id, key::text", "src/key/id.rs:3: `Id::check`"]);
}

#[test]
fn a_known_circle_passes_and_has_to_leave_the_list_when_it_is_gone() {
    let known: &[&[&str]] = &[&["key::id", "key::text"]];
    assert_eq!(problems_by(&[], known, &SPREAD), Vec::<String>::new());
    let mut files = SPREAD;
    files[2].1 = "pub struct Id;";
    assert_one(&problems_by(&[], known, &files), &["remove it from KNOWN_CIRCLES: key::id, key::text"]);
}

#[test]
fn a_call_that_goes_up_is_caught() {
    let files = [
        ("lib.rs", "mod key; mod kms;"),
        ("key.rs", "pub struct Id;\nfn f(id: &Id) {\n    id.registered();\n}"),
        (
            "kms.rs",
            "use crate::key::Id; pub trait Registered { fn registered(&self); }\nimpl Registered for Id { fn registered(&self) {} }",
        ),
    ];
    let problems = problems_of(&files);
    let expected =
        "src/key.rs:3: `Id.registered()`, defined in src/kms.rs:2 makes key (L1) call kms (L4), which is not below it";
    assert!(problems.contains(&expected.to_owned()), "{problems:#?}");
}

/// A small tree with rows inside `kms`.
const KMS: [(&str, &str); 6] = [
    ("lib.rs", "mod kms; pub use kms::Kms;"),
    ("kms/mod.rs", "mod engine; mod pipeline; mod storage; pub use engine::handle::Kms;"),
    ("kms/engine/mod.rs", "pub mod handle;"),
    (
        "kms/engine/handle.rs",
        "use crate::kms::storage::Registry;\npub struct Kms { registry: Registry }\nimpl Kms { fn g(&self) { self.registry.load_key() } }",
    ),
    ("kms/pipeline.rs", "use super::engine::handle::Kms;\nimpl Kms { pub fn authorize(&self) {} }"),
    ("kms/storage.rs", "pub struct Registry;\nimpl Registry { pub fn load_key(&self) {} }"),
];

#[test]
fn rows_inside_a_module_are_held() {
    assert_eq!(problems_by(&["kms"], &[], &KMS), Vec::<String>::new());
    let mut files = KMS;
    files[5].1 = "use super::engine::handle::Other;\npub struct Registry;\nimpl Registry { pub fn load_key(&self) {} }";
    let problems = problems_by(&["kms"], &[], &files);
    let expected = "src/kms/storage.rs:1: `super::engine::handle::Other` makes storage (row 2) import engine (row 3), which is not below it";
    assert!(problems.contains(&expected.to_owned()), "{problems:#?}");
}

#[test]
fn a_call_that_goes_up_inside_a_module_is_caught() {
    let mut files = KMS;
    files[3].1 = "pub struct Kms;\nimpl Kms {\n    fn g(&self) { self.authorize() }\n}";
    let problems = problems_by(&["kms"], &[], &files);
    let expected = "src/kms/engine/handle.rs:3: `Kms.authorize()`, defined in src/kms/pipeline.rs:2 makes engine (row 3) call pipeline (row 4)";
    assert!(problems.iter().any(|problem| problem.starts_with(expected)), "{problems:#?}");
}

#[test]
fn a_part_that_no_row_names_is_caught_and_a_tree_that_is_there_has_to_be_held() {
    let mut files = KMS;
    files[1].1 = "mod engine; mod pipeline; mod storage; mod helpers {} pub use engine::handle::Kms;";
    assert_one(&problems_by(&["kms"], &[], &files), &["module kms::helpers is in no row of the table"]);
    let sources = BTreeMap::from([("lib.rs".to_owned(), String::new())]);
    let (tree, edges, _) = read(&sources);
    let tables = [Table { module: "", rows: &[("L0", &["lib"])] }];
    let rules = Rules { tables: &tables, waiting: &[""], planned: Vec::new(), known: &[] };
    assert_one(&rules.problems(&tree, &edges), &["remove it from WAITING"]);
}

/// Returns the calls of `code` that lead to the file that defines a type `Lock` with its trait.
fn lock_calls(code: &str) -> Vec<String> {
    let lock = "
        pub struct Lock { pub inner: u8 }
        pub enum Door { Shut(Lock), Open { lock: Lock } }
        pub trait Bolted { fn slide_bolt(&self); fn drop_bolt(&self) {} }
        impl Bolted for Lock { fn slide_bolt(&self) {} }
        impl Lock {
            pub fn turn(&self) -> Result<Lock, ()> { Err(()) }
            pub fn turn_key(&self) {}
            pub fn push(&self) {}
            pub fn unlock() -> Self { Lock { inner: 1 } }
            pub fn each(&self, act: impl FnOnce(&Lock) -> u8) -> u8 { act(self) }
        }";
    let door = format!("use super::lock::{{Bolted, Door, Lock}};\nuse std::sync::Arc;\n{code}");
    let sources: BTreeMap<String, String> =
        [("lib.rs", "mod key;"), ("key/mod.rs", "mod door; mod lock;"), ("key/lock.rs", lock), ("key/door.rs", &door)]
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into();
    let (_, edges, _) = read(&sources);
    let calls = edges.into_iter().filter(|edge| edge.kind == super::Kind::Call);
    calls.map(|edge| edge.place.split('`').nth(1).unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_type_of_a_receiver_is_followed() {
    for code in [
        "fn f(lock: &Lock) { lock.push() }",
        "fn f(lock: Arc<Lock>) { let other = Arc::clone(&lock); other.push() }",
        "struct S { lock: Option<Arc<Lock>> } impl S { fn f(&self) { self.lock.as_ref().map(|one| one.push()); } }",
        "fn f(locks: Vec<Lock>) { for one in &locks { one.push() } }",
        "fn f(locks: Vec<(u8, Lock)>) { locks.iter().filter(|(_, one)| one.push()).count(); }",
        "fn f(door: Door) { match door { Door::Open { lock } => lock.push(), Door::Shut(_) => {} } }",
        "fn f(door: Door) { if let Door::Shut(lock) = door { lock.push() } }",
        "fn f() { let lock = Lock { inner: 2 }; lock.push() }",
        "type Shared<T> = std::sync::Mutex<T>; fn f(lock: &Shared<Lock>) { lock.lock().unwrap().push() }",
        "struct Held<T>(T); fn f(held: Held<Lock>) { held.0.push() }",
        "struct Held<T>(T); impl<T> std::ops::Deref for Held<T> { type Target = T; fn deref(&self) -> &T { &self.0 } }
            fn f(held: Held<Lock>) { held.push() }",
        "fn f(lock: Lock) { assert!(lock.push(), \"{}\", 1); }",
        "fn f(locks: &[Lock]) { locks.iter().for_each(Lock::push); }",
    ] {
        let calls = lock_calls(code);
        assert!(
            matches!(calls.as_slice(), [one] if one.ends_with("push()") || one == "Lock::push"),
            "{code}: {calls:?}"
        );
    }
    assert_eq!(
        lock_calls("fn f(lock: Lock) -> Result<(), ()> { lock.turn()?.push(); Ok(()) }"),
        ["Lock.turn()", "Lock.push()"]
    );
    assert_eq!(
        lock_calls("fn f() { Lock::unlock().each(|one| { one.push(); 1 }); }"),
        ["Lock::unlock", "Lock.each()", "Lock.push()"]
    );
}

#[test]
fn a_call_through_a_trait_leads_to_the_trait() {
    assert_eq!(lock_calls("fn f(one: &dyn Bolted) { one.slide_bolt() }"), ["Bolted.slide_bolt()"]);
    assert_eq!(
        lock_calls("fn f<B: Bolted>(one: &B) { one.slide_bolt(); B::drop_bolt(one) }"),
        ["Bolted.slide_bolt()", "Bolted::drop_bolt"]
    );
    assert_eq!(lock_calls("fn f(lock: Lock) { lock.drop_bolt() }"), ["Lock.drop_bolt()"]);
}

#[test]
fn a_name_that_only_one_type_has_is_enough_and_a_common_name_is_not() {
    for code in [
        "fn f() { unknown().turn_key() }",
        "fn f() { hidden!(a.turn_key() => b) }",
        "macro_rules! m { ($x:expr) => { $x.turn_key() } }",
    ] {
        assert_eq!(lock_calls(code), [".turn_key()"], "{code}");
    }
    assert_eq!(lock_calls("fn f() { unknown().slide_bolt() }"), [".slide_bolt()"]);
    for code in [
        "fn f() { unknown().push() }",
        "fn f(list: &mut Vec<u8>) { list.push(1) }",
        "fn f(list: &mut Vec<u8>) { list.turn_key() }",
        "struct Own; impl Own { fn turn_key(&self) {} } fn f(own: Own) { own.turn_key(); hidden().turn_key() }",
        "#[cfg(test)] mod tests { fn f(lock: super::Lock) { lock.turn_key() } }",
        "#[cfg(test)] fn f(lock: Lock) { lock.turn_key() }",
    ] {
        assert_eq!(lock_calls(code), Vec::<String>::new(), "{code}");
    }
}

#[test]
fn a_name_behind_an_imported_module_counts_as_where_it_comes_from() {
    let files = [
        ("lib.rs", "mod key;"),
        ("key/mod.rs", "mod id; mod user; pub use id::parse;"),
        ("key/id.rs", "use super::user::User; pub fn parse() {}"),
        ("key/user.rs", "use crate::key; pub struct User;\nfn f() { key::parse() }"),
    ];
    let expected = ["in a cycle: key::id, key::user", "src/key/user.rs:2: `key::parse`", "src/key/id.rs:1"];
    assert_one(&problems_of(&files), &expected);
}
