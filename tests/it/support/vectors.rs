//! The test vectors in `tests/vectors`: parsing a file, and opening its message.
//!
//! A file is one case: a comment with the reason for it, followed by `key: value` lines. The
//! outcome is `expect: ok <plaintext>` or `expect: refused <check>`, where the check is a variant
//! of `MessageError` or `ErrorKind`. Without `keyring`, the reader has a raw AES key. The files
//! named by `private key` and `public key` are in the same folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use strongroom::crypto::RsaOaep;
use strongroom::envelope::{
    CommitmentPolicy, EnvelopeBuilder, EnvelopeReader, RawAesKeyring, RawEcdhKeyring, RawRsaKeyring, SignaturePolicy,
};
use strongroom::{EncryptionContext, Envelope, Result, SecretBytes};

use crate::support::sdk_process::json_of;

/// One case.
pub(crate) struct Vector {
    pub(crate) file: String,
    folder: PathBuf,
    fields: BTreeMap<String, String>,
}

impl Vector {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_else(|| panic!("{}: no field {name:?}", self.file))
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        hex::decode(self.field(name)).unwrap_or_else(|error| panic!("{}: {name}: {error}", self.file))
    }

    /// Returns the expected outcome: the plaintext, or the name of the check that must reject the
    /// message.
    pub(crate) fn expected(&self) -> std::result::Result<Vec<u8>, String> {
        match self.field("expect").split_once(' ') {
            Some(("refused", check)) => Err(check.to_owned()),
            Some(("ok", plaintext)) => Ok(hex::decode(plaintext).expect("hexadecimal")),
            _ if self.field("expect") == "ok" => Ok(Vec::new()),
            _ => panic!("{}: expect: ok or refused", self.file),
        }
    }

    /// Returns `true` if the reader accepts suites without commitment.
    pub(crate) fn allows_version_1(&self) -> bool {
        match self.fields.get("commitment policy").map(String::as_str) {
            None => false,
            Some("allow") => true,
            Some(other) => panic!("{}: commitment policy {other:?}", self.file),
        }
    }

    /// Returns the key in the file that a field specifies.
    fn key(&self, name: &str) -> Vec<u8> {
        let path = self.folder.join(self.field(name));
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {}: {error}", self.file, path.display()))
    }

    /// Returns the kind of keyring that opens the message, and its variant.
    fn opened_with(&self) -> Vec<&str> {
        self.fields.get("keyring").map_or(vec!["aes"], |keyring| keyring.split(' ').collect())
    }

    /// Returns an envelope builder with the keyring of the vector.
    pub(crate) fn builder(&self) -> Result<EnvelopeBuilder> {
        let (namespace, name) = (self.field("namespace"), self.field("name"));
        Ok(match self.opened_with()[..] {
            ["aes"] => {
                let key = SecretBytes::from_vec(self.bytes("wrapping key"));
                Envelope::builder(RawAesKeyring::new(namespace, name, key)?)
            }
            ["rsa", "PKCS1"] => {
                Envelope::builder(RawRsaKeyring::decrypt_only_pkcs1_v15(namespace, name, &self.key("private key"))?)
            }
            ["rsa", padding] => {
                let oaep = PADDINGS.into_iter().find(|(name, _)| *name == padding).expect("a padding").1;
                Envelope::builder(RawRsaKeyring::with_private_key(namespace, name, oaep, &self.key("private key"))?)
            }
            ["ecdh", "static"] => {
                Envelope::builder(RawEcdhKeyring::static_keys(&self.key("private key"), &self.key("public key"))?)
            }
            ["ecdh", "discovery"] => Envelope::builder(RawEcdhKeyring::discovery(&self.key("private key"))?),
            ref other => panic!("{}: keyring {other:?}", self.file),
        })
    }

    /// Returns the envelope that reads the vector. The backend may reject its wrapping key.
    pub(crate) fn envelope(&self) -> Result<Envelope> {
        let policy = match self.allows_version_1() {
            true => CommitmentPolicy::RequireEncryptAllowDecrypt,
            false => CommitmentPolicy::RequireEncryptRequireDecrypt,
        };
        let builder = self.builder()?.commitment_policy(policy);
        builder.signature_policy(SignaturePolicy::ReleaseBeforeVerification).build()
    }

    fn pair(&self, field: &str) -> Option<EncryptionContext> {
        self.fields.get(field).map(|pair| pair.split_once('=').into_iter().collect())
    }

    /// Decrypts in one call.
    pub(crate) fn decrypt(&self) -> Result<Vec<u8>> {
        let (envelope, message) = (self.envelope()?, self.bytes("ciphertext"));
        match self.pair("reproduced context") {
            Some(reproduced) => envelope.decrypt_with_reproduced_context(&message, &reproduced),
            None => envelope.decrypt(&message, &self.pair("expect context").unwrap_or_default()),
        }
    }

    pub(crate) fn reader<'a>(&self, envelope: &Envelope, message: &'a [u8]) -> Result<EnvelopeReader<&'a [u8]>> {
        match self.pair("reproduced context") {
            Some(reproduced) => envelope.reader_with_reproduced_context(message, &reproduced),
            None => envelope.reader(message, &self.pair("expect context").unwrap_or_default()),
        }
    }

    /// Returns the request with which a peer decrypts the message.
    pub(crate) fn request(&self) -> Value {
        let mut request = json!({
            "do": "decrypt", "ciphertext": self.field("ciphertext"), "namespace": self.field("namespace"),
            "name": self.field("name"), "allow_version_1": self.allows_version_1(),
        });
        let text = |field| String::from_utf8(self.key(field)).expect("PEM");
        match self.opened_with()[..] {
            ["rsa", padding] => {
                let public = fs::read_to_string(self.folder.join("rsa_public.pem")).expect("a key");
                request["rsa"] = json!({"padding": padding, "public": public, "private": text("private key")});
            }
            ["ecdh", scheme] => {
                let curve = format!("ECC_NIST_{}", self.field("private key")[..4].to_uppercase());
                request["ecdh"] = json!({"scheme": scheme, "curve": curve, "private": text("private key")});
                if scheme == "static" {
                    let (_, public) = pkcs8::Document::from_pem(&text("public key")).expect("PEM");
                    request["ecdh"]["public"] = json!(hex::encode(public.as_bytes()));
                }
            }
            _ => request["key"] = json!(self.field("wrapping key")),
        }
        if let Some(reproduced) = self.pair("reproduced context") {
            request["required"] = reproduced.iter().map(|(name, _)| name).collect();
            request["context"] = json_of(&reproduced);
        }
        request
    }
}

