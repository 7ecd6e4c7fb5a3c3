//! The command `verify`: the store, its anchor, and the audit trail.

use std::fmt::Write;

use super::arguments::VerifyArguments;
use super::checkpoints::CheckpointKey;
use super::opening::{self, Opened};
use super::print;
use crate::error::{Error, Result};

/// Verifies everything, prints the results, and fails if anything was altered.
pub(super) fn run(arguments: &VerifyArguments) -> Result<()> {
    let key = CheckpointKey::of(&arguments.key)?;
    let opened = opening::open_existing(&arguments.store)?;
    let result = verify(arguments, key.as_ref(), &opened);
    opened.kms.close()?;
    result
}

fn verify(arguments: &VerifyArguments, key: Option<&CheckpointKey>, opened: &Opened) -> Result<()> {
    let store = opened.kms.verify_store(|_| {})?;
    let mut text = format!("store: {} records", store.records());
    text.push_str(if arguments.store.anchor.anchor.is_some() { ", which match the anchor\n" } else { "\n" });
    for problem in store.problems() {
        let _ = writeln!(text, "store: {problem}");
    }
    let directory = opened.trail_directory(&arguments.store).ok_or_else(|| Error::new("there is no audit trail"))?;
    let trail = match key {
        Some(key) => opened.kms.verify_signed_audit_trail(&directory, key)?,
        None => opened.kms.verify_audit_trail(&directory)?,
    };
    for chain in &trail.chains {
        let _ = write!(text, "chain {}: {} records, {} checkpoints", chain.chain, chain.records, chain.checkpoints);
        if chain.checkpoints > 0 {
            let signed = if key.is_some() { "verified" } else { "not verified without --checkpoint-public-key" };
            let _ = write!(text, " up to record {} (signatures {signed})", chain.signed);
        }
        let _ = match &chain.finding {
            Some(finding) => writeln!(text, "\nchain {}: ALTERED: {finding}", chain.chain),
            None => writeln!(text),
        };
    }
    print(&text)?;
    match (store.is_intact(), trail.first_finding()) {
        (true, None) => print("intact\n"),
        (true, Some(_)) => Err(Error::new("the audit trail was altered: see above")),
        (false, None) => Err(Error::new("the store was altered: see above")),
        (false, Some(_)) => Err(Error::new("the store and the audit trail were altered: see above")),
    }
}
