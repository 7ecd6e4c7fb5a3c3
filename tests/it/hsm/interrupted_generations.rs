//! Root key generations that are interrupted in a cluster: calls that return late or never, lost
//! members, and killed processes. The leftovers block the name, and the errors list the objects
//! that an operator must remove.

use std::env;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use strongroom::provider::HsmCluster;
use strongroom::provider::pkcs11::{CallMode, HsmRootKey, Module, Pkcs11Cluster, Token, TokenConfig, TokenSelector};
use strongroom::seal::RootKeyHolder;
use strongroom::{Error, ErrorKind, Result};
use strongroom_pkcs11_faults::{Action, Bare, Function, SoftHsm};

use super::named_keys::{
    DEVICE_REMOVED, MEMBERS, World, assert_found, connect, connected, credential, material, of, unconnected, wrap,
};
use crate::support::child_process;
use crate::support::soft_tokens::overtaken;

/// The libtest name of the child, and the variable that contains its instructions:
/// `folder of east|folder of west|member|call|before or after`.
const CHILD: &str = "hsm::interrupted_generations::generates_until_it_is_killed";
const ORDERS: &str = "STRONGROOM_HSM_GENERATION_KILL";

/// The number of calls between two kills, in the short run and in the full run.
const STEPS: [usize; 2] = [67, 5];

/// The deadline of each call: long enough for those of a busy machine that do not hang.
const DEADLINE_MILLIS: u64 = 1_500;

/// Returns a cluster of one slot whose calls have a deadline. The token does not reveal that its
/// calls must be serialized.
fn with_deadlines(hsm: &SoftHsm) -> Pkcs11Cluster {
    hsm.shim().conceal_manufacturer();
    let mode = CallMode::Deadline { deadline: Duration::from_millis(DEADLINE_MILLIS), threads: 8 };
    let config = TokenConfig::new(TokenSelector::Label(MEMBERS[0].to_owned()))
        .call_mode(mode)
        .circuit_breaker(u32::MAX, Duration::ZERO);
    let module = Module::load(hsm.shim().path()).expect("a module");
    connect(Pkcs11Cluster::vendor_managed(&module, config, [("hsm-1", "a"), ("hsm-2", "b")]))
}

fn slot(cluster: &Pkcs11Cluster) -> &Token {
    cluster.token("cluster").expect("the slot")
}

/// Stops all calls from hanging, and waits until they have returned.
fn let_all_calls_return(hsm: &SoftHsm, token: &Token) {
    hsm.shim().clear();
    while token.health().stuck_calls > 0 {
        thread::yield_now();
    }
}

fn generate(cluster: &Pkcs11Cluster, name: &str) -> Error {
    HsmRootKey::generate(cluster, name).map(drop).expect_err("the key is not generated")
}

/// Finds a key and checks that it may wrap a root key.
fn usable(cluster: &Pkcs11Cluster, name: &str) -> Result<HsmRootKey> {
    let key = HsmRootKey::find(cluster, name)?;
    key.wrap(b"binding", &material())?;
    Ok(key)
}

fn find(cluster: &Pkcs11Cluster, name: &str) -> Error {
    let error = usable(cluster, name).map(drop).expect_err("the key is not usable");
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    error
}

/// Returns every distinct CKA_ID in the text of an error.
fn named_ids(error: &Error) -> Vec<Vec<u8>> {
    let text = error.to_string();
    let digits = |text: &str| text.chars().take_while(char::is_ascii_hexdigit).collect::<String>();
    let mut ids: Vec<Vec<u8>> =
        text.split("CKA_ID ").skip(1).map(|rest| hex::decode(digits(rest)).expect("digits")).collect();
    ids.dedup();
    ids
}

/// Returns the reservation that an error names.
fn named_reservation(error: &Error) -> Vec<u8> {
    let ids = named_ids(error);
    let id = ids.into_iter().find(|id| id.len() == 32);
    id.unwrap_or_else(|| panic!("the error names no reservation: {error}"))
}

