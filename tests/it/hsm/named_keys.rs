//! Keys of a cluster that are identified by a name: root keys and the replication key. Covers
//! processes that claim one name at the same time, objects that a token hides, and unprotected keys
//! under the right name.
//!
//! `STRONGROOM_HSM_RACES` sets the number of races between two processes for each kind of key. The
//! default is 4.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, SystemTime};

use strongroom::provider::pkcs11::{HsmRootKey, Module, ModuleOptions, Pkcs11Cluster, TokenConfig, TokenSelector};
use strongroom::provider::{CryptoUserCredential, FixedCredential, HsmCluster};
use strongroom::seal::RootKeyHolder;
use strongroom::{ErrorKind, Result, SecretBytes};
use strongroom_pkcs11_faults::{Action, Bare, Function, PIN, SoftHsm};

use crate::support::child_process;
use crate::support::kms::kind;
use crate::support::soft_tokens::{
    CKA_ALWAYS_SENSITIVE, CKA_DECRYPT, CKA_EXTRACTABLE, CKA_LOCAL, CKA_NEVER_EXTRACTABLE, CKA_SENSITIVE, CKA_WRAP,
    overtaken, soft_hsm, two_soft_hsms,
};

const REPLICATION_KEY: &[u8] = b"replication key";
pub(super) const MEMBERS: [&str; 2] = ["east", "west"];
const THREE: [&str; 3] = ["east", "west", "south"];

/// The libtest name of the child, and the variable that contains its instructions:
/// `what|name|when it starts|folder of east|folder of west`.
const CHILD: &str = "hsm::named_keys::takes_a_name";
const ORDERS: &str = "STRONGROOM_HSM_NAMES_ORDERS";

/// CKR_DEVICE_REMOVED.
pub(super) const DEVICE_REMOVED: u64 = 0x32;

/// CKR_TOKEN_WRITE_PROTECTED.
const TOKEN_WRITE_PROTECTED: u64 = 0xE2;

/// CKR_FUNCTION_FAILED.
const FUNCTION_FAILED: u64 = 0x06;

/// A name, the length of the value, the wrong attributes, and the attribute that the error names.
type WeakKey = (&'static str, usize, &'static [(u64, bool)], &'static str);

pub(super) struct World(pub(super) [SoftHsm; 2]);

impl World {
    /// Two tokens without any key.
    pub(super) fn empty(test: &str) -> Option<Self> {
        two_soft_hsms(test, MEMBERS).map(Self)
    }

    /// Two tokens with a replication key, and a connected cluster of them.
    pub(super) fn new(test: &str) -> Option<(Self, Pkcs11Cluster)> {
        let world = Self::empty(test)?;
        let cluster = world.cluster();
        cluster.install_replication_key(&SecretBytes::copy_from_slice(&[0x5A; 32])).expect("the tokens accept the PIN");
        Some((world, cluster))
    }

    fn cluster(&self) -> Pkcs11Cluster {
        connected(self.0.each_ref().map(|hsm| hsm.shim().path().to_owned()))
    }

    /// Returns a cluster of the same tokens as seen by another process, without the rules of the
    /// shims.
    pub(super) fn of_others(&self) -> Pkcs11Cluster {
        connected(self.0.each_ref().map(SoftHsm::bare_path))
    }

    fn clear(&self) {
        self.0.iter().for_each(|hsm| hsm.shim().clear());
    }

    /// Returns the number of secret keys with an ID in each token.
    pub(super) fn keys(&self, id: &[u8]) -> [usize; 2] {
        [0, 1].map(|member| {
            let keys = Bare::secret_keys(&self.0[member].bare_path(), MEMBERS[member]);
            keys.iter().filter(|key| key.id == id).count()
        })
    }

    /// Returns the number of secret keys in each token.
    pub(super) fn all_keys(&self) -> [usize; 2] {
        [0, 1].map(|member| self.all_keys_of(member))
    }

    pub(super) fn all_keys_of(&self, member: usize) -> usize {
        Bare::secret_keys(&self.0[member].bare_path(), MEMBERS[member]).len()
    }

    /// Returns a vendor-managed cluster whose slot is the first token.
    pub(super) fn vendor_managed(&self, module: &Path) -> Pkcs11Cluster {
        let config =
            TokenConfig::new(TokenSelector::Label(MEMBERS[0].to_owned())).circuit_breaker(u32::MAX, Duration::ZERO);
        let module = Module::load(module).expect("a module");
        connect(Pkcs11Cluster::vendor_managed(&module, config, [("hsm-1", "a"), ("hsm-2", "b")]))
    }

    /// Imports a key with a known value into one token.
    pub(super) fn put(&self, member: usize, id: &[u8], value: &[u8], attributes: &[(u64, bool)]) {
        Bare::create_key(&self.0[member].bare_path(), MEMBERS[member], id, value, attributes);
    }
}

pub(super) fn unconnected(modules: [PathBuf; 2]) -> Pkcs11Cluster {
    of(modules.iter().map(PathBuf::as_path).zip(MEMBERS))
}

/// Returns a cluster of the tokens with these labels, in this order.
pub(super) fn of<'a>(modules: impl IntoIterator<Item = (&'a Path, &'a str)>) -> Pkcs11Cluster {
    let mut cluster = Pkcs11Cluster::from_members(REPLICATION_KEY);
    for (path, name) in modules {
        let options = ModuleOptions::default().reinitialize_interval(Duration::from_millis(5));
        let module = Module::load_with(path, options).expect("a module");
        let config = TokenConfig::new(TokenSelector::Label(name.to_owned())).circuit_breaker(u32::MAX, Duration::ZERO);
        cluster = cluster.member(name, &format!("zone of {name}"), &module, config);
    }
    cluster
}

