//! The services and providers that every KMS has.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::identity::ServiceName;
use crate::key::Origin;
use crate::kms::pipeline::service_key::SERVICES;
use crate::provider::{ImportedProvider, KeyMaterialProvider, MemoryProvider};

/// Adds the services that every KMS knows.
pub(super) fn with_known_services(mut services: BTreeSet<ServiceName>) -> Result<BTreeSet<ServiceName>> {
    for name in SERVICES {
        services.insert(ServiceName::parse(name)?);
    }
    Ok(services)
}

/// Inserts the providers of software keys before those of the application.
pub(super) fn with_default_providers(
    added: Vec<Arc<dyn KeyMaterialProvider>>,
) -> Result<Vec<Arc<dyn KeyMaterialProvider>>> {
    let mut providers: Vec<Arc<dyn KeyMaterialProvider>> =
        vec![Arc::new(MemoryProvider::default()), Arc::new(ImportedProvider::default())];
    for provider in added {
        let name = provider.id().as_str();
        if providers.iter().any(|other| other.id() == provider.id()) {
            return Err(Error::new(ErrorKind::Validation, format!("duplicate provider name '{name}'")));
        }
        if provider.origin() == Origin::External {
            let text = format!(
                "cannot add the provider '{name}' of origin EXTERNAL: imported material is always managed by the \
                 built-in provider"
            );
            return Err(Error::new(ErrorKind::Validation, text));
        }
        providers.push(provider);
    }
    Ok(providers)
}
