// Encrypts and decrypts with the official Encryption SDK for JavaScript in Node.js, on request.
//
// Reads the same requests and writes the same answers as esdk_peer.py: one JSON object per line,
// with bytes in hexadecimal. It supports requests with raw AES keys, alone or with "children", and
// with "rsa" keys. It writes only framed messages. Failures are answered with {"error": text}. Needs
// the packages of package-lock.json in node_modules next to this file.

'use strict'

const { constants } = require('node:crypto')
const { createInterface } = require('node:readline')

const sdk = require('@aws-crypto/client-node')
const { version } = require('@aws-crypto/client-node/package.json')

const WRAPPING = {
  16: sdk.RawAesWrappingSuiteIdentifier.AES128_GCM_IV12_TAG16_NO_PADDING,
  24: sdk.RawAesWrappingSuiteIdentifier.AES192_GCM_IV12_TAG16_NO_PADDING,
  32: sdk.RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING
}

const PADDINGS = {
  PKCS1: { padding: constants.RSA_PKCS1_PADDING },
  OAEP_SHA1_MGF1: { oaepHash: 'sha1' },
  OAEP_SHA256_MGF1: { oaepHash: 'sha256' },
  OAEP_SHA384_MGF1: { oaepHash: 'sha384' },
  OAEP_SHA512_MGF1: { oaepHash: 'sha512' }
}

// Returns the strictest client, unless the request reads or writes suites of version 1.
function client (request) {
  const { REQUIRE_ENCRYPT_ALLOW_DECRYPT, REQUIRE_ENCRYPT_REQUIRE_DECRYPT } = sdk.CommitmentPolicy
  if (request.suite) return sdk.buildClient(sdk.getCompatibleCommitmentPolicy(request.suite))
  return sdk.buildClient(request.allow_version_1 ? REQUIRE_ENCRYPT_ALLOW_DECRYPT : REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
}

function rawAesKeyring (member) {
  // The SDK accepts only a key that does not share its memory. A short `Buffer` shares it.
  const key = new Uint8Array(Buffer.from(member.key, 'hex'))
  return new sdk.RawAesKeyringNode({
    keyNamespace: member.namespace,
    keyName: member.name,
    unencryptedMasterKey: key,
    wrappingSuite: WRAPPING[key.length],
    // By default, the SDK sorts names by `localeCompare`, unlike all other implementations.
    utf8Sorting: !member.locale_order
  })
}

function rawRsaKeyring (request) {
  const { padding, public: publicKey, private: privateKey } = request.rsa
  return new sdk.RawRsaKeyringNode({
    keyNamespace: request.namespace,
    keyName: request.name,
    rsaKey: { publicKey, privateKey },
    ...PADDINGS[padding]
  })
}

function requestKeyring (request) {
  if (request.rsa) return rawRsaKeyring(request)
  const generator = rawAesKeyring(request)
  if (!request.children) return generator
  return new sdk.MultiKeyringNode({ generator, children: request.children.map(rawAesKeyring) })
}

async function encrypt (request) {
  const suite = request.suite ?? sdk.AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY
  const { result } = await client(request).encrypt(requestKeyring(request), Buffer.from(request.plaintext, 'hex'), {
    suiteId: suite,
    encryptionContext: request.context,
    frameLength: request.frame_length
  })
  return { ciphertext: result.toString('hex') }
}

async function decrypt (request) {
  const ciphertext = Buffer.from(request.ciphertext, 'hex')
  const { plaintext, messageHeader } = await client(request).decrypt(requestKeyring(request), ciphertext)
  return { plaintext: plaintext.toString('hex'), context: messageHeader.encryptionContext }
}

const ACTIONS = { encrypt, decrypt, version: async () => ({ version }) }

async function main () {
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line)
    const answer = await ACTIONS[request.do](request).catch(error => ({ error: `${error.name}: ${error.message}` }))
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  }
}

main()
