//! The bare C calls behind one operation, for benchmarks: a lower bound for the cost of a library
//! on top.

use std::path::Path;
use std::ptr::{addr_of_mut, null_mut};

use cryptoki_sys::*;
use libloading::Library;

/// A session of a module that other code has initialized and logged in to, and a key.
#[derive(Debug)]
pub struct Bare {
    _library: Library,
    list: *mut CK_FUNCTION_LIST,
    session: CK_SESSION_HANDLE,
    key: CK_OBJECT_HANDLE,
}

// SAFETY: Any thread may use a session, one at a time, which `&mut self` guarantees.
unsafe impl Send for Bare {}

/// Maximum number of secret keys of a token that are read.
const MOST_KEYS: usize = 4_096;

/// The attributes that a token reports for a secret key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretKey {
    /// CKA_ID.
    pub id: Vec<u8>,
    /// CKA_EXTRACTABLE.
    pub extractable: bool,
    /// CKA_SENSITIVE.
    pub sensitive: bool,
}

macro_rules! call {
    ($bare:expr, $function:ident($($argument:expr),*)) => {{
        // SAFETY: The module conforms to the standard, and so do the arguments.
        let value = unsafe { ((*$bare.list).$function.expect("the module exports the function"))($($argument),*) };
        assert_eq!(value, CKR_OK, stringify!($function));
    }};
}

/// Same as `call!`, but returns an error instead of panicking.
macro_rules! try_call {
    ($bare:ident, $function:ident($($argument:expr),*)) => {{
        // SAFETY: The module conforms to the standard, and so do the arguments.
        let value = unsafe { ((*$bare.list).$function.expect("the module exports the function"))($($argument),*) };
        if value != CKR_OK {
            return Err(format!("{} returned {value:#x}", stringify!($function)));
        }
    }};
}

impl Bare {
    /// Opens a session of the only token with the label, and finds the secret or private key with
    /// an id.
    pub fn new(module: &Path, label: &str, id: &[u8], private: bool) -> Self {
        let mut bare = Self::open(module, label);
        let mut class = if private { CKO_PRIVATE_KEY } else { CKO_SECRET_KEY };
        let mut template = [attribute(CKA_CLASS, bytes_of(&mut class)), attribute(CKA_ID, id)];
        let mut found = 0;
        call!(bare, C_FindObjectsInit(bare.session, template.as_mut_ptr(), 2));
        call!(bare, C_FindObjects(bare.session, &mut bare.key, 1, &mut found));
        call!(bare, C_FindObjectsFinal(bare.session));
        assert_eq!(found, 1, "the key exists");
        bare
    }

    /// Imports into a token an AES-256 key that may only wrap other keys.
    pub fn create_wrapping_key(module: &Path, label: &str, id: &[u8], value: &[u8; 32]) {
        Self::create_key(module, label, id, value, &Self::WRAPPING);
    }

    /// Imports into a token an AES-256 key that encrypts.
    pub fn create_cipher_key(module: &Path, label: &str, id: &[u8], value: &[u8; 32]) {
        Self::create_key(module, label, id, value, &Self::CIPHER);
    }

    /// The attributes of a wrapping key.
    pub const WRAPPING: [(u64, bool); 7] = Self::used_for(CKA_WRAP, CKA_UNWRAP, CKA_ENCRYPT, CKA_DECRYPT);

    /// The attributes of an encryption key.
    pub const CIPHER: [(u64, bool); 7] = Self::used_for(CKA_ENCRYPT, CKA_DECRYPT, CKA_WRAP, CKA_UNWRAP);

    const fn used_for(one: u64, two: u64, not_one: u64, not_two: u64) -> [(u64, bool); 7] {
        [
            (CKA_PRIVATE, true),
            (CKA_SENSITIVE, true),
            (CKA_EXTRACTABLE, false),
            (one, true),
            (two, true),
            (not_one, false),
            (not_two, false),
        ]
    }

    /// Imports an AES key into a token, with these Boolean attributes. The last one of a type
    /// counts.
    pub fn create_key(module: &Path, label: &str, id: &[u8], value: &[u8], attributes: &[(u64, bool)]) {
        Self::create_key_for(module, label, id, value, attributes, &[]);
    }

    /// Same as `create_key`, but restricted to these mechanisms (CKA_ALLOWED_MECHANISMS), unless
    /// the list is empty.
    pub fn create_key_for(
        module: &Path,
        label: &str,
        id: &[u8],
        value: &[u8],
        attributes: &[(u64, bool)],
        mechanisms: &[u64],
    ) {
        let mechanisms: Vec<u8> = mechanisms.iter().flat_map(|mechanism| mechanism.to_ne_bytes()).collect();
        let mechanisms = (!mechanisms.is_empty()).then(|| attribute(CKA_ALLOWED_MECHANISMS, &mechanisms));
        Self::create(module, label, id, value, attributes, mechanisms);
    }

