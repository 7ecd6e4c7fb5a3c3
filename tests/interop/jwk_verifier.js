// Verifies signatures with public keys that are JSON Web Keys, using the `crypto` module of Node.js.
//
//     jwk_verifier.js < REQUESTS
//
// Each line is an object with "jwk", "alg", "message" and "signature", the last two in hexadecimal. Prints "valid" or
// "invalid" for each, or the error with which a key was rejected.

"use strict";

const crypto = require("crypto");
const readline = require("readline");

const PSS = { padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: crypto.constants.RSA_PSS_SALTLEN_DIGEST };

function options(alg) {
  if (alg.startsWith("PS")) return PSS;
  return alg.startsWith("ES") ? { dsaEncoding: "ieee-p1363" } : {};
}

function verify({ jwk, alg, message, signature }) {
  const key = crypto.createPublicKey({ key: jwk, format: "jwk" });
  const hash = /^(RS|PS|ES)/.test(alg) ? `sha${alg === "ES256K" ? "256" : alg.slice(2)}` : null;
  const [data, mark] = [message, signature].map((text) => Buffer.from(text, "hex"));
  return crypto.verify(hash, data, { key, ...options(alg) }, mark);
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  try {
    console.log(verify(JSON.parse(line)) ? "valid" : "invalid");
  } catch (error) {
    console.log(`error: ${error.message}`);
  }
});
