//! Looks up the values of a condition key in a request to the parameter store.

use super::super::parameter_request::ParameterPolicyRequest;
use super::key::{ConditionKey, NamedKey};
use super::lookup::{any_text, of_principal, one_text};
use super::value::Value;
use super::{Facts, Visit};
use crate::error::Result;
use crate::key::{Tag, TagSet};

impl Facts for ParameterPolicyRequest<'_> {
    fn any(&self, key: &ConditionKey, visit: Visit<'_>) -> Result<Option<bool>> {
        Ok(match key {
            ConditionKey::Named(key) => self.named(*key, visit),
            ConditionKey::ResourceTag(name) | ConditionKey::ParameterTag(name) => {
                let tags = self.tags.into_iter().flat_map(TagSet::iter);
                let same = tags.filter(|pair| pair.0.eq_ignore_ascii_case(name));
                any_text(same.map(|(_, value)| value), visit)
            }
            ConditionKey::RequestTag(name) => {
                let same = self.request_tags.iter().filter(|tag| tag.key().eq_ignore_ascii_case(name));
                any_text(same.map(Tag::value), visit)
            }
            ConditionKey::EncryptionContext(_) => None,
        })
    }
}

impl ParameterPolicyRequest<'_> {
    fn named(&self, key: NamedKey, visit: Visit<'_>) -> Option<bool> {
        use NamedKey as K;
        match key {
            K::PrincipalAccount | K::PrincipalArn | K::PrincipalIsAwsService | K::PrincipalServiceName => {
                of_principal(key, self.principal, visit)
            }
            K::PrincipalType | K::SourceAccount | K::Username => of_principal(key, self.principal, visit),
            K::CurrentTime | K::EpochTime => Some(visit(Value::Time(self.time))),
            K::RequestedRegion => one_text(Some(self.locality.region()), visit),
            K::ResourceAccount => one_text(Some(self.account.as_str()), visit),
            K::ViaAwsService => Some(visit(Value::Bool(false))),
            K::TagKeys if self.request_tags.is_empty() => any_text(self.tag_keys.iter().copied(), visit),
            K::TagKeys => any_text(self.request_tags.iter().map(Tag::key), visit),
            K::ParameterOverwrite => self.overwrite.map(|overwrite| visit(Value::Bool(overwrite))),
            K::ParameterRecursive => self.recursive.map(|recursive| visit(Value::Bool(recursive))),
            // The keys of AWS KMS have no value in a request to the parameter store.
            _ => None,
        }
    }
}
