//! Encryption of secrets under a KMS key of the store.

use base64ct::{Base64, Encoding};
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest};
use strongroom::{EncryptionContext, ErrorKind, Kms};
use zeroize::Zeroizing;

use super::file::Entry;
use crate::error::{Error, Result};

/// The alias of the KMS key that encrypts the secrets of access keys.
pub const KEY_ALIAS: &str = "alias/strongroom-server-credentials";

/// The purpose, so that no other ciphertext of the KMS key is a secret.
const PURPOSE: &str = "secret of an access key of strongroom-server";

/// Encrypts a secret for an entry, with all other members as encryption context. Creates the KMS
/// key if it is missing.
pub(super) fn seal(kms: &Kms, entry: &Entry, secret: &str) -> Result<String> {
    ensure_key(kms)?;
    let context = context(entry);
    let encrypted = kms.encrypt(EncryptRequest::new(KEY_ALIAS, secret.as_bytes()).context(&context))?;
    Ok(Base64::encode_string(&encrypted.ciphertext_blob))
}

/// Decrypts the secret of an entry.
pub(super) fn open(kms: &Kms, entry: &Entry) -> Result<Zeroizing<String>> {
    let blob = Base64::decode_vec(&entry.encrypted_secret)
        .map_err(|_| Error::new("the encrypted secret is not base64 with padding"))?;
    let context = context(entry);
    let request = DecryptRequest::new(&blob).key(KEY_ALIAS)?.context(&context);
    let decrypted = kms.decrypt(request).map_err(|error| match error.kind() {
        ErrorKind::InvalidCiphertext => Error::new("the entry was altered, or belongs to another store"),
        _ => Error::from(error),
    })?;
    let secret = std::str::from_utf8(decrypted.plaintext.expose_secret())
        .map_err(|_| Error::new("the decrypted secret is not text"))?;
    Ok(Zeroizing::new(secret.to_owned()))
}

fn context(entry: &Entry) -> EncryptionContext {
    let members = [
        ("purpose", Some(PURPOSE)),
        ("accessKeyId", Some(entry.access_key_id.as_str())),
        ("principal", Some(entry.principal.as_str())),
        ("created", Some(entry.created.as_str())),
        ("expires", entry.expires.as_deref()),
        ("sessionTokenSha256", entry.session_token_sha256.as_deref()),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn ensure_key(kms: &Kms) -> Result<()> {
    match kms.describe_key(KEY_ALIAS) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let request = CreateKeyRequest::default()
                .description("Encrypts the secrets of access keys in the file of strongroom-server")
                .policy(policy(&kms.principal().to_string()))
                .alias(KEY_ALIAS);
            match kms.create_key(request) {
                Ok(_) => Ok(()),
                // Another process created it in the meantime.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Allows everything to the root of the account, and denies everything to all others, whatever
/// their identity policies allow.
fn policy(root: &str) -> String {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"},
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "kms:*",
                "Resource": "*",
                "Condition": {"ArnNotEquals": {"aws:PrincipalArn": root}},
            },
        ],
    })
    .to_string()
}
