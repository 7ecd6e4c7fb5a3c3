//! Exports under a passphrase.

use super::error::ExportError;
use super::recipient::{ExportIdentity, ExportRecipient, Method, Unwrap, Wrap};
use crate::crypto::CryptoBackend;
use crate::error::Result;
use crate::seal::PassphraseCost;
use crate::seal::passphrase::{self, LATEST_FORMAT, Passphrase, PassphraseError};
use crate::secret::SecretBytes;

/// Domain separation between exports and root keys under the same passphrase.
const LABEL: &[u8] = b"strongroom export passphrase v1";

impl ExportRecipient {
    /// Creates a recipient that knows a passphrase, at the default [`PassphraseCost`]. An attacker
    /// who obtains the export can guess at the passphrase for years, so use six or more randomly
    /// chosen words.
    ///
    /// The passphrase is normalized according to RFC 8265, like that of
    /// [`RootKey::from_passphrase`](crate::seal::RootKey::from_passphrase).
    ///
    /// # Errors
    /// - [`Validation`](crate::ErrorKind::Validation) if the passphrase is empty, or contains
    ///   control characters, invisible characters, or characters that Unicode does not define.
    ///
    /// # Examples
    /// ```
    /// use strongroom::export::{ExportError, ExportIdentity, ExportRecipient};
    /// use strongroom::Kms;
    ///
    /// let (here, there) = (Kms::in_memory()?, Kms::in_memory()?);
    /// let key = here.create_key(Default::default())?;
    /// let recipient = ExportRecipient::passphrase("legal winner thank year wave sausage")?;
    /// let export = here.export_key(key.key_id(), &recipient)?;
    ///
    /// let wrong = ExportIdentity::passphrase("legal winner thank year wave");
    /// let refused = there.import_keys(&export.file, &wrong).unwrap_err();
    /// assert_eq!(refused.downcast_ref(), Some(&ExportError::WrongPassphrase));
    /// let identity = ExportIdentity::passphrase("legal winner thank year wave sausage");
    /// assert_eq!(there.import_keys(&export.file, &identity)?, export.keys);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn passphrase(text: &str) -> Result<Self> {
        Self::passphrase_with_cost(text, PassphraseCost::default())
    }

    /// Creates a recipient that knows a passphrase, at a custom cost, which is stored in the
    /// export. Above [`PassphraseCost::DEFAULT_LIMIT`], the importer must allow the cost
    /// explicitly.
    ///
    /// # Errors
    /// - The errors of [`ExportRecipient::passphrase`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::export::{ExportIdentity, ExportRecipient};
    /// use strongroom::seal::PassphraseCost;
    ///
    /// let cost = PassphraseCost::new(64, 3, 1)?; // 64 KiB, for tests only
    /// let recipient = ExportRecipient::passphrase_with_cost("correct horse", cost)?;
    /// let (here, there) = (Kms::in_memory()?, Kms::in_memory()?);
    /// let key = here.create_key(Default::default())?;
    /// let export = here.export_key(key.key_id(), &recipient)?;
    /// let imported = there.import_keys(&export.file, &ExportIdentity::passphrase("correct horse"))?;
    /// assert_eq!(imported, [key.arn().clone()]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn passphrase_with_cost(text: &str, cost: PassphraseCost) -> Result<Self> {
        Ok(Self::of(Recipient { passphrase: Passphrase::new(text)?, cost }))
    }
}

impl ExportIdentity {
    /// Creates an identity from the passphrase of an export. It is tried at a cost of up to
    /// [`PassphraseCost::DEFAULT_LIMIT`].
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::export::{ExportIdentity, ExportRecipient};
    ///
    /// let kms = Kms::in_memory()?;
    /// kms.create_key(Default::default())?;
    /// let export = kms.export_all_keys(&ExportRecipient::passphrase("correct horse battery staple")?)?;
    /// let identity = ExportIdentity::passphrase("correct horse battery staple");
    /// assert_eq!(Kms::in_memory()?.import_keys(&export.file, &identity)?.len(), 1);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn passphrase(text: &str) -> Self {
        Self::passphrase_with_limit(text, PassphraseCost::DEFAULT_LIMIT)
    }

    /// Creates an identity from the passphrase of an export. It is tried at a cost of up to
    /// `limit`. The creator of the export chose the cost: a higher limit allows a hostile file to
    /// use that much memory and time.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::export::{ExportIdentity, ExportRecipient};
    /// use strongroom::seal::PassphraseCost;
    ///
    /// let cost = PassphraseCost::new(64, 11, 1)?; // one pass above the default limit
    /// let (here, there) = (Kms::in_memory()?, Kms::in_memory()?);
    /// let key = here.create_key(Default::default())?.key_id();
    /// let export = here.export_key(key, &ExportRecipient::passphrase_with_cost("correct horse", cost)?)?;
    /// assert!(there.import_keys(&export.file, &ExportIdentity::passphrase("correct horse")).is_err());
    /// there.import_keys(&export.file, &ExportIdentity::passphrase_with_limit("correct horse", cost))?;
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn passphrase_with_limit(text: &str, limit: PassphraseCost) -> Self {
        Self::of(Identity { passphrase: Passphrase::to_open(text), limit })
    }
}

#[derive(Debug)]
struct Recipient {
    passphrase: Passphrase,
    cost: PassphraseCost,
}

#[derive(Debug)]
struct Identity {
    passphrase: Passphrase,
    limit: PassphraseCost,
}

impl Wrap for Recipient {
    fn method(&self) -> Method {
        Method::Passphrase
    }

    fn wrap(&self, backend: &CryptoBackend, header: &[u8], file_key: &SecretBytes) -> Result<Vec<u8>> {
        passphrase::seal(backend, (&self.passphrase, self.cost), LABEL, header, file_key.expose_secret())
    }
}

impl Unwrap for Identity {
    fn method(&self) -> Method {
        Method::Passphrase
    }

    fn unwrap(&self, backend: &CryptoBackend, header: &[u8], wrapped: &[u8]) -> Result<SecretBytes, ExportError> {
        passphrase::open(backend, (&self.passphrase, self.limit), LABEL, header, wrapped).map_err(|error| match error {
            PassphraseError::Wrong => ExportError::WrongPassphrase,
            PassphraseError::Unsuitable(reason) => ExportError::UnsuitablePassphrase { reason: reason.to_string() },
            PassphraseError::TooCostly { cost, limit } => ExportError::TooCostly {
                memory_kib: cost.memory_kib(),
                passes: cost.passes(),
                lanes: cost.lanes(),
                memory_limit_kib: limit.memory_kib(),
                pass_limit: limit.passes(),
                lane_limit: limit.lanes(),
            },
            PassphraseError::OutOfMemory { memory_kib } => ExportError::OutOfMemory { memory_kib },
            PassphraseError::NewerFormat { found } => ExportError::NewerFormat { found, known: LATEST_FORMAT },
            PassphraseError::Rejected(reason) => ExportError::Rejected { reason },
        })
    }
}
