//! The server of these tests answers an independent client as Vault does.

use crate::support::{ROOT, Vault, peer};

#[test]
fn an_independent_client_agrees_with_the_server() {
    let test = "an_independent_client_agrees_with_the_server";
    let (Some(vault), Some(python)) = (Vault::start(test), peer::python(test)) else { return };
    let script = peer::in_repository("crates/strongroom-vault/tests/it/peers/hvac_client.py");
    let mut command = peer::script(&python, &script, &[]);
    let output = command.args([&vault.url(), ROOT]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"hvac agrees\n");
}
