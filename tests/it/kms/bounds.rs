//! The bounds of the AWS KMS model, which the library checks like the wire protocol: before the key
//! is looked up, and before any policy sees the request.

use std::sync::Arc;

use strongroom::algorithm::{EncapsulationAlgorithm, KeyAgreementAlgorithm, MacAlgorithm, SigningAlgorithm};
use strongroom::audit::{MemoryTrail, Outcome};
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{KeyId, Operation, Tag};
use strongroom::policy::{AttachedPolicies, Decision, GrantTerms, Policy, PolicyRequest};
use strongroom::request::{
    CreateGrantRequest, CreateKeyRequest, DecapsulateRequest, DecryptRequest, DeriveSharedSecretRequest,
    EncryptRequest, GenerateDataKeyRequest, GenerateMacRequest, GrantFilter, ImportKeyMaterialRequest,
    IncludeKeyMaterial, PageRequest, PutKeyPolicyRequest, ReEncryptRequest, SignRequest, VerifyMacRequest,
    VerifyRequest,
};
use strongroom::{ErrorKind, Kms, Result};

use crate::support::kms::kind;

/// A policy that no request of this test may reach.
#[derive(Debug)]
struct Unreachable;

impl Policy for Unreachable {
    fn decide(&self, request: &PolicyRequest<'_>, _: &AttachedPolicies<'_>) -> Result<Decision> {
        panic!("a policy was asked about {request:?}")
    }
}

/// A call with a member that is out of bounds.
type Call = fn(&Kms, KeyId) -> Result<()>;

fn page(limit: u32) -> PageRequest {
    PageRequest::default().limit(limit)
}

fn marked(length: usize) -> PageRequest {
    PageRequest::default().marker("m".repeat(length))
}

fn tags(count: usize) -> Result<Vec<Tag>> {
    (0..count).map(|number| Tag::new(number.to_string(), "")).collect()
}

fn import<'r>(key: KeyId, token: &'r [u8], material: &'r [u8]) -> ImportKeyMaterialRequest<'r, KeyId> {
    ImportKeyMaterialRequest::new(key, token, material).does_not_expire()
}

/// Calls whose only error is `Validation`.
const INVALID: &[(&str, Call)] = &[
    ("no plaintext", |kms, key| kms.encrypt(EncryptRequest::new(key, b"")).map(drop)),
    ("a long plaintext", |kms, key| kms.encrypt(EncryptRequest::new(key, &[0; 4_097])).map(drop)),
    ("no ciphertext", |kms, _| kms.decrypt(DecryptRequest::new(b"")).map(drop)),
    ("a long ciphertext", |kms, key| kms.re_encrypt(ReEncryptRequest::new(&[0; 6_145], key)).map(drop)),
    ("a data key without bytes", |kms, key| {
        kms.generate_data_key(GenerateDataKeyRequest::new(key).number_of_bytes(0)).map(drop)
    }),
    ("a long data key", |kms, key| {
        kms.generate_data_key_without_plaintext(GenerateDataKeyRequest::new(key).number_of_bytes(1_025)).map(drop)
    }),
    ("no random bytes", |kms, _| kms.generate_random(0).map(drop)),
    ("many random bytes", |kms, _| kms.generate_random(1_025).map(drop)),
    ("no message", |kms, key| kms.sign(SignRequest::new(key, SigningAlgorithm::EcdsaSha256, b"")).map(drop)),
    ("a long message", |kms, key| {
        kms.verify(VerifyRequest::new(key, SigningAlgorithm::EcdsaSha256, &[0; 4_097], b"x")).map(drop)
    }),
    ("no signature", |kms, key| {
        kms.verify(VerifyRequest::new(key, SigningAlgorithm::EcdsaSha256, b"x", b"")).map(drop)
    }),
    ("a MAC of nothing", |kms, key| {
        kms.generate_mac(GenerateMacRequest::new(key, MacAlgorithm::HmacSha256, b"")).map(drop)
    }),
    ("a long MAC", |kms, key| {
        kms.verify_mac(VerifyMacRequest::new(key, MacAlgorithm::HmacSha256, b"x", &[0; 6_145])).map(drop)
    }),
    ("no public key", |kms, key| {
        kms.derive_shared_secret(DeriveSharedSecretRequest::new(key, KeyAgreementAlgorithm::Ecdh, b"")).map(drop)
    }),
    ("no encapsulated secret", |kms, key| {
        kms.decapsulate(DecapsulateRequest::new(key, EncapsulationAlgorithm::MlKem, b"")).map(drop)
    }),
    ("a long encapsulated secret", |kms, key| {
        kms.decapsulate(DecapsulateRequest::new(key, EncapsulationAlgorithm::MlKem, &[0; 6_145])).map(drop)
    }),
    ("a long description", |kms, key| kms.update_key_description(key, "x".repeat(8_193))),
    ("a long description of a new key", |kms, _| {
        kms.create_key(CreateKeyRequest::default().description("x".repeat(8_193))).map(drop)
    }),
    ("a new key with an empty tag key", |kms, _| kms.create_key(CreateKeyRequest::default().tag("", "")).map(drop)),
    ("a long policy of a new key", |kms, _| {
        kms.create_key(CreateKeyRequest::default().policy(" ".repeat(131_073))).map(drop)
    }),
    ("an empty tag key", |kms, key| kms.untag_resource(key, [""])),
    ("a long tag key", |kms, key| kms.untag_resource(key, ["x".repeat(129)])),
    ("no policy", |kms, key| kms.put_key_policy(PutKeyPolicyRequest::new(key, ""))),
    ("a long policy", |kms, key| kms.put_key_policy(PutKeyPolicyRequest::new(key, &" ".repeat(131_073)))),
    ("the name of a grant", |kms, key| {
        let terms = GrantTerms::new(Principal::user(AccountId::default(), "bob")?, [Operation::Encrypt])?;
        kms.create_grant(CreateGrantRequest::new(key, terms).name("!")).map(drop)
    }),
    ("no import token", |kms, key| kms.import_key_material(import(key, b"", b"x")).map(drop)),
    ("long material", |kms, key| kms.import_key_material(import(key, b"x", &[0; 6_145])).map(drop)),
    ("an empty description of material", |kms, key| {
        kms.import_key_material(import(key, b"x", b"x").key_material_description("")).map(drop)
    }),
    ("a long description of material", |kms, key| {
        kms.import_key_material(import(key, b"x", b"x").key_material_description(&"x".repeat(257))).map(drop)
    }),
    ("a character in a description of material", |kms, key| {
        kms.import_key_material(import(key, b"x", b"x").key_material_description("100 %")).map(drop)
    }),
    ("no keys", |kms, _| kms.list_keys(page(0)).map(drop)),
    ("many keys", |kms, _| kms.list_keys(page(1_001)).map(drop)),
    ("no marker", |kms, _| kms.list_keys(marked(0)).map(drop)),
    ("a long marker", |kms, _| kms.list_aliases(marked(1_025)).map(drop)),
    ("no aliases", |kms, key| kms.list_aliases_of_key(key, page(0)).map(drop)),
    ("many grants", |kms, key| kms.list_grants(key, GrantFilter::default(), page(101)).map(drop)),
    ("many retirable grants", |kms, _| kms.list_retirable_grants(&kms.principal().clone(), page(101)).map(drop)),
    ("no rotations", |kms, key| kms.list_key_rotations(key, IncludeKeyMaterial::AllKeyMaterial, page(0)).map(drop)),
    ("many tags", |kms, key| kms.list_resource_tags(key, page(51)).map(drop)),
    ("no names of policies", |kms, key| kms.list_key_policies(key, page(0)).map(drop)),
    ("no custom key stores", |kms, _| kms.describe_custom_key_stores(page(0)).map(drop)),
    ("a custom key store without a name", |kms, _| kms.describe_custom_key_store_by_name("").map(drop)),
];

