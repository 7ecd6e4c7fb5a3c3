//! The custom key store interface of a cluster: connecting with a password, and the state of its
//! members.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::failure::connection_failure;
use super::members::{NoPin, Pkcs11Cluster};
use crate::error::Result;
use crate::key::{ConnectionErrorCode, KeySpec, KeyUsage};
use crate::provider::pkcs11::config::PinProvider;
use crate::provider::pkcs11::connection;
use crate::provider::pkcs11::token::health::{HealthState, UNCLEAR_LOGINS};
use crate::provider::{
    ClusterManagement, ClusterMember, ConnectionFailure, CryptoUserCredential, HsmCluster, KeyMaterialProvider,
    MaterialBinding,
};
use crate::secret::SecretBytes;

impl HsmCluster for Pkcs11Cluster {
    fn management(&self) -> ClusterManagement {
        self.shared.management
    }

    fn members(&self) -> Vec<ClusterMember> {
        match (self.shared.management, self.members.first()) {
            (ClusterManagement::VendorManaged, Some(slot)) => {
                self.shared.zones.iter().map(|(name, zone)| slot.describe(name, zone)).collect()
            }
            _ => self.members.iter().map(|member| member.describe(&member.name, &member.zone)).collect(),
        }
    }

    fn probe(&self) {
        let is_connected = self.check_connected().is_ok();
        for member in self.members.iter() {
            let health = member.token.health();
            match health.state {
                HealthState::Disconnected => {
                    member.see(connection::look(member.token.module(), member.token.config().selector()));
                }
                HealthState::Failing | HealthState::CircuitOpen if is_connected && !health.module_wedged => {
                    member.see(member.token.connect().map(drop));
                }
                _ => {}
            }
        }
    }

    fn connect(&self, credential: &Arc<dyn CryptoUserCredential>) -> Result<(), ConnectionFailure> {
        let mut failures = Vec::new();
        for member in self.members.iter() {
            member.token.set_pin(Pin(Arc::clone(credential)));
            let connected = member.token.connect();
            member.see(connected.as_ref().map(drop).map_err(Clone::clone));
            match connected {
                Ok(_) => member.unclear_logins.store(0, Ordering::Relaxed),
                Err(error) => {
                    member.unclear_logins.fetch_add(u32::from(error.is_of_unclear_login()), Ordering::Relaxed);
                    failures.push(error);
                }
            }
        }
        if failures.len() < self.members.len() {
            self.learn_capabilities();
            self.shared.connected.store(true, Ordering::Release);
            return Ok(());
        }
        self.log_out();
        let mut failure = connection_failure(failures);
        if self.members.iter().any(|member| member.unclear_logins.load(Ordering::Relaxed) > UNCLEAR_LOGINS) {
            // With this code, the connection is not retried automatically.
            failure.code = ConnectionErrorCode::InvalidCredentials;
        }
        Err(failure)
    }

    fn disconnect(&self) {
        self.shared.connected.store(false, Ordering::Release);
        self.log_out();
    }

    fn provider(&self) -> &dyn KeyMaterialProvider {
        self
    }

    fn unsupported_reason(&self, spec: KeySpec, usage: KeyUsage) -> Option<String> {
        self.missing(spec, usage)
    }

    fn erase(&self, binding: &MaterialBinding) -> Result<()> {
        self.erase_objects(binding)
    }

    fn random(&self, length: usize) -> Result<SecretBytes> {
        self.anywhere(|token| token.random(length))
    }
}

impl Pkcs11Cluster {
    fn log_out(&self) {
        for member in self.members.iter() {
            member.token.disconnect();
            // The password is kept only as long as the connection.
            member.token.set_pin(NoPin);
        }
    }
}

impl fmt::Debug for Pkcs11Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Cluster").field("members", &self.members()).finish_non_exhaustive()
    }
}

/// The PIN of the crypto user, requested when it is needed.
#[derive(Debug)]
struct Pin(Arc<dyn CryptoUserCredential>);

