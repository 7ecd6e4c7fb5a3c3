//! Logs in to a token without ever using its last login attempt.

use std::thread;
use std::time::Duration;

use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::TokenInfo;
use cryptoki::types::RawAuthPin;

use crate::provider::pkcs11::config::PinProvider;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::quirks::quirks_of;

/// Maximum number of logins to a token that may be temporarily hidden, and the delay after the
/// first one. Each further delay is longer by the same amount.
const LOGINS: u32 = 6;
const LOGIN_PAUSE: Duration = Duration::from_millis(10);

/// Logs in if the token requires it. A wrong PIN is tried once here, and not again afterwards.
pub(super) fn log_in(session: &Session, info: &TokenInfo, pin: &dyn PinProvider) -> Result<(), TokenError> {
    if !info.login_required() {
        return Ok(());
    }
    check_pin_flags(info)?;
    let given = pin.pin().map_err(|error| {
        TokenError::new(ErrorClass::TokenLost, format!("cannot obtain the PIN of token '{}': {error}", info.label()))
    })?;
    // The copy is zeroized when it is dropped.
    let given = given.map(|pin| RawAuthPin::new(Box::new(pin.into_zeroizing_vec().to_vec())));
    let hidden = quirks_of(info.manufacturer_id()).hidden_by_logins;
    let mut tries = 0;
    loop {
        tries += 1;
        let answer = match &given {
            Some(pin) => session.login_with_raw(UserType::User, pin),
            None => session.login(UserType::User, None),
        };
        match answer {
            // Another session of this process has logged in. The login applies to the token.
            Ok(()) | Err(CryptokiError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => return Ok(()),
            // The token could not read its own state and has not checked the PIN.
            Err(CryptokiError::Pkcs11(RvError::GeneralError, _)) if hidden && tries < LOGINS => {
                thread::sleep(LOGIN_PAUSE * tries);
            }
            Err(CryptokiError::Pkcs11(RvError::UserPinNotInitialized, _)) if hidden && info.user_pin_initialized() => {
                let text = "C_Login returned CKR_USER_PIN_NOT_INITIALIZED for a token that has a PIN";
                return Err(TokenError::new(ErrorClass::TokenLost, text));
            }
            Err(error) => return Err(TokenError::from(error).of_login()),
        }
    }
}

/// Rejects a token whose flags report that a login must not be attempted (PKCS#11 v3.1, section
/// 3.2). Reading the flags uses no login attempt, so the next connection reads them again.
fn check_pin_flags(info: &TokenInfo) -> Result<(), TokenError> {
    let token = info.label();
    if info.user_pin_locked() {
        let text = format!(
            "cannot log in to token '{token}': its user PIN is locked (CKF_USER_PIN_LOCKED), and the token's \
             security officer must set a new PIN"
        );
        return Err(TokenError::rejects("CKF_USER_PIN_LOCKED", text));
    }
    if info.user_pin_final_try() {
        let text = format!(
            "did not log in to token '{token}': one more wrong PIN would lock it (CKF_USER_PIN_FINAL_TRY); log in \
             once with the vendor's tool and the correct PIN to reset the counter, check the configured PIN, and \
             connect again"
        );
        return Err(TokenError::rejects("CKF_USER_PIN_FINAL_TRY", text));
    }
    if info.user_pin_to_be_changed() {
        let text = format!(
            "did not log in to token '{token}': its user PIN is a default or has expired \
             (CKF_USER_PIN_TO_BE_CHANGED); change it with the vendor's tool, configure the new PIN, and connect \
             again"
        );
        return Err(TokenError::rejects("CKF_USER_PIN_TO_BE_CHANGED", text));
    }
    Ok(())
}