pub(super) fn credential() -> Arc<dyn CryptoUserCredential> {
    Arc::new(FixedCredential::new(SecretBytes::copy_from_slice(PIN.as_bytes())))
}

pub(super) fn connected(modules: [PathBuf; 2]) -> Pkcs11Cluster {
    connect(unconnected(modules))
}

pub(super) fn connect(cluster: Pkcs11Cluster) -> Pkcs11Cluster {
    cluster.connect(&credential()).expect("the tokens exist");
    cluster
}

pub(super) fn material() -> SecretBytes {
    SecretBytes::copy_from_slice(b"the root key of a store.........")
}

pub(super) fn wrap(key: &HsmRootKey) -> Vec<u8> {
    key.wrap(b"binding", &material()).expect("wrapping succeeds")
}

/// Asserts that a key exists under a name and can unwrap `wrapped`.
pub(super) fn assert_found(cluster: &Pkcs11Cluster, name: &str, wrapped: &[u8]) {
    let found = HsmRootKey::find(cluster, name).expect("the key exists");
    for _ in MEMBERS {
        assert_eq!(found.unwrap(b"binding", wrapped).expect("both are the same key"), material());
    }
}

#[test]
fn a_root_key_that_another_process_generates_meanwhile_is_left_alone() -> Result<()> {
    let test = "a_root_key_that_another_process_generates_meanwhile_is_left_alone";
    let Some((world, slow)) = World::new(test) else { return Ok(()) };
    let quick = world.of_others();
    let mut wrapped = Vec::new();
    let generate = || HsmRootKey::generate(&slow, "root").map(drop);
    let lost = overtaken(&world.0[0], Function::GenerateKey, 0, generate, || {
        wrapped = wrap(&HsmRootKey::generate(&quick, "root").expect("the process is first"));
    });
    assert_eq!(kind(lost), ErrorKind::AlreadyExists);
    assert_eq!(world.keys(b"root"), [1, 1]);
    assert_found(&slow, "root", &wrapped);
    assert_found(&quick, "root", &wrapped);
    Ok(())
}

/// SoftHSM occasionally hides an object.
#[test]
fn a_root_key_that_a_token_hides_is_left_alone() -> Result<()> {
    let Some((world, cluster)) = World::new("a_root_key_that_a_token_hides_is_left_alone") else { return Ok(()) };
    let wrapped = wrap(&HsmRootKey::generate(&cluster, "root")?);
    let [east, west] = world.0.each_ref().map(SoftHsm::shim);
    // Hides the key from every check before it is generated. Each check searches three classes.
    // Each member is checked twice before and twice after the name is reserved, and the generating
    // member once more.
    east.hide(b"root", 3 * 5);
    west.hide(b"root", 3 * 4);
    let generated = east.calls(Function::GenerateKey);
    assert_eq!(kind(HsmRootKey::generate(&cluster, "root").map(drop)), ErrorKind::AlreadyExists);
    assert_eq!(east.calls(Function::GenerateKey), generated + 2, "the reservation remained hidden");
    world.clear();
    assert_eq!(world.keys(b"root"), [1, 1]);
    assert_found(&cluster, "root", &wrapped);
    Ok(())
}

#[test]
fn a_root_key_that_a_vendor_managed_cluster_hides_is_left_alone() {
    let test = "a_root_key_that_a_vendor_managed_cluster_hides_is_left_alone";
    let Some(world) = World::empty(test) else { return };
    let cluster = world.vendor_managed(world.0[0].shim().path());
    let wrapped = wrap(&HsmRootKey::generate(&cluster, "root").expect("the name is free"));
    world.0[0].shim().hide(b"root", 3 * 5);
    assert_eq!(kind(HsmRootKey::generate(&cluster, "root").map(drop)), ErrorKind::AlreadyExists);
    world.clear();
    assert_eq!(world.all_keys_of(0), 1);
    assert_found(&cluster, "root", &wrapped);
}

#[test]
fn a_generation_that_fails_at_any_call_leaves_nothing_and_harms_no_other_key() -> Result<()> {
    let test = "a_generation_that_fails_at_any_call_leaves_nothing_and_harms_no_other_key";
    let Some((world, cluster)) = World::new(test) else { return Ok(()) };
    let wrapped = wrap(&HsmRootKey::generate(&cluster, "root")?);
    let all_keys = world.all_keys();
    let step = if env::var_os("STRONGROOM_HSM_FAULTS").is_some_and(|value| value == "all") { 1 } else { 37 };
    let mut failures = 0;
    for member in 0..2 {
        for call in (0..).step_by(step) {
            world.0[member].shim().rule_for_all(call, 1, Action::Return(0x06));
            let before = world.0[member].shim().all_calls();
            let generated = HsmRootKey::generate(&cluster, "another");
            let reached = world.0[member].shim().all_calls() > before + call;
            world.clear();
            if generated.is_err() {
                failures += 1;
                assert_eq!(world.keys(b"another"), [0, 0], "{member} {call}: {generated:?}");
            } else {
                assert_eq!(world.keys(b"another"), [1, 1], "{member} {call}");
                for name in MEMBERS {
                    let token = cluster.token(name).expect("a member");
                    // The failure may have left a search open in a session. The first attempt then
                    // closes it.
                    token
                        .destroy_objects(b"another")
                        .or_else(|_| token.destroy_objects(b"another"))
                        .expect("the objects are destroyed");
                }
            }
            assert_eq!(world.all_keys(), all_keys, "no reservation is left: {member} {call}");
            if !reached {
                break;
            }
        }
    }
    assert!(failures > 3, "{failures}");
    assert_found(&cluster, "root", &wrapped);
    Ok(())
}

