//! The anchor of a store: a record elsewhere of how far the store has advanced.

use std::path::Path;
use std::sync::Arc;

use strongroom::store::{Anchor, FileAnchor, StoreAnchor};

use super::arguments::StoreArguments;
use super::opening::is_postgres;
use super::postgres;
use crate::error::{Error, Result};

/// Returns the anchor of a store, if it has one. A missing anchor is created with a new store, and
/// on request. Otherwise an attacker could bypass it by deleting it.
pub(super) fn of(arguments: &StoreArguments, is_new: bool) -> Result<Option<Arc<dyn Anchor>>> {
    let Some(place) = &arguments.anchor.anchor else { return Ok(None) };
    let may_create = arguments.anchor.create_anchor;
    if is_postgres(place) {
        let store = postgres::open_anchor(place, arguments)?;
        let anchor = StoreAnchor::new(store);
        let exists = anchor.last()?.is_some();
        check("in PostgreSQL", exists, is_new, may_create)?;
        return Ok(Some(if exists { Arc::new(anchor.must_exist()) } else { Arc::new(anchor) }));
    }
    // A link without a target is no missing anchor.
    let exists = Path::new(place).symlink_metadata().is_ok();
    check(place, exists, is_new, may_create)?;
    let anchor = FileAnchor::new(place);
    Ok(Some(if exists { Arc::new(anchor.must_exist()) } else { Arc::new(anchor) }))
}

fn check(place: &str, exists: bool, is_new: bool, may_create: bool) -> Result<()> {
    match (exists, is_new) {
        (true, true) => Err(Error::new(format!(
            "cannot create the store: its anchor {place} exists, so there was a store before; restore that store, or \
             remove the anchor"
        ))),
        (false, false) if !may_create => Err(Error::new(format!(
            "cannot open the store: its anchor {place} is missing; restore the anchor, or pass --create-anchor once to \
             accept the store as it is"
        ))),
        _ => Ok(()),
    }
}