/// Removes the key of the name `root`.
fn remove_root(tokens: &[&Token]) {
    for token in tokens {
        token.destroy_objects(b"root").or_else(|_| token.destroy_objects(b"root")).expect("the objects are destroyed");
    }
}

/// Removes the objects that an error names, as an operator would.
fn remove_named(error: &Error, tokens: &[&Token]) {
    for id in named_ids(error) {
        for token in tokens {
            token.destroy_objects(&id).or_else(|_| token.destroy_objects(&id)).expect("the operator can");
        }
    }
}

#[test]
fn a_root_key_that_a_token_generates_after_the_deadline_is_not_found() {
    let Some(world) = World::empty("a_root_key_that_a_token_generates_after_the_deadline_is_not_found") else { return };
    let hsm = &world.0[0];
    let generator = with_deadlines(hsm);
    let others = world.vendor_managed(&hsm.bare_path());
    // The first key object is the reservation.
    hsm.shim().rule(Function::GenerateKey, 1, 1, Action::Hang);
    let error = generate(&generator, "root");
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    assert!(error.to_string().contains("after this process has exited"), "{error}");
    assert_eq!(named_ids(&error).first().map(Vec::as_slice), Some(&b"root"[..]), "the key goes first: {error}");
    let_all_calls_return(hsm, slot(&generator));
    assert_eq!(world.all_keys_of(0), 2, "the key and its reservation");
    assert_eq!(named_reservation(&find(&others, "root")), named_reservation(&error));
    let taken = generate(&others, "root");
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists, "{taken}");
    assert_eq!(named_reservation(&taken), named_reservation(&error));
    remove_named(&error, &[slot(&others)]);
    let key = HsmRootKey::generate(&others, "root").expect("the name is free");
    assert_found(&others, "root", &wrap(&key));
}

#[test]
fn a_root_key_that_a_token_generates_shortly_after_the_deadline_is_erased() {
    let test = "a_root_key_that_a_token_generates_shortly_after_the_deadline_is_erased";
    let Some(world) = World::empty(test) else { return };
    let hsm = &world.0[0];
    let generator = with_deadlines(hsm);
    let others = world.vendor_managed(&hsm.bare_path());
    for skip in [0, 1] {
        hsm.shim().rule(Function::GenerateKey, skip, 1, Action::Sleep(DEADLINE_MILLIS + 1_000));
        let error = generate(&generator, "root");
        assert!(named_ids(&error).is_empty(), "nothing remains: {error}");
        let_all_calls_return(hsm, slot(&generator));
        assert_eq!(world.all_keys_of(0), 0, "{skip}");
    }
    HsmRootKey::generate(&others, "root").expect("the name is free");
}

#[test]
fn a_root_key_keeps_its_reservation_while_a_token_may_still_erase_it() {
    let Some(world) = World::empty("a_root_key_keeps_its_reservation_while_a_token_may_still_erase_it") else { return };
    let hsm = &world.0[0];
    let generator = with_deadlines(hsm);
    let others = world.vendor_managed(&hsm.bare_path());
    hsm.shim().rule(Function::Decrypt, 0, 100, Action::Return(DEVICE_REMOVED));
    hsm.shim().rule(Function::DestroyObject, 0, 1, Action::Hang);
    let error = generate(&generator, "root");
    assert!(error.to_string().contains("after this process has exited"), "{error}");
    assert!(world.all_keys_of(0) > 0, "the reservation stays");
    find(&others, "root");
    assert_eq!(generate(&others, "root").kind(), ErrorKind::AlreadyExists);
    let_all_calls_return(hsm, slot(&generator));
    remove_named(&error, &[slot(&others)]);
    HsmRootKey::generate(&others, "root").expect("the name is free");
}

