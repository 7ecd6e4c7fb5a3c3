//! The contract of stores.

use strongroom::store::{KeyStore, PostgresOptions, PostgresStore, conformance};

use crate::support::postgres::{Database, shared};

type TestResult = Result<(), Box<dyn std::error::Error>>;

fn boxed(options: &PostgresOptions) -> strongroom::Result<Box<dyn KeyStore>> {
    Ok(Box::new(PostgresStore::open(options)?))
}

#[test]
fn postgres_store_meets_the_contract() -> TestResult {
    let Some(server) = shared("postgres::contract::postgres_store_meets_the_contract") else { return Ok(()) };
    let database = Database::create(server)?;
    let schemas = std::cell::Cell::new(0);
    let next = || -> strongroom::Result<PostgresOptions> {
        schemas.set(schemas.get() + 1);
        let options = PostgresOptions::new(&database.url())?.schema(format!("Store \"{}\"", schemas.get()));
        PostgresStore::create_schema(&options)?;
        Ok(options)
    };
    conformance::run(|| boxed(&next()?))?;
    let options = next()?;
    conformance::run_durable(|| boxed(&options))?;
    let options = next()?;
    conformance::run_shared(|| boxed(&options))?;
    Ok(())
}