#[test]
fn a_root_key_that_another_process_is_generating_is_not_generated_twice() -> Result<()> {
    let test = "a_root_key_that_another_process_is_generating_is_not_generated_twice";
    let Some((world, slow)) = World::new(test) else { return Ok(()) };
    let quick = world.of_others();
    // The first object that it generates is its reservation. The second one is the key.
    let generate = || HsmRootKey::generate(&slow, "root");
    let key = overtaken(&world.0[0], Function::GenerateKey, 1, generate, || {
        assert_eq!(kind(HsmRootKey::generate(&quick, "root").map(drop)), ErrorKind::AlreadyExists);
        assert_eq!(kind(HsmRootKey::find(&quick, "root").map(drop)), ErrorKind::KeyUnavailable);
    })?;
    assert_eq!(world.keys(b"root"), [1, 1]);
    assert_found(&quick, "root", &wrap(&key));
    Ok(())
}

#[test]
fn a_root_key_that_another_process_completes_is_waited_for() {
    let Some((world, slow)) = World::new("a_root_key_that_another_process_completes_is_waited_for") else { return };
    let quick = world.of_others();
    let mut found = None;
    let generate = || HsmRootKey::generate(&slow, "root");
    let key = overtaken(&world.0[0], Function::SetAttributeValue, 0, generate, || {
        thread::scope(|scope| {
            let finding = scope.spawn(|| HsmRootKey::find(&quick, "root"));
            thread::sleep(Duration::from_millis(700));
            assert!(!finding.is_finished(), "the key is not complete");
            world.clear();
            found = Some(finding.join().expect("no thread panicked"));
        });
    });
    let (key, found) = (key.expect("nothing failed"), found.expect("it was looked for").expect("it is complete"));
    assert_eq!(found.unwrap(b"binding", &wrap(&key)).expect("it is the same key"), material());
}

/// Finds a key and immediately wraps something with it.
fn find_and_wrap(cluster: &Pkcs11Cluster, name: &str) -> Result<(HsmRootKey, Vec<u8>)> {
    HsmRootKey::find(cluster, name).map(|key| {
        let wrapped = wrap(&key);
        (key, wrapped)
    })
}

/// Asserts that a store that relies on a key found during its generation still opens after the
/// generator has given up.
fn assert_not_lost(found: Result<(HsmRootKey, Vec<u8>)>) {
    match found {
        Ok((key, wrapped)) => {
            assert_eq!(key.unwrap(b"binding", &wrapped).expect("the key that was found stays"), material());
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}"),
    }
}

#[test]
fn a_root_key_of_a_vendor_managed_cluster_that_its_generator_gives_up_is_not_found() {
    let test = "a_root_key_of_a_vendor_managed_cluster_that_its_generator_gives_up_is_not_found";
    let Some(world) = World::empty(test) else { return };
    let hsm = &world.0[0];
    let generator = world.vendor_managed(hsm.shim().path());
    let finder = world.vendor_managed(&hsm.bare_path());
    // The proof of the key is slow, and then the token does not respond.
    let proofs = hsm.shim().calls(Function::DecryptInit);
    hsm.shim().rule(Function::DecryptInit, 0, 1, Action::Sleep(800));
    hsm.shim().rule(Function::Decrypt, 0, 100, Action::Return(DEVICE_REMOVED));
    thread::scope(|scope| {
        let generating = scope.spawn(|| HsmRootKey::generate(&generator, "root").map(drop));
        while hsm.shim().calls(Function::DecryptInit) == proofs && !generating.is_finished() {
            thread::yield_now();
        }
        assert!(world.all_keys_of(0) > 0, "the key exists");
        let found = find_and_wrap(&finder, "root");
        generating.join().expect("no thread panicked").expect_err("the key was not verified");
        assert_not_lost(found);
    });
    hsm.shim().clear();
    assert_eq!(world.all_keys_of(0), 0);
    HsmRootKey::generate(&generator, "root").expect("the name is free again");
    HsmRootKey::find(&finder, "root").expect("the key exists");
}

#[test]
fn a_root_key_of_members_that_its_generator_gives_up_is_not_found_on_any_of_them() -> Result<()> {
    let test = "a_root_key_of_members_that_its_generator_gives_up_is_not_found_on_any_of_them";
    let Some((world, generator)) = World::new(test) else { return Ok(()) };
    let [east, west] = &world.0;
    // A process that reaches only one member, on which the key is already in its final form.
    let finder = connect(of([(west.bare_path().as_path(), MEMBERS[1])]));
    let mut found = None;
    let generate = || HsmRootKey::generate(&generator, "root").map(drop);
    let generated = overtaken(east, Function::SetAttributeValue, 0, generate, || {
        assert_eq!(world.keys(b"root"), [1, 1], "the key exists");
        found = Some(find_and_wrap(&finder, "root"));
        east.take_away();
    });
    generated.expect_err("the member east is unavailable");
    assert_not_lost(found.expect("the key was searched for"));
    east.bring_back();
    Ok(())
}

#[test]
fn a_member_that_is_lost_while_keys_are_compared_is_not_said_to_have_another() {
    let test = "a_member_that_is_lost_while_keys_are_compared_is_not_said_to_have_another";
    let Some((world, cluster)) = World::new(test) else { return };
    let wrapped = wrap(&HsmRootKey::generate(&cluster, "root").expect("the name is free"));
    for _ in MEMBERS {
        // Each member proves the key that it has, with two calls. The second one is then asked to
        // prove the key of the first.
        for hsm in &world.0 {
            hsm.shim().rule(Function::Decrypt, 2, u64::MAX, Action::Return(DEVICE_REMOVED));
        }
        let found = HsmRootKey::find(&cluster, "root").map(drop);
        world.clear();
        found.expect("each member has proved its key");
    }
    assert_found(&cluster, "root", &wrapped);
}

