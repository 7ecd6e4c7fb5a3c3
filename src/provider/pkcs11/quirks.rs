//! Facts about the tokens of individual vendors, as data. Everything that can be tested is tested
//! when a token is connected. This table holds the rest, and the defaults.

use super::config::IvMode;

/// Facts about the tokens of one vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quirks {
    /// Human-readable product name.
    pub product: &'static str,
    /// Prefix of the manufacturer that the token reports.
    pub manufacturer: &'static str,
    /// Source of the initialization vectors of AES-GCM. `None` if AES-GCM is not supported.
    pub iv_mode: Option<IvMode>,
    /// Maximum number of bytes in one AES-GCM call.
    pub max_gcm_bytes: usize,
    /// Meaning of CKM_AES_KEY_WRAP_PAD (0x210A).
    pub key_wrap_padding: KeyWrapPadding,
    /// `true` if the slot is itself a cluster that replicates keys and fails over.
    pub is_cluster: bool,
    /// Object operations (create, modify, find, destroy) are not thread-safe, so they are
    /// serialized within a process. Encryption and signing still run concurrently.
    pub objects_one_at_a_time: bool,
    /// While another process logs in, the token is hidden, or returns CKR_GENERAL_ERROR for a login
    /// before it checks the PIN. Discovery and login are therefore repeated.
    pub hidden_by_logins: bool,
    /// The token reports success for a key that its full disk did not store, so free space is
    /// probed before a key is created.
    pub writes_unchecked: bool,
    /// The token reports 0 as the CKA_VALUE_LEN of an unwrapped key, so the length of such a key is
    /// not checked.
    pub unwrapped_without_length: bool,
    /// The return value for a ciphertext that is not authentic.
    pub bad_ciphertext: &'static str,
    /// Other facts.
    pub remarks: &'static [&'static str],
}

/// Semantics of CKM_AES_KEY_WRAP_PAD in a token. Vendors disagree, so it is never used between
/// tokens of different vendors. CKM_AES_KEY_WRAP (RFC 3394) is the same everywhere.
///
/// # Examples
/// ```
/// use strongroom::provider::pkcs11::{KeyWrapPadding, quirks_of};
///
/// assert_eq!(quirks_of("SoftHSM project").key_wrap_padding, KeyWrapPadding::Rfc5649);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyWrapPadding {
    /// AES-KWP (RFC 5649).
    Rfc5649,
    /// AES-KW (RFC 3394) over input padded as in PKCS#7.
    Pkcs7,
    /// The token has no such mechanism.
    Missing,
    /// The semantics are not known.
    Unknown,
}

const ANY_LENGTH: usize = usize::MAX;

/// Assumptions about all other vendors.
const UNKNOWN: Quirks = Quirks {
    product: "unknown",
    manufacturer: "",
    iv_mode: Some(IvMode::Caller),
    max_gcm_bytes: ANY_LENGTH,
    key_wrap_padding: KeyWrapPadding::Unknown,
    is_cluster: false,
    objects_one_at_a_time: false,
    hidden_by_logins: false,
    writes_unchecked: false,
    unwrapped_without_length: false,
    bad_ciphertext: "unknown",
    remarks: &[],
};

