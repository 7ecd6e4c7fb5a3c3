//! Tables, the endpoint that answers boto3, and the interpreter.

#[path = "../../../../../strongroom-aws-kms/tests/it/support/endpoint.rs"]
#[allow(dead_code, reason = "tests of other packages use the rest")]
pub(crate) mod endpoint;
#[path = "../../../../../strongroom-server/tests/it/support/peer.rs"]
#[allow(dead_code, reason = "tests of other packages use the rest")]
pub(crate) mod peer;
#[path = "../../../examples/encrypted_table/table.rs"]
pub(crate) mod table;

use strongroom::{EncryptionContext, Kms};
use strongroom_iceberg::IcebergKms;

/// The encryption context of the tests.
pub(crate) const CONTEXT: [(&str, &str); 1] = [("table", "lake.orders")];

pub(crate) fn new_key(kms: &Kms) -> String {
    kms.create_key(Default::default()).unwrap().key_id().to_string()
}

pub(crate) fn client(kms: &Kms, context: impl Into<EncryptionContext>) -> IcebergKms {
    IcebergKms::new(kms, context).unwrap()
}
