//! Custom key stores: creating, connecting, and deleting them, and the operations that their keys
//! allow in each state.

use std::sync::Arc;

use rand_core::TryRng;
use signature::{Keypair, Signer, Verifier};
use strongroom::audit::ParameterValue;
use strongroom::blob::{BlobPrefix, Scheme};
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{
    ClusterId, ConnectionErrorCode, ConnectionState, CustomKeyStoreId, CustomKeyStoreMode, DeletionWindow, KeySpec,
    KeyState, KeyUsage, Origin, RotationPeriod,
};
use strongroom::provider::{FixedCredential, HsmCluster, MemberState};
use strongroom::request::{
    CreateCustomKeyStoreRequest, CreateKeyRequest, DecryptRequest, EncryptRequest, GenerateDataKeyPairRequest,
    GenerateDataKeyRequest, GetParametersForImportRequest, PageRequest, ReEncryptRequest, SignRequest,
    UpdateCustomKeyStoreRequest, VerifyRequest,
};
use strongroom::seal::RootKey;
use strongroom::{EncryptionContext, Error, ErrorKind, Kms, KmsRng, KmsSigner, Result, SecretBytes};

use crate::support::any_store::{self, Place};
use crate::support::backend;
use crate::support::custom_key_stores::{PASSWORD, Setup, request, setup, two_members, vault};
use crate::support::kms::kind;

#[test]
fn a_store_needs_two_active_members_in_two_zones_and_a_cluster_of_its_own() -> Result<()> {
    let Setup { kms, cluster, .. } = setup()?;
    let refused =
        |name: &str, cluster: &str| Ok::<_, Error>(kind(kms.create_custom_key_store(request(name, cluster)?)));
    assert_eq!(refused("safe", "weak")?, ErrorKind::ClusterInvalidConfiguration);
    assert_eq!(refused("safe", "one-zone")?, ErrorKind::ClusterInvalidConfiguration);
    assert_eq!(refused("safe", "missing")?, ErrorKind::ClusterNotFound);
    assert_eq!(refused("", "vault")?, ErrorKind::Validation);
    assert_eq!(
        kind(kms.create_custom_key_store(CreateCustomKeyStoreRequest::new("safe", vault()))),
        ErrorKind::Validation
    );
    cluster.set_active("hsm-2", false);
    assert_eq!(refused("safe", "vault")?, ErrorKind::ClusterInvalidConfiguration);
    cluster.set_active("hsm-2", true);
    let store = kms.create_custom_key_store(request("safe", "vault")?)?;
    assert_eq!(refused("safe", "other")?, ErrorKind::CustomKeyStoreNameInUse);
    assert_eq!(refused("another", "vault")?, ErrorKind::ClusterInUse);
    let stranger = kms.as_principal(Principal::root(AccountId::parse("999999999999")?))?;
    assert_eq!(kind(stranger.create_custom_key_store(request("theirs", "vault")?)), ErrorKind::ClusterInUse);
    assert_eq!(kms.create_custom_key_store(request("safe", "vault")?)?, store, "a repeated request finds its store");
    assert_eq!(kms.describe_custom_key_stores(PageRequest::default())?.entries.len(), 1);
    Ok(())
}

#[test]
fn an_account_has_at_most_ten_stores_which_are_listed_in_pages() -> Result<()> {
    let mut builder = any_store::builder();
    for number in 0..11 {
        builder = builder.cluster(ClusterId::parse(&format!("cluster-{number}"))?, two_members());
    }
    let kms = builder.build()?;
    let mut made = Vec::new();
    for number in 0..10 {
        made.push(kms.create_custom_key_store(request(&format!("store {number}"), &format!("cluster-{number}"))?)?);
    }
    let refused = kms.create_custom_key_store(request("one more", "cluster-10")?);
    assert_eq!(kind(refused), ErrorKind::LimitExceeded);
    made.sort();
    let first = kms.describe_custom_key_stores(PageRequest::default().limit(4))?;
    let marker = first.next_marker.clone().expect("there are more");
    let rest = kms.describe_custom_key_stores(PageRequest::default().marker(marker))?;
    let listed: Vec<_> = first.entries.iter().chain(&rest.entries).map(|entry| entry.custom_key_store_id).collect();
    assert_eq!((listed, rest.next_marker), (made, None));
    assert_eq!(kind(kms.describe_custom_key_stores(PageRequest::default().limit(0))), ErrorKind::Validation);
    assert_eq!(kind(kms.describe_custom_key_stores(PageRequest::default().marker("x"))), ErrorKind::InvalidMarker);

    let named = kms.describe_custom_key_store_by_name("store 7")?;
    assert_eq!(named.cluster_id, ClusterId::parse("cluster-7")?);
    assert_eq!(kind(kms.describe_custom_key_store_by_name("store 10")), ErrorKind::CustomKeyStoreNotFound);
    assert_eq!(kind(kms.describe_custom_key_store_by_name("")), ErrorKind::Validation);
    Ok(())
}

