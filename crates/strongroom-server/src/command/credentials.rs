//! The command `credentials`.

use std::time::Duration;

use super::arguments::{CredentialsAction, CredentialsArguments};
use super::opening::with_store;
use super::{policies, print};
use crate::credentials::{IssueOptions, issue};
use crate::error::{Error, Result};

/// Performs the action. The KMS is closed at its end, so that the audit trail is complete.
pub(super) fn run(arguments: &CredentialsArguments) -> Result<()> {
    match &arguments.action {
        CredentialsAction::Create { store, principal, session_token, lifetime, profile_name, policy } => {
            with_store(store, |opened| {
                let mut options = IssueOptions::default();
                if *session_token {
                    options = options.with_session_token();
                }
                if let Some(seconds) = lifetime {
                    options = options.lifetime(Duration::from_secs(*seconds));
                }
                if let Some(path) = policy {
                    let name = policies::attach(&opened.kms, principal, path, None)?;
                    eprintln!("attached the policy {name} to {principal}");
                }
                let issued = issue(&opened.kms, &opened.credentials, principal, &options)?;
                eprintln!(
                    "created {} for {principal}; the secret is shown only now. Send SIGHUP to a running server.",
                    issued.access_key_id()
                );
                print(&issued.expose_profile(profile_name))
            })
        }
        CredentialsAction::List { store } => with_store(store, |opened| {
            let mut lines = String::new();
            for entry in opened.credentials.entries()? {
                let token = if entry.has_session_token() { "with session token" } else { "permanent" };
                let expires = entry.expires().map(|time| format!(", expires {time}")).unwrap_or_default();
                let (id, principal, created) = (entry.access_key_id(), entry.principal(), entry.created());
                lines.push_str(&format!("{id}  {principal}  {token}, created {created}{expires}\n"));
            }
            print(&lines)
        }),
        CredentialsAction::Delete { store, access_key_id } => with_store(store, |opened| {
            if !opened.credentials.delete(access_key_id)? {
                let path = opened.credentials.path().display();
                return Err(Error::new(format!("{access_key_id} is not an access key in {path}")));
            }
            print(&format!("deleted {access_key_id}. Send SIGHUP to a running server.\n"))
        }),
    }
}
