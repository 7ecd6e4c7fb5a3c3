//! LUKS volumes of `cryptsetup` and QEMU, whose sectors are those of this crate.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use strongroom::volumes::{LuksToken, SectorSize, Volume, VolumeGeometry, VolumeKey};

use super::support::{SECTOR_SIZES, Setup, TestResult, is_installed, must, pattern, run};

/// The size of the data.
const SIZE: u64 = 2 << 20;

/// The offset of the data in a LUKS2 volume with the default size of its header.
const LUKS2_OFFSET: u64 = 16 << 20;

/// The offset of the data in a LUKS1 volume, with the alignment of `cryptsetup`.
const LUKS1_OFFSET: u64 = 2 << 20;

/// Fast, as the key file has full entropy.
const PBKDF: [&str; 4] = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];

/// Formats a file with the key of a volume as its volume key.
fn format(folder: &Path, kind: &str, length: u64, key_file: &str, extra: &[&str]) -> TestResult {
    File::create(folder.join("disk"))?.set_len(length)?;
    let common = ["cryptsetup", "luksFormat", "--batch-mode", "--type", kind, "--cipher", "aes-xts-plain64"];
    let keys = ["--key-size", "512", "--volume-key-file", "volume.key", "--key-file", key_file];
    must(folder, &[&common[..], &keys, extra, &["disk"]].concat())?;
    Ok(())
}

fn open(folder: &Path, key: &VolumeKey, sector_size: SectorSize, offset: u64) -> TestResult<Volume<File>> {
    let disk = OpenOptions::new().read(true).write(true).open(folder.join("disk"))?;
    Ok(Volume::builder(key, VolumeGeometry::new(sector_size, SIZE)?).offset(offset).open(disk)?)
}

#[test]
fn luks2_stores_the_token_and_decrypts_the_sectors() -> TestResult {
    const TEST: &str = "volumes::luks::luks2_stores_the_token_and_decrypts_the_sectors";
    if !is_installed(TEST, "cryptsetup") {
        return Ok(());
    }
    for sector_size in SECTOR_SIZES {
        let (setup, folder) = (Setup::new(sector_size, SIZE)?, tempfile::tempdir()?);
        let (folder, key) = (folder.path(), setup.attach()?);
        key.write_key_file(folder.join("volume.key"))?;
        let sector = sector_size.bytes().to_string();
        let extra = [&PBKDF[..], &["--sector-size", &sector]].concat();
        format(folder, "luks2", LUKS2_OFFSET + SIZE, "volume.key", &extra)?;

        // The token in the header suffices to unlock the volume.
        let token = LuksToken::new(setup.header.clone(), [0])?;
        fs::write(folder.join("token.json"), token.to_json())?;
        must(folder, &["cryptsetup", "token", "import", "--json-file", "token.json", "--token-id", "3", "disk"])?;
        let dump = must(folder, &["cryptsetup", "luksDump", "disk"])?;
        assert!(dump.contains("strongroom-volume") && dump.contains("aes-xts-plain64"), "{dump}");
        let exported = LuksToken::parse(&must(folder, &["cryptsetup", "token", "export", "--token-id", "3", "disk"])?)?;
        assert_eq!(exported, token);
        let unwrapped = setup.keys.attach(exported.header(), &setup.id)?;
        let unlock = ["cryptsetup", "open", "--test-passphrase", "--key-file", "-", "disk"];
        let mut input = Vec::new();
        unwrapped.write_to(&mut input)?;
        assert!(run(folder, &unlock, &input)?.0);
        input[0] ^= 1;
        assert!(!run(folder, &unlock, &input)?.0, "another key unlocks the volume");

        // The sectors of this crate, as `cryptsetup` decrypts them.
        let data = pattern(usize::try_from(SIZE)?, 1);
        open(folder, &unwrapped, sector_size, LUKS2_OFFSET)?.write_at(0, &data)?;
        let decrypt = ["cryptsetup", "reencrypt", "--batch-mode", "--decrypt", "--force-offline-reencrypt"];
        must(folder, &[&decrypt[..], &["--header", "header", "--key-file", "volume.key", "disk"]].concat())?;
        let decrypted = fs::read(folder.join("disk"))?;
        assert!(decrypted[..data.len()] == data, "cryptsetup decrypted other data with sectors of {sector} bytes");
    }
    Ok(())
}

#[test]
fn qemu_reads_and_writes_the_sectors_of_a_luks1_volume() -> TestResult {
    const TEST: &str = "volumes::luks::qemu_reads_and_writes_the_sectors_of_a_luks1_volume";
    if !is_installed(TEST, "cryptsetup") || !is_installed(TEST, "qemu-io") {
        return Ok(());
    }
    let (setup, folder) = (Setup::new(SectorSize::Bytes512, SIZE)?, tempfile::tempdir()?);
    let (folder, key) = (folder.path(), setup.attach()?);
    key.write_key_file(folder.join("volume.key"))?;
    // QEMU accepts passphrases that are UTF-8.
    fs::write(folder.join("passphrase"), "a passphrase for QEMU")?;
    format(folder, "luks1", LUKS1_OFFSET + SIZE, "passphrase", &["--pbkdf-force-iterations", "1000"])?;
    let data = pattern(usize::try_from(SIZE)?, 2);
    open(folder, &key, SectorSize::Bytes512, LUKS1_OFFSET)?.write_at(0, &data)?;

    let secret = ["--object", "secret,id=key,file=passphrase"];
    let image = ["--image-opts", "driver=luks,key-secret=key,file.filename=disk"];
    must(folder, &[&["qemu-img", "convert"], &secret[..], &image, &["-O", "raw", "plain"]].concat())?;
    assert!(fs::read(folder.join("plain"))? == data, "QEMU decrypted other data");

    let commands = ["-c", "write -P 0x5a 512 3072", "-c", "write -P 0xa5 1048000 1234", "-c", "flush"];
    must(folder, &[&["qemu-io"], &secret[..], &image, &commands].concat())?;
    let mut expected = data;
    expected[512..3_584].fill(0x5a);
    expected[1_048_000..1_049_234].fill(0xa5);
    let mut read = vec![0; expected.len()];
    open(folder, &key, SectorSize::Bytes512, LUKS1_OFFSET)?.read_at(0, &mut read)?;
    assert!(read == expected, "QEMU wrote other sectors");
    Ok(())
}
