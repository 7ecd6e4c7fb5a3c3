//! Grant tokens in a call: created with a grant, and checked before anything else.

use crate::crypto::SecureRandom;
use crate::error::Result;
use crate::kms::engine::handle::Kms;
use crate::kms::request::{GrantToken, NONCE, NamedGrant};
use crate::kms::storage::registry::Registry;

impl Registry {
    /// Creates a new token.
    pub(in crate::kms) fn new_grant_token(&self, random: &dyn SecureRandom, grant: NamedGrant) -> Result<GrantToken> {
        let mut nonce = [0; NONCE];
        random.fill(&mut nonce)?;
        Ok(GrantToken::seal(grant, &nonce, |covered| self.token_code(covered)))
    }

    /// Returns the grant that a token names. The grant may no longer exist.
    pub(in crate::kms) fn named_grant(&self, token: &GrantToken) -> Result<NamedGrant> {
        token.open(|covered| self.token_code(covered))
    }

    fn token_code(&self, covered: &[u8]) -> [u8; 32] {
        self.sealed().identity().identify(&[b"grant token", covered])
    }
}

impl Kms {
    /// Rejects tokens that this KMS did not create.
    pub(in crate::kms) fn check_tokens(&self, tokens: &[GrantToken]) -> Result<()> {
        tokens.iter().try_for_each(|token| self.core.registry.named_grant(token).map(drop))
    }
}
