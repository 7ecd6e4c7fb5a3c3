//! Data keys, data key pairs, and random bytes.

use crate::context::EncryptionContext;
use crate::key::{DataKeyPairSpec, DataKeySpec};
use crate::kms::{GenerateDataKeyPairRequest, GenerateDataKeyRequest, GrantToken, Kms};
use crate::wire::answer::{Answer, text};
use crate::wire::failure::Outcome;
use crate::wire::members::{Members, invalid};

pub(in crate::wire) fn generate_data_key(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    request.refuse_members(&["Recipient"])?;
    let (context, tokens) = (request.context("EncryptionContext")?, request.grant_tokens()?);
    let made = kms.generate_data_key(data_key(request, &context, &tokens)?)?;
    let answer = Answer::new()
        .with("CiphertextBlob", made.ciphertext_blob)
        .with("Plaintext", made.plaintext)
        .with("KeyId", text(made.key_arn))
        .with("KeyMaterialId", text(made.key_material_id));
    Ok(Some(answer))
}

pub(in crate::wire) fn generate_data_key_without_plaintext(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let (context, tokens) = (request.context("EncryptionContext")?, request.grant_tokens()?);
    let made = kms.generate_data_key_without_plaintext(data_key(request, &context, &tokens)?)?;
    let answer = Answer::new()
        .with("CiphertextBlob", made.ciphertext_blob)
        .with("KeyId", text(made.key_arn))
        .with("KeyMaterialId", text(made.key_material_id));
    Ok(Some(answer))
}

fn data_key<'r>(
    request: Members<'r>,
    context: &'r EncryptionContext,
    tokens: &'r [GrantToken],
) -> Outcome<GenerateDataKeyRequest<'r, &'r str>> {
    let call = GenerateDataKeyRequest::new(request.required_text("KeyId")?)
        .context(context)
        .grant_tokens(tokens)
        .dry_run_if(request.flag("DryRun")?);
    match (request.choice("KeySpec", DataKeySpec::parse)?, request.number("NumberOfBytes")?) {
        (Some(spec), None) => Ok(call.key_spec(spec)),
        (None, Some(bytes)) => Ok(call.number_of_bytes(bytes)),
        (Some(_), Some(_)) | (None, None) => Err(invalid("Please specify either number of bytes or key spec.")),
    }
}

pub(in crate::wire) fn generate_data_key_pair(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    request.refuse_members(&["Recipient"])?;
    let (context, tokens) = (request.context("EncryptionContext")?, request.grant_tokens()?);
    let made = kms.generate_data_key_pair(data_key_pair(request, &context, &tokens)?)?;
    let answer = Answer::new()
        .with("PrivateKeyCiphertextBlob", made.private_key_ciphertext_blob)
        .with("PrivateKeyPlaintext", made.private_key_plaintext)
        .with("PublicKey", made.public_key)
        .with("KeyId", text(made.key_arn))
        .with("KeyPairSpec", made.key_pair_spec.as_str())
        .with("KeyMaterialId", text(made.key_material_id));
    Ok(Some(answer))
}

pub(in crate::wire) fn generate_data_key_pair_without_plaintext(
    kms: &Kms,
    request: Members<'_>,
) -> Outcome<Option<Answer>> {
    let (context, tokens) = (request.context("EncryptionContext")?, request.grant_tokens()?);
    let made = kms.generate_data_key_pair_without_plaintext(data_key_pair(request, &context, &tokens)?)?;
    let answer = Answer::new()
        .with("PrivateKeyCiphertextBlob", made.private_key_ciphertext_blob)
        .with("PublicKey", made.public_key)
        .with("KeyId", text(made.key_arn))
        .with("KeyPairSpec", made.key_pair_spec.as_str())
        .with("KeyMaterialId", text(made.key_material_id));
    Ok(Some(answer))
}

fn data_key_pair<'r>(
    request: Members<'r>,
    context: &'r EncryptionContext,
    tokens: &'r [GrantToken],
) -> Outcome<GenerateDataKeyPairRequest<'r, &'r str>> {
    let spec = request.required_choice("KeyPairSpec", DataKeyPairSpec::parse)?;
    Ok(GenerateDataKeyPairRequest::new(request.required_text("KeyId")?, spec)
        .context(context)
        .grant_tokens(tokens)
        .dry_run_if(request.flag("DryRun")?))
}

pub(in crate::wire) fn generate_random(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    request.refuse_members(&["Recipient"])?;
    let length = request.number("NumberOfBytes")?.ok_or_else(|| invalid("NumberOfBytes is required."))?;
    let bytes = match request.custom_key_store("CustomKeyStoreId")? {
        Some(store) => kms.generate_random_in(store, length)?,
        None => kms.generate_random(length)?,
    };
    Ok(Some(Answer::new().with("Plaintext", bytes)))
}
