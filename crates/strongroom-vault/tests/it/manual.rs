//! The page `migrating` of the manual: its programs about Vault and Tink are these.

use std::error::Error as StdError;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm, KeyInit};
use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use strongroom::algorithm::{MacAlgorithm, WrappingAlgorithm, WrappingKeySpec};
use strongroom::crypto::{CryptoBackend, KeyPairKind, RsaOaep};
use strongroom::envelope::KmsKeyring;
use strongroom::key::{KeyId, KeySpec, KeyUsage, Origin};
use strongroom::request::{
    CreateKeyRequest, GenerateMacRequest, GetParametersForImportRequest, ImportKeyMaterialRequest,
};
use strongroom::{EncryptionContext, Envelope, Kms, Result, SecretBytes};
use strongroom_vault::{VaultProvider, VaultRootKey};
use vaultrs::api::transit::requests::{DecryptDataRequest, ExportKeyType, ExportVersion};
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
use vaultrs::transit::{data, key};

use crate::support::{PLAINTEXT, ROOT, Vault, context, peer, transit};

type Moved<T> = Result<T, Box<dyn StdError>>;

/// Returns a message with this plaintext, after it was read again.
fn encrypt_and_verify(envelope: &Envelope, plaintext: &SecretBytes, context: &EncryptionContext) -> Moved<Vec<u8>> {
    let message = envelope.encrypt(plaintext.expose_secret(), context)?;
    let read = SecretBytes::from_vec(envelope.decrypt(&message, context)?);
    if read == *plaintext { Ok(message) } else { Err("the message contains another plaintext".into()) }
}

/// Returns the plaintext of a ciphertext of the transit engine, such as `vault:v1:...`.
async fn open_in_vault(vault: &VaultClient, key: &str, ciphertext: &str, bound: &[u8]) -> Moved<SecretBytes> {
    let mut request = DecryptDataRequest::builder();
    if !bound.is_empty() {
        request.associated_data(Base64::encode_string(bound));
    }
    let answer = data::decrypt(vault, "transit", key, ciphertext, Some(&mut request)).await?;
    Ok(SecretBytes::from_vec(Base64::decode_vec(&answer.plaintext)?))
}

/// Moves a ciphertext of the transit engine into a message.
async fn move_from_vault(
    vault: &VaultClient,
    (key, ciphertext, bound): (&str, &str, &[u8]),
    (envelope, context): (&Envelope, &EncryptionContext),
) -> Moved<Vec<u8>> {
    let plaintext = open_in_vault(vault, key, ciphertext, bound).await?;
    encrypt_and_verify(envelope, &plaintext, context)
}

/// Imports an exported secret key: 32 bytes of `aes256-gcm96`, or an HMAC key.
fn import_secret(kms: &Kms, spec: KeySpec, usage: KeyUsage, exported: &str) -> Moved<KeyId> {
    let material = SecretBytes::from_vec(Base64::decode_vec(exported)?);
    let request = CreateKeyRequest::default().spec(spec).usage(usage).origin(Origin::External);
    let key = kms.create_key(request)?.key_id();
    let (algorithm, size) = (WrappingAlgorithm::RsaesOaepSha256, WrappingKeySpec::Rsa3072);
    let parameters = kms.get_parameters_for_import(GetParametersForImportRequest::new(key, algorithm, size))?;
    let backend = CryptoBackend::default();
    let wrapping_key = backend.key_pairs().public_key(KeyPairKind::Rsa3072, &parameters.public_key)?;
    let wrapped = wrapping_key.encrypt(RsaOaep::Sha256, material.expose_secret(), backend.random())?;
    let request = ImportKeyMaterialRequest::new(key, &parameters.import_token, &wrapped);
    kms.import_key_material(request.does_not_expire())?;
    Ok(key)
}

/// Returns the key in a serialized `AesGcmKey` of Tink, whose member 3 has 16 or 32 bytes.
fn tink_key(serialized: &[u8]) -> Option<&[u8]> {
    match serialized {
        [0x1a, length @ (16 | 32), key @ ..] if key.len() == usize::from(*length) => Some(key),
        _ => None,
    }
}

/// Decrypts AES-GCM as Tink does: 12 bytes of nonce, the ciphertext, and the tag.
fn open_tink(serialized_key: &SecretBytes, sealed: &[u8], associated_data: &[u8]) -> Moved<SecretBytes> {
    let key = tink_key(serialized_key.expose_secret()).ok_or("the key is not an AesGcmKey of version 0")?;
    let (nonce, sealed) = sealed.split_first_chunk::<12>().ok_or("the ciphertext is too short")?;
    let sealed = Payload { msg: sealed, aad: associated_data };
    let opened = match key.len() {
        16 => Aes128Gcm::new_from_slice(key)?.decrypt(nonce.into(), sealed),
        _ => Aes256Gcm::new_from_slice(key)?.decrypt(nonce.into(), sealed),
    };
    Ok(SecretBytes::from_vec(opened.map_err(|_| "the ciphertext cannot be decrypted")?))
}

