//! The keys under which a store writes now, with which a sweep compares those of stored objects.

use std::sync::Arc;

use object_store::Result;
use object_store::path::Path;

use super::cipher::ObjectCipher;
use super::error::of_object;
use super::tasks::run;
use super::wrapping_key::{self, WrappingKey};
use crate::error::Result as OwnResult;
use crate::message::Header;

/// The keys that wrap the data key of a new object.
#[derive(Clone, Debug)]
pub(super) struct CurrentKeys {
    keys: Vec<WrappingKey>,
    /// For each key, whether its sender differs between messages.
    any_sender: Vec<bool>,
}

impl CurrentKeys {
    /// Finds the keys for a path, without a cache of data keys.
    pub(super) async fn of_path(cipher: &Arc<ObjectCipher>, path: &Path) -> Result<Self> {
        let (cipher, path) = (Arc::clone(cipher), path.clone());
        run(move || Self::find(&cipher, &path).map_err(|error| of_object(&path, error))).await
    }

    fn find(cipher: &ObjectCipher, path: &Path) -> OwnResult<Self> {
        let new_object = || {
            // A cache passes on messages of unknown length.
            let (header, _) = cipher.seal_header(path, None)?;
            cipher.parse_header(&header).map(|header| wrapping_key::of_header(&header))
        };
        let mut keys = new_object()?;
        let mut any_sender = vec![false; keys.len()];
        if keys.iter().any(WrappingKey::is_agreed) {
            // A sender without a static key pair generates one for each message.
            let others = new_object()?;
            for ((key, any_sender), other) in keys.iter_mut().zip(&mut any_sender).zip(others) {
                *any_sender = key.is_agreed() && *key != other;
                *key = other;
                if *any_sender {
                    key.forget_sender();
                }
            }
        }
        Ok(Self { keys, any_sender })
    }

    /// Returns `true` if exactly these keys wrap the data key of an object.
    pub(super) fn are_those_of(&self, header: &Header) -> bool {
        let mut found = wrapping_key::of_header(header);
        for (key, _) in found.iter_mut().zip(&self.any_sender).filter(|(_, any_sender)| **any_sender) {
            key.forget_sender();
        }
        found == self.keys
    }
}