#[test]
fn a_reservation_is_erased_despite_an_open_circuit_breaker() {
    let Some(world) = World::empty("a_reservation_is_erased_despite_an_open_circuit_breaker") else { return };
    let hsm = &world.0[0];
    let others = world.vendor_managed(&hsm.bare_path());
    hsm.shim().conceal_manufacturer();
    // Uses the default circuit breaker of a token.
    let config = TokenConfig::new(TokenSelector::Label(MEMBERS[0].to_owned()));
    let module = Module::load(hsm.shim().path()).expect("a module");
    let cluster = connect(Pkcs11Cluster::vendor_managed(&module, config, [("hsm-1", "a"), ("hsm-2", "b")]));
    hsm.shim().rule(Function::DestroyObject, 0, 5, Action::Return(DEVICE_REMOVED));
    let key = HsmRootKey::generate(&cluster, "root").expect("the reservation is erased");
    assert_eq!(world.all_keys_of(0), 1);
    assert_found(&others, "root", &wrap(&key));
    hsm.shim().rule(Function::Decrypt, 0, 2, Action::Return(DEVICE_REMOVED));
    hsm.shim().rule(Function::DestroyObject, 0, 5, Action::Return(DEVICE_REMOVED));
    generate(&cluster, "another");
    hsm.shim().clear();
    assert_eq!(world.all_keys_of(0), 1, "no object of the other key remains");
}

#[test]
fn a_generation_that_loses_a_member_names_what_it_leaves() -> Result<()> {
    let Some((world, cluster)) = World::new("a_generation_that_loses_a_member_names_what_it_leaves") else {
        return Ok(());
    };
    let [east, _] = &world.0;
    let lost = || HsmRootKey::generate(&cluster, "root").map(drop);
    let error = overtaken(east, Function::SetAttributeValue, 0, lost, || east.take_away());
    let error = error.expect_err("the member east is unavailable");
    east.bring_back();
    let text = error.to_string();
    assert!(text.contains("from east") && !text.contains("from west"), "{text}");
    assert!(!text.contains("after this process has exited"), "no call hangs: {text}");
    assert_eq!(named_ids(&error).first().map(Vec::as_slice), Some(&b"root"[..]), "the key goes first: {text}");
    let tokens = MEMBERS.map(|name| cluster.token(name).expect("a member"));
    for token in tokens {
        token.check().or_else(|_| token.check()).expect("the token is available again");
    }
    // The next generation reports it too.
    let taken = generate(&cluster, "root");
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists, "{taken}");
    assert_eq!(named_reservation(&taken), named_reservation(&error));
    assert!(taken.to_string().contains("east"), "{taken}");
    remove_named(&error, &tokens[..1]);
    HsmRootKey::generate(&cluster, "root")?;
    Ok(())
}

#[test]
fn a_root_key_that_one_member_alone_could_hold_is_not_generated() {
    let Some((world, _)) = World::new("a_root_key_that_one_member_alone_could_hold_is_not_generated") else { return };
    let west = &world.0[1];
    let alone = connect(of([(west.shim().path(), MEMBERS[1])]));
    let generated = west.shim().calls(Function::GenerateKey);
    let error = generate(&alone, "root");
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    assert_eq!(west.shim().calls(Function::GenerateKey), generated, "nothing was generated");
    assert!(error.to_string().contains("at least 2 members"), "{error}");
}

#[test]
fn a_root_key_that_one_member_alone_holds_opens_stores_and_creates_none() -> Result<()> {
    let Some((world, cluster)) = World::new("a_root_key_that_one_member_alone_holds_opens_stores_and_creates_none")
    else {
        return Ok(());
    };
    let [east, west] = &world.0;
    world.put(1, b"lone", &[7; 32], &Bare::CIPHER);
    for _ in MEMBERS {
        let error = find(&cluster, "lone");
        assert!(error.to_string().contains("west alone holds it"), "{error}");
        assert!(!error.to_string().contains("  "), "{error}");
        assert_eq!(named_ids(&error), [b"lone"], "{error}");
    }
    // After a member is replaced, existing stores still open. A cluster of the remaining members
    // can use the key without restrictions.
    let wrapped = wrap(&usable(&connect(of([(west.bare_path().as_path(), MEMBERS[1])])), "lone")?);
    assert_found(&cluster, "lone", &wrapped);
    // A member with several keys may have the key.
    world.put(1, b"among others", &[7; 32], &Bare::CIPHER);
    world.put(0, b"among others", &[7; 32], &Bare::CIPHER);
    world.put(0, b"among others", &[8; 32], &Bare::CIPHER);
    for _ in MEMBERS {
        usable(&cluster, "among others")?;
    }
    // So may a member that does not respond.
    east.shim().vanish();
    for _ in MEMBERS {
        usable(&cluster, "lone")?;
    }
    Ok(())
}

