//! The generation of a root key in a cluster that does not come to its end: calls that return late or not at all, and members
//! that are lost. What remains blocks the name, and the errors say what an operator must remove.

use std::thread;
use std::time::Duration;

use strongroom::provider::pkcs11::{CallMode, HsmRootKey, Module, Pkcs11Cluster, Token, TokenConfig, TokenSelector};
use strongroom::{Error, ErrorKind, Result};
use strongroom_pkcs11_faults::{Action, Bare, Function, SoftHsm};

use super::named_keys::{DEVICE_REMOVED, MEMBERS, World, assert_found, connect, of, overtaken, wrap};

/// A cluster of one slot whose calls have a deadline. Its token does not say that it needs its calls one at a time.
fn with_deadlines(hsm: &SoftHsm) -> Pkcs11Cluster {
    hsm.shim().conceal_manufacturer();
    let mode = CallMode::Deadline { deadline: Duration::from_millis(300), threads: 8 };
    let config = TokenConfig::new(TokenSelector::Label(MEMBERS[0].to_owned()))
        .call_mode(mode)
        .circuit_breaker(u32::MAX, Duration::ZERO);
    let module = Module::load(hsm.shim().path()).expect("a module");
    connect(Pkcs11Cluster::vendor_managed(&module, config, [("hsm-1", "a"), ("hsm-2", "b")]))
}

fn slot(cluster: &Pkcs11Cluster) -> &Token {
    cluster.token("cluster").expect("the slot")
}

/// Lets the calls that hang go on, and waits for their end.
fn let_all_calls_return(hsm: &SoftHsm, token: &Token) {
    hsm.shim().clear();
    while token.health().stuck_calls > 0 {
        thread::yield_now();
    }
}

fn generate(cluster: &Pkcs11Cluster, name: &str) -> Error {
    HsmRootKey::generate(cluster, name).map(drop).expect_err("it is not generated")
}

fn find(cluster: &Pkcs11Cluster, name: &str) -> Error {
    let error = HsmRootKey::find(cluster, name).map(drop).expect_err("it is not found");
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    error
}

/// Every CKA_ID in the text of an error, without repetitions.
fn named_ids(error: &Error) -> Vec<Vec<u8>> {
    let text = error.to_string();
    let digits = |text: &str| text.chars().take_while(char::is_ascii_hexdigit).collect::<String>();
    let mut ids: Vec<Vec<u8>> =
        text.split("CKA_ID ").skip(1).map(|rest| hex::decode(digits(rest)).expect("digits")).collect();
    ids.dedup();
    ids
}

/// The reservation that an error names.
fn named_reservation(error: &Error) -> Vec<u8> {
    let ids = named_ids(error);
    let id = ids.into_iter().find(|id| id.len() == 32);
    id.unwrap_or_else(|| panic!("it names no reservation: {error}"))
}

/// Removes what an error names, as an operator does.
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
    // The first key is the reservation.
    hsm.shim().rule(Function::GenerateKey, 1, 1, Action::Hang);
    let error = generate(&generator, "root");
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    assert!(error.to_string().contains("after this process has ended"), "{error}");
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
        hsm.shim().rule(Function::GenerateKey, skip, 1, Action::Sleep(900));
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
    assert!(error.to_string().contains("after this process has ended"), "{error}");
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
    // With the circuit breaker that a token has by default.
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
    assert_eq!(world.all_keys_of(0), 1, "nothing of the other key remains");
}

#[test]
fn a_generation_that_loses_a_member_names_what_it_leaves() -> Result<()> {
    let Some((world, cluster)) = World::new("a_generation_that_loses_a_member_names_what_it_leaves") else {
        return Ok(());
    };
    let [east, _] = &world.0;
    let lost = || HsmRootKey::generate(&cluster, "root").map(drop);
    let error = overtaken(east, Function::SetAttributeValue, 0, lost, || east.take_away());
    let error = error.expect_err("the east is gone");
    east.bring_back();
    let text = error.to_string();
    assert!(text.contains("from east") && !text.contains("from west"), "{text}");
    assert_eq!(named_ids(&error).first().map(Vec::as_slice), Some(&b"root"[..]), "the key goes first: {text}");
    let tokens = MEMBERS.map(|name| cluster.token(name).expect("a member"));
    for token in tokens {
        token.check().or_else(|_| token.check()).expect("it is back");
    }
    // Whoever comes next hears of it too.
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
fn a_root_key_that_one_member_alone_holds_is_not_found() -> Result<()> {
    let Some((world, cluster)) = World::new("a_root_key_that_one_member_alone_holds_is_not_found") else {
        return Ok(());
    };
    let [east, west] = &world.0;
    world.put(1, b"lone", &[7; 32], &Bare::CIPHER);
    for _ in MEMBERS {
        let error = find(&cluster, "lone");
        assert!(error.to_string().contains("west alone holds the key"), "{error}");
        assert_eq!(named_ids(&error), [b"lone"], "{error}");
    }
    // Where a member was replaced, a cluster of the others has the key.
    HsmRootKey::find(&connect(of([(west.bare_path().as_path(), MEMBERS[1])])), "lone")?;
    // A member that does not answer may have it.
    east.shim().vanish();
    for _ in MEMBERS {
        HsmRootKey::find(&cluster, "lone")?;
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
    assert!(error.contains("2 keys have the id") && error.contains("the labels '', 'strongroom root key "), "{error}");
    Ok(())
}