#[test]
fn a_key_is_made_by_naming_the_store_and_its_ciphertexts_are_of_scheme_two() -> Result<()> {
    let setup = setup()?;
    let kms = &setup.kms;
    let store = setup.store()?;
    let key = kms.create_key(CreateKeyRequest::default().custom_key_store(store).tag("team", "a"))?;
    assert_eq!((key.origin(), key.state(), key.custom_key_store_id()), (Origin::Hsm, KeyState::Enabled, Some(store)));
    assert_eq!((key.cluster_id(), key.current_key_material_id()), (Some(&vault()), None));
    assert_eq!(kms.describe_key(key.key_id())?, key);
    assert_eq!((setup.cluster.keys_on("hsm-1"), setup.cluster.keys_on("hsm-2")), (1, 1));

    let context = EncryptionContext::from([("tenant", "42")]);
    let sealed = kms.encrypt(EncryptRequest::new(key.key_id(), b"data").context(&context))?.ciphertext_blob;
    let (prefix, body) = BlobPrefix::parse(&sealed)?;
    assert_eq!((prefix.scheme, prefix.key_version, body.len()), (Scheme::Provider, 1, 12 + 4 + 16));
    let opened = kms.decrypt(DecryptRequest::new(&sealed).context(&context))?;
    assert_eq!(opened.plaintext.expose_secret(), b"data");
    for (at, context) in [(0, &EncryptionContext::new()), (21, &context), (22, &context), (sealed.len() - 1, &context)]
    {
        let mut altered = sealed.clone();
        altered[at] ^= if at == 0 { 0 } else { 1 };
        assert_eq!(
            kind(kms.decrypt(DecryptRequest::new(&altered).context(context))),
            ErrorKind::InvalidCiphertext,
            "{at}"
        );
    }
    let data_key = kms.generate_data_key(GenerateDataKeyRequest::new(key.key_id()))?;
    assert_eq!(kms.decrypt(DecryptRequest::new(&data_key.ciphertext_blob))?.plaintext, data_key.plaintext);
    let software = kms.create_key(CreateKeyRequest::default())?;
    let moved = kms.re_encrypt(ReEncryptRequest::new(&sealed, software.key_id()).source_context(&context))?;
    assert_eq!(kms.decrypt(DecryptRequest::new(&moved.ciphertext_blob))?.plaintext.expose_secret(), b"data");
    Ok(())
}

#[test]
fn a_member_may_fail_and_an_outage_changes_no_state() -> Result<()> {
    let setup = setup()?;
    let (store, key) = setup.store_with_key()?;
    let (kms, cluster) = (&setup.kms, &setup.cluster);
    let sealed = kms.encrypt(EncryptRequest::new(key, b"data"))?.ciphertext_blob;
    cluster.set_active("hsm-1", false);
    let described = kms.describe_custom_key_store(store)?;
    assert_eq!(described.members[0].state, MemberState::Unreachable);
    assert_eq!(kms.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), b"data");
    let refused = kms.create_key(CreateKeyRequest::default().custom_key_store(store));
    assert_eq!(kind(refused), ErrorKind::ClusterInvalidConfiguration);
    cluster.set_active("hsm-2", false);
    let refused = kms.decrypt(DecryptRequest::new(&sealed)).expect_err("nobody answers");
    assert_eq!(refused.kind(), ErrorKind::InvalidState);
    let cause = refused.downcast_ref::<Error>();
    assert_eq!(cause.map(Error::kind), Some(ErrorKind::KeyUnavailable));
    assert_eq!(kms.describe_key(key)?.state(), KeyState::Enabled);
    assert_eq!(kind(kms.generate_random_in(store, 8)), ErrorKind::CustomKeyStoreInvalidState);
    cluster.set_active("hsm-1", true);
    assert_eq!(kms.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), b"data");
    Ok(())
}