#[test]
fn several_root_keys_of_one_name_are_distinguished_by_their_labels() -> Result<()> {
    let Some((world, cluster)) = World::new("several_root_keys_of_one_name_are_distinguished_by_their_labels") else {
        return Ok(());
    };
    HsmRootKey::generate(&cluster, "root")?;
    for member in 0..2 {
        world.put(member, b"root", &[7; 32], &Bare::CIPHER);
    }
    let error = find(&cluster, "root").to_string();
    assert!(
        error.contains("expected one key with the id") && error.contains("the labels '', 'strongroom root key "),
        "{error}"
    );
    // A third label is listed too. A label that all have distinguishes nothing.
    for (member, name) in MEMBERS.into_iter().enumerate() {
        let (path, value) = (world.0[member].bare_path(), [7; 32]);
        Bare::create_labelled_key(&path, name, b"root", "of an operator", &value, &Bare::CIPHER);
        world.put(member, b"restored twice", &[7; 32], &Bare::CIPHER);
        world.put(member, b"restored twice", &[7; 32], &Bare::CIPHER);
    }
    let error = find(&cluster, "root").to_string();
    assert!(error.contains("the labels '', 'of an operator', 'strongroom root key "), "{error}");
    for name in ["absent", "restored twice"] {
        let error = find(&cluster, name).to_string();
        assert!(error.contains("expected one key with the id") && !error.contains("label"), "{error}");
    }
    Ok(())
}

/// The point at which a child is killed.
#[derive(Clone, Copy, Debug)]
struct Death {
    member: usize,
    /// The zero-based index of the call.
    call: u64,
    action: Action,
}

#[test]
#[ignore = "run only as the child process of a test that kills it"]
fn generates_until_it_is_killed() {
    let orders = env::var(ORDERS).expect("run only by a test that kills it");
    let orders: Vec<&str> = orders.split('|').collect();
    let [east, west, member, call, action] = orders[..] else { panic!("the orders have five parts") };
    let hsms = [east, west].map(|folder| SoftHsm::of_other_process(Path::new(folder)));
    let cluster = unconnected(hsms.each_ref().map(|hsm| hsm.shim().path().to_owned()));
    cluster.connect(&credential()).expect("the tokens exist");
    let shim = hsms[member.parse::<usize>().expect("a number")].shim();
    let action = if action == "Kill" { Action::Kill } else { Action::KillAfter };
    let before = shim.all_calls();
    shim.rule_for_all(call.parse().expect("a number"), 1, action);
    let key = HsmRootKey::generate(&cluster, "root").expect("nothing fails");
    println!("\n> {} calls", shim.all_calls() - before);
    shim.clear();
    println!("\n> done {}", hex::encode(wrap(&key)));
}

/// Runs a child that will be killed, and returns its output.
fn run_child(world: &World, death: Death) -> Vec<String> {
    let [east, west] = world.0.each_ref().map(|hsm| hsm.folder().display());
    let Death { member, call, action } = death;
    let mut child = child_process::child(CHILD, world.0[0].folder()).expect("this program");
    let output = child.env(ORDERS, format!("{east}|{west}|{member}|{call}|{action:?}")).output().expect("a child");
    let said = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<String> = said.lines().filter_map(|line| line.strip_prefix("> ")).map(str::to_owned).collect();
    let killed = output.status.code().is_none();
    assert!(killed == lines.is_empty(), "{death:?}: {lines:?}\n{}", String::from_utf8_lossy(&output.stderr));
    lines
}

