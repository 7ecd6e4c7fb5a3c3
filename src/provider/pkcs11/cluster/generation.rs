//! Key generation: a new key is generated on one member and replicated to the others.

use super::claim::Claim;
use super::failure::{WithMember as _, refusal, refusal_to_make, unavailable};
use super::members::{Member, Pkcs11Cluster};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::ClusterManagement;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::object::NewKey;
use crate::provider::pkcs11::reference::TokenKeyHandle;

/// The minimum number of members that must hold a new key.
pub(super) const HOLDERS: usize = 2;

impl Pkcs11Cluster {
    /// Generates a key. If its ID is a name, the key is generated under a reservation.
    pub(super) fn generate_everywhere(&self, new: NewKey, reservation: Option<&Claim>) -> Result<TokenKeyHandle> {
        match self.shared.management {
            ClusterManagement::VendorManaged => self.generate_at_vendor(&new, reservation),
            ClusterManagement::Members => self.generate_and_replicate(new, reservation),
        }
    }

    fn generate_at_vendor(&self, new: &NewKey, reservation: Option<&Claim>) -> Result<TokenKeyHandle> {
        let slot = self.members.first().ok_or_else(|| unavailable(&[]))?;
        let key = slot.token.generate_key(new).map_err(|error| refusal_to_make(&error))?;
        check_alone(reservation, slot, key.id())?;
        slot.token.verify_key(&key).map_err(|error| refusal(&error))?;
        Ok(key)
    }

    /// Generates a key on one member and replicates it to all others that respond, at least one. If
    /// this fails partway, the caller erases the remaining objects.
    fn generate_and_replicate(&self, new: NewKey, reservation: Option<&Claim>) -> Result<TokenKeyHandle> {
        let (active, mut reasons) = self.active_with_replication_keys()?;
        let Some(((source, wrapping), others)) = active.split_first() else { return Err(unavailable(&reasons)) };
        let source = *source;
        let failed = |member: &Member, error: &TokenError| refusal_to_make(error).with_member(member);
        let new = new.extractable_for_replication();
        let key = source.token.generate_key(&new).map_err(|error| failed(source, &error))?;
        check_alone(reservation, source, key.id())?;
        let wrapped = source.token.wrap_key(wrapping, &key).map_err(|error| failed(source, &error))?;
        let mut holders = vec![source];
        for (member, wrapping) in others {
            let unwrapped = member.token.unwrap_key(wrapping, &wrapped, &key);
            match unwrapped.and_then(|()| member.token.verify_key(&key)) {
                Ok(()) => holders.push(member),
                Err(error) => {
                    let is_taken = || member.token.count_objects(key.id()).is_ok_and(|count| count > 0);
                    if reservation.is_some() && error.class() == ErrorClass::Denied && is_taken() {
                        return Err(taken(member));
                    }
                    reasons.push((*member, error));
                }
            }
        }
        for member in &holders[1..] {
            check_alone(reservation, member, key.id())?;
        }
        if holders.len() < HOLDERS {
            return Err(too_few_holders(&reasons));
        }
        // From here on, the key cannot leave any token. The wrapped copy can be unwrapped only with
        // the replication key.
        source.token.forbid_extraction(&key).map_err(|error| failed(source, &error))?;
        for member in holders {
            let protection = member.token.key_protection(&key).map_err(|error| failed(member, &error))?;
            if protection.extractable || !protection.sensitive {
                let text =
                    format!("{} did not apply the required protection to the new key: {protection:?}", member.name);
                return Err(Error::new(ErrorKind::Internal, text));
            }
        }
        Ok(key)
    }
}

/// Returns the error of a key that too few members can hold, based on the errors of the other
/// members.
pub(super) fn too_few_holders(reasons: &[(&Member, TokenError)]) -> Error {
    if reasons.is_empty() {
        let text = format!("cannot create a key: at least {HOLDERS} members must hold it, and the cluster has fewer");
        return Error::new(ErrorKind::KeyUnavailable, text);
    }
    unavailable(reasons)
}

/// Rejects a name under which a member has another key that it did not show earlier.
fn check_alone(reservation: Option<&Claim>, member: &Member, id: &[u8]) -> Result<()> {
    let Some(reservation) = reservation else { return Ok(()) };
    if reservation.is_alone(member, id).map_err(|error| refusal_to_make(&error).with_member(member))? {
        return Ok(());
    }
    Err(taken(member))
}

fn taken(member: &Member) -> Error {
    let text = format!("{} already has another key with this name", member.name);
    Error::new(ErrorKind::AlreadyExists, text)
}
