//! Requests of the transit engine.
//!
//! `vaultrs` sends them with its token, its namespace, and its TLS. They are not its own requests, because
//! those lack members: `salt_length` of signatures, `key_size` and the type of HMAC keys, and the
//! versions of a key that is read.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use strongroom::{Error, ErrorKind, Result};

/// A request, and the type of the `data` in its answer.
pub(crate) struct Request<T> {
    method: RequestMethod,
    path: String,
    body: Option<Vec<u8>>,
    answer: PhantomData<fn() -> T>,
}

impl<T> Request<T> {
    /// Reads a path.
    pub(crate) fn read(path: String) -> Self {
        Self { method: RequestMethod::GET, path, body: None, answer: PhantomData }
    }

    pub(crate) fn delete(path: String) -> Self {
        Self { method: RequestMethod::DELETE, ..Self::read(path) }
    }

    pub(crate) fn write(path: String, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(body).map_err(|error| {
            Error::new(ErrorKind::Internal, format!("cannot encode a request: {error}")).with_source(error)
        })?;
        Ok(Self { method: RequestMethod::POST, body: Some(body), ..Self::read(path) })
    }
}

impl<T> Clone for Request<T> {
    fn clone(&self) -> Self {
        Self { method: self.method.clone(), path: self.path.clone(), body: self.body.clone(), answer: PhantomData }
    }
}

impl<T: DeserializeOwned + Send + Sync> Endpoint for Request<T> {
    type Response = T;
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        self.path.clone()
    }

    fn method(&self) -> RequestMethod {
        self.method.clone()
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        Ok(self.body.clone())
    }
}

#[derive(Serialize)]
pub(crate) struct Encrypt<'a> {
    pub(crate) plaintext: &'a str,
    pub(crate) associated_data: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_version: Option<u32>,
}

#[derive(Deserialize)]
pub(crate) struct Encrypted {
    pub(crate) ciphertext: String,
}

#[derive(Serialize)]
pub(crate) struct Decrypt<'a> {
    pub(crate) ciphertext: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) associated_data: &'a str,
}

#[derive(Deserialize)]
pub(crate) struct Decrypted {
    pub(crate) plaintext: String,
}

#[derive(Serialize)]
pub(crate) struct Create<'a> {
    #[serde(rename = "type")]
    pub(crate) key_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_size: Option<u16>,
    pub(crate) exportable: bool,
    pub(crate) allow_plaintext_backup: bool,
}

#[derive(Serialize)]
pub(crate) struct Configure {
    pub(crate) deletion_allowed: bool,
}

/// A key, as Vault describes it.
#[derive(Debug, Deserialize)]
pub(crate) struct KeyDescription {
    #[serde(rename = "type")]
    pub(crate) key_type: String,
    #[serde(default)]
    pub(crate) derived: bool,
    #[serde(default)]
    pub(crate) latest_version: u32,
    /// Versions before this one are deleted forever.
    #[serde(default)]
    pub(crate) min_available_version: u32,
    /// The versions that are not archived: of symmetric keys the times of their creation.
    #[serde(default)]
    keys: BTreeMap<String, VersionDescription>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum VersionDescription {
    KeyPair { public_key: String },
    Other(serde::de::IgnoredAny),
}

impl KeyDescription {
    /// Returns the public key of a version, in PEM.
    pub(crate) fn public_key(&self, version: u32) -> Option<&str> {
        match self.keys.get(&version.to_string())? {
            VersionDescription::KeyPair { public_key } => Some(public_key),
            VersionDescription::Other(_) => None,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Sign<'a> {
    pub(crate) input: &'a str,
    pub(crate) prehashed: bool,
    pub(crate) hash_algorithm: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signature_algorithm: Option<&'a str>,
    pub(crate) salt_length: &'a str,
    pub(crate) marshaling_algorithm: &'a str,
    pub(crate) key_version: u32,
}

#[derive(Deserialize)]
pub(crate) struct Signed {
    pub(crate) signature: String,
}

#[derive(Serialize)]
pub(crate) struct Authenticate<'a> {
    pub(crate) input: &'a str,
    pub(crate) algorithm: &'a str,
    pub(crate) key_version: u32,
}

#[derive(Deserialize)]
pub(crate) struct Authenticated {
    pub(crate) hmac: String,
}
