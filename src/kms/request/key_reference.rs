//! Types that identify a key in a request.

use crate::error::Result;
use crate::key::{AliasArn, AliasName, KeyArn, KeyId, KeyIdentifier};

/// Identifies a key: a key ID, key ARN, alias name or alias ARN, as a parsed value or as text.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::request::KeyReference;
///
/// let kms = Kms::in_memory()?;
/// let key = kms.create_key(Default::default())?;
/// kms.create_alias("alias/reports", key.key_id())?;
/// assert_eq!(kms.describe_key("alias/reports")?.key_id(), key.key_id());
/// assert_eq!(kms.describe_key(key.arn())?, kms.describe_key(key.arn().to_string())?);
/// assert!("reports".to_key_identifier().is_err());
/// # Ok::<(), strongroom::Error>(())
/// ```
pub trait KeyReference {
    /// Parses the reference, unless it is already parsed.
    ///
    /// # Errors
    /// - [`InvalidArn`](crate::ErrorKind::InvalidArn) if the text starts with `arn:` but is not an
    ///   ARN of this service.
    /// - [`NotFound`](crate::ErrorKind::NotFound) for any other text that has none of the four
    ///   forms, and for a key ARN with a malformed key ID.
    fn to_key_identifier(&self) -> Result<KeyIdentifier>;
}

impl KeyReference for str {
    fn to_key_identifier(&self) -> Result<KeyIdentifier> {
        KeyIdentifier::parse(self)
    }
}

impl KeyReference for String {
    fn to_key_identifier(&self) -> Result<KeyIdentifier> {
        KeyIdentifier::parse(self)
    }
}

impl<T: KeyReference + ?Sized> KeyReference for &T {
    fn to_key_identifier(&self) -> Result<KeyIdentifier> {
        (**self).to_key_identifier()
    }
}

macro_rules! parsed_reference {
    ($($form:ident),*) => {
        $(impl KeyReference for $form {
            fn to_key_identifier(&self) -> Result<KeyIdentifier> {
                Ok(KeyIdentifier::$form(self.clone()))
            }
        })*
    };
}

parsed_reference!(KeyId, KeyArn, AliasName, AliasArn);

impl KeyReference for KeyIdentifier {
    fn to_key_identifier(&self) -> Result<KeyIdentifier> {
        Ok(self.clone())
    }
}