/// Counts the states in which killed generations left the tokens.
#[derive(Debug, Default)]
struct Tally {
    nothing: usize,
    reservations_only: usize,
    complete: usize,
    incomplete: usize,
}

impl Tally {
    /// Follows only the advice in the errors, until the name is free or its key is found.
    fn recover(&mut self, world: &World, what: &str) {
        let cluster = connected(world.0.each_ref().map(SoftHsm::bare_path));
        let tokens = MEMBERS.map(|name| cluster.token(name).expect("a member"));
        let keys = world.keys(b"root");
        let reserved = world.all_keys().iter().sum::<usize>() - keys.iter().sum::<usize>() - MEMBERS.len();
        if keys == [0, 0] {
            find(&cluster, "root");
            if reserved == 0 {
                self.nothing += 1;
            } else {
                self.reservations_only += 1;
                let taken = generate(&cluster, "root");
                assert_eq!(taken.kind(), ErrorKind::AlreadyExists, "{what}: {taken}");
                named_reservation(&taken);
                remove_named(&taken, &tokens);
            }
        } else {
            let taken = generate(&cluster, "root");
            assert_eq!(taken.kind(), ErrorKind::AlreadyExists, "{what}: {taken}");
            if reserved > 0 {
                let reservation = named_reservation(&taken);
                if reserved == MEMBERS.len() {
                    assert_eq!(named_reservation(&find(&cluster, "root")), reservation, "{what}");
                }
                remove_named(&taken, &tokens);
            }
            match usable(&cluster, "root") {
                Ok(key) => {
                    self.complete += 1;
                    assert_eq!(keys, [1, 1], "{what}");
                    assert_found(&cluster, "root", &wrap(&key));
                    remove_root(&tokens);
                }
                Err(error) => {
                    self.incomplete += 1;
                    let text = error.to_string();
                    let advice = ["alone holds it", "CKA_EXTRACTABLE"];
                    assert!(advice.iter().any(|advice| text.contains(advice)), "{what}: {text}");
                    remove_root(&tokens);
                }
            }
        }
        assert_eq!(world.all_keys(), [1, 1], "{what}: only the replication key is left");
        let key = HsmRootKey::generate(&cluster, "root").unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(key.unwrap(b"binding", &wrap(&key)).expect("the key works"), material(), "{what}");
        remove_root(&tokens);
        cluster.disconnect();
    }
}

#[test]
fn a_process_that_is_killed_while_it_generates_a_root_key_leaves_what_the_next_one_names() {
    let test = "a_process_that_is_killed_while_it_generates_a_root_key_leaves_what_the_next_one_names";
    let Some((world, cluster)) = World::new(test) else { return };
    cluster.disconnect();
    let others: [PathBuf; 2] = world.0.each_ref().map(SoftHsm::bare_path);
    let long = env::var_os("STRONGROOM_HSM_FAULTS").is_some_and(|value| value == "all");
    let (mut tally, mut deaths) = (Tally::default(), 0);
    for member in 0..2 {
        let lines = run_child(&world, Death { member, call: u64::MAX, action: Action::Kill });
        let calls: u64 = lines[0].strip_suffix(" calls").expect("a number").parse().expect("a number");
        {
            let cluster = connected(others.clone());
            assert_found(&cluster, "root", &hex::decode(&lines[1]["done ".len()..]).expect("digits"));
            for name in MEMBERS {
                cluster.token(name).expect("a member").destroy_objects(b"root").expect("the objects are destroyed");
            }
            cluster.disconnect();
        }
        for call in (0..calls - 1).step_by(STEPS[usize::from(long)]).chain([calls - 1]) {
            let action = if deaths % 2 == 0 { Action::Kill } else { Action::KillAfter };
            run_child(&world, Death { member, call, action });
            tally.recover(&world, &format!("{member} {call} {action:?}"));
            deaths += 1;
        }
    }
    println!("killed {deaths} times: {tally:?}");
    assert!(tally.reservations_only > 0 && tally.incomplete > 0 && tally.complete > 0, "{tally:?}");
}