/// Decrypts with a key of a cleartext keyset in JSON. A ciphertext begins with 1 and the ID of its key.
fn open_with_keyset(keyset: &Value, ciphertext: &[u8], associated_data: &[u8]) -> Moved<SecretBytes> {
    let [1, a, b, c, d, sealed @ ..] = ciphertext else { return Err("it has no prefix of Tink".into()) };
    let id = u32::from_be_bytes([*a, *b, *c, *d]);
    let keys = keyset["key"].as_array().ok_or("it is no keyset")?;
    let key = keys.iter().find(|key| key["keyId"] == id && key["status"] == "ENABLED").ok_or("no such key")?;
    let serialized = key["keyData"]["value"].as_str().ok_or("the keyset is not in cleartext")?;
    open_tink(&SecretBytes::from_vec(Base64::decode_vec(serialized)?), sealed, associated_data)
}

/// Decrypts KMS envelope encryption of Tink, whose data key a key in Vault has encrypted: 4 bytes of length,
/// the encrypted data key, and the ciphertext.
async fn open_tink_envelope(vault: &VaultClient, key: &str, message: &[u8], bound: &[u8]) -> Moved<SecretBytes> {
    let (length, rest) = message.split_first_chunk().ok_or("the ciphertext is too short")?;
    let length = usize::try_from(u32::from_be_bytes(*length))?;
    let (data_key, sealed) = rest.split_at_checked(length).ok_or("the ciphertext is too short")?;
    let data_key = open_in_vault(vault, key, std::str::from_utf8(data_key)?, b"").await?;
    open_tink(&data_key, sealed, bound)
}

