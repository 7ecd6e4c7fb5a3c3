//! Signatures, message authentication codes, key agreement, key encapsulation, and public keys.

use crate::algorithm::{EncapsulationAlgorithm, KeyAgreementAlgorithm, MacAlgorithm, MessageType, SigningAlgorithm};
use crate::kms::{
    DecapsulateRequest, DeriveSharedSecretRequest, EncapsulateRequest, GenerateMacRequest, KeyRequest, Kms,
    SignRequest, VerifyMacRequest, VerifyRequest,
};
use crate::wire::answer::{Answer, text};
use crate::wire::failure::Outcome;
use crate::wire::members::Members;

pub(in crate::wire) fn sign(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let (message, tokens) = (request.required_blob("Message")?, request.grant_tokens()?);
    let (algorithm, message_type) = algorithm_and_form(request)?;
    let call = SignRequest::new(request.required_text("KeyId")?, algorithm, message.expose_secret())
        .message_type(message_type)
        .grant_tokens(&tokens)
        .dry_run_if(request.flag("DryRun")?);
    let signed = kms.sign(call)?;
    let answer = Answer::new()
        .with("KeyId", text(signed.key_arn))
        .with("Signature", signed.signature)
        .with("SigningAlgorithm", signed.signing_algorithm.as_str());
    Ok(Some(answer))
}

pub(in crate::wire) fn verify(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let (message, signature) = (request.required_blob("Message")?, request.required_blob("Signature")?);
    let tokens = request.grant_tokens()?;
    let (algorithm, message_type) = algorithm_and_form(request)?;
    let key = request.required_text("KeyId")?;
    let call = VerifyRequest::new(key, algorithm, message.expose_secret(), signature.expose_secret())
        .message_type(message_type)
        .grant_tokens(&tokens)
        .dry_run_if(request.flag("DryRun")?);
    let verified = kms.verify(call)?;
    let answer = Answer::new()
        .with("KeyId", text(verified.key_arn))
        .with("SignatureValid", true)
        .with("SigningAlgorithm", verified.signing_algorithm.as_str());
    Ok(Some(answer))
}

fn algorithm_and_form(request: Members<'_>) -> Outcome<(SigningAlgorithm, MessageType)> {
    let algorithm = request.required_choice("SigningAlgorithm", SigningAlgorithm::parse)?;
    let form = request.choice("MessageType", MessageType::parse)?.unwrap_or(MessageType::Raw);
    Ok((algorithm, form))
}

pub(in crate::wire) fn generate_mac(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let (message, tokens) = (request.required_blob("Message")?, request.grant_tokens()?);
    let algorithm = request.required_choice("MacAlgorithm", MacAlgorithm::parse)?;
    let call = GenerateMacRequest::new(request.required_text("KeyId")?, algorithm, message.expose_secret())
        .grant_tokens(&tokens)
        .dry_run_if(request.flag("DryRun")?);
    let made = kms.generate_mac(call)?;
    let answer = Answer::new()
        .with("Mac", made.mac)
        .with("MacAlgorithm", made.mac_algorithm.as_str())
        .with("KeyId", text(made.key_arn));
    Ok(Some(answer))
}

pub(in crate::wire) fn verify_mac(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let (message, mac) = (request.required_blob("Message")?, request.required_blob("Mac")?);
    let (algorithm, tokens) = (request.required_choice("MacAlgorithm", MacAlgorithm::parse)?, request.grant_tokens()?);
    let key = request.required_text("KeyId")?;
    let call = VerifyMacRequest::new(key, algorithm, message.expose_secret(), mac.expose_secret())
        .grant_tokens(&tokens)
        .dry_run_if(request.flag("DryRun")?);
    let verified = kms.verify_mac(call)?;
    let answer = Answer::new()
        .with("KeyId", text(verified.key_arn))
        .with("MacValid", true)
        .with("MacAlgorithm", verified.mac_algorithm.as_str());
    Ok(Some(answer))
}

pub(in crate::wire) fn derive_shared_secret(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    request.refuse_members(&["Recipient"])?;
    let (public_key, tokens) = (request.required_blob("PublicKey")?, request.grant_tokens()?);
    let algorithm = request.required_choice("KeyAgreementAlgorithm", KeyAgreementAlgorithm::parse)?;
    let call = DeriveSharedSecretRequest::new(request.required_text("KeyId")?, algorithm, public_key.expose_secret())
        .grant_tokens(&tokens)
        .dry_run_if(request.flag("DryRun")?);
    let derived = kms.derive_shared_secret(call)?;
    let answer = Answer::new()
        .with("KeyId", text(derived.key_arn))
        .with("SharedSecret", derived.shared_secret)
        .with("KeyAgreementAlgorithm", derived.key_agreement_algorithm.as_str())
        .with("KeyOrigin", derived.key_origin.as_str());
    Ok(Some(answer))
}

pub(in crate::wire) fn encapsulate(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let tokens = request.grant_tokens()?;
    let algorithm = request.required_choice("EncapsulationAlgorithm", EncapsulationAlgorithm::parse)?;
    let call = EncapsulateRequest::new(request.required_text("KeyId")?, algorithm)
        .grant_tokens(&tokens)
        .dry_run_if(request.flag("DryRun")?);
    let sent = kms.encapsulate(call)?;
    let answer = Answer::new()
        .with("KeyId", text(sent.key_arn))
        .with("SharedSecret", sent.shared_secret)
        .with("SharedSecretCiphertextBlob", sent.shared_secret_ciphertext_blob)
        .with("EncapsulationAlgorithm", sent.encapsulation_algorithm.as_str());
    Ok(Some(answer))
}

pub(in crate::wire) fn decapsulate(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let (ciphertext, tokens) = (request.required_blob("SharedSecretCiphertextBlob")?, request.grant_tokens()?);
    let algorithm = request.required_choice("EncapsulationAlgorithm", EncapsulationAlgorithm::parse)?;
    let call = DecapsulateRequest::new(request.required_text("KeyId")?, algorithm, ciphertext.expose_secret())
        .grant_tokens(&tokens)
        .dry_run_if(request.flag("DryRun")?);
    let received = kms.decapsulate(call)?;
    let answer = Answer::new()
        .with("KeyId", text(received.key_arn))
        .with("SharedSecret", received.shared_secret)
        .with("EncapsulationAlgorithm", received.encapsulation_algorithm.as_str());
    Ok(Some(answer))
}

pub(in crate::wire) fn get_public_key(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let tokens = request.grant_tokens()?;
    let found = kms.get_public_key(KeyRequest::new(request.required_text("KeyId")?).grant_tokens(&tokens))?;
    let answer = Answer::new()
        .with("KeyId", text(found.key_arn))
        .with("PublicKey", found.public_key)
        .with("CustomerMasterKeySpec", found.key_spec.as_str())
        .with("KeySpec", found.key_spec.as_str())
        .with("KeyUsage", found.key_usage.as_str())
        .with_names("EncryptionAlgorithms", found.encryption_algorithms)
        .with_names("SigningAlgorithms", found.signing_algorithms)
        .with_names("KeyAgreementAlgorithms", found.key_agreement_algorithms)
        .with_names("EncapsulationAlgorithms", found.encapsulation_algorithms);
    Ok(Some(answer))
}