/// The key disappears after it has proved itself.
#[test]
fn a_root_key_that_is_removed_while_it_is_looked_for_is_not_found() {
    let Some(world) = World::empty("a_root_key_that_is_removed_while_it_is_looked_for_is_not_found") else { return };
    let hsm = &world.0[0];
    let (slow, others) = (world.vendor_managed(hsm.shim().path()), world.vendor_managed(&hsm.bare_path()));
    HsmRootKey::generate(&others, "root").expect("the name is free");
    let find = || HsmRootKey::find(&slow, "root").map(drop);
    let found = overtaken(hsm, Function::Decrypt, 0, find, || {
        others.token("cluster").expect("the slot").destroy_objects(b"root").expect("the operator can");
    });
    let error = found.expect_err("it is gone");
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    assert!(error.to_string().contains("changed while they were being read"), "{error}");
    assert_eq!(world.all_keys_of(0), 0);
}

/// The last step of a generation fails.
#[test]
fn a_root_key_whose_reservation_stays_is_found_when_an_operator_removes_it() {
    let Some(world) = World::empty("a_root_key_whose_reservation_stays_is_found_when_an_operator_removes_it") else {
        return;
    };
    let shim = world.0[0].shim();
    let cluster = world.vendor_managed(shim.path());
    shim.rule(Function::DestroyObject, 0, 1_000, Action::Return(DEVICE_REMOVED));
    let error = HsmRootKey::generate(&cluster, "root").expect_err("the reservation stays");
    shim.clear();
    assert!(error.to_string().contains("the key was generated, but its reservation"), "{error}");
    cluster.token("cluster").expect("the slot").check().expect("the token is available again");
    assert_eq!(world.all_keys_of(0), 2);
    let refused = HsmRootKey::find(&cluster, "root").expect_err("the key is reserved");
    assert_eq!(kind(HsmRootKey::generate(&cluster, "root").map(drop)), ErrorKind::AlreadyExists);
    let named = |error: &strongroom::Error| {
        let text = error.to_string();
        let id = text.split("CKA_ID ").nth(1).expect("the error names the object").get(..64).map(hex::decode);
        id.expect("32 bytes").expect("digits")
    };
    assert_eq!(named(&error), named(&refused));
    cluster.token("cluster").expect("the slot").destroy_objects(&named(&error)).expect("the operator can");
    let found = HsmRootKey::find(&cluster, "root").expect("the key exists");
    assert_found(&cluster, "root", &wrap(&found));
}

#[test]
fn of_two_processes_that_list_four_members_in_different_order_at_most_one_generates_a_root_key() {
    let test = "of_two_processes_that_list_four_members_in_different_order_at_most_one_generates_a_root_key";
    let labels = ["north", "east", "south", "west"];
    let Some(hsms) = labels.iter().map(|label| soft_hsm(test, &[label])).collect::<Option<Vec<_>>>() else { return };
    let [shims, bare] = [|hsm: &SoftHsm| hsm.shim().path().to_owned(), SoftHsm::bare_path]
        .map(|path| hsms.iter().map(path).collect::<Vec<_>>());
    let ordered = |paths: &[PathBuf], order: [usize; 4]| {
        connect(of(order.map(|member| (paths[member].as_path(), labels[member]))))
    };
    let one = ordered(&shims, [0, 1, 2, 3]);
    one.install_replication_key(&SecretBytes::copy_from_slice(&[0x5A; 32])).expect("the tokens accept the PIN");
    let other = ordered(&bare, [2, 3, 0, 1]);
    let keys = |name: &str| {
        [0, 1, 2, 3].map(|member| {
            let keys = Bare::secret_keys(&bare[member], labels[member]);
            keys.iter().filter(|key| key.id == name.as_bytes()).count()
        })
    };
    let mut successes = 0;
    for round in 0..races() {
        let name = format!("root {round}");
        let start = Barrier::new(2);
        let generate = |cluster: &Pkcs11Cluster| {
            start.wait();
            HsmRootKey::generate(cluster, &name).map(|key| wrap(&key))
        };
        let results = thread::scope(|scope| {
            let racing = [&one, &other].map(|cluster| scope.spawn(move || generate(cluster)));
            racing.map(|thread| thread.join().expect("no thread panicked"))
        });
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            assert!(matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::KeyUnavailable), "{error}");
        }
        let done: Vec<&Vec<u8>> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert!(done.len() < 2, "both processes succeeded");
        successes += done.len();
        assert_eq!(keys(&name), [done.len(); 4], "{results:?}");
        if let [wrapped] = done[..] {
            assert_found(&one, &name, wrapped);
            assert_found(&other, &name, wrapped);
        }
    }
    println!("{} races, {successes} with a winner", races());
    // A second generation starts when the first has almost completed its key on the members that
    // come first in its own list.
    let late = overtaken(
        &hsms[0],
        Function::SetAttributeValue,
        0,
        || HsmRootKey::generate(&one, "late").map(drop),
        || {
            assert_eq!(kind(HsmRootKey::generate(&other, "late").map(drop)), ErrorKind::AlreadyExists);
        },
    );
    late.expect("the process was first");
    assert_eq!(keys("late"), [1; 4]);
}

#[test]
fn a_replication_key_that_two_processes_install_is_there_once() -> Result<()> {
    let test = "a_replication_key_that_two_processes_install_is_there_once";
    for same in [true, false] {
        let Some(world) = World::empty(test) else { return Ok(()) };
        let (slow, quick) = (world.cluster(), world.of_others());
        let values =
            [SecretBytes::copy_from_slice(&[1; 32]), SecretBytes::copy_from_slice(&[if same { 1 } else { 2 }; 32])];
        let install = || slow.install_replication_key(&values[0]);
        // The first object that it creates is the check for free space.
        let late = overtaken(&world.0[0], Function::CreateObject, 1, install, || {
            quick.install_replication_key(&values[1]).expect("the process is first");
        });
        match late {
            Ok(()) => assert!(same, "the key has another value"),
            Err(error) => assert!(!same && error.kind() == ErrorKind::AlreadyExists, "{same}: {error}"),
        }
        assert_eq!(world.keys(REPLICATION_KEY), [1, 1], "{same}");
        HsmRootKey::generate(&slow, "root")?;
        quick.install_replication_key(&values[1])?;
        let other = SecretBytes::copy_from_slice(&[3; 32]);
        assert_eq!(kind(quick.install_replication_key(&other)), ErrorKind::AlreadyExists);
        assert_eq!(world.keys(REPLICATION_KEY), [1, 1], "{same}");
    }
    Ok(())
}

