// Uses the AWS KMS Hierarchical keyring of the official library for JavaScript, on request.
//
// Reads the same requests and writes the same answers as hierarchical_keyring.py, as far as the library
// has the operations: its key store only reads. A map stands for the table, because a client of DynamoDB
// would need a server.

'use strict'

const { createInterface } = require('node:readline')

const sdk = require('@aws-crypto/client-node')
const { DynamoDBClient } = require('@aws-sdk/client-dynamodb')
const { KMSClient } = require('@aws-sdk/client-kms')

const CACHE_SECONDS = 600
const TABLE = 'table-of-branch-keys'

const { AWS_REGION: region } = process.env
const client = sdk.buildClient(sdk.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
const items = new Map()
let store

// Returns the value of an attribute as the client of DynamoDB represents it.
function attribute ([name, value]) {
  return [name, value.B === undefined ? value : { B: Buffer.from(value.B, 'base64') }]
}

function place (key) {
  return JSON.stringify([key['branch-key-id'].S, key.type.S])
}

class Table extends DynamoDBClient {
  async send (command) {
    const { TableName: table, Key: key } = command.input
    if (command.constructor.name !== 'GetItemCommand' || table !== TABLE) throw new Error('unexpected command')
    return { Item: items.get(place(key)) }
  }
}

class Tenants {
  getBranchKeyId (context) {
    return `tenant/${context.tenant}`
  }
}

function open ({ key, name }) {
  store = new sdk.BranchKeyStoreNode({
    logicalKeyStoreName: name,
    storage: { ddbTableName: TABLE, ddbClient: new Table({ region }) },
    keyManagement: { kmsClient: new KMSClient({ region }) },
    kmsConfiguration: { identifier: key }
  })
  return {}
}

function put (request) {
  for (const item of request.items) items.set(place(item), Object.fromEntries(Object.entries(item).map(attribute)))
  return {}
}

function keyring ({ id }) {
  const choice = id ? { branchKeyId: id } : { branchKeyIdSupplier: new Tenants() }
  return new sdk.KmsHierarchicalKeyRingNode({
    ...choice, keyStore: store, cacheLimitTtl: CACHE_SECONDS, utf8Sorting: true
  })
}

async function encrypt (request) {
  const { result } = await client.encrypt(keyring(request), Buffer.from(request.plaintext, 'hex'), {
    suiteId: request.suite, encryptionContext: request.context
  })
  return { ciphertext: result.toString('hex') }
}

async function decrypt (request) {
  const { plaintext } = await client.decrypt(keyring(request), Buffer.from(request.ciphertext, 'hex'))
  return { plaintext: plaintext.toString('hex') }
}

async function main () {
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line)
    const answer = await Promise.resolve().then(() => ({ open, put, encrypt, decrypt })[request.do](request))
      .catch(error => ({ error: `${error.name}: ${error.message}` }))
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  }
}

main()
