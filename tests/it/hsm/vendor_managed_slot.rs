//! One vendor-managed slot, in a store with extended key types. OpenSSL verifies what its tokens
//! sign and decrypt.

use strongroom::algorithm::{EncryptionAlgorithm, SigningAlgorithm};
use strongroom::crypto::{CryptoBackend, KeyPairKind, PublicKey, RsaOaep, SignatureInput};
use strongroom::key::{ClusterId, CustomKeyStoreId, CustomKeyStoreMode, KeyId, KeySpec, KeyUsage};
use strongroom::provider::pkcs11::{CallMode, KeyTypes, Module, Pkcs11Cluster, TokenConfig, TokenSelector};
use strongroom::request::{
    CreateCustomKeyStoreRequest, CreateKeyRequest, DecryptRequest, EncryptRequest, GenerateDataKeyRequest, SignRequest,
    VerifyRequest,
};
use strongroom::{EncryptionContext, ErrorKind, Kms, Result, SecretBytes};
use strongroom_pkcs11_faults::{Bare, Nss, PIN};

use crate::support::openssl::{OpenSsl, words};
use crate::support::soft_tokens::{nss, soft_hsm};

const MESSAGE: &[u8] = b"a contract";

/// Creates a KMS over the token with a label, as a cluster of two HSMs, with a connected custom key
/// store.
fn store_over(module: &std::path::Path, label: &str) -> Result<(Kms, CustomKeyStoreId)> {
    let config = TokenConfig::new(TokenSelector::Label(label.into())).key_types(KeyTypes::All);
    let module = Module::load(module).expect("the shim can be loaded as a module");
    let hsms = [("hsm-1", "zone-a"), ("hsm-2", "zone-b")];
    let cluster = Pkcs11Cluster::vendor_managed(&module, config.call_mode(CallMode::Direct), hsms);
    let vault = ClusterId::parse("vault")?;
    let kms = Kms::builder().cluster(vault.clone(), cluster).build()?;
    let request = CreateCustomKeyStoreRequest::new("wide", vault).mode(CustomKeyStoreMode::Extended);
    let store =
        kms.create_custom_key_store(request.key_store_password(SecretBytes::copy_from_slice(PIN.as_bytes())))?;
    kms.connect_custom_key_store(store)?;
    Ok((kms, store))
}

fn create(kms: &Kms, store: CustomKeyStoreId, spec: KeySpec, usage: KeyUsage) -> Result<KeyId> {
    Ok(kms.create_key(CreateKeyRequest::default().spec(spec).usage(usage).custom_key_store(store))?.key_id())
}

fn public_key(kms: &Kms, key: KeyId, kind: KeyPairKind) -> Result<Box<dyn PublicKey>> {
    let exported = kms.get_public_key(key)?;
    Ok(CryptoBackend::default().key_pairs().public_key(kind, &exported.public_key)?)
}

/// Signs with every algorithm of a key and verifies with the software backend and OpenSSL. Returns
/// the number of signatures that OpenSSL verified.
fn sign_everything(
    kms: &Kms,
    key: KeyId,
    spec: KeySpec,
    kind: KeyPairKind,
    openssl: Option<&OpenSsl>,
) -> Result<usize> {
    let public = public_key(kms, key, kind)?;
    let mut seen = 0;
    for &algorithm in spec.signing_algorithms(KeyUsage::SignVerify) {
        let signature = kms.sign(SignRequest::new(key, algorithm, MESSAGE))?.signature;
        public.verify(algorithm, SignatureInput::Message(MESSAGE), &signature)?;
        assert!(public.verify(algorithm, SignatureInput::Message(b"another"), &signature).is_err(), "{algorithm}");
        kms.verify(VerifyRequest::new(key, algorithm, MESSAGE, &signature))?;
        if let (Some(openssl), Some(words)) = (openssl, words(algorithm)) {
            openssl.write("public.pem", kms.get_public_key(key)?.to_pem()?.as_bytes());
            openssl.write("message", MESSAGE);
            openssl.write("signature", &signature);
            let start = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public.pem", "-in", "message"];
            openssl.must(&[&start[..], &["-sigfile", "signature"], &words].concat());
            seen += 1;
        }
    }
    Ok(seen)
}

#[test]
fn a_slot_of_a_vendor_signs_with_rsa_and_elliptic_curves_and_openssl_verifies() -> Result<()> {
    let test = "a_slot_of_a_vendor_signs_with_rsa_and_elliptic_curves_and_openssl_verifies";
    let Some(hsm) = soft_hsm(test, &["vendor"]) else { return Ok(()) };
    let openssl = OpenSsl::start(test);
    let (kms, store) = store_over(hsm.shim().path(), "vendor")?;
    let kinds = [
        (KeySpec::Rsa2048, KeyPairKind::Rsa2048, 6),
        (KeySpec::EccNistP256, KeyPairKind::EccP256, 1),
        (KeySpec::EccNistP384, KeyPairKind::EccP384, 1),
        (KeySpec::EccNistP521, KeyPairKind::EccP521, 1),
        (KeySpec::EccSecgP256k1, KeyPairKind::EccSecp256k1, 1),
    ];
    for (spec, kind, algorithms) in kinds {
        assert_eq!(spec.signing_algorithms(KeyUsage::SignVerify).len(), algorithms);
        let key = create(&kms, store, spec, KeyUsage::SignVerify)?;
        let seen = sign_everything(&kms, key, spec, kind, openssl.as_ref())?;
        assert_eq!(seen, if openssl.is_some() { algorithms } else { 0 }, "{spec}");
    }
    kms.disconnect_custom_key_store(store)?;
    Ok(())
}

