//! Imports key material that was generated and wrapped outside of strongroom, with the OpenSSL 3
//! command line. Then shows how the key behaves when the material is deleted and imported again.
//!
//! `cargo run --example bring_your_own_key`

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

use strongroom::Kms;
use strongroom::algorithm::{WrappingAlgorithm, WrappingKeySpec};
use strongroom::key::{ImportType, KeyId, Origin};
use strongroom::request::{
    CreateKeyRequest, DecryptRequest, EncryptRequest, GetParametersForImportRequest, ImportKeyMaterialRequest,
};

/// The commands that the owner runs in a separate folder. The manual has the same commands for the
/// other algorithms.
const MAKE: &str = "openssl rand -out KeyMaterial.bin 32";
const WRAP: &str = "\
openssl pkeyutl -encrypt -in KeyMaterial.bin -out EncryptedKeyMaterial.bin \\
    -inkey WrappingPublicKey.bin -keyform DER -pubin \\
    -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let kms = Kms::in_memory()?;

    let key = kms.create_key(CreateKeyRequest::default().origin(Origin::External).description("my own"))?;
    println!("1. {} was created without material, so its state is {}.", key.arn(), key.state());

    println!("2. You generate the material and keep a copy:\n   {MAKE}");
    shell(folder.path(), MAKE)?;
    import(&kms, key.key_id(), folder.path(), None)?;
    println!(
        "3. It was wrapped outside under a wrapping key that is valid for 24 hours, and imported:\n   {}",
        WRAP.replace('\n', "\n   ")
    );
    let blob = kms.encrypt(EncryptRequest::new(key.key_id(), b"a secret"))?.ciphertext_blob;
    println!("   The key is {} and has encrypted a message.", kms.describe_key(key.key_id())?.state());

    kms.delete_imported_key_material(key.key_id(), None)?;
    let refused =
        kms.decrypt(DecryptRequest::new(&blob)).err().ok_or("a key without material decrypted a ciphertext")?;
    println!("4. The material was deleted from the KMS, so decryption fails:\n   {refused}");

    import(&kms, key.key_id(), folder.path(), None)?;
    let opened = kms.decrypt(DecryptRequest::new(&blob))?.plaintext;
    println!(
        "5. The same material was imported again, and the ciphertext can be decrypted: {:?}",
        text(opened.expose_secret())
    );

    fs::rename(folder.path().join("KeyMaterial.bin"), folder.path().join("KeyMaterial.1.bin"))?;
    shell(folder.path(), MAKE)?;
    let refused =
        import(&kms, key.key_id(), folder.path(), None).err().ok_or("different material was accepted as the same")?;
    println!("6. Different material is rejected:\n   {refused}");
    import(&kms, key.key_id(), folder.path(), Some(ImportType::NewKeyMaterial))?;
    kms.rotate_key_on_demand(key.key_id())?;
    let opened = kms.decrypt(DecryptRequest::new(&blob))?.plaintext;
    println!(
        "7. Imported as new material and rotated, it now encrypts. The old ciphertext can still be decrypted: {:?}",
        text(opened.expose_secret())
    );
    Ok(())
}

/// Performs steps two to four of an import: gets the parameters, wraps the material outside, and
/// imports it.
fn import(kms: &Kms, key: KeyId, folder: &Path, import_type: Option<ImportType>) -> Result<(), Box<dyn Error>> {
    let (algorithm, size) = (WrappingAlgorithm::RsaesOaepSha256, WrappingKeySpec::Rsa2048);
    let parameters = kms.get_parameters_for_import(GetParametersForImportRequest::new(key, algorithm, size))?;
    fs::write(folder.join("WrappingPublicKey.bin"), &parameters.public_key)?;
    shell(folder, WRAP)?;
    let wrapped = fs::read(folder.join("EncryptedKeyMaterial.bin"))?;
    let mut request = ImportKeyMaterialRequest::new(key, &parameters.import_token, &wrapped).does_not_expire();
    if let Some(import_type) = import_type {
        request = request.import_type(import_type);
    }
    kms.import_key_material(request)?;
    Ok(())
}

fn shell(folder: &Path, line: &str) -> Result<(), Box<dyn Error>> {
    let output = Command::new("sh").args(["-c", line]).current_dir(folder).output();
    let output = output.map_err(|error| format!("this example requires a shell: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!(
        "this example requires the OpenSSL 3 command line (on Debian: apt-get install openssl)\n{line}\n{complaint}"
    )
    .into())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
