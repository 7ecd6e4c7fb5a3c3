//! Clusters and providers that hold external key material, and the marks of stores in them.

use super::connections::Connection;
use super::material::Material;
use crate::key::ClusterId;
use crate::kms::records::key::KeyRecord;
use crate::provider::{InstanceMarks, KeyMaterialProvider, ProviderId};

/// A cluster or a provider, with its marks if it supports them.
pub(in crate::kms) struct MarkHolder<'a> {
    pub(in crate::kms) name: String,
    pub(in crate::kms) marks: Option<&'a dyn InstanceMarks>,
}

impl<'a> MarkHolder<'a> {
    pub(in crate::kms) fn of_cluster(id: &ClusterId, connection: &'a Connection) -> Self {
        Self { name: cluster_name(id), marks: connection.cluster.provider().instance_marks() }
    }

    pub(in crate::kms) fn of_provider(provider: &'a dyn KeyMaterialProvider) -> Self {
        Self { name: provider_name(provider.id()), marks: provider.instance_marks() }
    }

    /// Returns the name for messages.
    pub(in crate::kms) fn description(&self) -> String {
        self.name.replacen('/', " '", 1) + "'"
    }
}

/// Returns the name under which the marks in a cluster are recorded.
pub(in crate::kms) fn cluster_name(id: &ClusterId) -> String {
    format!("cluster/{id}")
}

/// Returns the name under which the marks in a provider are recorded.
pub(in crate::kms) fn provider_name(id: &ProviderId) -> String {
    format!("provider/{}", id.as_str())
}

impl Material {
    /// Returns the configured providers that hold material of a key outside of the store.
    pub(in crate::kms) fn holders(&self, record: &KeyRecord) -> Vec<&dyn KeyMaterialProvider> {
        let mut ids: Vec<&ProviderId> = record.versions.iter().map(|version| &version.provider).collect();
        ids.dedup();
        let found = ids.into_iter().filter_map(|id| self.provider(id).ok());
        found.map(|provider| &**provider).filter(|provider| provider.importer().is_none()).collect()
    }

    /// Returns `true` if a key is known to have material outside of the store.
    pub(in crate::kms) fn is_held_elsewhere(&self, record: &KeyRecord) -> bool {
        let holds = |id: &ProviderId| self.provider(id).map_or(true, |provider| provider.importer().is_none());
        record.custom_key_store.is_some() || record.versions.iter().any(|version| holds(&version.provider))
    }

    /// Returns the providers that hold material outside of the store and can hold marks.
    pub(in crate::kms) fn outside_providers(&self) -> impl Iterator<Item = &dyn KeyMaterialProvider> {
        let all = self.providers.iter().map(|provider| &**provider);
        all.filter(|provider| provider.importer().is_none() && provider.instance_marks().is_some())
    }
}
