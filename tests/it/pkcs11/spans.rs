//! Calls to a token are spans of `tracing`.

use strongroom::provider::ProviderId;
use strongroom::provider::pkcs11::{Pkcs11Provider, Token};
use strongroom::request::{CreateKeyRequest, EncryptRequest};
use strongroom::{Kms, Result};

use super::{config, module, pin, soft_hsm};
use crate::support::spans::{children, during};

#[test]
fn a_call_to_a_token_is_a_child_of_its_operation() -> Result<()> {
    let Some(hsm) = soft_hsm("a_call_to_a_token_is_a_child_of_its_operation", &["home"]) else { return Ok(()) };
    let token = Token::new(&module(&hsm), config("home"), pin());
    let kms = Kms::builder().provider(Pkcs11Provider::new(ProviderId::new("home"), token)?).build()?;
    let key = kms.create_key(CreateKeyRequest::default().provider("home"))?.key_id();
    let encrypt = || kms.encrypt(EncryptRequest::new(key, b"text")).map(drop);
    encrypt()?; // opens the key, and commits a block of message counts
    let spans = during(encrypt)?;
    assert_eq!((spans[0].name, children(&spans)), ("kms", vec!["hsm.call", "audit.write"]));
    Ok(())
}
