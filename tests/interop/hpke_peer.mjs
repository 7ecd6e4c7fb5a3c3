// Encrypts and decrypts with HPKE and hybrid key pairs, using the packages hpke and @panva/hpke-noble.
//
//     hpke_peer.mjs < REQUESTS
//
// Each line is an object with "kem" (the number in HPKE), "private" (the seed), "info" and "aad", and with either
// "plaintext" or "sealed" (encapsulated key and ciphertext), all in hexadecimal except the number. Prints an object with
// "public" and the other of the two, or with "error".

import readline from "node:readline";
import * as HPKE from "hpke";
import { KEM_MLKEM1024_P384, KEM_MLKEM768_X25519 } from "@panva/hpke-noble";

const SUITES = {
  0x647a: [KEM_MLKEM768_X25519, HPKE.KDF_HKDF_SHA256, 1120],
  0x0051: [KEM_MLKEM1024_P384, HPKE.KDF_HKDF_SHA384, 1665],
};
const bytes = (text) => new Uint8Array(Buffer.from(text, "hex"));
const hex = (value) => Buffer.from(value).toString("hex");

async function answer(request) {
  const [kem, kdf, length] = SUITES[request.kem];
  const suite = new HPKE.CipherSuite(kem, kdf, HPKE.AEAD_AES_256_GCM);
  const options = { info: bytes(request.info), aad: bytes(request.aad) };
  const key = await suite.DeserializePrivateKey(bytes(request.private), true);
  if (request.sealed !== undefined) {
    const sealed = bytes(request.sealed);
    const [encapsulated, ciphertext] = [sealed.slice(0, length), sealed.slice(length)];
    return { plaintext: hex(await suite.Open(key, encapsulated, ciphertext, options)) };
  }
  const { encapsulatedSecret, ciphertext } = await suite.Seal(
    await suite.DeserializePublicKey(bytes(request.public)), bytes(request.plaintext), options);
  return { sealed: hex(encapsulatedSecret) + hex(ciphertext) };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  try {
    console.log(JSON.stringify(await answer(JSON.parse(line))));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
  }
}
