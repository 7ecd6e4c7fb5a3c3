//! Processes on a store in a database.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use strongroom::Result;
use strongroom::store::KeyStore;

use super::worker::work;
use super::{open, run, trail_in};
use crate::parameters::TestResult;
use crate::support::child_process::{STORE, child};
use crate::support::postgres::{self, Schema};

const CHILD: &str = "parameters::kills::postgres::works_until_killed";
/// The URL of the database, and the schema of the store.
const URL: &str = "STRONGROOM_PARAMETERS_URL";
const SCHEMA: &str = "STRONGROOM_PARAMETERS_SCHEMA";

fn open_schema(schema: &Schema) -> Result<Arc<dyn KeyStore>> {
    Ok(Arc::new(schema.open()?))
}

#[test]
fn kills_lose_and_double_nothing() -> TestResult {
    let Some(server) = postgres::shared("parameters::kills::postgres::kills_lose_and_double_nothing") else {
        return Ok(());
    };
    let schema = Schema::create(server)?;
    run(&|| open_schema(&schema), &|folder| {
        let mut command = child(CHILD, folder)?;
        command.env(URL, schema.url()).env(SCHEMA, schema.name());
        Ok(command)
    })
}

#[test]
#[ignore = "run only as the child process of a test"]
fn works_until_killed() -> TestResult {
    let folder = PathBuf::from(env::var_os(STORE).ok_or("run only by a test")?);
    let schema = Schema::existing(&env::var(URL)?, &env::var(SCHEMA)?);
    work(&open(open_schema(&schema)?, &trail_in(&folder))?)
}