    /// Same as `create_key`, but with a CKA_LABEL.
    pub fn create_labelled_key(
        module: &Path,
        label: &str,
        id: &[u8],
        key_label: &str,
        value: &[u8],
        attributes: &[(u64, bool)],
    ) {
        Self::create(module, label, id, value, attributes, Some(attribute(CKA_LABEL, key_label.as_bytes())));
    }

    fn create(
        module: &Path,
        label: &str,
        id: &[u8],
        value: &[u8],
        attributes: &[(u64, bool)],
        more: Option<CK_ATTRIBUTE>,
    ) {
        let bare = Self::open(module, label);
        let (mut class, mut kind) = (CKO_SECRET_KEY, CKK_AES);
        let (yes, no) = ([CK_TRUE], [CK_FALSE]);
        let mut template = vec![
            attribute(CKA_CLASS, bytes_of(&mut class)),
            attribute(CKA_KEY_TYPE, bytes_of(&mut kind)),
            attribute(CKA_TOKEN, &yes),
            attribute(CKA_ID, id),
            attribute(CKA_VALUE, value),
        ];
        for (index, (kind, is_set)) in attributes.iter().enumerate() {
            if attributes[index + 1..].iter().all(|(later, _)| later != kind) {
                template.push(attribute(*kind, if *is_set { &yes } else { &no }));
            }
        }
        template.extend(more);
        let (count, mut object) = (template.len() as CK_ULONG, 0);
        call!(bare, C_CreateObject(bare.session, template.as_mut_ptr(), count, &mut object));
    }

    /// Destroys the only secret key with an id and a CKA_LABEL.
    pub fn destroy_key(module: &Path, label: &str, id: &[u8], key_label: &str) {
        let bare = Self::open(module, label);
        let mut class = CKO_SECRET_KEY;
        let mut template = [
            attribute(CKA_CLASS, bytes_of(&mut class)),
            attribute(CKA_ID, id),
            attribute(CKA_LABEL, key_label.as_bytes()),
        ];
        let (mut objects, mut found) = ([0; 2], 0);
        call!(bare, C_FindObjectsInit(bare.session, template.as_mut_ptr(), 3));
        call!(bare, C_FindObjects(bare.session, objects.as_mut_ptr(), 2, &mut found));
        call!(bare, C_FindObjectsFinal(bare.session));
        assert_eq!(found, 1, "there is one such key");
        call!(bare, C_DestroyObject(bare.session, objects[0]));
    }

    /// Returns every secret key of a token, ordered by id.
    pub fn secret_keys(module: &Path, label: &str) -> Vec<SecretKey> {
        let bare = Self::open(module, label);
        let mut class = CKO_SECRET_KEY;
        let mut template = [attribute(CKA_CLASS, bytes_of(&mut class))];
        call!(bare, C_FindObjectsInit(bare.session, template.as_mut_ptr(), 1));
        let (mut objects, mut count) = ([0; MOST_KEYS], 0);
        call!(bare, C_FindObjects(bare.session, objects.as_mut_ptr(), MOST_KEYS as CK_ULONG, &mut count));
        call!(bare, C_FindObjectsFinal(bare.session));
        assert!((count as usize) < MOST_KEYS, "all objects are checked");
        let mut keys: Vec<SecretKey> =
            objects[..count as usize].iter().map(|object| bare.secret_key(*object)).collect();
        keys.sort();
        keys
    }

    fn secret_key(&self, object: CK_OBJECT_HANDLE) -> SecretKey {
        let read = |kind: CK_ATTRIBUTE_TYPE| {
            let mut value = vec![0_u8; 64];
            let (pointer, length) = (value.as_mut_ptr().cast(), value.len() as CK_ULONG);
            let mut template = [CK_ATTRIBUTE { type_: kind, pValue: pointer, ulValueLen: length }];
            call!(self, C_GetAttributeValue(self.session, object, template.as_mut_ptr(), 1));
            value.truncate(template[0].ulValueLen as usize);
            value
        };
        SecretKey {
            id: read(CKA_ID),
            extractable: read(CKA_EXTRACTABLE) != [CK_FALSE],
            sensitive: read(CKA_SENSITIVE) == [CK_TRUE],
        }
    }

