//! The command `policies`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use strongroom::Kms;
use strongroom::identity::Principal;

use super::arguments::{PoliciesAction, PoliciesArguments};
use super::opening::with_store;
use super::print;
use crate::error::{Error, Result};

/// The maximum size of a file with a policy, which may contain insignificant spaces.
const MAX_POLICY: u64 = 1 << 20;

/// Performs the action.
pub(super) fn run(arguments: &PoliciesArguments) -> Result<()> {
    match &arguments.action {
        PoliciesAction::Put { target, policy, name } => with_store(&target.store, |opened| {
            let attached = attach(&opened.kms, &target.principal, policy, name.as_deref())?;
            print(&format!("attached the policy {attached} to {}\n", target.principal))
        }),
        PoliciesAction::Get { target, name } => with_store(&target.store, |opened| {
            let mut text = opened.kms.get_identity_policy(&target.principal, name)?;
            if !text.ends_with('\n') {
                text.push('\n');
            }
            print(&text)
        }),
        PoliciesAction::List { target } => with_store(&target.store, |opened| {
            let names = opened.kms.list_identity_policies(&target.principal)?;
            print(&names.iter().map(|name| format!("{name}\n")).collect::<String>())
        }),
        PoliciesAction::Delete { target, name } => with_store(&target.store, |opened| {
            opened.kms.delete_identity_policy(&target.principal, name)?;
            print(&format!("deleted the policy {name} of {}\n", target.principal))
        }),
    }
}

/// Attaches the policy in a file to a principal, and returns its name.
pub(super) fn attach(kms: &Kms, principal: &Principal, path: &Path, name: Option<&str>) -> Result<String> {
    let shown = path.display();
    let cannot = |error| Error::new(format!("cannot read the policy {shown}")).with_source(error);
    let mut document = String::new();
    let file = File::open(path).map_err(cannot)?;
    let length = file.take(MAX_POLICY + 1).read_to_string(&mut document).map_err(cannot)?;
    if u64::try_from(length).is_ok_and(|length| length > MAX_POLICY) {
        return Err(Error::new(format!("cannot read the policy {shown}: it is larger than {MAX_POLICY} bytes")));
    }
    let stem = || path.file_stem().and_then(|stem| stem.to_str());
    let name = name.or_else(stem).ok_or_else(|| Error::new(format!("pass a --name for the policy {shown}")))?;
    kms.put_identity_policy(principal, name, &document)
        .map_err(|error| Error::new(format!("cannot attach the policy {shown}")).with_source(error))?;
    Ok(name.to_owned())
}
