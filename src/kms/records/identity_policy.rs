//! The policies of a principal, named by the principal in its account.
//!
//! `u8 1 ‖ u16 count ‖ (name, u32 length ‖ text)*`, names with a 16-bit length and in ascending
//! order.

use super::codec::{LAYOUT, check_layout, check_order, put_count, put_text, text, utf8};
use super::stored_record::{PlainRecord, StoredRecord};
use crate::codec::{Reader, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Principal;
use crate::policy::PolicyDocument;
use crate::secret::SecretBytes;
use crate::store::{RecordId, RecordKind};

/// Maximum number of policies per principal.
pub(in crate::kms) const MAX_IDENTITY_POLICIES: usize = 10;
/// Maximum length of a policy name in characters.
const MAX_POLICY_NAME: usize = 128;

/// The compiled policies of a principal, in ascending order of name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::kms) struct IdentityPolicies {
    names: Vec<String>,
    documents: Vec<PolicyDocument>,
}

impl IdentityPolicies {
    pub(in crate::kms) fn record_id(principal: &Principal) -> RecordId {
        let name = principal.stored_name().into_bytes();
        RecordId { kind: RecordKind::IdentityPolicy, account: principal.account(), name }
    }

    pub(in crate::kms) fn documents(&self) -> &[PolicyDocument] {
        &self.documents
    }

    pub(in crate::kms) fn names(&self) -> &[String] {
        &self.names
    }

    pub(in crate::kms) fn get(&self, name: &str) -> Option<&PolicyDocument> {
        self.place(name).ok().map(|place| &self.documents[place])
    }

    /// Adds a policy, or replaces the one with the same name.
    pub(in crate::kms) fn put(&mut self, name: &str, document: PolicyDocument) -> Result<()> {
        match self.place(name) {
            Ok(place) => self.documents[place] = document,
            Err(_) if self.names.len() >= MAX_IDENTITY_POLICIES => {
                let text = format!("a principal can have at most {MAX_IDENTITY_POLICIES} policies");
                return Err(Error::new(ErrorKind::LimitExceeded, text));
            }
            Err(place) => {
                self.names.insert(place, name.to_owned());
                self.documents.insert(place, document);
            }
        }
        Ok(())
    }

    /// Removes a policy. Returns `true` if it existed.
    pub(in crate::kms) fn remove(&mut self, name: &str) -> bool {
        let place = self.place(name);
        if let Ok(place) = place {
            self.names.remove(place);
            self.documents.remove(place);
        }
        place.is_ok()
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.names.binary_search_by(|known| known.as_str().cmp(name))
    }
}

impl StoredRecord for IdentityPolicies {
    const KIND: RecordKind = RecordKind::IdentityPolicy;

    fn decode(_id: &RecordId, bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        check_layout(&mut reader)?;
        let mut policies = Self::default();
        for _ in 0..reader.u16("policies")? {
            let name = text(&mut reader, "policy name")?;
            let document = utf8(reader.prefixed_u32(PolicyDocument::MAX_LENGTH, "policy")?, "policy")?;
            check_order(policies.names.last().map(String::as_str), name, "policy order")?;
            policies.put(name, PolicyDocument::identity_policy(document)?)?;
        }
        reader.finish()?;
        Ok(policies)
    }
}

impl PlainRecord for IdentityPolicies {
    fn encode(&self) -> Result<SecretBytes> {
        let mut writer = Writer::with_capacity(1_024);
        writer.u8(LAYOUT);
        put_count(&mut writer, self.names.len(), "policies")?;
        for (name, document) in self.names.iter().zip(&self.documents) {
            put_text(&mut writer, name, "policy name")?;
            writer.prefixed_u32(document.as_str().as_bytes(), PolicyDocument::MAX_LENGTH, "policy")?;
        }
        Ok(SecretBytes::from_vec(writer.into_bytes()))
    }
}

/// Rejects invalid policy names.
pub(in crate::kms) fn check_policy_name(name: &str) -> Result<()> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if (1..=MAX_POLICY_NAME).contains(&name.len()) && name.bytes().all(known) {
        return Ok(());
    }
    let text = format!("a policy name must be 1 to {MAX_POLICY_NAME} letters, digits and _+=,.@-");
    Err(Error::new(ErrorKind::Validation, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::AccountId;

    #[test]
    fn policies_are_read_as_they_were_written_and_no_part_of_them_is() -> Result<()> {
        let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:ListKeys","Resource":"*"}}"#;
        let mut policies = IdentityPolicies::default();
        for name in ["b", "a", "c", "b"] {
            policies.put(name, PolicyDocument::identity_policy(text)?)?;
        }
        assert_eq!(policies.names(), ["a", "b", "c"]);
        let id = IdentityPolicies::record_id(&Principal::root(AccountId::default()));
        let bytes = policies.encode()?;
        let bytes = bytes.expose_secret();
        assert_eq!(IdentityPolicies::decode(&id, bytes)?, policies);
        assert!((0..bytes.len()).all(|length| IdentityPolicies::decode(&id, &bytes[..length]).is_err()));
        assert!(IdentityPolicies::decode(&id, &[bytes, &[0]].concat()).is_err());
        assert!(policies.remove("b") && !policies.remove("b") && policies.get("b").is_none());
        Ok(())
    }
}
