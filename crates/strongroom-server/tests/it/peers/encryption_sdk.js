// Encrypts and decrypts with the KMS keyrings of the AWS Encryption SDK for JavaScript, on request.
//
// Reads the same requests and writes the same answers as encryption_sdk.py.

'use strict'

const { createInterface } = require('node:readline')

const sdk = require('@aws-crypto/client-node')

const { ALICE_ACCESS_KEY, AWS_SECRET_ACCESS_KEY } = process.env

// Returns the supplier of the clients of a caller. They find the endpoint in the environment.
function clientProvider ({ access_key: accessKeyId }) {
  const credentials = { accessKeyId, secretAccessKey: AWS_SECRET_ACCESS_KEY }
  return sdk.getClient(sdk.KMS, accessKeyId ? { credentials } : {})
}

function client (keyring) {
  return clientProvider(keyring)(process.env.AWS_REGION)
}

function filter ({ accounts }) {
  return accounts && { accountIDs: accounts, partition: 'aws' }
}

const KEYRINGS = {
  kms: keyring => new sdk.KmsKeyringNode({
    generatorKeyId: keyring.key, clientProvider: clientProvider(keyring)
  }),
  multi: keyring => new sdk.KmsKeyringNode({
    generatorKeyId: keyring.key, keyIds: keyring.others, clientProvider: clientProvider(keyring)
  }),
  discovery: keyring => new sdk.KmsKeyringNode({
    discovery: true, discoveryFilter: filter(keyring), clientProvider: clientProvider(keyring)
  }),
  mrk: keyring => new sdk.AwsKmsMrkAwareSymmetricKeyringNode({ keyId: keyring.key, client: client(keyring) }),
  mrk_multi: keyring => sdk.buildAwsKmsMrkAwareStrictMultiKeyringNode({
    generatorKeyId: keyring.key, keyIds: keyring.others, clientProvider: clientProvider(keyring)
  }),
  mrk_discovery: keyring => new sdk.AwsKmsMrkAwareSymmetricDiscoveryKeyringNode({
    client: client(keyring), discoveryFilter: filter(keyring)
  })
}

function build ({ policy }) {
  return sdk.buildClient(sdk.CommitmentPolicy[policy])
}

async function encrypt (request) {
  const keyring = KEYRINGS[request.keyring.kind](request.keyring)
  const { result } = await build(request).encrypt(keyring, Buffer.from(request.plaintext, 'hex'), {
    suiteId: request.suite ?? undefined, encryptionContext: request.context
  })
  return { ciphertext: result.toString('hex') }
}

// The SDK does not compare the context: its documentation leaves that to the caller.
async function decrypt (request) {
  const keyring = KEYRINGS[request.keyring.kind](request.keyring)
  const { plaintext, messageHeader } = await build(request).decrypt(keyring, Buffer.from(request.ciphertext, 'hex'))
  return { plaintext: plaintext.toString('hex'), context: messageHeader.encryptionContext }
}

async function main () {
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line)
    const answer = await { encrypt, decrypt }[request.do](request)
      .catch(error => ({ error: `${error.name}: ${error.message}` }))
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  }
}

main()
