//! Software tokens, and the attributes of their keys.

use std::thread;

use strongroom_pkcs11_faults::{Action, Function, Nss, Shim, SoftHsm};

use crate::support::external_tools;

/// Returns SoftHSM with tokens of these labels. If SoftHSM is missing, the test is reported as
/// skipped.
pub(crate) fn soft_hsm(test: &str, labels: &[&str]) -> Option<SoftHsm> {
    let found = SoftHsm::new(labels);
    if found.is_none() {
        external_tools::missing(test, "SoftHSM 2 is not installed; ./test.sh installs it");
    }
    found
}

/// Returns two SoftHSM instances, each with one token.
pub(crate) fn two_soft_hsms(test: &str, [one, other]: [&str; 2]) -> Option<[SoftHsm; 2]> {
    Some([soft_hsm(test, &[one])?, soft_hsm(test, &[other])?])
}

pub(crate) fn nss(test: &str) -> Option<Nss> {
    let found = Nss::new();
    if found.is_none() {
        external_tools::missing(test, "NSS softokn and certutil are not installed; ./test.sh installs them");
    }
    found
}

/// Clears the rules of a shim when it is dropped. If an assertion fails while a call hangs, its
/// thread ends, and with it the scope that waits for the thread.
pub(crate) struct ClearedAtEnd<'a>(pub(crate) &'a Shim);

impl Drop for ClearedAtEnd<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// Starts `work`, lets it hang in a call of `function` after skipping `skip` calls, and runs
/// something else during the hang.
pub(crate) fn overtaken<T: Send>(
    hsm: &SoftHsm,
    function: Function,
    skip: u64,
    work: impl FnOnce() -> T + Send,
    overtakes: impl FnOnce(),
) -> T {
    let calls = hsm.shim().calls(function);
    hsm.shim().rule(function, skip, 1, Action::Hang);
    thread::scope(|scope| {
        let hanging = scope.spawn(work);
        let cleared = ClearedAtEnd(hsm.shim());
        while hsm.shim().calls(function) < calls + skip + 1 && !hanging.is_finished() {
            thread::yield_now();
        }
        overtakes();
        drop(cleared);
        hanging.join().expect("no thread panicked")
    })
}

/// Attributes of type CK_BBOOL.
pub(crate) const CKA_PRIVATE: u64 = 0x002;
pub(crate) const CKA_SENSITIVE: u64 = 0x103;
pub(crate) const CKA_ENCRYPT: u64 = 0x104;
pub(crate) const CKA_DECRYPT: u64 = 0x105;
pub(crate) const CKA_WRAP: u64 = 0x106;
pub(crate) const CKA_UNWRAP: u64 = 0x107;
pub(crate) const CKA_DERIVE: u64 = 0x10C;
pub(crate) const CKA_EXTRACTABLE: u64 = 0x162;
pub(crate) const CKA_LOCAL: u64 = 0x163;
pub(crate) const CKA_NEVER_EXTRACTABLE: u64 = 0x164;
pub(crate) const CKA_ALWAYS_SENSITIVE: u64 = 0x165;
