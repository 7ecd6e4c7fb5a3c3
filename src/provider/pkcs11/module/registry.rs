//! Modules by name.

use std::collections::BTreeMap;
use std::path::Path;

use super::Module;
use crate::provider::pkcs11::error::TokenError;

/// Modules by name, as they are registered when an application is set up: a record or a request names a module, and
/// never a path.
///
/// # Examples
/// ```
/// use strongroom::provider::pkcs11::{ErrorClass, Modules};
///
/// let mut modules = Modules::default();
/// let missing = modules.register("hsm", "/no/such/module.so").unwrap_err();
/// assert_eq!(missing.class(), ErrorClass::Fatal);
/// assert!(modules.get("hsm").is_none());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Modules(BTreeMap<String, Module>);

impl Modules {
    /// Loads a module under a name, with the default options. A name that is taken moves to the new module.
    ///
    /// # Errors
    /// As [`Module::load`].
    pub fn register(&mut self, name: impl Into<String>, path: impl AsRef<Path>) -> Result<Module, TokenError> {
        let module = Module::load(path)?;
        self.insert(name, module.clone());
        Ok(module)
    }

    /// Gives a loaded module a name.
    pub fn insert(&mut self, name: impl Into<String>, module: Module) {
        self.0.insert(name.into(), module);
    }

    /// The module of a name.
    pub fn get(&self, name: &str) -> Option<&Module> {
        self.0.get(name)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
