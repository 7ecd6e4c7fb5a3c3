//! The manual: tutorials, concepts, guarantees and their limits, formats, and the reasons for the design.
//!
//! | page | answers |
//! |---|---|
//! | [`quickstart`] | How do I encrypt something, and stream a file? |
//! | [`concepts`] | What are keys, versions, aliases, states and contexts? |
//! | [`envelopes`] | Which keyring, which reading mode, which limits; what does an error mean? |
//! | [`key_types`] | What can RSA, elliptic curve and HMAC keys do, and how do others use my public key? |
//! | [`bring_your_own_key`] | How do I import my own key material? |
//! | [`policies`] | Who may do what: how are key policies, identity policies and grants evaluated? |
//! | [`persistence`] | How do I keep keys in a file, which failures does it survive, and how do I back it up? |
//! | `hsm` (with the feature `pkcs11`) | How do I keep keys in HSMs, and what happens when one fails? |
//! | [`access`] | Who may act, on which keys of which account, and what is metered? |
//! | [`audit`] | What does the audit trail contain, what proves it, and what can it not show? |
//! | [`custom_parts`] | How do I implement a custom store, keyring or policy, and how do I test it? |
//! | [`defaults`] | What are the defaults, and why? |
//! | [`differences`] | What is like AWS KMS, and what is deliberately different? |
//! | [`threat_model`] | Which attackers does it protect against, and which not? |
//! | [`backends`] | Which cryptographic libraries run, and can I choose? |
//! | [`message_format`] | What does an encrypted message look like, byte by byte? |
//! | [`blob_format`] | What does `Encrypt` return, byte by byte? |

#[doc = include_str!("quickstart.md")]
pub mod quickstart {}

#[doc = include_str!("concepts.md")]
pub mod concepts {}

#[doc = include_str!("envelopes.md")]
pub mod envelopes {}

#[doc = include_str!("key_types.md")]
pub mod key_types {}

#[doc = include_str!("bring_your_own_key.md")]
pub mod bring_your_own_key {}

#[doc = include_str!("policies.md")]
pub mod policies {}

#[doc = include_str!("persistence.md")]
pub mod persistence {}

#[cfg(feature = "pkcs11")]
#[doc = include_str!("hsm.md")]
pub mod hsm {}

#[doc = include_str!("access.md")]
pub mod access {}

#[doc = include_str!("audit.md")]
pub mod audit {}

#[doc = include_str!("custom_parts.md")]
pub mod custom_parts {}

#[doc = include_str!("defaults.md")]
pub mod defaults {}

#[doc = include_str!("differences.md")]
pub mod differences {}

#[doc = include_str!("../../SECURITY.md")]
pub mod threat_model {}

#[doc = include_str!("backends.md")]
pub mod backends {}

#[doc = include_str!("message_format.md")]
pub mod message_format {}

#[doc = include_str!("blob_format.md")]
pub mod blob_format {}
