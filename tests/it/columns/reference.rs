//! A second implementation of format 2, in Python over OpenSSL.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use strongroom::EncryptionContext;
use strongroom::columns::{Column, ColumnKeys, RowId};
use strongroom::request::DecryptRequest;

use super::support::{TestResult, kms_with_key};
use crate::support::external_tools;

#[test]
fn python_opens_values_with_a_data_key_that_the_kms_unwraps() -> TestResult {
    const TEST: &str = "columns::reference::python_opens_values_with_a_data_key_that_the_kms_unwraps";
    let Some(python) = external_tools::tool(TEST, "STRONGROOM_PYTHON", "a python that has cryptography") else {
        return Ok(());
    };
    let (kms, key) = kms_with_key()?;
    let builder = Column::<Vec<u8>>::builder(&ColumnKeys::new(&kms, key)?, "users", "phone").pad_to(16);
    let column = builder.context("service", "crm").cached_data_keys(Duration::from_secs(60)).build()?;
    let place =
        EncryptionContext::from([("table", "users"), ("column", "phone"), ("service", "crm"), ("tenant", "\u{E9}")]);
    let row = RowId::new("\u{1F511}").part(7).tenant("\u{E9}");
    let of_row = place.clone().with("row", "\u{1F511}").with("row.2", "7");
    let pairs = |context: &EncryptionContext| -> Value {
        context.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect()
    };
    let (mut requests, mut expected) = (Vec::new(), Vec::new());
    for length in [0, 1, 14, 15, 16, 17, 1_000, 100_000] {
        let value: Vec<u8> = (0..=250).cycle().take(length).collect();
        let mut stored = column.encrypt(&row, &value)?.into_bytes();
        let end = 3 + usize::from(u16::from_be_bytes([stored[1], stored[2]]));
        let request = DecryptRequest::new(&stored[3..end]).key(key)?.context(&place);
        let data_key = hex::encode(kms.decrypt(request)?.plaintext.expose_secret());
        let mut ask = |stored: &[u8], context: &EncryptionContext, answer: String| {
            let stored = hex::encode(stored);
            requests.push(json!({"data_key": data_key, "stored": stored, "context": pairs(context)}).to_string());
            expected.push(answer);
        };
        ask(&stored, &of_row, hex::encode(&value));
        ask(&stored, &place, "refused: commitment".to_owned());
        *stored.last_mut().ok_or("a tag")? ^= 1;
        ask(&stored, &of_row, "refused: tag".to_owned());
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/column_reference.py");
    let mut child =
        Command::new(python).arg(script).env("PYTHONUTF8", "1").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().ok_or("a pipe")?;
    let writer = std::thread::spawn(move || stdin.write_all((requests.join("\n") + "\n").as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().expect("the writer does not panic")?;
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout)?.lines().collect::<Vec<_>>(), expected);
    Ok(())
}