    fn open(module: &Path, label: &str) -> Self {
        let mut list = null_mut();
        // SAFETY: The function has this type.
        let library = unsafe {
            let library = Library::new(module).expect("the module is already loaded");
            let get = library.get::<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV>(b"C_GetFunctionList\0");
            assert_eq!(get.expect("a module")(&mut list), CKR_OK);
            library
        };
        let mut bare = Self { _library: library, list, session: 0, key: 0 };
        let (mut slots, mut count) = ([0; 64], 64);
        call!(bare, C_GetSlotList(CK_TRUE, slots.as_mut_ptr(), &mut count));
        let slot = slots[..count as usize].iter().copied().find(|slot| {
            let mut info = CK_TOKEN_INFO::default();
            call!(bare, C_GetTokenInfo(*slot, &mut info));
            String::from_utf8_lossy(&info.label).trim_end() == label
        });
        let slot = slot.expect("the token exists");
        call!(bare, C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, null_mut(), None, &mut bare.session));
        bare
    }

    /// Encrypts with AES-GCM: asks for the length, allocates, encrypts.
    pub fn encrypt(&mut self, iv: &[u8; 12], data: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut parameters = gcm(iv, data);
        let mut mechanism = mechanism(&mut parameters);
        call!(self, C_EncryptInit(self.session, &mut mechanism, self.key));
        let (input, length) = (plaintext.as_ptr().cast_mut(), plaintext.len() as CK_ULONG);
        let mut written = 0;
        call!(self, C_Encrypt(self.session, input, length, null_mut(), &mut written));
        let mut output = vec![0; written as usize];
        call!(self, C_Encrypt(self.session, input, length, output.as_mut_ptr(), &mut written));
        output.truncate(written as usize);
        output
    }

    /// Returns the length that the module reports for AES-GCM output. The session is unusable
    /// afterwards.
    pub fn asked_length(&mut self, iv: &[u8; 12], data: &[u8], plaintext: &[u8]) -> usize {
        let mut parameters = gcm(iv, data);
        let mut mechanism = mechanism(&mut parameters);
        call!(self, C_EncryptInit(self.session, &mut mechanism, self.key));
        let (input, length) = (plaintext.as_ptr().cast_mut(), plaintext.len() as CK_ULONG);
        let mut written = 0;
        call!(self, C_Encrypt(self.session, input, length, null_mut(), &mut written));
        written as usize
    }

    /// Encrypts with AES-GCM into a buffer of a given length, without asking. An error is the value
    /// that the module returned.
    pub fn encrypt_into(&mut self, iv: &[u8; 12], data: &[u8], plaintext: &[u8], room: usize) -> Result<Vec<u8>, u64> {
        let mut parameters = gcm(iv, data);
        let mut mechanism = mechanism(&mut parameters);
        call!(self, C_EncryptInit(self.session, &mut mechanism, self.key));
        let (mut output, mut written) = (vec![0; room], room as CK_ULONG);
        let (input, length) = (plaintext.as_ptr().cast_mut(), plaintext.len() as CK_ULONG);
        // SAFETY: The module conforms to the standard, and so do the arguments.
        let value = unsafe {
            let encrypt = (*self.list).C_Encrypt.expect("the module exports the function");
            encrypt(self.session, input, length, output.as_mut_ptr(), &mut written)
        };
        output.truncate(written as usize);
        if value == CKR_OK { Ok(output) } else { Err(value) }
    }

    /// Decrypts with AES-GCM: asks for the length, allocates, decrypts.
    pub fn decrypt(&mut self, iv: &[u8; 12], data: &[u8], ciphertext: &[u8]) -> Vec<u8> {
        let mut parameters = gcm(iv, data);
        let mut mechanism = mechanism(&mut parameters);
        call!(self, C_DecryptInit(self.session, &mut mechanism, self.key));
        let (input, length) = (ciphertext.as_ptr().cast_mut(), ciphertext.len() as CK_ULONG);
        let mut written = 0;
        call!(self, C_Decrypt(self.session, input, length, null_mut(), &mut written));
        let mut output = vec![0; written as usize];
        call!(self, C_Decrypt(self.session, input, length, output.as_mut_ptr(), &mut written));
        output.truncate(written as usize);
        output
    }

    /// Signs with a mechanism without parameters: CKM_ECDSA (`ecdsa`) or CKM_RSA_PKCS.
    pub fn sign(&mut self, ecdsa: bool, input: &[u8]) -> Vec<u8> {
        let kind = if ecdsa { CKM_ECDSA } else { CKM_RSA_PKCS };
        let mut mechanism = CK_MECHANISM { mechanism: kind, pParameter: null_mut(), ulParameterLen: 0 };
        call!(self, C_SignInit(self.session, &mut mechanism, self.key));
        let (data, length) = (input.as_ptr().cast_mut(), input.len() as CK_ULONG);
        let mut written = 0;
        call!(self, C_Sign(self.session, data, length, null_mut(), &mut written));
        let mut output = vec![0; written as usize];
        call!(self, C_Sign(self.session, data, length, output.as_mut_ptr(), &mut written));
        output.truncate(written as usize);
        output
    }

    /// Generates a sensitive AES-256 key, reads its attributes, searches for it, and destroys it.
    /// Returns the first failure, if any.
    pub fn make_and_destroy(&mut self, id: &[u8; 16]) -> Result<(), String> {
        let (mut class, mut kind, mut length) = (CKO_SECRET_KEY, CKK_AES, 32);
        let (yes, no) = ([CK_TRUE], [CK_FALSE]);
        let mut template = [
            attribute(CKA_CLASS, bytes_of(&mut class)),
            attribute(CKA_ID, id),
            attribute(CKA_KEY_TYPE, bytes_of(&mut kind)),
            attribute(CKA_VALUE_LEN, bytes_of(&mut length)),
            attribute(CKA_TOKEN, &yes),
            attribute(CKA_PRIVATE, &yes),
            attribute(CKA_SENSITIVE, &yes),
            attribute(CKA_EXTRACTABLE, &no),
            attribute(CKA_ENCRYPT, &yes),
            attribute(CKA_DECRYPT, &yes),
        ];
        let mut mechanism = CK_MECHANISM { mechanism: CKM_AES_KEY_GEN, pParameter: null_mut(), ulParameterLen: 0 };
        let (count, mut object) = (template.len() as CK_ULONG, 0);
        try_call!(self, C_GenerateKey(self.session, &mut mechanism, template.as_mut_ptr(), count, &mut object));
        let mut read = [0xFF_u8; 2];
        for (kind, value) in [CKA_SENSITIVE, CKA_EXTRACTABLE].into_iter().zip(&mut read) {
            let pointer = std::ptr::from_mut(value).cast();
            let mut wanted = [CK_ATTRIBUTE { type_: kind, pValue: pointer, ulValueLen: 1 }];
            try_call!(self, C_GetAttributeValue(self.session, object, wanted.as_mut_ptr(), 1));
        }
        let (mut objects, mut found) = ([0; 2], 0);
        try_call!(self, C_FindObjectsInit(self.session, template.as_mut_ptr(), 2));
        try_call!(self, C_FindObjects(self.session, objects.as_mut_ptr(), 2, &mut found));
        try_call!(self, C_FindObjectsFinal(self.session));
        try_call!(self, C_DestroyObject(self.session, object));
        if read == [CK_TRUE, CK_FALSE] && found == 1 && objects[0] == object {
            return Ok(());
        }
        Err(format!("CKA_SENSITIVE and CKA_EXTRACTABLE are {read:?}, and {found} objects are found"))
    }

    /// Returns the number of secret keys found for an id: none, one, or more than one.
    pub fn find(&mut self, id: &[u8]) -> u64 {
        let mut class = CKO_SECRET_KEY;
        let mut template = [attribute(CKA_CLASS, bytes_of(&mut class)), attribute(CKA_ID, id)];
        let (mut objects, mut found) = ([0; 2], 0);
        call!(self, C_FindObjectsInit(self.session, template.as_mut_ptr(), 2));
        call!(self, C_FindObjects(self.session, objects.as_mut_ptr(), 2, &mut found));
        call!(self, C_FindObjectsFinal(self.session));
        found
    }

    /// Generates random bytes.
    pub fn random(&mut self, length: usize) -> Vec<u8> {
        let mut output = vec![0; length];
        call!(self, C_GenerateRandom(self.session, output.as_mut_ptr(), length as CK_ULONG));
        output
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // SAFETY: The session is open. It does not matter whether the module still is.
        let _ = unsafe { ((*self.list).C_CloseSession.expect("the module exports the function"))(self.session) };
    }
}

fn attribute(kind: CK_ATTRIBUTE_TYPE, value: &[u8]) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE { type_: kind, pValue: value.as_ptr().cast_mut().cast(), ulValueLen: value.len() as CK_ULONG }
}

fn bytes_of(number: &mut CK_ULONG) -> &[u8] {
    // SAFETY: Every byte of a number is initialized.
    unsafe { std::slice::from_raw_parts(addr_of_mut!(*number).cast(), size_of::<CK_ULONG>()) }
}

fn gcm(iv: &[u8; 12], data: &[u8]) -> CK_GCM_PARAMS {
    CK_GCM_PARAMS {
        pIv: iv.as_ptr().cast_mut(),
        ulIvLen: 12,
        ulIvBits: 96,
        pAAD: data.as_ptr().cast_mut(),
        ulAADLen: data.len() as CK_ULONG,
        ulTagBits: 128,
    }
}

fn mechanism(parameters: &mut CK_GCM_PARAMS) -> CK_MECHANISM {
    CK_MECHANISM {
        mechanism: CKM_AES_GCM,
        pParameter: std::ptr::from_mut(parameters).cast(),
        ulParameterLen: size_of::<CK_GCM_PARAMS>() as CK_ULONG,
    }
}