impl PinProvider for Pin {
    fn pin(&self) -> Result<Option<SecretBytes>> {
        self.0.password().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use strongroom_pkcs11_faults::{Nss, PIN, SoftHsm};

    use super::*;
    use crate::crypto::FASTEST;
    use crate::error::{Error, ErrorKind};
    use crate::identity::AccountId;
    use crate::key::{KeyId, KeyVersion};
    use crate::provider::pkcs11::{KeyTypes, Module, TokenConfig, TokenSelector};
    use crate::provider::{FixedCredential, conformance};

    /// Reports that a test is skipped, or fails it if every test is required.
    fn missing(what: &str) {
        assert!(std::env::var_os("STRONGROOM_REQUIRE").is_none_or(|value| value != "all"), "{what} is not installed");
        eprintln!("not run: a cluster over {what}, which is not installed");
    }

    fn config(label: &str) -> TokenConfig {
        TokenConfig::new(TokenSelector::Label(label.into()))
    }

    fn connect(cluster: &Pkcs11Cluster) -> Result<()> {
        let pin = SecretBytes::copy_from_slice(PIN.as_bytes());
        let credential: Arc<dyn CryptoUserCredential> = Arc::new(FixedCredential::new(pin));
        cluster.connect(&credential).map_err(|failure| failure.error)
    }

    /// RSA keys of these lengths take seconds to generate and use the same code path as shorter
    /// ones.
    fn is_quick(spec: KeySpec, _: KeyUsage) -> bool {
        !matches!(spec, KeySpec::Rsa3072 | KeySpec::Rsa4096)
    }

    #[test]
    fn members_keep_the_contract() -> Result<()> {
        let (Some(east), Some(west)) = (SoftHsm::new(&["east"]), SoftHsm::new(&["west"])) else {
            missing("SoftHSM 2");
            return Ok(());
        };
        let cluster = Pkcs11Cluster::from_members(b"replication key")
            .member("east", "zone-a", &Module::load(east.shim().path())?, config("east"))
            .member("west", "zone-b", &Module::load(west.shim().path())?, config("west"));
        connect(&cluster)?;
        cluster.install_replication_key(&SecretBytes::copy_from_slice(&[0x5A; 32]))?;
        assert_eq!(cluster.capabilities().generates, [(KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)]);
        conformance::run(&cluster, &FASTEST, is_quick)
    }

    #[test]
    fn a_slot_of_a_vendor_keeps_the_contract() -> Result<()> {
        let Some(hsm) = SoftHsm::new(&["vendor"]) else {
            missing("SoftHSM 2");
            return Ok(());
        };
        let (module, config) = (Module::load(hsm.shim().path())?, config("vendor").key_types(KeyTypes::All));
        let cluster = Pkcs11Cluster::vendor_managed(&module, config, [("hsm-1", "zone-a"), ("hsm-2", "zone-b")]);
        connect(&cluster)?;
        let made = &cluster.capabilities().generates;
        assert!(made.contains(&(KeySpec::SymmetricDefault, KeyUsage::EncryptDecrypt)));
        assert!(made.contains(&(KeySpec::Rsa2048, KeyUsage::SignVerify)));
        conformance::run(&cluster, &FASTEST, is_quick)
    }

    #[test]
    fn a_slot_of_nss_keeps_the_contract_as_far_as_it_goes() -> Result<()> {
        let Some(nss) = Nss::new() else {
            missing("NSS softokn");
            return Ok(());
        };
        let (module, config) = (Module::load(nss.shim().path())?, config(Nss::LABEL).key_types(KeyTypes::All));
        let cluster = Pkcs11Cluster::vendor_managed(&module, config, [("hsm-1", "zone-a"), ("hsm-2", "zone-b")]);
        connect(&cluster)?;
        assert!(cluster.capabilities().generates.contains(&(KeySpec::Rsa2048, KeyUsage::EncryptDecrypt)));
        conformance::run(&cluster, &FASTEST, is_quick)
    }

    #[test]
    fn a_reference_to_another_key_of_the_cluster_is_not_opened() -> Result<()> {
        let Some(hsm) = SoftHsm::new(&["vendor"]) else {
            missing("SoftHSM 2");
            return Ok(());
        };
        let module = Module::load(hsm.shim().path())?;
        let cluster = Pkcs11Cluster::vendor_managed(&module, config("vendor"), [("hsm-1", "zone-a")]);
        connect(&cluster)?;
        let binding = |key: u8| MaterialBinding {
            store: [1; 16],
            account: AccountId::default(),
            key_id: KeyId::from_random_bytes([key; 16]),
            version: KeyVersion::FIRST,
            spec: KeySpec::SymmetricDefault,
            usage: KeyUsage::EncryptDecrypt,
            origin: cluster.origin(),
        };
        let generator =
            cluster.generator().ok_or_else(|| Error::new(ErrorKind::Internal, "the cluster generates keys"))?;
        let made = generator.generate(&FASTEST, &binding(2))?;
        cluster.open(&FASTEST, &binding(2), &made.stored)?;
        let refused = cluster
            .open(&FASTEST, &binding(3), &made.stored)
            .map(drop)
            .expect_err("the ciphertext belongs to another key");
        assert_eq!(refused.kind(), ErrorKind::Internal, "{refused}");
        Ok(())
    }
}
