//! Finds the slot of the selected token.

use cryptoki::slot::{Slot, TokenInfo};

use crate::provider::pkcs11::config::TokenSelector;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::module::Module;

/// Maximum number of tokens that an error lists.
const MAX_NAMES: usize = 16;

/// Checks that the token is present, without logging in.
pub(in crate::provider::pkcs11) fn look(module: &Module, selector: &TokenSelector) -> Result<(), TokenError> {
    let lease = module.join()?;
    let _call = lease.enter(lease.generation())?;
    find(module, selector).map(drop)
}

/// Returns the slot of the single token that matches the selector.
pub(super) fn find(module: &Module, selector: &TokenSelector) -> Result<(Slot, TokenInfo), TokenError> {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    let mut failed = None;
    for slot in module.client().get_slots_with_token()? {
        // A token that does not respond is irrelevant, unless it is the selected one.
        match module.client().get_token_info(slot) {
            Ok(info) if is_meant(&info, selector) => found.push((slot, info)),
            Ok(info) => others.push(info),
            Err(error) => failed = Some(TokenError::from(error)),
        }
    }
    let count = found.len();
    let all = names(found.iter().map(|(_, info)| info).chain(&others));
    match (found.pop(), count) {
        (Some(one), 1) => Ok(one),
        (Some(_), _) => {
            let text =
                format!("{selector} is ambiguous: {count} tokens match, so select one by its serial number: {all}");
            Err(TokenError::new(ErrorClass::Fatal, text))
        }
        (None, _) => {
            let text = format!("cannot find {selector} in module {}, which contains {all}", module.path().display());
            let error = TokenError::new(ErrorClass::TokenLost, text);
            Err(failed.map_or(error.clone(), |failed| failed.found_to_be(ErrorClass::TokenLost, &error.to_string())))
        }
    }
}

/// Lists the tokens of a module that have a name, to help a user who configured a wrong one.
fn names<'a>(infos: impl Iterator<Item = &'a TokenInfo>) -> String {
    let named = infos.filter(|info| info.token_initialized()).take(MAX_NAMES);
    let names: Vec<String> =
        named.map(|info| format!("'{}' (serial number '{}')", info.label(), info.serial_number())).collect();
    if names.is_empty() { "no tokens".to_owned() } else { names.join(", ") }
}

fn is_meant(info: &TokenInfo, selector: &TokenSelector) -> bool {
    info.token_initialized()
        && match selector {
            TokenSelector::Serial(serial) => info.serial_number() == serial,
            TokenSelector::Label(label) => info.label() == label,
        }
}