#[test]
fn the_page_shows_these_programs() {
    let source = include_str!("manual.rs").split("#[test]").next().unwrap();
    let page = include_str!("../../../../src/manual/migrating.md");
    let (_, page) = page.split_once("## From HashiCorp Vault and OpenBao\n").unwrap();
    let blocks: Vec<_> = page.split("```rust,ignore\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 3);
    for block in blocks {
        assert!(source.contains(block.trim_end()), "{block}");
    }
}

fn client(vault: &Vault) -> VaultClient {
    let settings = VaultClientSettingsBuilder::default().address(vault.url()).token(ROOT).build().unwrap();
    VaultClient::new(settings).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn destination() -> (Kms, Envelope) {
    let kms = Kms::in_memory().unwrap();
    let key = kms.create_key(Default::default()).unwrap().key_id();
    (kms.clone(), Envelope::new(KmsKeyring::new(&kms, key).unwrap()))
}

#[test]
fn ciphertexts_of_vault_move_with_their_associated_data() {
    let Some(vault) = Vault::start("ciphertexts_of_vault_move_with_their_associated_data") else { return };
    vault.create("orders", "aes256-gcm96");
    let (_, envelope) = destination();
    let plaintext = Base64::encode_string(PLAINTEXT);
    for bound in [&b""[..], b"invoice 17"] {
        let body = json!({"plaintext": plaintext, "associated_data": Base64::encode_string(bound)});
        let sealed = vault.admin("POST", "transit/encrypt/orders", &body)["ciphertext"].clone();
        // Versions from before a rotation move too.
        vault.admin("POST", "transit/keys/orders/rotate", &json!({}));
        let (client, sealed, context) = (client(&vault), sealed.as_str().unwrap(), context());
        let moved = move_from_vault(&client, ("orders", sealed, bound), (&envelope, &context));
        let moved = block_on(moved).unwrap();
        assert_eq!(envelope.decrypt(&moved, &context).unwrap(), PLAINTEXT);
        let refused = move_from_vault(&client, ("orders", sealed, b"invoice 18"), (&envelope, &context));
        assert!(block_on(refused).is_err());
    }
}

/// The MACs of an exported key are the same here, and its AES key opens ciphertexts without Vault.
#[test]
fn exported_keys_continue_their_work() {
    let Some(vault) = Vault::start("exported_keys_continue_their_work") else { return };
    let (kms, _) = destination();
    let exported = |name: &str, kind: ExportKeyType| {
        let client = client(&vault);
        let export = key::export(&client, "transit", name, kind, ExportVersion::Latest);
        block_on(export).unwrap().keys["1"].clone()
    };
    let new = |name: &str, key_type: &str| {
        let body = json!({"type": key_type, "exportable": true});
        vault.admin("POST", &format!("transit/keys/{name}"), &body);
    };
    new("codes", "hmac");
    let body = json!({"input": Base64::encode_string(PLAINTEXT), "algorithm": "sha2-256"});
    let code = vault.admin("POST", "transit/hmac/codes", &body)["hmac"].clone();
    let (spec, usage) = (KeySpec::Hmac256, KeyUsage::GenerateVerifyMac);
    let own = import_secret(&kms, spec, usage, &exported("codes", ExportKeyType::HmacKey)).unwrap();
    let here = kms.generate_mac(GenerateMacRequest::new(own, MacAlgorithm::HmacSha256, PLAINTEXT)).unwrap().mac;
    assert_eq!(format!("vault:v1:{}", Base64::encode_string(&here)), code.as_str().unwrap());

    new("orders", "aes256-gcm96");
    let body = json!({"plaintext": Base64::encode_string(PLAINTEXT)});
    let sealed = vault.admin("POST", "transit/encrypt/orders", &body)["ciphertext"].clone();
    let material = exported("orders", ExportKeyType::EncryptionKey);
    let bytes = Base64::decode_vec(sealed.as_str().unwrap().strip_prefix("vault:v1:").unwrap()).unwrap();
    let cipher = Aes256Gcm::new_from_slice(&Base64::decode_vec(&material).unwrap()).unwrap();
    let (nonce, rest) = bytes.split_first_chunk::<12>().unwrap();
    assert_eq!(cipher.decrypt(nonce.into(), rest).unwrap(), PLAINTEXT);
    let (spec, usage) = (KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt);
    let own = import_secret(&kms, spec, usage, &material).unwrap();
    let envelope = Envelope::new(KmsKeyring::new(&kms, own).unwrap());
    let message = envelope.encrypt(PLAINTEXT, &context()).unwrap();
    assert_eq!(envelope.decrypt(&message, &context()).unwrap(), PLAINTEXT);
    let other = json!({"type": "aes256-gcm96"});
    vault.admin("POST", "transit/keys/private", &other);
    let refused = client(&vault);
    let refused = key::export(&refused, "transit", "private", ExportKeyType::EncryptionKey, ExportVersion::Latest);
    assert!(block_on(refused).is_err(), "a key that is not exportable stays");
}

/// Nothing moves: the key stays in Vault, and messages of the store use it.
#[test]
fn keys_can_stay_in_vault() {
    let Some(vault) = Vault::start("keys_can_stay_in_vault") else { return };
    vault.create("root", "aes256-gcm96");
    let folder = tempfile::tempdir().unwrap();
    let handle = transit(&vault.url(), ROOT);
    let root = strongroom::seal::RootKey::from_holder(VaultRootKey::new(&handle, "root").unwrap());
    let store = strongroom::store::SqliteStore::open(folder.path().join("keys.db"), &Default::default()).unwrap();
    let kms = Kms::builder().store(store, root).provider(VaultProvider::new(&handle, "vault")).build().unwrap();
    for request in [CreateKeyRequest::default(), CreateKeyRequest::default().provider("vault")] {
        let key = kms.create_key(request).unwrap().key_id();
        let envelope = Envelope::new(KmsKeyring::new(&kms, key).unwrap());
        let message = envelope.encrypt(PLAINTEXT, &context()).unwrap();
        assert_eq!(envelope.decrypt(&message, &context()).unwrap(), PLAINTEXT);
    }
}

/// Tink itself writes the ciphertexts, with its integration of Vault.
#[test]
fn ciphertexts_of_tink_move() {
    let test = "ciphertexts_of_tink_move";
    let (Some(vault), Some(python)) = (Vault::start(test), peer::python(test)) else { return };
    vault.create("tink", "aes256-gcm96");
    let (_, envelope) = destination();
    for bound in [&b""[..], b"invoice 17"] {
        let script = peer::in_repository("crates/strongroom-vault/tests/it/peers/tink_writer.py");
        let [text, aad] = [PLAINTEXT, bound].map(base16ct::lower::encode_string);
        let mut command = peer::script(&python, &script, &[]);
        let output = command.args([&vault.url(), ROOT, "tink", &text, &aad]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines: Vec<_> = output.stdout.split(|&byte| byte == b'\n').collect();
        let keyset: Value = serde_json::from_slice(lines[0]).unwrap();
        let [sealed, message] = [1, 2].map(|line: usize| base16ct::lower::decode_vec(lines[line]).unwrap());

        let client = client(&vault);
        let opened = open_with_keyset(&keyset, &sealed, bound).unwrap();
        let from_envelope = block_on(open_tink_envelope(&client, "tink", &message, bound)).unwrap();
        for plaintext in [opened, from_envelope] {
            let moved = encrypt_and_verify(&envelope, &plaintext, &context()).unwrap();
            assert_eq!(envelope.decrypt(&moved, &context()).unwrap(), PLAINTEXT);
        }
        assert!(open_with_keyset(&keyset, &sealed, b"other").is_err());
        assert!(block_on(open_tink_envelope(&client, "tink", &message, b"other")).is_err());
        for end in 0..message.len() {
            assert!(block_on(open_tink_envelope(&client, "tink", &message[..end], bound)).is_err(), "{end}");
        }
        assert!(open_with_keyset(&keyset, &message, bound).is_err(), "no prefix");
    }
}
