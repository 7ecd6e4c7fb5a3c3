//! Several processes that use one token at the same time, each with many threads. They create, use,
//! find and destroy their own keys, and use those of the others.
//!
//! `STRONGROOM_HSM_PROCESSES` sets the number of rounds of each of the eight threads of four
//! processes: 40 take about a minute.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use strongroom::provider::pkcs11::{ErrorClass, Module, NewKey, Token, TokenError, TokenKeyHandle, TokenKeyKind};
use strongroom_pkcs11_faults::{Bare, SoftHsm};

use super::{config, options, pin, soft_hsm};
use crate::support::child_process;

/// The child's name in libtest, and the environment variable that configures it:
/// `folder of the token|number of the process|threads|turns`.
const CHILD: &str = "pkcs11::processes::works_beside_others";
const ORDERS: &str = "STRONGROOM_HSM_PROCESSES_ORDERS";

/// Maximum number of attempts of a process to connect to its token. While another process logs in,
/// SoftHSM rewrites the file of the token, possibly during each attempt.
const CONNECTIONS: u32 = 20;

/// One of this many keys is kept.
const STAYS: u8 = 4;

fn token_of(module: &Path) -> Token {
    let token = Token::new(&Module::load_with(module, options()).expect("a module"), config("one"), pin());
    for connection in 1.. {
        if unless_in_trouble(token.connect()).is_some() {
            break;
        }
        assert!(connection < CONNECTIONS, "the token is not visible");
        thread::sleep(Duration::from_millis(20));
    }
    token
}

/// Returns the result, or `None` if the token had trouble. Trouble is always reported by an error
/// of one of these classes.
fn unless_in_trouble<T>(result: Result<T, TokenError>) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(error) => {
            // An existing key may be reported missing while other processes create keys, because
            // SoftHSM rereads the folder.
            let trouble = [ErrorClass::TokenLost, ErrorClass::SessionLost, ErrorClass::Busy, ErrorClass::KeyMissing];
            // The class is Ambiguous only for a login: for all other calls, the cause was
            // determined.
            let login = error.class() == ErrorClass::Ambiguous && error.to_string().contains("C_Login returned");
            assert!(login || trouble.contains(&error.class()), "{:?}: {error}", error.class());
            println!("\n> trouble {error}");
            None
        }
    }
}

/// The state of keys shared by all processes: one file per key, named by its id.
struct Shared(PathBuf);

impl Shared {
    fn file(&self, id: &[u8]) -> PathBuf {
        self.0.join(base16ct::lower::encode_string(id))
    }

    fn publish(&self, key: &TokenKeyHandle, sealed: &[u8]) {
        let file = self.file(key.id());
        let reference = key.to_bytes().expect("a reference");
        let length = u16::try_from(reference.len()).expect("the reference is short");
        let unfinished = file.with_extension("unfinished");
        fs::write(&unfinished, [&length.to_be_bytes()[..], &reference, sealed].concat()).expect("a file");
        fs::rename(unfinished, file).expect("a file");
    }

    fn all(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(&self.0).expect("a folder").map(|file| file.expect("a file").path());
        let mut files: Vec<_> = files.filter(|file| file.extension().is_none()).collect();
        files.sort();
        files
    }

    /// Decrypts the data encrypted under the key of a file. Returns `true` if the token was asked
    /// and answered.
    fn open(token: &Token, file: &Path) -> bool {
        let Ok(bytes) = fs::read(file) else { return false };
        let (length, rest) = bytes.split_first_chunk::<2>().expect("the file is complete");
        let (reference, sealed) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        let key = TokenKeyHandle::from_bytes(reference).expect("a reference");
        match token.decrypt(&key, b"context", sealed) {
            Ok(opened) => assert_eq!(opened.expose_secret(), key.id()),
            // A key is destroyed only after its file is deleted.
            Err(error) if file.exists() => return unless_in_trouble::<()>(Err(error)).is_some(),
            Err(error) => assert_ne!(error.class(), ErrorClass::BadInput, "{error}"),
        }
        true
    }
}

