//! The program of the page in Rust.

use aws_sdk_kms::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_kms::primitives::Blob;

use super::{World, block};

fn builder(endpoint: &str, access_key_id: &str, secret: &str) -> Builder {
    Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(access_key_id, secret, None, None, "strongroom"))
}

async fn round_trip(kms: &aws_sdk_kms::Client) -> Result<(), Box<dyn std::error::Error>> {
    let created = kms.create_key().send().await?;
    let key = created.key_metadata().ok_or("no metadata")?.key_id();
    let sealed = kms.encrypt().key_id(key).plaintext(Blob::new("4711")).send().await?;
    let sealed = sealed.ciphertext_blob().ok_or("no ciphertext")?.clone();
    let opened = kms.decrypt().ciphertext_blob(sealed).send().await?;
    assert_eq!(opened.plaintext().map(Blob::as_ref), Some(&b"4711"[..]));
    Ok(())
}

#[test]
fn the_page_shows_this_program() {
    let source = include_str!("rust_sdk.rs");
    let printed = block("Rust: `aws-sdk-kms`", "rust,ignore");
    // The imports and both functions, each as they are here.
    for part in printed.split("\n\n") {
        assert!(source.contains(part.trim_end()), "{part}");
    }
    let world = World::new();
    let profile = std::fs::read_to_string(world.program.path("keys.db.aws")).unwrap();
    let value = |name: &str| profile.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let client = aws_smithy_http_client::Builder::new().build_http();
    let config = builder(&world.running.url, value("aws_access_key_id = "), value("aws_secret_access_key = "))
        .http_client(client)
        .build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(round_trip(&aws_sdk_kms::Client::from_conf(config))).unwrap();
}
