// Calls a server with the AWS SDK for JavaScript, and checks the answers. Prints the names of the
// checks that passed, and the problems, as JSON.

'use strict'

const assert = require('node:assert')
const crypto = require('node:crypto')
const { readFileSync } = require('node:fs')

const kms = require('@aws-sdk/client-kms')
const { STSClient, GetCallerIdentityCommand } = require('@aws-sdk/client-sts')
const { NodeHttpHandler, NodeHttp2Handler } = require('@smithy/node-http-handler')

const { ENDPOINT, NARROW_ENDPOINT, TLS_ENDPOINT, CA_FILE, ALICE_ACCESS_KEY, ALICE, CLUSTER, PASSWORD } = process.env
const root = client({})
const alice = client({
  credentials: { accessKeyId: ALICE_ACCESS_KEY, secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY }
})

function client (changes) {
  return new kms.KMSClient({ endpoint: ENDPOINT, ...changes })
}

function send (operation, input = {}, sender = root) {
  return sender.send(new kms[`${operation}Command`](input))
}

async function newKey (input = {}) {
  return (await send('CreateKey', input)).KeyMetadata.KeyId
}

// Makes a call that must fail with an exception of the service.
async function refused (exception, operation, input, sender = root) {
  const error = await send(operation, input, sender).then(() => assert.fail(`${operation} succeeds`), error => error)
  assert.strictEqual(error.name, exception, `${operation}: ${error}`)
  assert(error instanceof kms.KMSServiceException && error instanceof Error)
  // Exceptions that the model does not list have no class of their own.
  if (kms[exception]) assert(error instanceof kms[exception], exception)
  assert.strictEqual(error.$fault, 'client')
  assert.strictEqual(error.$metadata.httpStatusCode, 400)
  assert.match(error.$metadata.requestId, /^[0-9a-f-]{36}$/)
  assert.strictEqual(error.$metadata.attempts, 1, exception)
  return error
}

function isDate (value, days) {
  assert(value instanceof Date)
  const expected = Date.now() + days * 86_400_000
  assert(Math.abs(value - expected) < 3_600_000, `${value} is not ${days} days from now`)
}

function isBytes (value, length) {
  assert(value instanceof Uint8Array)
  assert.strictEqual(value.length, length)
}

async function pages (paginator) {
  const found = []
  for await (const page of paginator) found.push(page)
  return found
}