#[test]
fn keys_are_unavailable_while_disconnected_and_remember_what_was_wished() -> Result<()> {
    let setup = setup()?;
    let (store, key) = setup.store_with_key()?;
    let kms = &setup.kms;
    let sealed = kms.encrypt(EncryptRequest::new(key, b"data"))?.ciphertext_blob;
    kms.disconnect_custom_key_store(store)?;
    assert_eq!(kms.describe_key(key)?.state(), KeyState::Unavailable);
    assert!(!kms.describe_key(key)?.is_enabled());
    for refused in [kind(kms.decrypt(DecryptRequest::new(&sealed))), kind(kms.encrypt(EncryptRequest::new(key, b"x")))]
    {
        assert_eq!(refused, ErrorKind::InvalidState);
    }
    kms.disable_key(key)?;
    kms.create_alias("alias/x", key)?;
    kms.update_key_description(key, "still there")?;
    assert_eq!(kms.describe_key(key)?.state(), KeyState::Unavailable);
    kms.connect_custom_key_store(store)?;
    assert_eq!(kms.describe_key(key)?.state(), KeyState::Disabled);
    kms.disconnect_custom_key_store(store)?;
    kms.enable_key(key)?;
    kms.connect_custom_key_store(store)?;
    assert_eq!(kms.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), b"data");

    kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
    kms.disconnect_custom_key_store(store)?;
    assert_eq!(kms.describe_key(key)?.state(), KeyState::PendingDeletion, "a pending deletion wins");
    kms.cancel_key_deletion(key)?;
    assert_eq!(kms.describe_key(key)?.state(), KeyState::Unavailable);
    kms.connect_custom_key_store(store)?;
    assert_eq!(kms.describe_key(key)?.state(), KeyState::Disabled);
    Ok(())
}

#[test]
fn what_custom_key_stores_do_not_have_is_refused() -> Result<()> {
    let setup = setup()?;
    let (store, key) = setup.store_with_key()?;
    let kms = &setup.kms;
    let unsupported = [
        kind(kms.enable_key_rotation(key, RotationPeriod::default())),
        kind(kms.rotate_key_on_demand(key)),
        kind(kms.get_key_rotation_status(key)),
        kind(kms.get_parameters_for_import(GetParametersForImportRequest::new(
            key,
            strongroom::algorithm::WrappingAlgorithm::RsaesOaepSha256,
            strongroom::algorithm::WrappingKeySpec::Rsa2048,
        ))),
        kind(kms.generate_data_key_pair(GenerateDataKeyPairRequest::new(
            key,
            strongroom::key::DataKeyPairSpec::EccNistP256,
        ))),
    ];
    assert!(unsupported.iter().all(|kind| *kind == ErrorKind::UnsupportedOperation), "{unsupported:?}");
    let create = |request: CreateKeyRequest| kind(kms.create_key(request));
    let p256 = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    let hmac = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    assert_eq!(create(p256.custom_key_store(store)), ErrorKind::UnsupportedOperation);
    assert_eq!(create(hmac.custom_key_store(store)), ErrorKind::UnsupportedOperation);
    assert_eq!(create(CreateKeyRequest::default().custom_key_store(store).origin(Origin::Kms)), ErrorKind::Validation);
    assert_eq!(create(CreateKeyRequest::default().origin(Origin::Hsm)), ErrorKind::Validation);
    let absent = CustomKeyStoreId::from_random_bytes([1; 9]);
    assert_eq!(create(CreateKeyRequest::default().custom_key_store(absent)), ErrorKind::CustomKeyStoreNotFound);
    assert_eq!(setup.cluster.keys_on("hsm-1"), 1, "rejected calls left nothing behind");
    Ok(())
}