#[test]
fn a_slot_of_a_vendor_holds_symmetric_keys_and_says_which_mechanism_it_lacks() -> Result<()> {
    let Some(hsm) = soft_hsm("a_slot_of_a_vendor_holds_symmetric_keys", &["vendor"]) else { return Ok(()) };
    let (kms, store) = store_over(hsm.shim().path(), "vendor")?;
    let key = create(&kms, store, KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)?;
    let context = EncryptionContext::from([("tenant", "42")]);
    let sealed = kms.encrypt(EncryptRequest::new(key, b"data").context(&context))?.ciphertext_blob;
    let opened = kms.decrypt(DecryptRequest::new(&sealed).context(&context))?;
    assert_eq!(opened.plaintext.expose_secret(), b"data");
    let refused = kms.decrypt(DecryptRequest::new(&sealed)).expect_err("another context");
    assert_eq!(refused.kind(), ErrorKind::InvalidCiphertext);
    let data_key = kms.generate_data_key(GenerateDataKeyRequest::new(key).context(&context))?;
    let opened = kms.decrypt(DecryptRequest::new(&data_key.ciphertext_blob).context(&context))?;
    assert_eq!(opened.plaintext, data_key.plaintext);
    for (spec, usage, mechanism) in [
        (KeySpec::Rsa2048, KeyUsage::EncryptDecrypt, "CKM_RSA_PKCS_OAEP"),
        (KeySpec::Hmac256, KeyUsage::GenerateVerifyMac, "keys of this kind are never created in tokens"),
    ] {
        let refused = create(&kms, store, spec, usage).expect_err("SoftHSM supports OAEP only with SHA-1");
        assert_eq!(refused.kind(), ErrorKind::UnsupportedOperation, "{refused}");
        assert!(refused.to_string().contains(mechanism), "{refused}");
    }
    Ok(())
}

/// Follows the manual's description of the format with bare C calls to the token.
#[test]
fn a_blob_of_scheme_two_is_made_and_opened_by_bare_calls_to_the_token() -> Result<()> {
    let Some(hsm) = soft_hsm("a_blob_of_scheme_two_is_made_and_opened", &["vendor"]) else { return Ok(()) };
    let (kms, store) = store_over(hsm.shim().path(), "vendor")?;
    let key = create(&kms, store, KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)?;
    let context = EncryptionContext::from([("tenant", "42"), ("purpose", "backup")]);
    let canonical = b"\0\x02\0\x07purpose\0\x06backup\0\x06tenant\0\x0242";
    let prefix = [&[1, 2][..], key.as_bytes(), &[0, 0, 0, 1]].concat();
    let associated_data = [&prefix[..], canonical].concat();
    // Finds the key by its CKA_ID, which consists of the key ID and the version number.
    let mut bare = Bare::new(hsm.shim().path(), "vendor", &prefix[2..], false);

    let sealed = kms.encrypt(EncryptRequest::new(key, b"made by the KMS").context(&context))?.ciphertext_blob;
    assert_eq!(sealed[..22], prefix);
    let iv = sealed[22..34].try_into().expect("12 bytes");
    assert_eq!(bare.decrypt(iv, &associated_data, &sealed[34..]), b"made by the KMS");

    let iv = [0xA5; 12];
    let by_hand = [&prefix[..], &iv, &bare.encrypt(&iv, &associated_data, b"made by hand")].concat();
    let opened = kms.decrypt(DecryptRequest::new(&by_hand).context(&context))?;
    assert_eq!(opened.plaintext.expose_secret(), b"made by hand");
    Ok(())
}

#[test]
fn a_slot_of_a_vendor_opens_what_was_encrypted_with_an_exported_public_key() -> Result<()> {
    let Some(nss) = nss("a_slot_of_a_vendor_opens") else { return Ok(()) };
    let (kms, store) = store_over(nss.shim().path(), Nss::LABEL)?;
    let key = create(&kms, store, KeySpec::Rsa2048, KeyUsage::EncryptDecrypt)?;
    let public = public_key(&kms, key, KeyPairKind::Rsa2048)?;
    let all =
        [(RsaOaep::Sha1, EncryptionAlgorithm::RsaesOaepSha1), (RsaOaep::Sha256, EncryptionAlgorithm::RsaesOaepSha256)];
    for (padding, algorithm) in all {
        let mut sealed = public.encrypt(padding, b"for the token", CryptoBackend::default().random())?;
        let opened = kms.decrypt(DecryptRequest::new(&sealed).key(key)?.algorithm(algorithm))?;
        assert_eq!(opened.plaintext.expose_secret(), b"for the token", "{algorithm}");
        sealed[7] ^= 1;
        let refused = kms.decrypt(DecryptRequest::new(&sealed).key(key)?.algorithm(algorithm));
        assert_eq!(refused.expect_err("altered").kind(), ErrorKind::InvalidCiphertext, "{algorithm}");
    }
    let signing = create(&kms, store, KeySpec::EccNistP256, KeyUsage::SignVerify)?;
    let algorithm = SigningAlgorithm::EcdsaSha256;
    let signature = kms.sign(SignRequest::new(signing, algorithm, MESSAGE))?.signature;
    let public = public_key(&kms, signing, KeyPairKind::EccP256)?;
    Ok(public.verify(algorithm, SignatureInput::Message(MESSAGE), &signature)?)
}
