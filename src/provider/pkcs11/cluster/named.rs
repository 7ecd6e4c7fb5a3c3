//! Keys that are identified by a name, which several processes may generate and look up at the same
//! time: root keys.
//!
//! No token can create an object on the condition that another one is absent, or remove two objects
//! atomically. A key is therefore generated under a *reservation*: another object, with a CKA_ID
//! that is derived from the name and the CKA_LABEL of the key. A generator
//!
//! 1. creates its reservation on every member and checks that it is the only one
//!    ([`Claim::keeps`]),
//! 2. checks that no key has the name, and generates the key on the members,
//! 3. if anything failed, erases its key on a member and then, if that succeeded, its reservation
//!    there; each of them only once no call of an earlier step can still take effect on this
//!    member,
//! 4. otherwise erases its reservations. From the first attempt to do so on, it never erases the
//!    key.
//!
//! Two generators meet on each member, so at most one of them reaches step 2. Only that generator
//! creates a key, and it erases a key only while its reservation is on the same member.
//!
//! A process that looks up the key checks three things in order: the key exists, the reservation of
//! this key is absent, and the key still exists. The reservation was created before the key, so its
//! absence means that it has been erased. A key that still exists after that is permanent. None of
//! this depends on how long a process is suspended.
//!
//! With [`CallMode::Deadline`](crate::provider::pkcs11::CallMode::Deadline), a call may outlast its
//! caller. It can create the key after the generator has failed, or erase it after an operator has
//! removed the reservation. A reservation therefore stays on a member while an abandoned call to
//! that member is running. The error then says that the objects must not be removed before the
//! process has ended. Direct calls never outlast their step.
//!
//! If a generator is killed, its key is not found until an operator has removed the reservation. By
//! then, no process is left that would erase the key. If only one of several members holds the key
//! at that point, it is incomplete and is not found either.

use std::collections::BTreeSet;
use std::thread;

use super::claim::{Claim, LOOKS, PAUSE};
use super::failure::{WithMember as _, refusal, refusal_to_make, unavailable};
use super::generation::{HOLDERS, too_few_holders};
use super::members::{Member, Pkcs11Cluster};
use crate::crypto::{CryptoBackend, DigestAlgorithm};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::ClusterManagement;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::object::NewKey;
use crate::provider::pkcs11::object::adoption::Provenance;
use crate::provider::pkcs11::reference::{TokenKeyHandle, TokenKeyKind, id_text};
use crate::text::sanitize_for_error;

/// Domain separation for the CKA_ID of a reservation.
const RESERVATION: &[u8] = b"strongroom reservation v1";

/// A key that was found under a name.
pub(in crate::provider::pkcs11) struct FoundKey {
    pub(in crate::provider::pkcs11) key: TokenKeyHandle,
    /// The reason not to use the key for anything new, if only one member holds it.
    pub(in crate::provider::pkcs11) lone: Option<Error>,
}