#[test]
fn a_replication_key_that_one_member_has_is_not_joined_by_another() -> Result<()> {
    let Some(world) = World::empty("a_replication_key_that_one_member_has_is_not_joined_by_another") else {
        return Ok(());
    };
    let cluster = world.cluster();
    world.put(1, REPLICATION_KEY, &[1; 32], &Bare::WRAPPING);
    let other = SecretBytes::copy_from_slice(&[2; 32]);
    assert_eq!(kind(cluster.install_replication_key(&other)), ErrorKind::AlreadyExists);
    assert_eq!(world.keys(REPLICATION_KEY), [0, 1]);
    cluster.install_replication_key(&SecretBytes::copy_from_slice(&[1; 32]))?;
    assert_eq!(world.keys(REPLICATION_KEY), [1, 1]);
    HsmRootKey::generate(&cluster, "root")?;
    Ok(())
}

/// A failure must not look like a replication key with another value, which an operator would
/// replace.
#[test]
fn a_member_that_fails_is_not_said_to_have_another_replication_key() -> Result<()> {
    let Some((world, cluster)) = World::new("a_member_that_fails_is_not_said_to_have_another_replication_key") else {
        return Ok(());
    };
    let value = SecretBytes::copy_from_slice(&[0x5A; 32]);
    for (hsm, name) in world.0.iter().zip(MEMBERS) {
        hsm.shim().rule(Function::UnwrapKey, 0, u64::MAX, Action::Return(DEVICE_REMOVED));
        let error = cluster.install_replication_key(&value).expect_err("the member does not respond");
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
        assert!(error.to_string().contains(name) && !error.to_string().contains("another"), "{error}");
        world.clear();
    }
    cluster.install_replication_key(&value)
}

#[test]
fn what_was_installed_is_removed_if_a_member_shows_another_replication_key_late() -> Result<()> {
    for looks in 1..=5 {
        let test = "what_was_installed_is_removed_if_a_member_shows_another_replication_key_late";
        let Some(world) = World::empty(test) else { return Ok(()) };
        let cluster = world.cluster();
        world.put(1, REPLICATION_KEY, &[1; 32], &Bare::WRAPPING);
        world.0[1].shim().hide(REPLICATION_KEY, 3 * looks);
        let other = SecretBytes::copy_from_slice(&[2; 32]);
        assert_eq!(kind(cluster.install_replication_key(&other)), ErrorKind::AlreadyExists, "{looks}");
        assert_eq!(world.keys(REPLICATION_KEY), [0, 1], "{looks}");
        cluster.install_replication_key(&SecretBytes::copy_from_slice(&[1; 32]))?;
    }
    Ok(())
}

/// Installs a replication key while the member west has claims of other processes, each with the
/// first digit of its label and a value. West shows them only after this process has created its own
/// object. The process of the last claim then gives up.
fn install_beside(world: &World, cluster: &Pkcs11Cluster, claims: &[(char, u8)]) -> Result<()> {
    let west = &world.0[1];
    let label = |digit: char| format!("replication key {}", digit.to_string().repeat(32));
    for (digit, value) in claims {
        let (path, value) = (west.bare_path(), [*value; 32]);
        Bare::create_labelled_key(&path, MEMBERS[1], REPLICATION_KEY, &label(*digit), &value, &Bare::WRAPPING);
    }
    // They are searched for twice at the beginning, and once before the import, for three classes.
    west.shim().hide(REPLICATION_KEY, 3 * 3);
    let before = west.shim().calls(Function::CreateObject);
    thread::scope(|scope| {
        let installing = scope.spawn(|| cluster.install_replication_key(&SecretBytes::copy_from_slice(&[1; 32])));
        while west.shim().calls(Function::CreateObject) == before && !installing.is_finished() {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(400));
        let (last, _) = claims.last().expect("there is one");
        Bare::destroy_key(&west.bare_path(), MEMBERS[1], REPLICATION_KEY, &label(*last));
        installing.join().expect("no thread panicked")
    })
}

#[test]
fn of_several_claims_to_the_replication_key_the_one_that_sorts_first_keeps_it() {
    let test = "of_several_claims_to_the_replication_key_the_one_that_sorts_first_keeps_it";
    // The labels of this process's claims are random.
    let rows: [(&[(char, u8)], _, _); 3] = [
        (&[('f', 2)], Ok(()), [1, 1]),
        (&[('0', 1), ('1', 1)], Ok(()), [1, 1]),
        (&[('0', 2), ('1', 2)], Err(ErrorKind::AlreadyExists), [0, 1]),
    ];
    for (claims, expected, left) in rows {
        let Some(world) = World::empty(test) else { return };
        let cluster = world.cluster();
        let installed = install_beside(&world, &cluster, claims);
        assert_eq!(installed.as_ref().map_err(strongroom::Error::kind).copied(), expected, "{claims:?}: {installed:?}");
        assert_eq!(world.keys(REPLICATION_KEY), left, "{claims:?}");
        if installed.is_ok() {
            HsmRootKey::generate(&cluster, "root").expect("both members have the same replication key");
        }
    }
}

