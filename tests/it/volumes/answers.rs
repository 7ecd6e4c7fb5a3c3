//! AES-256-XTS against IEEE 1619, NIST CAVP, and OpenSSL through Python.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;
use strongroom::SecretBytes;
use strongroom::volumes::{MAX_DATA_UNIT_BYTES, SectorCipher, SectorSize, VolumeError, VolumeKey};

use super::support::{SECTOR_SIZES, TestResult, fixed_key, pattern, run};
use crate::support::external_tools;

/// The fields of a vector by name.
type Fields = BTreeMap<String, Vec<u8>>;

/// The vectors in `tests/vectors/xts`: the fields of each file.
fn vectors() -> TestResult<Vec<(String, Fields)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/xts");
    let mut vectors = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "));
        let field = |(name, value): (&str, &str)| {
            Ok((name.to_owned(), hex::decode(value.strip_prefix("ok ").unwrap_or(value))?))
        };
        vectors.push((path.display().to_string(), lines.map(field).collect::<TestResult<_>>()?));
    }
    Ok(vectors)
}

#[test]
fn answers_of_ieee_1619_and_nist_are_reproduced() -> TestResult {
    let vectors = vectors()?;
    assert_eq!(vectors.len(), 17);
    for (file, fields) in vectors {
        let key = VolumeKey::from_secret(SecretBytes::copy_from_slice(&fields["key"]))?;
        let tweak = u128::from_le_bytes(fields["tweak"][..].try_into()?);
        let cipher = SectorCipher::new(&key, SectorSize::Bytes512);
        let mut data = fields["plaintext"].clone();
        cipher.encrypt_data_unit(tweak, &mut data)?;
        assert_eq!(data, fields["expect"], "{file}");
        cipher.decrypt_data_unit(tweak, &mut data)?;
        assert_eq!(data, fields["plaintext"], "{file}");
        if data.len() == 512 {
            let sector = u64::try_from(tweak)?;
            cipher.encrypt_sectors(sector, &mut data)?;
            assert_eq!(data, fields["expect"], "{file}: sector {sector}");
        }
    }
    Ok(())
}

#[test]
fn openssl_computes_the_same_vectors_and_sectors() -> TestResult {
    const TEST: &str = "volumes::answers::openssl_computes_the_same_vectors_and_sectors";
    let Some(python) = external_tools::tool(TEST, "STRONGROOM_PYTHON", "a python that has cryptography") else {
        return Ok(());
    };
    let (mut requests, mut expected) = (Vec::new(), Vec::new());
    for (_, fields) in vectors()? {
        let hexadecimal = |name: &str| hex::encode(&fields[name]);
        requests
            .push(json!({"key": hexadecimal("key"), "tweak": hexadecimal("tweak"), "data": hexadecimal("plaintext")}));
        expected.push(hexadecimal("expect"));
    }
    let key = fixed_key();
    for sector_size in SECTOR_SIZES {
        let cipher = SectorCipher::new(&key, sector_size);
        for sector in [0_u64, 1, 255, 256, 65_535, 1 << 32, (1 << 36) - 1] {
            let plaintext = pattern(sector_size.bytes(), 7);
            let mut encrypted = plaintext.clone();
            cipher.encrypt_sectors(sector, &mut encrypted)?;
            // In units of 512 bytes, as in `dm-crypt`.
            let tweak = u128::from(sector) * u128::try_from(sector_size.bytes() / 512)?;
            let tweak = hex::encode(tweak.to_le_bytes());
            let (key, data) = (hex::encode(key.expose_secret()), hex::encode(&plaintext));
            requests.push(json!({"key": key, "tweak": tweak, "data": data}));
            expected.push(hex::encode(encrypted));
        }
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/xts_reference.py");
    let input: String = requests.iter().map(|request| format!("{request}\n")).collect();
    let python = python.to_string_lossy();
    let (succeeded, printed) = run(Path::new("."), &[&python, script], input.as_bytes())?;
    assert!(succeeded, "{printed}");
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
    Ok(())
}

#[test]
fn unsupported_keys_and_lengths_are_rejected_unchanged() -> TestResult {
    for length in [0, 1, 32, 63, 65, 128] {
        let refused = VolumeKey::from_secret(SecretBytes::from_vec((0..length).collect()));
        assert_eq!(refused.unwrap_err(), VolumeError::KeyLength { length: usize::from(length) });
    }
    let equal = VolumeKey::from_secret(SecretBytes::from_vec((0..32).chain(0..32).collect()));
    assert_eq!(equal.unwrap_err(), VolumeError::EqualKeys);

    let cipher = SectorCipher::new(&fixed_key(), SectorSize::Bytes512);
    for bytes in [0, 1, 15, 17, 511, MAX_DATA_UNIT_BYTES + 16] {
        let mut data = vec![7; bytes];
        assert_eq!(cipher.encrypt_data_unit(0, &mut data), Err(VolumeError::DataUnit { bytes }));
        assert_eq!(cipher.decrypt_data_unit(0, &mut data), Err(VolumeError::DataUnit { bytes }));
        assert!(data.iter().all(|byte| *byte == 7));
    }
    for bytes in [1, 16, 511, 513] {
        let mut data = vec![7; bytes];
        assert_eq!(cipher.encrypt_sectors(0, &mut data), Err(VolumeError::PartialSector { bytes }));
        assert_eq!(cipher.decrypt_sectors(0, &mut data), Err(VolumeError::PartialSector { bytes }));
        assert_eq!(data, vec![7; bytes]);
    }
    let mut longest = vec![7; MAX_DATA_UNIT_BYTES];
    cipher.encrypt_data_unit(1, &mut longest)?;
    cipher.decrypt_data_unit(1, &mut longest)?;
    assert!(longest.iter().all(|byte| *byte == 7));
    Ok(())
}