#[test]
fn a_store_beyond_aws_holds_every_kind_of_key_that_its_cluster_makes() -> Result<()> {
    if backend::lacks(
        "a_store_beyond_aws_holds_every_kind_of_key_that_its_cluster_makes",
        &["signatures of hash values"],
    ) {
        return Ok(());
    }
    let setup = setup()?;
    let kms = &setup.kms;
    let store = kms.create_custom_key_store(request("wide", "vault")?.mode(CustomKeyStoreMode::Extended))?;
    kms.connect_custom_key_store(store)?;
    let signing = CreateKeyRequest::default().spec(KeySpec::EccNistP256).usage(KeyUsage::SignVerify);
    let key = kms.create_key(signing.custom_key_store(store))?.key_id();
    let algorithm = strongroom::algorithm::SigningAlgorithm::EcdsaSha256;
    let signed = kms.sign(SignRequest::new(key, algorithm, b"message"))?;
    kms.verify(VerifyRequest::new(key, algorithm, b"message", &signed.signature))?;
    // A handle passes only the digest of a long message to the cluster.
    let (signer, long) = (KmsSigner::<p256::ecdsa::VerifyingKey>::new(kms, key)?, vec![7; 1 << 20]);
    let signature: p256::ecdsa::Signature = signer.try_sign(&long).expect("the cluster signs");
    signer.verifying_key().verify(&long, &signature).expect("it is valid");
    let hmac = CreateKeyRequest::default().spec(KeySpec::Hmac256).usage(KeyUsage::GenerateVerifyMac);
    let refused = kms.create_key(hmac.custom_key_store(store)).expect_err("the cluster does not support such keys");
    assert_eq!(refused.kind(), ErrorKind::UnsupportedOperation);
    assert!(
        refused.to_string().ends_with("keys for GENERATE_VERIFY_MAC"),
        "the error contains no further reason: {refused}"
    );
    kms.disconnect_custom_key_store(store)?;
    assert_eq!(kind(kms.sign(SignRequest::new(key, algorithm, b"message"))), ErrorKind::InvalidState);
    Ok(())
}

#[test]
fn whoever_keeps_the_cluster_finds_it_logged_out_after_a_disconnection_and_at_the_end() -> Result<()> {
    let setup = setup()?;
    let store = setup.store()?;
    setup.cluster.random(1)?;
    setup.kms.disconnect_custom_key_store(store)?;
    assert_eq!(kind(setup.cluster.random(1)), ErrorKind::KeyUnavailable);
    setup.kms.connect_custom_key_store(store)?;
    setup.cluster.random(1)?;
    drop(setup.kms);
    assert_eq!(kind(setup.cluster.random(1)), ErrorKind::KeyUnavailable);
    Ok(())
}

/// Puts a store into each reachable state and checks which operations the state allows.
#[test]
fn every_operation_is_allowed_or_refused_as_the_connection_state_says() -> Result<()> {
    const OPERATIONS: [&str; 8] = [
        "Connect",
        "Disconnect",
        "UpdateName",
        "UpdatePassword",
        "UpdateCluster",
        "Delete",
        "CreateKey",
        "GenerateRandom",
    ];
    let allowed = |state: ConnectionState| match state {
        // Connecting a connected store changes nothing, as in AWS KMS.
        ConnectionState::Connected => vec!["Connect", "Disconnect", "UpdateName", "CreateKey", "GenerateRandom"],
        ConnectionState::Disconnected => vec!["Connect", "UpdateName", "UpdatePassword", "UpdateCluster", "Delete"],
        ConnectionState::Failed => vec!["Disconnect", "UpdateName"],
        other => panic!("{other} ends automatically"),
    };
    for state in [ConnectionState::Connected, ConnectionState::Disconnected, ConnectionState::Failed] {
        for operation in OPERATIONS {
            let setup = setup()?;
            let kms = &setup.kms;
            let store = setup.store()?;
            if state != ConnectionState::Connected {
                kms.disconnect_custom_key_store(store)?;
            }
            if state == ConnectionState::Failed {
                setup.cluster.set_password(b"changed");
                assert_eq!(kind(kms.connect_custom_key_store(store)), ErrorKind::KeyUnavailable);
            }
            assert_eq!(setup.state(store)?, state);
            let update = UpdateCustomKeyStoreRequest::new(store);
            let result = match operation {
                "Connect" => kms.connect_custom_key_store(store),
                "Disconnect" => kms.disconnect_custom_key_store(store),
                "UpdateName" => kms.update_custom_key_store(update.new_name("renamed")),
                "UpdatePassword" => {
                    kms.update_custom_key_store(update.key_store_password(SecretBytes::copy_from_slice(b"changed")))
                }
                "UpdateCluster" => kms.update_custom_key_store(update.cluster(ClusterId::parse("other")?)),
                "Delete" => kms.delete_custom_key_store(store),
                "CreateKey" => kms.create_key(CreateKeyRequest::default().custom_key_store(store)).map(drop),
                _ => kms.generate_random_in(store, 16).map(drop),
            };
            let expected = match allowed(state).contains(&operation) {
                true => Ok(()),
                false => Err(ErrorKind::CustomKeyStoreInvalidState),
            };
            assert_eq!(result.map_err(|error| error.kind()), expected, "{operation} while {state}");
        }
    }
    Ok(())
}