const checks = {
  async keys () {
    const tags = [{ TagKey: 'team', TagValue: 'billing' }]
    const { KeyMetadata: created } = await send('CreateKey', { Description: 'für Rechnungen', Tags: tags })
    isDate(created.CreationDate, 0)
    const KeyId = created.KeyId
    assert.deepStrictEqual((await send('DescribeKey', { KeyId })).KeyMetadata, created)
    await send('UpdateKeyDescription', { KeyId, Description: 'archive' })
    await send('DisableKey', { KeyId })
    await refused('DisabledException', 'Encrypt', { KeyId, Plaintext: Buffer.from('x') })
    await send('EnableKey', { KeyId })
    const leaving = await send('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 })
    isDate(leaving.DeletionDate, 7)
    await refused('KMSInvalidStateException', 'Encrypt', { KeyId, Plaintext: Buffer.from('x') })
    const described = (await send('DescribeKey', { KeyId })).KeyMetadata
    assert.deepStrictEqual(described.DeletionDate, leaving.DeletionDate)
    assert.deepStrictEqual([described.KeyState, described.Description], ['PendingDeletion', 'archive'])
    await send('CancelKeyDeletion', { KeyId })
    await refused('NotFoundException', 'DescribeKey', { KeyId: crypto.randomUUID() })
    await refused('UnsupportedOperationException', 'CreateKey', { MultiRegion: true })
    await refused('TagException', 'CreateKey', { Tags: [...tags, ...tags] })
    await refused('ValidationException', 'CreateKey', { KeySpec: 'AES_512' })
    await refused('ValidationException', 'DescribeKey', {})
    await refused('InvalidArnException', 'DescribeKey', { KeyId: 'arn:aws:kms:eu-central-1:0:key' })
    const usage = await send('GetKeyLastUsage', { KeyId })
    isDate(usage.KeyCreationDate, 0)
  },

  async aliases () {
    const [first, second] = [await newKey(), await newKey()]
    await send('CreateAlias', { AliasName: 'alias/js', TargetKeyId: first })
    await refused('AlreadyExistsException', 'CreateAlias', { AliasName: 'alias/js', TargetKeyId: second })
    await refused('ValidationException', 'CreateAlias', { AliasName: 'alias/a b', TargetKeyId: second })
    await send('UpdateAlias', { AliasName: 'alias/js', TargetKeyId: second })
    const [{ Aliases }] = await pages(kms.paginateListAliases({ client: root }, { KeyId: second }))
    assert.deepStrictEqual([Aliases[0].AliasName, Aliases[0].TargetKeyId], ['alias/js', second])
    isDate(Aliases[0].LastUpdatedDate, 0)
    await send('DeleteAlias', { AliasName: 'alias/js' })
    await refused('NotFoundException', 'DeleteAlias', { AliasName: 'alias/js' })
  },

  async encryption () {
    const KeyId = await newKey()
    const Plaintext = Uint8Array.from({ length: 4096 }, (_, at) => at)
    const EncryptionContext = { tenant: '42', 'Straße': '日本' }
    const { CiphertextBlob } = await send('Encrypt', { KeyId, Plaintext, EncryptionContext })
    const opened = await send('Decrypt', { CiphertextBlob, EncryptionContext })
    isBytes(opened.Plaintext, 4096)
    assert.deepStrictEqual(Buffer.from(opened.Plaintext), Buffer.from(Plaintext))
    assert.match(opened.KeyId, new RegExp(`^arn:aws:kms:eu-central-1:000000000000:key/${KeyId}$`))
    await refused('InvalidCiphertextException', 'Decrypt', { CiphertextBlob })
    const other = await newKey()
    await refused('IncorrectKeyException', 'Decrypt', { CiphertextBlob, EncryptionContext, KeyId: other })
    await refused('DryRunOperationException', 'Decrypt', { CiphertextBlob, EncryptionContext, DryRun: true })
    await refused('ValidationException', 'Encrypt', { KeyId, Plaintext: new Uint8Array(4097) })
    const moved = await send('ReEncrypt', {
      CiphertextBlob, SourceEncryptionContext: EncryptionContext, DestinationKeyId: other
    })
    assert.deepStrictEqual((await send('Decrypt', { CiphertextBlob: moved.CiphertextBlob })).Plaintext, opened.Plaintext)
    const rsa = await newKey({ KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' })
    const { PublicKey } = await send('GetPublicKey', { KeyId: rsa })
    const sealed = crypto.publicEncrypt({
      key: crypto.createPublicKey({ key: Buffer.from(PublicKey), format: 'der', type: 'spki' }),
      oaepHash: 'sha256'
    }, Buffer.from('4711'))
    const unsealed = await send('Decrypt', {
      KeyId: rsa, CiphertextBlob: sealed, EncryptionAlgorithm: 'RSAES_OAEP_SHA_256'
    })
    assert.strictEqual(Buffer.from(unsealed.Plaintext).toString(), '4711')
    await refused('InvalidKeyUsageException', 'Sign', {
      KeyId, Message: Buffer.from('x'), SigningAlgorithm: 'ECDSA_SHA_256'
    })
  },

  async 'data keys' () {
    const KeyId = await newKey()
    const key = await send('GenerateDataKey', { KeyId, KeySpec: 'AES_256' })
    isBytes(key.Plaintext, 32)
    assert.deepStrictEqual((await send('Decrypt', { CiphertextBlob: key.CiphertextBlob })).Plaintext, key.Plaintext)
    const bare = await send('GenerateDataKeyWithoutPlaintext', { KeyId, NumberOfBytes: 64 })
    assert.strictEqual(bare.Plaintext, undefined)
    isBytes((await send('Decrypt', { CiphertextBlob: bare.CiphertextBlob })).Plaintext, 64)
    const pair = await send('GenerateDataKeyPair', { KeyId, KeyPairSpec: 'ECC_NIST_P256' })
    const read = { format: 'der', type: 'pkcs8' }
    const own = crypto.createPrivateKey({ key: Buffer.from(pair.PrivateKeyPlaintext), ...read })
    const published = crypto.createPublicKey(own).export({ format: 'der', type: 'spki' })
    assert.deepStrictEqual(published, Buffer.from(pair.PublicKey))
    const hidden = await send('GenerateDataKeyPairWithoutPlaintext', { KeyId, KeyPairSpec: 'ECC_NIST_P384' })
    assert.strictEqual(hidden.PrivateKeyPlaintext, undefined)
    isBytes((await send('GenerateRandom', { NumberOfBytes: 1024 })).Plaintext, 1024)
  },

  async signatures () {
    const Message = Buffer.from('I owe you 17 euros')
    const kinds = [
      ['RSA_2048', 'RSASSA_PSS_SHA_256', key => ({ key, padding: crypto.constants.RSA_PKCS1_PSS_PADDING }), 'sha256'],
      ['ECC_NIST_P384', 'ECDSA_SHA_384', key => ({ key }), 'sha384'],
      ['ECC_SECG_P256K1', 'ECDSA_SHA_256', key => ({ key }), 'sha256'],
      ['ECC_NIST_EDWARDS25519', 'ED25519_SHA_512', key => ({ key }), null]
    ]
    for (const [KeySpec, SigningAlgorithm, options, hash] of kinds) {
      const KeyId = await newKey({ KeySpec, KeyUsage: 'SIGN_VERIFY' })
      const { Signature } = await send('Sign', { KeyId, Message, SigningAlgorithm })
      const { PublicKey } = await send('GetPublicKey', { KeyId })
      const key = crypto.createPublicKey({ key: Buffer.from(PublicKey), format: 'der', type: 'spki' })
      assert(crypto.verify(hash, Message, options(key), Signature), SigningAlgorithm)
      assert.strictEqual((await send('Verify', { KeyId, Message, Signature, SigningAlgorithm })).SignatureValid, true)
      const wrong = { KeyId, Message: Buffer.from('I owe you 18 euros'), Signature, SigningAlgorithm }
      await refused('KMSInvalidSignatureException', 'Verify', wrong)
    }
  },

  async 'MACs and key agreement' () {
    const KeyId = await newKey({ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' })
    const request = { KeyId, Message: Buffer.from('message'), MacAlgorithm: 'HMAC_SHA_256' }
    const { Mac } = await send('GenerateMac', request)
    isBytes(Mac, 32)
    assert.strictEqual((await send('VerifyMac', { ...request, Mac })).MacValid, true)
    await refused('KMSInvalidMacException', 'VerifyMac', { ...request, Mac: new Uint8Array(32) })

    const agreement = await newKey({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'KEY_AGREEMENT' })
    const own = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const { PublicKey } = await send('GetPublicKey', { KeyId: agreement })
    const { SharedSecret } = await send('DeriveSharedSecret', {
      KeyId: agreement,
      KeyAgreementAlgorithm: 'ECDH',
      PublicKey: own.publicKey.export({ format: 'der', type: 'spki' })
    })
    const publicKey = crypto.createPublicKey({ key: Buffer.from(PublicKey), format: 'der', type: 'spki' })
    const expected = crypto.diffieHellman({ privateKey: own.privateKey, publicKey })
    assert.deepStrictEqual(Buffer.from(SharedSecret), expected)
  },

  async 'post-quantum keys' () {
    const EncapsulationAlgorithm = 'ML_KEM'
    const KeyId = await newKey({ KeySpec: 'ML_KEM_768', KeyUsage: 'ENCAPSULATE_DECAPSULATE' })
    const sent = await send('Encapsulate', { KeyId, EncapsulationAlgorithm })
    isBytes(sent.SharedSecret, 32)
    isBytes(sent.SharedSecretCiphertextBlob, 1088)
    const { SharedSecretCiphertextBlob } = sent
    const received = await send('Decapsulate', { KeyId, EncapsulationAlgorithm, SharedSecretCiphertextBlob })
    assert.deepStrictEqual(received.SharedSecret, sent.SharedSecret)
    const short = { KeyId, EncapsulationAlgorithm, SharedSecretCiphertextBlob: SharedSecretCiphertextBlob.slice(1) }
    await refused('InvalidCiphertextException', 'Decapsulate', short)

    const SigningAlgorithm = 'ML_DSA_SHAKE_256'
    const signing = await newKey({ KeySpec: 'ML_DSA_44', KeyUsage: 'SIGN_VERIFY' })
    for (const [MessageType, Message] of [['RAW', Buffer.from('message')], ['EXTERNAL_MU', Buffer.alloc(64, 7)]]) {
      const request = { KeyId: signing, Message, MessageType, SigningAlgorithm }
      const { Signature } = await send('Sign', request)
      isBytes(Signature, 2420)
      assert.strictEqual((await send('Verify', { ...request, Signature })).SignatureValid, true)
    }
  },

  async import () {
    const KeyId = await newKey({ Origin: 'EXTERNAL' })
    await refused('KMSInvalidStateException', 'Encrypt', { KeyId, Plaintext: Buffer.from('x') })
    const parameters = await send('GetParametersForImport', {
      KeyId, WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048'
    })
    isDate(parameters.ParametersValidTo, 1)
    const key = crypto.createPublicKey({ key: Buffer.from(parameters.PublicKey), format: 'der', type: 'spki' })
    const material = crypto.publicEncrypt({ key, oaepHash: 'sha256' }, crypto.randomBytes(32))
    const ValidTo = new Date(Date.now() + 9 * 86_400_000)
    const request = { KeyId, ImportToken: parameters.ImportToken, EncryptedKeyMaterial: material }
    await send('ImportKeyMaterial', { ...request, ValidTo, ExpirationModel: 'KEY_MATERIAL_EXPIRES' })
    const { KeyMetadata } = await send('DescribeKey', { KeyId })
    assert.deepStrictEqual([KeyMetadata.KeyState, KeyMetadata.Origin], ['Enabled', 'EXTERNAL'])
    // The SDK sends seconds with three digits after the point.
    assert(Math.abs(KeyMetadata.ValidTo - ValidTo) < 1000, `${KeyMetadata.ValidTo} is not ${ValidTo}`)
    await send('DeleteImportedKeyMaterial', { KeyId })
    await refused('InvalidImportTokenException', 'ImportKeyMaterial', {
      ...request, ImportToken: new Uint8Array(64), ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE'
    })
  },

  async rotation () {
    const KeyId = await newKey()
    await send('EnableKeyRotation', { KeyId, RotationPeriodInDays: 100 })
    const status = await send('GetKeyRotationStatus', { KeyId })
    assert.deepStrictEqual([status.KeyRotationEnabled, status.RotationPeriodInDays], [true, 100])
    isDate(status.NextRotationDate, 100)
    await send('RotateKeyOnDemand', { KeyId })
    await send('RotateKeyOnDemand', { KeyId })
    const found = await pages(kms.paginateListKeyRotations({ client: root, pageSize: 1 }, { KeyId }))
    assert.strictEqual(found.length, 2)
    for (const { Rotations } of found) {
      isDate(Rotations[0].RotationDate, 0)
      assert.strictEqual(Rotations[0].RotationType, 'ON_DEMAND')
    }
    await send('DisableKeyRotation', { KeyId })
  },

  async 'policies and permissions' () {
    const KeyId = await newKey()
    const { Policy, PolicyName } = await send('GetKeyPolicy', { KeyId })
    assert.strictEqual(PolicyName, 'default')
    assert.deepStrictEqual((await send('ListKeyPolicies', { KeyId })).PolicyNames, ['default'])
    await refused('AccessDeniedException', 'Encrypt', { KeyId, Plaintext: Buffer.from('x') }, alice)
    const policy = JSON.parse(Policy)
    policy.Statement.push({ Effect: 'Allow', Principal: { AWS: ALICE }, Action: 'kms:Encrypt', Resource: '*' })
    await send('PutKeyPolicy', { KeyId, Policy: JSON.stringify(policy) })
    await send('Encrypt', { KeyId, Plaintext: Buffer.from('x') }, alice)
    await refused('MalformedPolicyDocumentException', 'PutKeyPolicy', { KeyId, Policy: '{' })
    await refused('AccessDeniedException', 'PutKeyPolicy', { KeyId, Policy }, alice)
  },

  async grants () {
    const KeyId = await newKey()
    const EncryptionContext = { invoice: '17' }
    const { CiphertextBlob } = await send('Encrypt', { KeyId, Plaintext: Buffer.from('x'), EncryptionContext })
    const input = { CiphertextBlob, EncryptionContext }
    await refused('AccessDeniedException', 'Decrypt', input, alice)
    const grants = []
    for (const Name of ['first', 'second', 'third']) {
      grants.push(await send('CreateGrant', {
        KeyId,
        GranteePrincipal: ALICE,
        RetiringPrincipal: ALICE,
        Operations: ['Decrypt'],
        Name,
        Constraints: { EncryptionContextSubset: EncryptionContext }
      }))
    }
    await send('Decrypt', { ...input, GrantTokens: [grants[0].GrantToken] }, alice)
    const found = await pages(kms.paginateListGrants({ client: root, pageSize: 2 }, { KeyId }))
    assert.deepStrictEqual(found.map(page => page.Grants.length), [2, 1])
    isDate(found[0].Grants[0].CreationDate, 0)
    assert.deepStrictEqual(found[0].Grants[0].Constraints, { EncryptionContextSubset: EncryptionContext })
    const retirable = await pages(kms.paginateListRetirableGrants({ client: root }, { RetiringPrincipal: ALICE }))
    assert.strictEqual(retirable[0].Grants.length, 3)
    await send('RetireGrant', { GrantToken: grants[0].GrantToken }, alice)
    await send('RevokeGrant', { KeyId, GrantId: grants[1].GrantId })
    await send('RevokeGrant', { KeyId, GrantId: grants[2].GrantId })
    await refused('AccessDeniedException', 'Decrypt', input, alice)
    await refused('InvalidGrantIdException', 'RevokeGrant', { KeyId, GrantId: 'unknown' })
    await refused('InvalidGrantTokenException', 'RetireGrant', { GrantToken: 'unknown' })
  },

  async 'tags and paginators' () {
    const KeyId = await newKey()
    const Tags = Array.from({ length: 5 }, (_, at) => ({ TagKey: `k${at}`, TagValue: 'v' }))
    await send('TagResource', { KeyId, Tags })
    await send('UntagResource', { KeyId, TagKeys: ['k4'] })
    const tags = await pages(kms.paginateListResourceTags({ client: root, pageSize: 2 }, { KeyId }))
    assert.deepStrictEqual(tags.flatMap(page => page.Tags), Tags.slice(0, 4))
    const whole = await pages(kms.paginateListKeys({ client: root }, {}))
    const small = await pages(kms.paginateListKeys({ client: root, pageSize: 3 }, {}))
    assert(small.length > 3)
    assert.deepStrictEqual(small.flatMap(page => page.Keys), whole.flatMap(page => page.Keys))
    await refused('InvalidMarkerException', 'ListKeys', { Marker: 'x' })
  },

  async 'custom key stores' () {
    const { CustomKeyStoreId } = await send('CreateCustomKeyStore', {
      CustomKeyStoreName: 'hsm', CloudHsmClusterId: CLUSTER, KeyStorePassword: PASSWORD
    })
    await refused('CustomKeyStoreInvalidStateException', 'CreateKey', { Origin: 'AWS_CLOUDHSM', CustomKeyStoreId })
    await send('ConnectCustomKeyStore', { CustomKeyStoreId })
    const [{ CustomKeyStores }] = await pages(kms.paginateDescribeCustomKeyStores({ client: root }, {}))
    assert.strictEqual(CustomKeyStores[0].ConnectionState, 'CONNECTED')
    isDate(CustomKeyStores[0].CreationDate, 0)
    const KeyId = await newKey({ Origin: 'AWS_CLOUDHSM', CustomKeyStoreId })
    const { CiphertextBlob } = await send('Encrypt', { KeyId, Plaintext: Buffer.from('x') })
    await send('Decrypt', { CiphertextBlob })
    await send('DisconnectCustomKeyStore', { CustomKeyStoreId })
    await refused('CustomKeyStoreHasCMKsException', 'DeleteCustomKeyStore', { CustomKeyStoreId })
    await refused('CustomKeyStoreNotFoundException', 'ConnectCustomKeyStore', { CustomKeyStoreId: 'cks-0' })
  },

  // The first call corrects the clock of the client, and is sent again. The next ones need no correction.
  async 'wrong clocks' () {
    const now = Date.now
    for (const minutes of [-10, 10]) {
      Date.now = () => now() + minutes * 60_000
      try {
        const sender = client({})
        const first = await send('ListKeys', {}, sender)
        assert.strictEqual(first.$metadata.attempts, 2)
        const second = await send('ListKeys', {}, sender)
        assert.strictEqual(second.$metadata.attempts, 1)
        await refused('InvalidSignatureException', 'ListKeys', {}, client({ maxAttempts: 1 }))
        const sts = await new STSClient({ endpoint: ENDPOINT }).send(new GetCallerIdentityCommand({}))
        assert.strictEqual(sts.$metadata.attempts, 2)
      } finally {
        Date.now = now
      }
    }
  },

  // The test lets the server perform a call as soon as it has throttled another.
  async throttling () {
    const sender = client({ endpoint: NARROW_ENDPOINT, maxAttempts: 10 })
    const answers = await Promise.all([1, 2, 3].map(() => send('ListKeys', {}, sender)))
    assert(answers.some(answer => answer.$metadata.attempts > 1))
  },

  async 'refused signatures' () {
    const credentials = (accessKeyId, secretAccessKey) => client({ credentials: { accessKeyId, secretAccessKey } })
    const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret } = process.env
    await refused('InvalidSignatureException', 'ListKeys', {}, credentials(id, 'wrong'))
    await refused('UnrecognizedClientException', 'ListKeys', {}, credentials('AKIAIOSFODNN7UNKNOWN', secret))
    await refused('InvalidSignatureException', 'ListKeys', {}, client({ region: 'us-west-2' }))
  },

  async identity () {
    const sts = new STSClient({ endpoint: ENDPOINT })
    const { Arn, Account, UserId } = await sts.send(new GetCallerIdentityCommand({}))
    assert.deepStrictEqual([Arn, Account, UserId], ['arn:aws:iam::000000000000:root', '000000000000', '000000000000'])
  },

  // Over HTTP/2, this SDK signs `:authority` instead of `host`.
  async 'HTTP/2' () {
    const sender = client({ requestHandler: new NodeHttp2Handler() })
    const error = await refused('IncompleteSignatureException', 'ListKeys', {}, sender)
    assert.match(error.message, /:authority/)
    sender.destroy()
  },

  async TLS () {
    const https = certificate => client({
      endpoint: TLS_ENDPOINT,
      requestHandler: new NodeHttpHandler({ httpsAgent: { ca: certificate } }),
      maxAttempts: 1
    })
    await send('ListKeys', {}, https(readFileSync(CA_FILE)))
    await assert.rejects(send('ListKeys', {}, https(undefined)), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
  }
}

async function main () {
  const report = { passed: [], problems: [] }
  for (const [name, check] of Object.entries(checks)) {
    await check().then(() => report.passed.push(name), error => report.problems.push(`${name}: ${error.stack}`))
  }
  process.stdout.write(`${JSON.stringify(report)}\n`)
}

main()
