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
            "RSA-OAEP with SHA-1 only; ECDSA over a hash value only",
            "a token whose folder is gone looks empty, and is dead until the module is initialised anew",
            "builds with assertions abort on AES-GCM without associated data",
            "2.6.1 does not make several keys at once: of 12,000 by bare C calls of eight threads, 39 were answered with \
             CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED or CKR_TEMPLATE_INCONSISTENT, and 4 said that they were not sensitive; one \
             at a time, and not found or read by others meanwhile, none; one at a time while four threads looked for another \
             key, 20 of 600, and while others encrypted on a busy machine, 1 of 80: what fails so is made anew",
            "on a full disk 2.6.1 answers CKR_OK to C_GenerateKey, and the key works and is gone when the module is initialised \
             anew: so it is tried first whether there is room; nor does it call fsync: what it made in the last seconds \
             before a power cut may be gone",
            "several processes may use one token at once, each making keys one at a time: of 6,000 by bare C calls of four \
             processes none failed; but a login writes the file of the token anew, and a process that looks for the token in \
             this moment does not see it, or has its own login answered with CKR_GENERAL_ERROR before the PIN was looked at: 9 \
             of 200 lists of pkcs11-tool lacked it while two others logged in; nor does it always see a key that is there: of \
             some 10,000 operations beside three busy processes one found none; and a process that makes a key while another \
             one does may see its own twice, which happened to 8 of 1,440: each is proved to be the key before it is used",
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
            "its initialisation needs pReserved, which names the folder of its database",
            "asked how long an AES-GCM ciphertext will be, it leaves out the tag, and answers CKR_BUFFER_TOO_SMALL to \
             whoever gives as much room as it said: bindings that ask, as ours do, decrypt and do not encrypt",
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
            "the initialisation vector must be zero before; CKM_CLOUDHSM_AES_GCM puts it before the ciphertext instead",
            "no read-only sessions; CKA_ID must be unique",
            "being busy shows as CKR_FUNCTION_FAILED or CKR_OPERATION_ACTIVE",
            "a new key is usable when two HSMs hold it",
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
        bad_ciphertext: "none: it has no AES-GCM",
        remarks: &["no AES-GCM: signing and RSA only", "16 sessions for all users of the device together"],
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
        remarks: &["in FIPS mode it makes the initialisation vector and appends it: set IvMode::TokenAppended"],
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
        remarks: &["the initialisation vector must be zero before"],
    },
    UNKNOWN,
];

/// Returns the facts about a token, by the manufacturer that it reports.
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
