//! Keys in tokens over PKCS#11: SoftHSM 2 and NSS softokn behind a shim that injects faults.

mod blobs;
mod concurrency;
mod faults;
mod hangs;
mod interop;
mod keys;
mod lifecycle;
mod operator;
mod processes;
mod protection;
#[cfg(feature = "tracing")]
mod spans;
mod token_provider;

use std::time::Duration;

use strongroom::SecretBytes;
use strongroom::provider::pkcs11::{
    FixedPin, Module, ModuleOptions, NewKey, Token, TokenConfig, TokenKeyHandle, TokenKeyKind, TokenSelector,
};
use strongroom_pkcs11_faults::{PIN, SoftHsm};

use crate::support::soft_tokens::{nss, soft_hsm};

/// Module options that allow immediate reinitialization and never wait long.
fn options() -> ModuleOptions {
    ModuleOptions::default().reinitialize_interval(Duration::ZERO).wait(Duration::from_secs(1))
}

fn module(hsm: &SoftHsm) -> Module {
    Module::load_with(hsm.shim().path(), options()).expect("the shim is a module")
}

fn pin() -> FixedPin {
    FixedPin::new(SecretBytes::copy_from_slice(PIN.as_bytes()))
}

fn config(label: &str) -> TokenConfig {
    // A breaker that never opens, except in tests of the breaker.
    TokenConfig::new(TokenSelector::Label(label.into())).circuit_breaker(u32::MAX, Duration::ZERO)
}

fn token(hsm: &SoftHsm, label: &str) -> Token {
    Token::new(&module(hsm), config(label), pin())
}

fn aes(token: &Token, id: u8) -> TokenKeyHandle {
    token.generate_key(&NewKey::new(&[id; 32], "a key", TokenKeyKind::Aes256)).expect("the token generates keys")
}

/// Defines return values by name.
macro_rules! codes {
    ($($name:ident = $value:literal,)*) => {
        /// Every return value of PKCS#11 that describes the state of a token, by name.
        const CODES: &[(&str, u64)] = &[$((stringify!($name), $value),)*];
    };
}

codes! {
    CKR_HOST_MEMORY = 0x02,
    CKR_SLOT_ID_INVALID = 0x03,
    CKR_GENERAL_ERROR = 0x05,
    CKR_FUNCTION_FAILED = 0x06,
    CKR_ARGUMENTS_BAD = 0x07,
    CKR_DATA_INVALID = 0x20,
    CKR_DATA_LEN_RANGE = 0x21,
    CKR_DEVICE_ERROR = 0x30,
    CKR_DEVICE_MEMORY = 0x31,
    CKR_DEVICE_REMOVED = 0x32,
    CKR_ENCRYPTED_DATA_INVALID = 0x40,
    CKR_FUNCTION_CANCELED = 0x50,
    CKR_FUNCTION_NOT_SUPPORTED = 0x54,
    CKR_KEY_HANDLE_INVALID = 0x60,
    CKR_KEY_FUNCTION_NOT_PERMITTED = 0x68,
    CKR_MECHANISM_INVALID = 0x70,
    CKR_OBJECT_HANDLE_INVALID = 0x82,
    CKR_OPERATION_ACTIVE = 0x90,
    CKR_OPERATION_NOT_INITIALIZED = 0x91,
    CKR_PIN_INCORRECT = 0xA0,
    CKR_PIN_EXPIRED = 0xA3,
    CKR_PIN_LOCKED = 0xA4,
    CKR_SESSION_CLOSED = 0xB0,
    CKR_SESSION_COUNT = 0xB1,
    CKR_SESSION_HANDLE_INVALID = 0xB3,
    CKR_TEMPLATE_INCONSISTENT = 0xD1,
    CKR_TOKEN_NOT_PRESENT = 0xE0,
    CKR_TOKEN_NOT_RECOGNIZED = 0xE1,
    CKR_USER_NOT_LOGGED_IN = 0x101,
    CKR_BUFFER_TOO_SMALL = 0x150,
    CKR_CRYPTOKI_NOT_INITIALIZED = 0x190,
    CKR_FUNCTION_REJECTED = 0x200,
    CKR_VENDOR_DEFINED = 0x8000_1234,
    CKR_UNKNOWN = 0x7FFF_0001,
}
