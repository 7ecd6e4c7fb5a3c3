//! Custom key stores. The certificate `TrustAnchorCertificate` is accepted and not used: the cluster
//! was configured with the builder, together with whatever protects the connection to it.

use crate::key::{ClusterId, CustomKeyStoreId};
use crate::kms::{CreateCustomKeyStoreRequest, CustomKeyStoresListEntry, Kms, UpdateCustomKeyStoreRequest};
use crate::secret::SecretBytes;
use crate::wire::answer::{Answer, Item, text};
use crate::wire::failure::{Outcome, Unrecorded};
use crate::wire::members::{Members, invalid, missing, unsupported};

/// The type of custom key stores that the library has.
const IN_CLUSTER: &str = "AWS_CLOUDHSM";

/// Members for external key stores, which the library does not have.
const EXTERNAL: &[&str] = &[
    "XksProxyUriEndpoint",
    "XksProxyUriPath",
    "XksProxyVpcEndpointServiceName",
    "XksProxyVpcEndpointServiceOwner",
    "XksProxyAuthenticationCredential",
    "XksProxyConnectivity",
];

pub(in crate::wire) fn create_custom_key_store(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    if request.text("CustomKeyStoreType")?.is_some_and(|name| name != IN_CLUSTER) {
        return Err(unsupported("External key stores are not supported."));
    }
    request.refuse_members(EXTERNAL)?;
    let cluster = cluster(request)?.ok_or_else(|| missing("CloudHsmClusterId"))?;
    let mut call = CreateCustomKeyStoreRequest::new(request.required_text("CustomKeyStoreName")?, cluster);
    if let Some(password) = password(request)? {
        call = call.key_store_password(password);
    }
    let id = kms.create_custom_key_store(call)?;
    Ok(Some(Answer::new().with("CustomKeyStoreId", text(id))))
}

pub(in crate::wire) fn describe_custom_key_stores(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let id = request.custom_key_store("CustomKeyStoreId")?;
    let found = match (id, request.text("CustomKeyStoreName")?) {
        (Some(_), Some(_)) => {
            return Err(invalid("CustomKeyStoreId and CustomKeyStoreName cannot both be specified."));
        }
        (Some(id), None) => kms.describe_custom_key_store(id)?,
        (None, Some(name)) => kms.describe_custom_key_store_by_name(name)?,
        (None, None) => {
            let page = kms.describe_custom_key_stores(request.page()?)?;
            return Ok(Some(Answer::page("CustomKeyStores", page, entry)));
        }
    };
    let answer = Answer::new().with("CustomKeyStores", Item::List(vec![entry(found)])).with("Truncated", false);
    Ok(Some(answer))
}

fn entry(store: CustomKeyStoresListEntry) -> Item {
    let members = Answer::new()
        .with("CustomKeyStoreId", text(store.custom_key_store_id))
        .with("CustomKeyStoreName", text(store.custom_key_store_name))
        .with("CloudHsmClusterId", text(store.cluster_id))
        .with("ConnectionState", store.connection_state.as_str())
        .with_some("ConnectionErrorCode", store.connection_error.map(|error| error.code.as_str()))
        .with("CreationDate", store.creation_date)
        .with("CustomKeyStoreType", IN_CLUSTER);
    Item::Structure(members)
}

pub(in crate::wire) fn update_custom_key_store(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    request.refuse_members(EXTERNAL)?;
    let mut call = UpdateCustomKeyStoreRequest::new(required_id(request)?);
    if let Some(name) = request.text("NewCustomKeyStoreName")? {
        call = call.new_name(name);
    }
    if let Some(cluster) = cluster(request)? {
        call = call.cluster(cluster);
    }
    if let Some(password) = password(request)? {
        call = call.key_store_password(password);
    }
    kms.update_custom_key_store(call)?;
    Ok(Some(Answer::new()))
}

pub(in crate::wire) fn connect_custom_key_store(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    kms.connect_custom_key_store(required_id(request)?)?;
    Ok(Some(Answer::new()))
}

pub(in crate::wire) fn disconnect_custom_key_store(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    kms.disconnect_custom_key_store(required_id(request)?)?;
    Ok(Some(Answer::new()))
}

pub(in crate::wire) fn delete_custom_key_store(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    kms.delete_custom_key_store(required_id(request)?)?;
    Ok(Some(Answer::new()))
}

fn required_id(request: Members<'_>) -> Outcome<CustomKeyStoreId> {
    request.custom_key_store("CustomKeyStoreId")?.ok_or_else(|| missing("CustomKeyStoreId"))
}

fn cluster(request: Members<'_>) -> Outcome<Option<ClusterId>> {
    request.text("CloudHsmClusterId")?.map(|id| ClusterId::parse(id).or_refuse()).transpose()
}

fn password(request: Members<'_>) -> Outcome<Option<SecretBytes>> {
    Ok(request.text("KeyStorePassword")?.map(|password| SecretBytes::copy_from_slice(password.as_bytes())))
}
