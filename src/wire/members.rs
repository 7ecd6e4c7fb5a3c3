//! The members of a request, read as the types of the library.

use std::borrow::Cow;

use super::failure::{Failure, Outcome, Refusal, Unrecorded};
use super::value::{Object, lower_camel};
use crate::clock::Timestamp;
use crate::context::EncryptionContext;
use crate::error::{ErrorKind, Result};
use crate::identity::Principal;
use crate::key::CustomKeyStoreId;
use crate::kms::{GrantToken, Kms, PageRequest};
use crate::secret::SecretBytes;
use crate::text::sanitize_for_error;

/// The members of a request or of a structure in it, whose types and constraints were checked.
#[derive(Clone, Copy)]
pub(super) struct Members<'r>(&'r Object<'r>);

impl<'r> Members<'r> {
    pub(super) const fn new(object: &'r Object<'r>) -> Self {
        Self(object)
    }

    pub(super) fn has(self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    pub(super) fn text(self, name: &str) -> Outcome<Option<&'r str>> {
        Ok(self.0.text(name)?)
    }

    pub(super) fn required_text(self, name: &str) -> Outcome<&'r str> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// Returns a flag, which is `false` if the request does not contain it.
    pub(super) fn flag(self, name: &str) -> Outcome<bool> {
        Ok(self.0.boolean(name)?.unwrap_or_default())
    }

    pub(super) fn number<T: TryFrom<i128>>(self, name: &str) -> Outcome<Option<T>> {
        Ok(self.0.integer(name)?)
    }

    pub(super) fn time(self, name: &str) -> Outcome<Option<Timestamp>> {
        Ok(self.0.timestamp(name)?)
    }

    pub(super) fn blob(self, name: &str) -> Outcome<Option<SecretBytes>> {
        Ok(self.0.blob(name)?)
    }

    pub(super) fn required_blob(self, name: &str) -> Outcome<SecretBytes> {
        self.blob(name)?.ok_or_else(|| missing(name))
    }

    pub(super) fn texts(self, name: &str) -> Outcome<Vec<&'r str>> {
        Ok(self.0.texts(name)?)
    }

    pub(super) fn structures(self, name: &str) -> Outcome<Vec<Self>> {
        Ok(self.0.objects(name)?.into_iter().map(Self).collect())
    }

    pub(super) fn structure(self, name: &str) -> Outcome<Option<Self>> {
        Ok(self.0.object(name)?.map(Self))
    }

    /// Returns a name of an enumeration. A name of the model that the library lacks, such as that of
    /// a key spec for China, is refused as in a Region that lacks it.
    pub(super) fn choice<T>(self, name: &str, parse: impl Fn(&str) -> Result<T>) -> Outcome<Option<T>> {
        self.text(name)?.map(|text| parse(text).map_err(|_| unsupported_value(name, text))).transpose()
    }

    pub(super) fn required_choice<T>(self, name: &str, parse: impl Fn(&str) -> Result<T>) -> Outcome<T> {
        self.choice(name, parse)?.ok_or_else(|| missing(name))
    }

    /// Returns an encryption context, which is empty if the request does not contain it.
    pub(super) fn context(self, name: &str) -> Outcome<EncryptionContext> {
        Ok(self.map(name)?.unwrap_or_default())
    }

    /// Returns a map of strings.
    pub(super) fn map(self, name: &str) -> Outcome<Option<EncryptionContext>> {
        Ok(self.0.string_map(name)?.map(|pairs| pairs.into_iter().collect()))
    }

    pub(super) fn grant_tokens(self) -> Outcome<Vec<GrantToken>> {
        self.texts("GrantTokens")?.into_iter().map(|token| GrantToken::parse(token).or_refuse()).collect()
    }

    pub(super) fn custom_key_store(self, name: &str) -> Outcome<Option<CustomKeyStoreId>> {
        self.text(name)?.map(|id| CustomKeyStoreId::parse(id).or_refuse()).transpose()
    }

    /// Returns a principal: an ARN, or a service that acts for the account of the caller.
    pub(super) fn principal(self, kms: &Kms, name: &str) -> Outcome<Option<Principal>> {
        let parse = |text| Principal::parse_on_behalf_of(kms.principal().account(), text).or_refuse();
        self.text(name)?.map(parse).transpose()
    }

    /// Returns a principal that is not a service, as its ARN.
    pub(super) fn identity(self, name: &str) -> Outcome<Option<Principal>> {
        self.text(name)?.map(|text| Principal::parse(text).or_refuse()).transpose()
    }

    /// Returns the page that the request asks for.
    pub(super) fn page(self) -> Outcome<PageRequest> {
        let mut page = PageRequest::default();
        if let Some(limit) = self.number("Limit")? {
            page = page.limit(limit);
        }
        match self.text("Marker")? {
            Some(marker) => Ok(page.marker(marker)),
            None => Ok(page),
        }
    }

    /// Refuses a request that has a member for a feature that the library lacks.
    pub(super) fn refuse_members(self, names: &[&'static str]) -> Outcome<()> {
        match names.iter().find(|name| self.has(name)) {
            Some(name) => Err(unsupported(format!("{name} is not supported."))),
            None => Ok(()),
        }
    }
}

/// Returns the refusal of a request that lacks a member.
pub(super) fn missing(name: &str) -> Failure {
    let path = lower_camel(name);
    invalid(format!(
        "1 validation error detected: Value null at '{path}' failed to satisfy constraint: Member must not be null"
    ))
}

/// Returns the refusal of an invalid request.
pub(super) fn invalid(text: impl Into<Cow<'static, str>>) -> Failure {
    Refusal::new(ErrorKind::Validation, text).into()
}

/// Returns the refusal of a request for a feature that the library lacks.
pub(super) fn unsupported(text: impl Into<Cow<'static, str>>) -> Failure {
    Refusal::new(ErrorKind::UnsupportedOperation, text).into()
}

fn unsupported_value(name: &str, value: &str) -> Failure {
    unsupported(format!("{name} {} is not supported.", sanitize_for_error(value)))
}