#[test]
fn a_key_that_one_member_alone_could_take_is_refused_and_erased() {
    let test = "a_key_that_one_member_alone_could_take_is_refused_and_erased";
    let Some((world, cluster)) = World::new(test) else { return };
    // The west member rejects the key, or does not prove that it has the same one.
    for function in [Function::UnwrapKey, Function::DecryptInit] {
        world.0[1].shim().rule(function, 0, u64::MAX, Action::Return(FUNCTION_FAILED));
        assert_eq!(kind(HsmRootKey::generate(&cluster, "root").map(drop)), ErrorKind::KeyUnavailable);
        world.clear();
        assert_eq!(world.all_keys(), [1, 1], "the replication keys");
    }
    HsmRootKey::generate(&cluster, "root").expect("the member west accepts keys again");
}

/// The error of such a token must not suggest removing the objects of another process.
#[test]
fn a_token_that_refuses_a_new_key_is_not_taken_for_another_process() {
    let test = "a_token_that_refuses_a_new_key_is_not_taken_for_another_process";
    let Some((world, cluster)) = World::new(test) else { return };
    let check = |refused: Result<()>, code: u64| {
        let error = refused.expect_err("a token refuses it");
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{code:#x}: {error}");
        let text = error.to_string();
        assert!(text.contains("returned CKR_") && !text.contains("another process"), "{code:#x}: {text}");
    };
    for code in [DEVICE_REMOVED, TOKEN_WRITE_PROTECTED] {
        for member in 0..2 {
            world.0[member].shim().rule(Function::GenerateKey, 0, u64::MAX, Action::Return(code));
            check(HsmRootKey::generate(&cluster, "root").map(drop), code);
            world.clear();
            assert_eq!(world.all_keys(), [1, 1], "the replication keys");
        }
    }
    for code in [DEVICE_REMOVED, TOKEN_WRITE_PROTECTED] {
        let world = World::empty(test).expect("SoftHSM is installed");
        let cluster = world.cluster();
        let shim = world.0[1].shim();
        shim.rule(Function::CreateObject, 0, u64::MAX, Action::Return(code));
        check(cluster.install_replication_key(&SecretBytes::copy_from_slice(&[1; 32])), code);
        world.clear();
        assert_eq!(world.keys(REPLICATION_KEY), [1, 0], "it stays where it was installed");
        cluster.install_replication_key(&SecretBytes::copy_from_slice(&[1; 32])).expect("again");
    }
}

/// A connected cluster of three members, of which the first ones have the replication key.
fn three_members(test: &str, with_replication_key: usize) -> Option<([SoftHsm; 3], Pkcs11Cluster)> {
    let hsms = [soft_hsm(test, &[THREE[0]])?, soft_hsm(test, &[THREE[1]])?, soft_hsm(test, &[THREE[2]])?];
    let cluster = connect(of(hsms.iter().map(|hsm| hsm.shim().path()).zip(THREE)));
    for (hsm, label) in hsms.iter().zip(THREE).take(with_replication_key) {
        Bare::create_key(&hsm.bare_path(), label, REPLICATION_KEY, &[1; 32], &Bare::WRAPPING);
    }
    Some((hsms, cluster))
}

/// Returns the number of secret keys in each of three tokens.
fn keys_of_three(hsms: &[SoftHsm; 3]) -> Vec<usize> {
    hsms.iter().zip(THREE).map(|(hsm, label)| Bare::secret_keys(&hsm.bare_path(), label).len()).collect()
}

#[test]
fn a_member_without_the_replication_key_does_not_keep_the_others_from_a_new_key() {
    let test = "a_member_without_the_replication_key_does_not_keep_the_others_from_a_new_key";
    let Some((hsms, cluster)) = three_members(test, 2) else { return };
    HsmRootKey::generate(&cluster, "root").expect("two members have it");
    assert_eq!(keys_of_three(&hsms), [2, 2, 0]);
}

/// Otherwise, two members would have one key under the name, and the third one another.
#[test]
fn a_root_key_that_a_third_member_shows_late_is_left_alone() {
    let Some((hsms, cluster)) = three_members("a_root_key_that_a_third_member_shows_late_is_left_alone", 3) else {
        return;
    };
    let [_, _, south] = &hsms;
    Bare::create_key(&south.bare_path(), THREE[2], b"root", &[7; 32], &Bare::CIPHER);
    // Each of the two checks before the generation searches twice, for three classes.
    south.shim().hide(b"root", 3 * 4);
    let error = HsmRootKey::generate(&cluster, "root").map(drop).expect_err("the member south has another key");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
    assert!(error.to_string().contains("south already has another key with this name"), "{error}");
    assert_eq!(keys_of_three(&hsms), [1, 1, 2], "only the replication keys and the other key are left");
}

#[test]
fn a_third_member_that_refuses_a_copy_does_not_keep_the_others_from_a_new_key() {
    let test = "a_third_member_that_refuses_a_copy_does_not_keep_the_others_from_a_new_key";
    let Some((hsms, cluster)) = three_members(test, 3) else { return };
    let south = hsms[2].shim();
    south.rule(Function::UnwrapKey, 0, u64::MAX, Action::Return(TOKEN_WRITE_PROTECTED));
    let key = HsmRootKey::generate(&cluster, "root").expect("two members hold it");
    assert_eq!(keys_of_three(&hsms), [2, 2, 1]);
    assert_found(&cluster, "root", &wrap(&key));
    south.clear();
    // It takes the copy, which proves itself with two calls, and then no longer responds.
    south.rule(Function::Decrypt, 2, u64::MAX, Action::Return(DEVICE_REMOVED));
    let key = HsmRootKey::generate(&cluster, "another").expect("two members hold it");
    south.clear();
    assert_eq!(keys_of_three(&hsms), [3, 3, 2], "the copy is not the key of another process");
    assert_found(&cluster, "another", &wrap(&key));
}

#[test]
fn a_name_that_a_member_uses_is_refused_before_anything_is_generated() {
    let test = "a_name_that_a_member_uses_is_refused_before_anything_is_generated";
    let Some((world, cluster)) = World::new(test) else { return };
    for (member, name) in ["of east", "of west"].into_iter().enumerate() {
        world.put(member, name.as_bytes(), &[7; 32], &Bare::CIPHER);
        let generated = || [0, 1].map(|member| world.0[member].shim().calls(Function::GenerateKey));
        let before = generated();
        let error = HsmRootKey::generate(&cluster, name).map(drop).expect_err("the name is in use");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
        assert_eq!(error.to_string(), format!("the cluster already has a key '{name}'"));
        assert_eq!(generated(), before, "not even a reservation");
    }
}

#[test]
fn a_replication_key_that_a_member_does_not_protect_is_not_used() -> Result<()> {
    let wrong = [(CKA_DECRYPT, true, "CKA_DECRYPT"), (CKA_EXTRACTABLE, true, "CKA_EXTRACTABLE")];
    for (attribute, value, name) in wrong {
        let Some(world) = World::empty("a_replication_key_that_a_member_does_not_protect_is_not_used") else {
            return Ok(());
        };
        let cluster = world.cluster();
        world.put(0, REPLICATION_KEY, &[1; 32], &Bare::WRAPPING);
        world.put(1, REPLICATION_KEY, &[1; 32], &[&Bare::WRAPPING[..], &[(attribute, value)]].concat());
        let generated = world.0[0].shim().calls(Function::GenerateKey);
        let generate = HsmRootKey::generate(&cluster, "root").map(drop);
        let install = cluster.install_replication_key(&SecretBytes::copy_from_slice(&[1; 32]));
        for refused in [generate, install] {
            let refused = refused.expect_err("the member west replicates its keys");
            assert_eq!(refused.kind(), ErrorKind::KeyUnavailable, "{refused}");
            assert!(refused.to_string().contains(name) && refused.to_string().contains("west"), "{refused}");
        }
        assert_eq!(world.0[0].shim().calls(Function::GenerateKey), generated, "nothing was generated");
    }
    Ok(())
}

#[test]
fn a_root_key_that_a_member_does_not_protect_is_not_used() -> Result<()> {
    let Some((world, cluster)) = World::new("a_root_key_that_a_member_does_not_protect_is_not_used") else {
        return Ok(());
    };
    let refused = |name: &str, why: &str| {
        for _ in MEMBERS {
            let error = HsmRootKey::find(&cluster, name).expect_err(why);
            assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
    };
    let rows: [WeakKey; 4] = [
        ("readable", 32, &[(CKA_SENSITIVE, false), (CKA_EXTRACTABLE, true)], "CKA_SENSITIVE"),
        ("extractable", 32, &[(CKA_EXTRACTABLE, true)], "CKA_EXTRACTABLE"),
        ("wraps", 32, &[(CKA_WRAP, true)], "CKA_WRAP"),
        ("short", 16, &[], "CKA_VALUE_LEN"),
    ];
    for (name, length, wrong, attribute) in rows {
        // One member protects the key and the other does not. The result is the same whichever is
        // asked first.
        world.put(0, name.as_bytes(), &[7; 32][..length], &[&Bare::CIPHER[..], wrong].concat());
        world.put(1, name.as_bytes(), &[7; 32], &Bare::CIPHER);
        refused(name, attribute);
    }
    for member in 0..2 {
        world.put(member, b"two", &[u8::try_from(member).expect("small") + 1; 32], &Bare::CIPHER);
    }
    refused("two", "different keys");
    // Like an unwrapped copy: not CKA_LOCAL, and never CKA_NEVER_EXTRACTABLE.
    for member in 0..2 {
        world.put(member, b"restored", &[9; 32], &Bare::CIPHER);
    }
    HsmRootKey::find(&cluster, "restored")?;
    for name in ["", "a name of more than thirty-two bytes"] {
        assert_eq!(kind(HsmRootKey::generate(&cluster, name).map(drop)), ErrorKind::Validation);
        assert_eq!(kind(HsmRootKey::find(&cluster, name).map(drop)), ErrorKind::Validation);
    }
    Ok(())
}

#[test]
fn a_root_key_of_a_vendor_managed_cluster_was_generated_there_and_never_extractable() -> Result<()> {
    let test = "a_root_key_of_a_vendor_managed_cluster_was_generated_there_and_never_extractable";
    let Some(world) = World::empty(test) else { return Ok(()) };
    let [hsm, _] = &world.0;
    let cluster = world.vendor_managed(hsm.shim().path());
    let wrapped = wrap(&HsmRootKey::generate(&cluster, "root")?);
    assert_eq!(kind(HsmRootKey::generate(&cluster, "root").map(drop)), ErrorKind::AlreadyExists);
    assert_found(&cluster, "root", &wrapped);
    let promised = [
        (CKA_LOCAL, "CKA_LOCAL"),
        (CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE"),
        (CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE"),
    ];
    for (attribute, name) in promised {
        hsm.shim().claim(attribute, false, 0);
        let refused = HsmRootKey::find(&cluster, "root").expect_err("the key was imported from outside");
        assert!(refused.to_string().contains(name), "{refused}");
        hsm.shim().clear();
    }
    world.put(0, b"of others", &[7; 32], &Bare::CIPHER);
    let refused =
        HsmRootKey::find(&cluster, "of others").expect_err("the value of the key was known outside of the token");
    assert_eq!(refused.kind(), ErrorKind::KeyUnavailable, "{refused}");
    Ok(())
}

/// The final check of a new key, after every step has reported success.
#[test]
fn a_new_key_that_a_member_does_not_protect_in_the_end_is_not_returned() -> Result<()> {
    let Some((world, cluster)) = World::new("a_new_key_that_a_member_does_not_protect_in_the_end_is_not_returned")
    else {
        return Ok(());
    };
    for (attribute, value) in [(CKA_EXTRACTABLE, true), (CKA_SENSITIVE, false)] {
        for member in 0..2 {
            let shim = world.0[member].shim();
            let many = 1_000_000;
            shim.claim(attribute, value, many);
            HsmRootKey::generate(&cluster, "measured")?;
            let reads = many - shim.truths_left();
            for name in MEMBERS {
                cluster.token(name).expect("a member").destroy_objects(b"measured")?;
            }
            shim.claim(attribute, value, reads - 1);
            let refused = HsmRootKey::generate(&cluster, "root").expect_err("the key is not protected");
            assert!(refused.to_string().contains("did not apply the required protection to the new key"), "{refused}");
            assert_eq!(shim.truths_left(), 0);
            world.clear();
            assert_eq!(world.keys(b"root"), [0, 0]);
        }
    }
    Ok(())
}

#[test]
#[ignore = "run only as the child process of a race for a name"]
fn takes_a_name() {
    let orders = env::var(ORDERS).expect("run only by a race");
    let orders: Vec<&str> = orders.split('|').collect();
    let [what, name, start, east, west] = orders[..] else { panic!("the orders have five parts") };
    let hsms = [east, west].map(|folder| SoftHsm::of_other_process(Path::new(folder)));
    let cluster = unconnected(hsms.each_ref().map(|hsm| hsm.shim().path().to_owned()));
    // A login by one process briefly hides the token from other processes.
    let is_connected = |_: &u32| {
        cluster.connect(&credential()).is_ok() && MEMBERS.iter().all(|name| cluster.token(name).is_some_and(is_well))
    };
    assert!((0..50).any(|attempt| is_connected(&attempt)), "the tokens are not visible");
    while SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_millis().to_string().as_str() < start {
        thread::yield_now();
    }
    let result = match what {
        "root" => HsmRootKey::generate(&cluster, name).map(|key| hex::encode(wrap(&key))),
        _ => {
            let value = [u8::try_from(std::process::id() % 251).expect("small"); 32];
            cluster.install_replication_key(&SecretBytes::copy_from_slice(&value)).map(|()| hex::encode(value))
        }
    };
    match result {
        Ok(done) => println!("\n> done {done}"),
        Err(error) => println!("\n> failed {:?} {error}", error.kind()),
    }
}

fn is_well(token: &strongroom::provider::pkcs11::Token) -> bool {
    token.check().is_ok()
}

/// Runs the same operation in two processes at the same instant, and returns their output.
fn race(world: &World, what: &str, name: &str) -> Vec<String> {
    let start = SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_millis() + 700;
    let [east, west] = world.0.each_ref().map(|hsm| hsm.folder().display());
    let children = [0, 1].map(|_| {
        let mut child = child_process::child(CHILD, world.0[0].folder()).expect("this program");
        child.env(ORDERS, format!("{what}|{name}|{start}|{east}|{west}"));
        child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child")
    });
    let outputs = children.map(|child| child.wait_with_output().expect("its output"));
    let said = outputs.map(|output| {
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = printed.lines().find_map(|line| line.strip_prefix("> ").map(str::to_owned));
        line.unwrap_or_else(|| panic!("{printed}\n{}", String::from_utf8_lossy(&output.stderr)))
    });
    println!("{what} {name}: {said:?}");
    let allowed = ["done ", "failed AlreadyExists ", "failed KeyUnavailable "];
    for line in &said {
        assert!(allowed.iter().any(|start| line.starts_with(start)), "{line}");
    }
    said.to_vec()
}

fn races() -> usize {
    env::var("STRONGROOM_HSM_RACES").map_or(4, |races| races.parse().expect("a number"))
}

#[test]
fn of_two_processes_that_generate_one_root_key_at_most_one_succeeds_and_its_key_stays() {
    let test = "of_two_processes_that_generate_one_root_key_at_most_one_succeeds_and_its_key_stays";
    let Some((world, cluster)) = World::new(test) else { return };
    cluster.disconnect();
    let mut successes = 0;
    for round in 0..races() {
        let name = format!("root {round}");
        let said = race(&world, "root", &name);
        let done: Vec<&str> = said.iter().filter_map(|line| line.strip_prefix("done ")).collect();
        assert!(done.len() < 2, "both processes succeeded: {said:?}");
        successes += done.len();
        let cluster = world.cluster();
        assert_eq!(world.keys(name.as_bytes()), [done.len(); 2], "{said:?}");
        if let [wrapped] = done[..] {
            assert_found(&cluster, &name, &hex::decode(wrapped).expect("digits"));
        }
    }
    println!("{} races, {successes} with a winner", races());
}

#[test]
fn of_two_processes_that_install_a_replication_key_one_succeeds() {
    for round in 0..races() {
        let Some(world) = World::empty("of_two_processes_that_install_a_replication_key_one_succeeds") else { return };
        let said = race(&world, "replication", "");
        let cluster = world.cluster();
        let done: Vec<&str> = said.iter().filter_map(|line| line.strip_prefix("done ")).collect();
        assert!(done.len() < 2, "{round}: both processes succeeded with different keys: {said:?}");
        assert_eq!(world.keys(REPLICATION_KEY), [done.len(); 2], "{said:?}");
        if let [value] = done[..] {
            let value = hex::decode(value).expect("digits");
            cluster.install_replication_key(&SecretBytes::copy_from_slice(&value)).expect("the key is the same");
            HsmRootKey::generate(&cluster, "root").expect("keys can be replicated under the key");
        }
    }
}