/// The table of known vendors. The last entry is the catch-all.
pub const QUIRKS: &[Quirks] = &[
    Quirks {
        product: "SoftHSM 2",
        manufacturer: "SoftHSM",
        iv_mode: Some(IvMode::Caller),
        max_gcm_bytes: ANY_LENGTH,
        key_wrap_padding: KeyWrapPadding::Rfc5649,
        is_cluster: false,
        objects_one_at_a_time: true,
        hidden_by_logins: true,
        writes_unchecked: true,
        unwrapped_without_length: true,
        bad_ciphertext: "CKR_GENERAL_ERROR",
        remarks: &[
            "supports RSA-OAEP only with SHA-1, and ECDSA only over a digest",
            "a token whose directory was removed appears empty and does not work until the module is reinitialized",
            "builds with assertions abort on AES-GCM without associated data",
            "2.6.1 does not create keys concurrently: of 12,000 keys created with direct C calls by eight threads, \
             39 failed with CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED or CKR_TEMPLATE_INCONSISTENT, and 4 were \
             reported as not sensitive; with serialized creation and no concurrent reads, none failed; with \
             serialized creation, 20 of 600 failed while four threads searched for another key, and 1 of 80 while \
             other threads encrypted on a busy machine; such failures are retried",
            "on a full disk, C_GenerateKey of 2.6.1 returns CKR_OK, and the key works but is lost when the module \
             is reinitialized, so free space is checked before a key is created; 2.6.1 also never calls fsync, so \
             keys created in the last seconds before a power cut may be lost",
            "several processes can share a token if each of them serializes key creation: of 6,000 keys created \
             with direct C calls by four processes, none failed; however, a login rewrites the file of the token, \
             and a process that searches for the token at this moment does not find it, or its own login fails \
             with CKR_GENERAL_ERROR before the PIN is checked: 9 of 200 listings by pkcs11-tool lacked the token \
             while two other processes logged in; existing keys can be overlooked: of about 10,000 operations \
             alongside three busy processes, one did not find its key; a process that creates a key while another \
             process does may list its own key twice, which happened for 8 of 1,440 keys, so each object is \
             verified to be the key before it is used",
        ],
    },
    Quirks {
        product: "NSS softokn",
        manufacturer: "Mozilla",
        iv_mode: Some(IvMode::Caller),
        max_gcm_bytes: ANY_LENGTH,
        key_wrap_padding: KeyWrapPadding::Pkcs7,
        is_cluster: false,
        objects_one_at_a_time: false,
        hidden_by_logins: false,
        writes_unchecked: false,
        unwrapped_without_length: false,
        bad_ciphertext: "CKR_ENCRYPTED_DATA_INVALID",
        remarks: &[
            "initialization requires pReserved, which specifies the directory of the database",
            "the reported length of an AES-GCM ciphertext excludes the tag, and a buffer of the reported length is \
             rejected with CKR_BUFFER_TOO_SMALL, so bindings that query the length, such as those of this crate, \
             can decrypt but not encrypt",
            "no EdDSA",
        ],
    },
    Quirks {
        product: "AWS CloudHSM",
        manufacturer: "Cavium",
        iv_mode: Some(IvMode::TokenWritten),
        max_gcm_bytes: 16 * 1024,
        key_wrap_padding: KeyWrapPadding::Unknown,
        is_cluster: true,
        objects_one_at_a_time: false,
        hidden_by_logins: false,
        writes_unchecked: false,
        unwrapped_without_length: false,
        bad_ciphertext: "unknown",
        remarks: &[
            "the initialization vector must be zero on input; CKM_CLOUDHSM_AES_GCM prepends it to the ciphertext \
             instead",
            "no read-only sessions; CKA_ID must be unique",
            "a busy HSM returns CKR_FUNCTION_FAILED or CKR_OPERATION_ACTIVE",
            "a new key is usable once two HSMs hold it",
        ],
    },
    Quirks {
        product: "YubiHSM 2",
        manufacturer: "Yubico",
        iv_mode: None,
        max_gcm_bytes: 0,
        key_wrap_padding: KeyWrapPadding::Missing,
        is_cluster: false,
        objects_one_at_a_time: false,
        hidden_by_logins: false,
        writes_unchecked: false,
        unwrapped_without_length: false,
        bad_ciphertext: "none, because AES-GCM is not supported",
        remarks: &[
            "no AES-GCM; supports only signing and RSA",
            "at most 16 sessions, shared by all users of the device",
        ],
    },
    Quirks {
        product: "Thales Luna",
        manufacturer: "SafeNet",
        iv_mode: Some(IvMode::Caller),
        max_gcm_bytes: ANY_LENGTH,
        key_wrap_padding: KeyWrapPadding::Unknown,
        is_cluster: false,
        objects_one_at_a_time: false,
        hidden_by_logins: false,
        writes_unchecked: false,
        unwrapped_without_length: false,
        bad_ciphertext: "unknown",
        remarks: &["in FIPS mode, the token generates and appends the IV: set IvMode::TokenAppended"],
    },
    Quirks {
        product: "Entrust nShield",
        manufacturer: "nCipher",
        iv_mode: Some(IvMode::TokenWritten),
        max_gcm_bytes: ANY_LENGTH,
        key_wrap_padding: KeyWrapPadding::Unknown,
        is_cluster: false,
        objects_one_at_a_time: false,
        hidden_by_logins: false,
        writes_unchecked: false,
        unwrapped_without_length: false,
        bad_ciphertext: "CKR_FUNCTION_FAILED",
        remarks: &["the initialization vector must be zero on input"],
    },
    UNKNOWN,
];

/// Returns the facts about a token, by the manufacturer that it reports.
///
/// # Examples
/// ```
/// use strongroom::provider::pkcs11::quirks_of;
///
/// assert_eq!(quirks_of("SoftHSM project").product, "SoftHSM 2");
/// assert_eq!(quirks_of("a vendor without entry").product, "unknown");
/// ```
pub fn quirks_of(manufacturer: &str) -> &'static Quirks {
    QUIRKS.iter().find(|quirks| manufacturer.starts_with(quirks.manufacturer)).unwrap_or(&UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manufacturer_has_a_row() {
        assert_eq!(quirks_of("SoftHSM project").product, "SoftHSM 2");
        assert_eq!(quirks_of("Mozilla Foundation").key_wrap_padding, KeyWrapPadding::Pkcs7);
        assert_eq!(quirks_of("Somebody").product, "unknown");
        assert_eq!(quirks_of("").product, "unknown");
    }

    #[test]
    fn the_catch_all_is_the_last_row() {
        let catching: Vec<usize> = (0..QUIRKS.len()).filter(|row| QUIRKS[*row].manufacturer.is_empty()).collect();
        assert_eq!(catching, [QUIRKS.len() - 1]);
    }
}
