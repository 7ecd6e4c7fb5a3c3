//! The identity of a row.

use std::fmt;

use crate::context::EncryptionContext;
use crate::error::{Error, ErrorKind, Result};

/// The context name of the tenant.
pub(super) const TENANT: &str = "tenant";

/// The context name of the first part of the primary key. The others have a number: `row.2`.
pub(super) const ROW: &str = "row";

/// The maximum number of parts of a primary key.
const MAX_PARTS: usize = 16;

/// The identity of a row: its primary key, and its tenant if the table has several.
///
/// A stored value opens only with the row that it was encrypted for. Choose the primary key before
/// the insert, and use one that never changes. It appears in the audit trail in plaintext.
///
/// The number 7 and the text `"7"` are the same part of a key. The parts of a composite key are
/// separate: `("a", "bc")` differs from `("ab", "c")`.
///
/// # Examples
/// ```
/// use strongroom::columns::RowId;
///
/// let simple = RowId::new(42);
/// let of_tenant = RowId::new(42).tenant("acme");
/// let composite = RowId::new("order 17").part(3).tenant("acme");
/// assert_eq!(composite.tenant_name(), Some("acme"));
/// assert_ne!(simple, of_tenant);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RowId {
    parts: Vec<String>,
    tenant: Option<String>,
}

impl RowId {
    /// Creates the identity of a row with this primary key: a number, text, or UUID.
    pub fn new(key: impl fmt::Display) -> Self {
        Self { parts: vec![key.to_string()], tenant: None }
    }

    /// Adds the next part of a composite primary key.
    #[must_use]
    pub fn part(mut self, key: impl fmt::Display) -> Self {
        self.parts.push(key.to_string());
        self
    }

    /// Sets the tenant. Always use the tenant of the caller, and never one from a request.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Returns the tenant.
    pub fn tenant_name(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// Adds the pairs of the row to the context of its column and tenant.
    pub(super) fn add_to(&self, context: &mut EncryptionContext) -> Result<()> {
        let refused = |text: String| Err(Error::new(ErrorKind::Validation, text));
        if self.parts.len() > MAX_PARTS {
            return refused(format!(
                "the primary key has {} parts, but at most {MAX_PARTS} are allowed",
                self.parts.len()
            ));
        }
        for (number, part) in (1_usize..).zip(&self.parts) {
            if part.is_empty() {
                return refused(format!("part {number} of the primary key is empty"));
            }
            let name = if number == 1 { ROW.to_owned() } else { format!("{ROW}.{number}") };
            context.insert(name, part);
        }
        Ok(())
    }
}

/// Shows the number of parts only: the key may be personal data.
impl fmt::Debug for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowId").field("parts", &self.parts.len()).field("has_tenant", &self.tenant.is_some()).finish()
    }
}
