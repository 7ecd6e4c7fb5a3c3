//! A registry of modules by name.

use std::collections::BTreeMap;
use std::path::Path;

use super::Module;
use crate::provider::pkcs11::error::TokenError;

/// Modules by name, registered during application setup. Records and requests refer to a module by
/// this name, and never by a path.
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
    /// Loads a module under a name, with the default options. If the name is already registered, it
    /// refers to the new module afterwards.
    ///
    /// # Errors
    /// - The errors of [`Module::load`].
    pub fn register(&mut self, name: impl Into<String>, path: impl AsRef<Path>) -> Result<Module, TokenError> {
        let module = Module::load(path)?;
        self.insert(name, module.clone());
        Ok(module)
    }

    /// Registers a loaded module under a name.
    ///
    /// # Examples
    /// ```no_run
    /// use strongroom::provider::pkcs11::{Module, ModuleOptions, Modules};
    ///
    /// let options = ModuleOptions::default().keep_initialized();
    /// let mut modules = Modules::default();
    /// modules.insert("hsm", Module::load_with("/usr/lib/softhsm/libsofthsm2.so", options)?);
    /// assert_eq!(modules.names().collect::<Vec<_>>(), ["hsm"]);
    /// assert!(!modules.get("hsm").expect("it was inserted").is_wedged());
    /// # Ok::<(), strongroom::provider::pkcs11::TokenError>(())
    /// ```
    pub fn insert(&mut self, name: impl Into<String>, module: Module) {
        self.0.insert(name.into(), module);
    }

    /// Returns the module with a name.
    pub fn get(&self, name: &str) -> Option<&Module> {
        self.0.get(name)
    }

    /// Returns the names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use strongroom_pkcs11_faults::SoftHsm;

    use super::*;

    #[test]
    fn a_module_is_found_by_the_name_under_which_it_was_registered_last() -> Result<(), TokenError> {
        let (Some(one), Some(two)) = (SoftHsm::new(&["one"]), SoftHsm::new(&["two"])) else {
            assert!(std::env::var_os("STRONGROOM_REQUIRE").is_none_or(|value| value != "all"), "no SoftHSM 2");
            eprintln!("not run: modules by name, as SoftHSM 2 is not installed");
            return Ok(());
        };
        let mut modules = Modules::default();
        let first = modules.register("b", one.shim().path())?;
        modules.insert("a", first.clone());
        assert_eq!((modules.get("a"), modules.get("b"), modules.get("c")), (Some(&first), Some(&first), None));
        let second = modules.register("b", two.shim().path())?;
        assert_ne!(first, second);
        assert_eq!((modules.get("a"), modules.get("b")), (Some(&first), Some(&second)));
        assert_eq!(modules.names().collect::<Vec<_>>(), ["a", "b"]);
        assert!(modules.register("a", "/no/such/module.so").is_err());
        assert_eq!(modules.get("a"), Some(&first));
        Ok(())
    }
}
