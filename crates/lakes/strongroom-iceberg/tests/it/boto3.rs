//! Tables whose metadata another implementation of the specification reads, through the API of AWS KMS.

use serde_json::{Value, json};
use strongroom::{EncryptionContext, Kms};

use crate::support::endpoint::{Answer, Endpoint};
use crate::support::{client, new_key, peer, table};

#[tokio::test(flavor = "multi_thread")]
async fn python_follows_the_keys_of_a_table_to_its_manifests() {
    let Some(python) = peer::python("python_follows_the_keys_of_a_table_to_its_manifests") else { return };
    let kms = Kms::in_memory().unwrap();
    let endpoint = Endpoint::start({
        let kms = kms.clone();
        move |request| Answer::of(&kms, request)
    });
    let key = new_key(&kms);
    // As Iceberg for Java calls AWS KMS: without an encryption context.
    let client = client(&kms, EncryptionContext::new());
    let folder = tempfile::tempdir().unwrap();
    let empty = table::create(folder.path(), &key).unwrap();
    let metadata = table::append(&table::open(empty, &client).unwrap(), &[1, 2, 3]).await.unwrap();

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
    let request = serde_json::to_string(&metadata).unwrap();
    let answer: Value = serde_json::from_str(&peer::run(&python, "table.py", &request, &environment)).unwrap();
    // The manifest list is Avro, and names the manifest.
    assert_eq!(answer["magic"], json!("Obj1"));
    assert_eq!(answer["names_manifest"], json!(true));
    assert_eq!(answer["key_bytes"], json!(16));
}