#[test]
fn a_wrong_password_fails_with_its_code_until_it_is_put_right() -> Result<()> {
    let setup = setup()?;
    let (store, key) = setup.store_with_key()?;
    let kms = &setup.kms;
    kms.disconnect_custom_key_store(store)?;
    setup.cluster.set_password(b"changed");
    let refused = kms.connect_custom_key_store(store).expect_err("the password is wrong");
    assert!(refused.to_string().contains("INVALID_CREDENTIALS"), "{refused}");
    let described = kms.describe_custom_key_store(store)?;
    assert_eq!(described.connection_error.map(|error| error.code), Some(ConnectionErrorCode::InvalidCredentials));
    assert_eq!(kms.describe_key(key)?.state(), KeyState::Unavailable);
    assert_eq!(kind(kms.connect_custom_key_store(store)), ErrorKind::CustomKeyStoreInvalidState);
    kms.disconnect_custom_key_store(store)?;
    let update = UpdateCustomKeyStoreRequest::new(store).key_store_password(SecretBytes::copy_from_slice(b"changed"));
    kms.update_custom_key_store(update)?;
    kms.connect_custom_key_store(store)?;
    assert_eq!(kms.describe_key(key)?.state(), KeyState::Enabled);
    Ok(())
}

#[test]
fn a_credential_of_the_builder_serves_where_no_password_is_kept() -> Result<()> {
    let cluster = two_members();
    let kms = any_store::builder()
        .cluster(vault(), Arc::clone(&cluster))
        .cluster_credential(vault(), FixedCredential::new(SecretBytes::copy_from_slice(PASSWORD)))
        .build()?;
    let store = kms.create_custom_key_store(CreateCustomKeyStoreRequest::new("safe", vault()))?;
    kms.connect_custom_key_store(store)?;
    assert!(kms.generate_random_in(store, 32)?.expose_secret().iter().any(|byte| *byte != 0));
    let mut rng = KmsRng::in_custom_key_store(&kms, store);
    assert_ne!(rng.try_next_u64()?, rng.try_next_u64()?);
    kms.disconnect_custom_key_store(store)?;
    assert_eq!(kind(rng.try_next_u64()), ErrorKind::CustomKeyStoreInvalidState);
    let nobody =
        Kms::builder().cluster_credential(vault(), FixedCredential::new(SecretBytes::copy_from_slice(b"x"))).build();
    assert_eq!(kind(nobody), ErrorKind::Validation);
    Ok(())
}

#[test]
fn a_store_with_keys_is_not_deleted_and_keys_pending_deletion_count() -> Result<()> {
    let setup = setup()?;
    let (store, key) = setup.store_with_key()?;
    let kms = &setup.kms;
    kms.schedule_key_deletion(key, DeletionWindow::from_days(7)?)?;
    kms.disconnect_custom_key_store(store)?;
    assert_eq!(kind(kms.delete_custom_key_store(store)), ErrorKind::CustomKeyStoreHasKeys);
    kms.connect_custom_key_store(store)?;
    setup.clock.advance_days(7);
    assert_eq!(kms.run_maintenance()?.deleted.len(), 1);
    assert_eq!((setup.cluster.keys_on("hsm-1"), setup.cluster.keys_on("hsm-2")), (0, 0));
    kms.disconnect_custom_key_store(store)?;
    kms.delete_custom_key_store(store)?;
    assert_eq!(kind(kms.delete_custom_key_store(store)), ErrorKind::CustomKeyStoreNotFound);
    let again = kms.create_custom_key_store(request("safe", "vault")?)?;
    assert_ne!(again, store, "name and cluster are free again");
    Ok(())
}

#[test]
fn no_two_stores_of_an_account_have_one_name() -> Result<()> {
    let Setup { kms, .. } = setup()?;
    let one = kms.create_custom_key_store(request("one", "vault")?)?;
    let two = kms.create_custom_key_store(request("two", "other")?)?;
    let rename =
        |store, name: &str| kms.update_custom_key_store(UpdateCustomKeyStoreRequest::new(store).new_name(name));
    assert_eq!(kind(rename(two, "one")), ErrorKind::CustomKeyStoreNameInUse);
    rename(one, "one")?;
    rename(one, "three")?;
    rename(two, "one")?;
    Ok(())
}