/// Calls with more tags than a key can have.
const TOO_MANY_TAGS: &[(&str, Call)] = &[
    ("tags of a new key", |kms, _| {
        let request = (0..51).fold(CreateKeyRequest::default(), |request, number| request.tag(number.to_string(), ""));
        kms.create_key(request).map(drop)
    }),
    ("new tags", |kms, key| kms.tag_resource(key, tags(51)?)),
    ("removed tags", |kms, key| kms.untag_resource(key, (0..51).map(|number| number.to_string()))),
];

#[test]
fn bounds_are_checked_before_the_key_is_looked_up_and_before_authorization() -> Result<()> {
    let trail = Arc::new(MemoryTrail::default());
    let kms = Kms::builder().policy(Unreachable).audit(Arc::clone(&trail)).build()?;
    let missing = KeyId::from_bytes([7; 16]);
    let calls = INVALID.iter().map(|call| (call, ErrorKind::Validation));
    for ((name, call), expected) in calls.chain(TOO_MANY_TAGS.iter().map(|call| (call, ErrorKind::Tag))) {
        trail.clear();
        assert_eq!(kind(call(&kms, missing)), expected, "{name}");
        let events = trail.events();
        let [event] = events.as_slice() else { panic!("{name}: {events:?}") };
        assert_eq!((&event.outcome, event.keys), (&Outcome::Failure(expected), [None, None]), "{name}");
    }
    Ok(())
}

/// A request at each bound is valid: its key is looked up.
#[test]
fn requests_at_the_bounds_are_accepted() -> Result<()> {
    let kms = Kms::in_memory()?;
    let missing = KeyId::from_bytes([7; 16]);
    let material = "aZ0:/_ .-\t";
    for (name, result) in [
        ("a plaintext", kms.encrypt(EncryptRequest::new(missing, &[0; 4_096])).map(drop)),
        ("a message", kms.sign(SignRequest::new(missing, SigningAlgorithm::EcdsaSha256, &[0; 4_096])).map(drop)),
        ("a description", kms.update_key_description(missing, "é".repeat(8_192))),
        ("tags", kms.tag_resource(missing, tags(50)?)),
        ("tag keys", kms.untag_resource(missing, (0..50).map(|_| "é".repeat(128)))),
        ("a policy", kms.put_key_policy(PutKeyPolicyRequest::new(missing, &"é".repeat(131_072)))),
        (
            "a description of material",
            kms.import_key_material(import(missing, b"x", &[0; 6_144]).key_material_description(material)).map(drop),
        ),
        ("a page", kms.list_resource_tags(missing, page(50)).map(drop)),
    ] {
        assert_eq!(kind(result), ErrorKind::NotFound, "{name}");
    }
    Ok(())
}