impl Pkcs11Cluster {
    /// Returns `true` if any member has an object with a CKA_ID.
    pub(in crate::provider::pkcs11) fn holds(&self, id: &[u8]) -> Result<bool> {
        self.check_connected()?;
        for member in self.members.iter() {
            let count = member.token.count_objects(id).map_err(|error| refusal(&error).with_member(member))?;
            if count > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the members with a reservation for a CKA_ID, and the CKA_ID of the reservation, as
    /// text. Ignores members that do not respond.
    pub(in crate::provider::pkcs11) fn reservations(&self, id: &[u8]) -> Result<Option<(String, String)>> {
        let reservation = reservation_id(id, self.backend()?);
        let is_reserved =
            |member: &&Member| distinct_labels(member, &reservation).is_ok_and(|labels| !labels.is_empty());
        let reserved: Vec<&str> = self.members.iter().filter(is_reserved).map(|member| member.name.as_str()).collect();
        Ok((!reserved.is_empty()).then(|| (reserved.join(" and "), id_text(&reservation))))
    }

    /// Generates an AES-256 key with a CKA_ID on every member. If that fails, or if another process
    /// generates a key with the same ID, only the objects of this call are erased.
    pub(in crate::provider::pkcs11) fn generate_named(&self, id: &[u8], label: &str) -> Result<TokenKeyHandle> {
        self.check_connected()?;
        if self.shared.management == ClusterManagement::Members {
            // Nothing is created if the key could not be replicated.
            let (active, reasons) = self.active_with_replication_keys()?;
            if active.len() < HOLDERS {
                return Err(too_few_holders(&reasons));
            }
        }
        let reservation = self.claim(&reservation_id(id, self.backend()?), label)?;
        let mut attempted = Vec::new();
        let generated = self.reserve(&reservation, &mut attempted).and_then(|()| {
            if self.holds(id)? {
                return Err(Error::new(ErrorKind::AlreadyExists, "another process has generated a key with this name"));
            }
            self.generate_everywhere(NewKey::new(id, reservation.label(), TokenKeyKind::Aes256), Some(&reservation))
        });
        match generated {
            Ok(key) => {
                self.release(&reservation)?;
                Ok(key)
            }
            Err(error) => Err(self.undo(&attempted, &reservation, id, error)),
        }
    }

    /// Creates a reservation on every member, and records the members where this was attempted.
    fn reserve<'a>(&'a self, reservation: &Claim, attempted: &mut Vec<&'a Member>) -> Result<()> {
        for member in self.members.iter() {
            attempted.push(member);
            let new = NewKey::new(reservation.id(), reservation.label(), TokenKeyKind::Aes256);
            let keeps = match member.token.generate_key(&new) {
                Ok(_) => reservation.keeps(member),
                Err(error) if error.class() == ErrorClass::Denied && reservation.is_taken(member) => Ok(false),
                Err(error) => Err(error),
            };
            if !keeps.map_err(|error| refusal_to_make(&error).with_member(member))? {
                let text = format!(
                    "another process is generating a key with this name; if no process is, an interrupted \
                     generation left objects behind: remove those with the CKA_ID {} from {}",
                    id_text(reservation.id()),
                    member.name
                );
                return Err(Error::new(ErrorKind::AlreadyExists, text));
            }
        }
        Ok(())
    }

    /// Returns the AES-256 key with a CKA_ID. First, every member that responds must report that it
    /// protects the key and prove that it holds the same one. A member that was unavailable when
    /// the key was generated may lack it.
    pub(in crate::provider::pkcs11) fn find_named(&self, id: &[u8], label: &str) -> Result<FoundKey> {
        self.check_connected()?;
        let provenance = match self.shared.management {
            ClusterManagement::VendorManaged => Provenance::Generated,
            ClusterManagement::Members => Provenance::Replicated,
        };
        let reservation = reservation_id(id, self.backend()?);
        let mut found: Option<(&Member, TokenKeyHandle)> = None;
        let mut reasons = Vec::new();
        for member in self.in_turn() {
            if found.is_some() && !member.token.may_be_tried() {
                continue;
            }
            let adopt = || member.token.adopt(id, label, TokenKeyKind::Aes256, provenance);
            // A key that is complete on one member is complete on all of them.
            let adopted = if found.is_some() { adopt() } else { adopt_complete(member, id, &reservation, adopt) };
            match (adopted, &found) {
                (Ok(key), None) => found = Some((member, key)),
                (Ok(_), Some((first, key))) => match member.token.verify_key(key) {
                    Err(error) if error.class() == ErrorClass::KeyMissing => {
                        let text =
                            format!("{} and {} have different keys with this id: {error}", first.name, member.name);
                        return Err(Error::new(ErrorKind::KeyUnavailable, text).with_source(error));
                    }
                    // The member became unavailable in between.
                    Ok(()) | Err(_) => {}
                },
                (Err(error), _) if error.rejected_for().is_some() || !error.class().is_token_specific() => {
                    return Err(refusal(&error).with_member(member));
                }
                (Err(error), _) => reasons.push((member, with_labels(error, member, id, &reservation))),
            }
        }
        let Some((first, key)) = found else { return Err(unavailable(&reasons)) };
        let lone = self.lone_holder(first, id, &reasons);
        Ok(FoundKey { key, lone })
    }

    /// Returns the reason not to use a key for anything new, if there is one: only one member holds
    /// it, although all others responded. No generation completes with so few members. A cluster
    /// configured with one member is part of a larger one.
    fn lone_holder(&self, holder: &Member, id: &[u8], reasons: &[(&Member, TokenError)]) -> Option<Error> {
        let is_empty = |member: &Member| distinct_labels(member, id).is_ok_and(|labels| labels.is_empty());
        let lacking = reasons
            .iter()
            .filter(|(member, error)| error.class() == ErrorClass::KeyMissing && is_empty(member))
            .count();
        if self.members.len() < HOLDERS || lacking + 1 < self.members.len() {
            return None;
        }
        let text = format!(
            "cannot wrap under the key, because {0} alone holds it: if its generation was interrupted and the key \
             was never used, remove the object with the CKA_ID {1} from {0} and generate the key again; if the \
             other members were replaced, move the root key of the store to a key that several members hold, using \
             a cluster that lists only {0}",
            holder.name,
            id_text(id)
        );
        Some(Error::new(ErrorKind::KeyUnavailable, text))
    }
}

/// Adopts the key of a member that has the key without its reservation, both before and after.
fn adopt_complete(
    member: &Member,
    id: &[u8],
    reservation: &[u8],
    adopt: impl FnOnce() -> Result<TokenKeyHandle, TokenError>,
) -> Result<TokenKeyHandle, TokenError> {
    let before = complete_labels(member, id, reservation)?;
    let key = adopt()?;
    // The adopted key is the one that was seen: it is the only one with this ID, both before and
    // after.
    if before.is_empty() || distinct_labels(member, id)? != before {
        return Err(TokenError::new(
            ErrorClass::KeyMissing,
            "the keys with this id changed while they were being read",
        ));
    }
    Ok(key)
}

/// Returns the labels of the keys with an ID, once none of them has a reservation. Waits for an
/// active generator.
fn complete_labels(member: &Member, id: &[u8], reservation: &[u8]) -> Result<BTreeSet<Vec<u8>>, TokenError> {
    for _ in 0..LOOKS {
        // The order matters: see the module documentation.
        let keys = distinct_labels(member, id)?;
        let reserved = distinct_labels(member, reservation)?;
        if keys.is_disjoint(&reserved) {
            return Ok(keys);
        }
        thread::sleep(PAUSE);
    }
    // The key of an interrupted generator may be complete on other members, so the error does not
    // suggest removing it.
    let text = format!(
        "another process is generating the key; if no process is, an interrupted generation left an object behind: \
         remove the object with the CKA_ID {} and find the key again, which reports an incomplete key that must \
         also be removed",
        id_text(reservation)
    );
    Err(TokenError::new(ErrorClass::Busy, text))
}

/// Adds the labels of the keys to an error if there are several, to distinguish them.
fn with_labels(error: TokenError, member: &Member, id: &[u8], reservation: &[u8]) -> TokenError {
    let Ok(labels) = distinct_labels(member, id) else { return error };
    if labels.len() < 2 {
        return error;
    }
    let reserved = distinct_labels(member, reservation).unwrap_or_default();
    let texts = labels.iter().map(|label| {
        let text = sanitize_for_error(&String::from_utf8_lossy(label));
        if reserved.contains(label) { format!("'{text}' (with a reservation)") } else { format!("'{text}'") }
    });
    let text = format!("the keys have the labels {}", texts.collect::<Vec<_>>().join(", "));
    let class = error.class();
    error.found_to_be(class, &text)
}

/// Returns the distinct labels of the objects with an ID. A token may show one object twice.
fn distinct_labels(member: &Member, id: &[u8]) -> Result<BTreeSet<Vec<u8>>, TokenError> {
    Ok(member.token.labels(id)?.into_iter().collect())
}

/// Returns the CKA_ID of the reservations for a name.
fn reservation_id(id: &[u8], backend: &CryptoBackend) -> Vec<u8> {
    backend.digest().digest(DigestAlgorithm::Sha256, &[RESERVATION, id]).as_ref().to_vec()
}