#[test]
fn a_store_that_moves_frees_its_cluster_and_takes_the_other() -> Result<()> {
    let Setup { kms, .. } = setup()?;
    let store = kms.create_custom_key_store(request("one", "vault")?)?;
    kms.update_custom_key_store(UpdateCustomKeyStoreRequest::new(store).cluster(ClusterId::parse("other")?))?;
    assert_eq!(kind(kms.create_custom_key_store(request("two", "other")?)), ErrorKind::ClusterInUse);
    kms.create_custom_key_store(request("two", "vault")?)?;
    Ok(())
}

#[test]
fn another_cluster_must_hold_every_key() -> Result<()> {
    let setup = setup()?;
    let (store, key) = setup.store_with_key()?;
    let kms = &setup.kms;
    let sealed = kms.encrypt(EncryptRequest::new(key, b"data"))?.ciphertext_blob;
    kms.disconnect_custom_key_store(store)?;
    let update =
        |cluster: &str| Ok::<_, Error>(UpdateCustomKeyStoreRequest::new(store).cluster(ClusterId::parse(cluster)?));
    assert_eq!(kind(kms.update_custom_key_store(update("other")?)), ErrorKind::ClusterNotRelated);
    assert_eq!(kind(kms.update_custom_key_store(update("weak")?)), ErrorKind::ClusterInvalidConfiguration);
    assert_eq!(kind(kms.update_custom_key_store(update("missing")?)), ErrorKind::ClusterNotFound);
    assert_eq!(kms.describe_custom_key_store(store)?.cluster_id, vault());
    kms.connect_custom_key_store(store)?;
    assert_eq!(kms.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), b"data");
    Ok(())
}

#[test]
fn the_cluster_of_another_store_is_not_even_tried() -> Result<()> {
    let setup = setup()?;
    let (_, key) = setup.store_with_key()?;
    let kms = &setup.kms;
    let wrong = CreateCustomKeyStoreRequest::new("mine", ClusterId::parse("other")?);
    let mine = kms.create_custom_key_store(wrong.key_store_password(SecretBytes::copy_from_slice(b"a guess")))?;
    let refused = kms.update_custom_key_store(UpdateCustomKeyStoreRequest::new(mine).cluster(vault()));
    assert_eq!(kind(refused), ErrorKind::ClusterInUse, "the error does not reveal whether the password is correct");
    assert!(kms.encrypt(EncryptRequest::new(key, b"data")).is_ok());
    Ok(())
}

#[test]
fn a_cluster_with_the_same_keys_takes_over() -> Result<()> {
    let cluster = two_members();
    let kms = any_store::builder()
        .cluster(vault(), Arc::clone(&cluster))
        .cluster(ClusterId::parse("restored")?, Arc::clone(&cluster))
        .build()?;
    let store = kms.create_custom_key_store(request("safe", "vault")?)?;
    kms.connect_custom_key_store(store)?;
    let key = kms.create_key(CreateKeyRequest::default().custom_key_store(store))?;
    let sealed = kms.encrypt(EncryptRequest::new(key.key_id(), b"data"))?.ciphertext_blob;
    kms.disconnect_custom_key_store(store)?;
    kms.update_custom_key_store(UpdateCustomKeyStoreRequest::new(store).cluster(ClusterId::parse("restored")?))?;
    kms.connect_custom_key_store(store)?;
    assert_eq!(kms.describe_key(key.key_id())?.cluster_id().map(ClusterId::as_str), Some("restored"));
    assert_eq!(kms.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), b"data");
    Ok(())
}

/// Two processes share one store. Each has its own connection to the cluster.
#[test]
fn a_second_process_connects_by_itself_and_heeds_what_the_first_decides() -> Result<()> {
    let (place, cluster) = (Place::new()?, two_members());
    let process = || {
        let builder = Kms::builder().store(place.open()?, RootKey::from_bytes(&[7; 32]));
        builder.cluster(vault(), Arc::clone(&cluster)).build()
    };
    let (first, second) = (process()?, process()?);
    let store = first.create_custom_key_store(request("safe", "vault")?)?;
    first.connect_custom_key_store(store)?;
    let key = first.create_key(CreateKeyRequest::default().custom_key_store(store))?.key_id();
    let sealed = first.encrypt(EncryptRequest::new(key, b"data"))?.ciphertext_blob;
    assert_eq!(second.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), b"data");
    first.disconnect_custom_key_store(store)?;
    assert_eq!(kind(second.decrypt(DecryptRequest::new(&sealed))), ErrorKind::InvalidState);
    assert_eq!(second.describe_key(key)?.state(), KeyState::Unavailable);
    second.connect_custom_key_store(store)?;
    assert_eq!(first.decrypt(DecryptRequest::new(&sealed))?.plaintext.expose_secret(), b"data");
    drop((first, second));
    let third = process()?;
    assert_eq!(third.describe_custom_key_store(store)?.connection_state, ConnectionState::Connected);
    Ok(())
}

