//! Files that PyArrow reads and writes, through the API of AWS KMS.

use std::path::Path;

use parquet_key_management::crypto_factory::EncryptionConfiguration;
use serde_json::{Value, json};
use strongroom::Kms;

use crate::support::endpoint::{Answer, Endpoint};
use crate::support::{configuration, factory, new_key, peer, read, rows, write};

/// Asks PyArrow, whose KMS is an endpoint. Returns `None` if it fails.
fn ask(python: &Path, endpoint: &Endpoint, request: &Value) -> Option<Value> {
    let url = endpoint.url();
    let environment = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", ""),
        ("AWS_SHARED_CREDENTIALS_FILE", ""),
    ];
    let answer = peer::try_run(&python.to_owned(), "tables.py", &request.to_string(), &environment)?;
    Some(serde_json::from_str(&answer).unwrap())
}

#[test]
fn pyarrow_reads_and_writes_the_same_files() {
    let Some(python) = peer::python("pyarrow_reads_and_writes_the_same_files") else { return };
    let kms = Kms::in_memory().unwrap();
    let endpoint = Endpoint::start({
        let kms = kms.clone();
        move |request| Answer::of(&kms, request)
    });
    let (footer, salary) = (new_key(&kms), new_key(&kms));
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours.parquet"), folder.path().join("theirs.parquet"));
    let table = json!({"id": [1, 2, 3], "salary": [5_100, 4_900, 6_000]});
    let context = json!({"table": "employees"});

    for double in [true, false] {
        let configuration = match double {
            true => configuration(&footer, &salary),
            false => EncryptionConfiguration::builder(footer.clone()).set_double_wrapping(false).build().unwrap(),
        };
        write(&ours, &factory(&kms), &configuration).unwrap();
        kms.rotate_key_on_demand(footer.as_str()).unwrap();
        let request = json!({"do": "read", "path": ours, "context": context});
        assert_eq!(ask(&python, &endpoint, &request), Some(table.clone()));

        let request = json!({"do": "write", "path": theirs, "context": context, "table": table, "double": double,
            "footer": footer, "columns": {&salary: ["salary"], &footer: ["id"]}});
        assert_eq!(ask(&python, &endpoint, &request), Some(table.clone()));
        // Its columns may contain nulls, so the schemas differ.
        assert_eq!(read(&theirs, &factory(&kms)).unwrap().columns(), rows().columns());
    }
    // One for each key encryption key, and without these one for each data key.
    let count = |operation| endpoint.requests().iter().filter(|request| request.operation == operation).count();
    assert_eq!((count("Decrypt"), count("Encrypt")), (2 + 1, 2 + 3));
    let request = json!({"do": "read", "path": ours, "context": {"table": "customers"}});
    assert_eq!(ask(&python, &endpoint, &request), None);
}