#[test]
#[ignore = "run only as the child process of a test with several processes"]
fn works_beside_others() {
    let orders = env::var(ORDERS).expect("run only by a test with several processes");
    let orders: Vec<&str> = orders.split('|').collect();
    let [folder, process, threads, turns] = orders[..] else { panic!("the orders have four parts") };
    let [process, threads, turns] = [process, threads, turns].map(|number| number.parse::<u8>().expect("a number"));
    let hsm = SoftHsm::of_other_process(Path::new(folder));
    let shared = Shared(hsm.folder().join("shared"));
    let token = token_of(hsm.shim().path());
    thread::scope(|scope| {
        for thread in 0..threads {
            let (token, shared) = (&token, &shared);
            scope.spawn(move || (0..turns).for_each(|turn| work(token, shared, [process, thread, turn])));
        }
    });
    println!("\n> end");
}

/// The lifecycle of one key, alongside keys of other threads.
fn work(token: &Token, shared: &Shared, name: [u8; 3]) {
    let mut id = [0x5A; 32];
    id[..3].copy_from_slice(&name);
    let made = token.generate_key(&NewKey::new(&id, "a key", TokenKeyKind::Aes256));
    let Some(key) = unless_in_trouble(made) else { return };
    let Some(sealed) = unless_in_trouble(token.encrypt(&key, b"context", &id)) else { return };
    shared.publish(&key, &sealed);
    // It may be listed twice, but is the same key.
    assert!(unless_in_trouble(token.count_objects(&id)).is_none_or(|count| count <= 2));
    unless_in_trouble(token.verify_key(&key));
    let protection = unless_in_trouble(token.key_protection(&key));
    assert!(protection.is_none_or(|found| found.sensitive && !found.extractable), "{protection:?}");
    let all = shared.all();
    for step in 0..4 {
        let number = name.iter().fold(step * 31, |sum, part| sum * 7 + usize::from(*part));
        Shared::open(token, &all[number % all.len()]);
    }
    if !name[2].is_multiple_of(STAYS) {
        fs::remove_file(shared.file(&id)).expect("the file exists");
        if (0..10).any(|_| unless_in_trouble(token.destroy_objects(&id)).is_some_and(|count| count > 0)) {
            assert!(unless_in_trouble(token.count_objects(&id)).is_none_or(|count| count == 0));
            assert_eq!(token.decrypt(&key, b"context", &sealed).expect_err("gone").class(), ErrorClass::KeyMissing);
        } else {
            println!("\n> trouble: the key was not found, so it was not destroyed");
        }
    }
}

#[test]
fn processes_that_share_a_token_do_each_other_no_harm() {
    let Some(hsm) = soft_hsm("processes_that_share_a_token_do_each_other_no_harm", &["one"]) else { return };
    let (processes, threads, turns) = match env::var("STRONGROOM_HSM_PROCESSES") {
        Ok(turns) => (4, 8, turns),
        Err(_) => (2, 3, "4".to_owned()),
    };
    let shared = Shared(hsm.folder().join("shared"));
    fs::create_dir(&shared.0).expect("a folder");
    let children: Vec<_> = (0..processes)
        .map(|process| {
            let orders = format!("{}|{process}|{threads}|{turns}", hsm.folder().display());
            let mut child = child_process::child(CHILD, hsm.folder()).expect("this program");
            child.env(ORDERS, orders).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child")
        })
        .collect();
    let mut troubles = 0;
    for child in children {
        let output = child.wait_with_output().expect("its output");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.lines().any(|line| line == "> end"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        troubles += said.lines().filter(|line| line.starts_with("> trouble")).count();
    }
    let token = token_of(hsm.shim().path());
    let known = shared.all();
    let turns: usize = turns.parse().expect("a number");
    println!("{processes} processes of {threads} threads, {turns} turns each: in trouble {troubles} times");
    // A key is missing only if its creator had trouble.
    let expected = processes * threads * turns.div_ceil(usize::from(STAYS));
    assert!((expected.saturating_sub(troubles)..=expected).contains(&known.len()), "{} of {expected}", known.len());
    for file in &known {
        assert!((0..10).any(|_| Shared::open(&token, file)), "{}", file.display());
    }
    let found = Bare::secret_keys(&hsm.bare_path(), "one");
    assert!(found.len() >= known.len() && found.len() <= known.len() + troubles, "{found:?}");
}