#[test]
fn a_process_without_the_cluster_says_so_and_keys_stay() -> Result<()> {
    let place = Place::new()?;
    let builder = || Ok::<_, Error>(Kms::builder().store(place.open()?, RootKey::from_bytes(&[7; 32])));
    let kms = builder()?.cluster(vault(), two_members()).build()?;
    let store = kms.create_custom_key_store(request("safe", "vault")?)?;
    kms.connect_custom_key_store(store)?;
    let key = kms.create_key(CreateKeyRequest::default().custom_key_store(store))?.key_id();
    let without = builder()?.build()?;
    let described = without.describe_custom_key_store(store)?;
    assert_eq!(described.connection_state, ConnectionState::Failed);
    assert_eq!(described.connection_error.map(|error| error.code), Some(ConnectionErrorCode::ClusterNotFound));
    assert_eq!(kind(without.encrypt(EncryptRequest::new(key, b"x"))), ErrorKind::InvalidState);
    assert!(without.run_maintenance()?.failed.is_empty());
    assert_eq!(without.describe_key(key)?.state(), KeyState::Enabled);
    Ok(())
}

#[test]
fn the_trail_names_the_store_and_never_the_password() -> Result<()> {
    let setup = setup()?;
    let (store, key) = setup.store_with_key()?;
    setup.kms.encrypt(EncryptRequest::new(key, b"data"))?;
    let update = UpdateCustomKeyStoreRequest::new(store).key_store_password(SecretBytes::copy_from_slice(PASSWORD));
    setup.kms.update_custom_key_store(update).expect_err("it is connected");
    let events = setup.trail.events();
    let password = String::from_utf8_lossy(PASSWORD).into_owned();
    assert!(!format!("{events:?}").contains(&password));
    let encrypt = events.iter().find(|event| event.action.to_string() == "Encrypt").expect("the event was recorded");
    assert!(encrypt.additional.contains(&("customKeyStoreId", ParameterValue::Text(store.to_string().into()))));
    let wanted = ["CreateCustomKeyStore", "ConnectCustomKeyStore", "CreateKey", "UpdateCustomKeyStore"];
    for name in wanted {
        assert!(events.iter().any(|event| event.action.to_string() == name), "{name}");
    }
    Ok(())
}

#[test]
fn only_who_is_allowed_sees_or_changes_the_stores_of_an_account() -> Result<()> {
    let setup = setup()?;
    let store = setup.store()?;
    let alice = setup.kms.as_principal(Principal::user(AccountId::default(), "alice")?)?;
    let denied = [
        kind(alice.create_custom_key_store(request("mine", "other")?)),
        kind(alice.describe_custom_key_stores(PageRequest::default())),
        kind(alice.connect_custom_key_store(store)),
        kind(alice.disconnect_custom_key_store(store)),
        kind(alice.update_custom_key_store(UpdateCustomKeyStoreRequest::new(store).new_name("mine"))),
        kind(alice.delete_custom_key_store(store)),
        kind(alice.generate_random_in(store, 8)),
    ];
    assert!(denied.iter().all(|kind| *kind == ErrorKind::AccessDenied), "{denied:?}");
    let stranger = setup.kms.as_principal(Principal::root(AccountId::parse("999999999999")?))?;
    assert!(stranger.describe_custom_key_stores(PageRequest::default())?.entries.is_empty());
    assert_eq!(kind(stranger.describe_custom_key_store_by_name("safe")), ErrorKind::CustomKeyStoreNotFound);
    assert_eq!(kind(stranger.disconnect_custom_key_store(store)), ErrorKind::CustomKeyStoreNotFound);
    assert_eq!(
        kind(stranger.create_key(CreateKeyRequest::default().custom_key_store(store))),
        ErrorKind::CustomKeyStoreNotFound
    );
    Ok(())
}