/// The paddings of RSA, as the official SDKs name them.
pub(crate) const PADDINGS: [(&str, RsaOaep); 4] = [
    ("OAEP_SHA1_MGF1", RsaOaep::Sha1),
    ("OAEP_SHA256_MGF1", RsaOaep::Sha256),
    ("OAEP_SHA384_MGF1", RsaOaep::Sha384),
    ("OAEP_SHA512_MGF1", RsaOaep::Sha512),
];

/// Returns all cases, sorted by name.
pub(crate) fn all() -> Vec<Vector> {
    // Written by hand and by the official SDK for Python, with raw AES keys and with the other
    // keyrings.
    in_folders(&["message", "sdk", "keyrings"])
}

/// Returns the cases in folders of `tests/vectors`, sorted by name.
pub(crate) fn in_folders(names: &[&str]) -> Vec<Vector> {
    let folders = names.iter().map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name));
    let files = folders.flat_map(|folder| fs::read_dir(folder).expect("the folder can be read"));
    let files = files.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "txt")).collect();
    files.sort();
    files.iter().map(|path| parse(path)).collect()
}

fn parse(path: &Path) -> Vector {
    let file = path.file_name().expect("a name").to_string_lossy().into_owned();
    let text = fs::read_to_string(path).expect("the file can be read");
    assert!(text.starts_with("# "), "{file}: must begin with its reason");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let pairs = lines.map(|line| line.split_once(':').unwrap_or_else(|| panic!("{file}: {line:?}")));
    let fields = pairs.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect();
    Vector { file, folder: path.parent().expect("a folder").to_owned(), fields }
}
