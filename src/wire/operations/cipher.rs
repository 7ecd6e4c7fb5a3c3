//! Encryption, decryption and re-encryption.

use crate::algorithm::EncryptionAlgorithm;
use crate::kms::{DecryptRequest, EncryptRequest, Kms, ReEncryptRequest};
use crate::wire::answer::{Answer, text};
use crate::wire::failure::{Outcome, Unrecorded};
use crate::wire::members::{Members, invalid, unsupported};

pub(in crate::wire) fn encrypt(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let plaintext = request.required_blob("Plaintext")?;
    let (context, tokens) = (request.context("EncryptionContext")?, request.grant_tokens()?);
    let call = EncryptRequest::new(request.required_text("KeyId")?, plaintext.expose_secret())
        .context(&context)
        .algorithm(algorithm(request, "EncryptionAlgorithm")?)
        .grant_tokens(&tokens)
        .dry_run_if(request.flag("DryRun")?);
    let encrypted = kms.encrypt(call)?;
    let answer = Answer::new()
        .with("CiphertextBlob", encrypted.ciphertext_blob)
        .with("KeyId", text(encrypted.key_arn))
        .with("EncryptionAlgorithm", encrypted.encryption_algorithm.as_str());
    Ok(Some(answer))
}

pub(in crate::wire) fn decrypt(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    request.refuse_members(&["Recipient"])?;
    refuse_dry_run_modifiers(request)?;
    let ciphertext = request.required_blob("CiphertextBlob")?;
    let (context, tokens) = (request.context("EncryptionContext")?, request.grant_tokens()?);
    let call = DecryptRequest::new(ciphertext.expose_secret())
        .context(&context)
        .algorithm(algorithm(request, "EncryptionAlgorithm")?)
        .grant_tokens(&tokens)
        .dry_run_if(request.flag("DryRun")?);
    let call = match request.text("KeyId")? {
        Some(key) => call.key(key).or_refuse()?,
        None => call,
    };
    let decrypted = kms.decrypt(call)?;
    let answer = Answer::new()
        .with("KeyId", text(decrypted.key_arn))
        .with("Plaintext", decrypted.plaintext)
        .with("EncryptionAlgorithm", decrypted.encryption_algorithm.as_str())
        .with_some("KeyMaterialId", decrypted.key_material_id.map(text));
    Ok(Some(answer))
}

pub(in crate::wire) fn re_encrypt(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    refuse_dry_run_modifiers(request)?;
    let ciphertext = request.required_blob("CiphertextBlob")?;
    let source_context = request.context("SourceEncryptionContext")?;
    let destination_context = request.context("DestinationEncryptionContext")?;
    let tokens = request.grant_tokens()?;
    let call = ReEncryptRequest::new(ciphertext.expose_secret(), request.required_text("DestinationKeyId")?)
        .source_context(&source_context)
        .source_algorithm(algorithm(request, "SourceEncryptionAlgorithm")?)
        .destination_context(&destination_context)
        .destination_algorithm(algorithm(request, "DestinationEncryptionAlgorithm")?)
        .grant_tokens(&tokens)
        .dry_run_if(request.flag("DryRun")?);
    let call = match request.text("SourceKeyId")? {
        Some(key) => call.source_key(key).or_refuse()?,
        None => call,
    };
    let moved = kms.re_encrypt(call)?;
    let answer = Answer::new()
        .with("CiphertextBlob", moved.ciphertext_blob)
        .with("SourceKeyId", text(moved.source_key_arn))
        .with("KeyId", text(moved.key_arn))
        .with("SourceEncryptionAlgorithm", moved.source_encryption_algorithm.as_str())
        .with("DestinationEncryptionAlgorithm", moved.destination_encryption_algorithm.as_str())
        .with_some("SourceKeyMaterialId", moved.source_key_material_id.map(text))
        .with_some("DestinationKeyMaterialId", moved.destination_key_material_id.map(text));
    Ok(Some(answer))
}

fn algorithm(request: Members<'_>, name: &str) -> Outcome<EncryptionAlgorithm> {
    Ok(request.choice(name, EncryptionAlgorithm::parse)?.unwrap_or(EncryptionAlgorithm::SymmetricDefault))
}

/// Refuses a dry run that is to ignore the ciphertext, which the library does not have.
fn refuse_dry_run_modifiers(request: Members<'_>) -> Outcome<()> {
    if request.texts("DryRunModifiers")?.is_empty() {
        return Ok(());
    }
    match request.flag("DryRun")? {
        true => Err(unsupported("DryRunModifiers is not supported.")),
        false => Err(invalid("DryRunModifiers requires DryRun.")),
    }
}
