//! An encrypted volume as a network block device (NBD) on a Unix socket, for QEMU and any other
//! client.
//!
//! ```text
//! cargo run --features volumes --example nbd_volume                  a demonstration with qemu-io
//! cargo run --features volumes --example nbd_volume -- create FOLDER 64 4096
//! cargo run --features volumes --example nbd_volume -- serve FOLDER /tmp/volume.socket
//! qemu-img info 'nbd+unix:///volume?socket=/tmp/volume.socket'
//! ```
//!
//! `create` needs the size in MiB and the sector size in bytes. The folder contains a KMS with its
//! root key, the header of the volume, and the encrypted sectors. Keep the root key elsewhere in
//! production.
//!
//! The server accepts the fixed newstyle negotiation and simple replies. Clients are not
//! authenticated: the permissions of the socket decide who may connect.

#[cfg(unix)]
mod connections;
#[cfg(unix)]
mod export;
#[cfg(unix)]
mod negotiation;
#[cfg(unix)]
mod transmission;

use std::error::Error;

#[cfg(unix)]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => unix::demonstrate(),
        ["create", folder, mebibytes, sector_size] => {
            unix::create(folder.as_ref(), mebibytes.parse()?, sector_size.parse()?)
        }
        ["serve", folder, socket] => unix::serve(folder.as_ref(), socket.as_ref()),
        _ => Err("usage: nbd_volume [create FOLDER MEBIBYTES SECTOR_SIZE | serve FOLDER SOCKET]".into()),
    }
}

#[cfg(not(unix))]
fn main() -> Result<(), Box<dyn Error>> {
    Err("this example needs Unix sockets".into())
}

#[cfg(unix)]
mod unix {
    use std::error::Error;
    use std::fs::{self, OpenOptions};
    use std::num::NonZeroUsize;
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::process::Command;
    use std::sync::Arc;
    use std::{io, thread};

    use strongroom::Kms;
    use strongroom::request::CreateKeyRequest;
    use strongroom::seal::{PrivateFile, RootKey};
    use strongroom::volumes::{SectorSize, Volume, VolumeGeometry, VolumeHeader, VolumeId, VolumeKeys};

    use crate::connections::accept_clients;
    use crate::export::Export;

    type ExampleResult<T = ()> = Result<T, Box<dyn Error>>;

    const ALIAS: &str = "alias/volumes";

    /// Opens or creates the KMS in a folder.
    fn volume_keys(folder: &Path) -> ExampleResult<VolumeKeys> {
        let root_key = folder.join("root.key");
        if !root_key.exists() {
            RootKey::generate_file(&root_key)?;
        }
        let kms = Kms::open(folder.join("keys.strongroom"), RootKey::from_file(&root_key)?)?;
        kms.get_or_create_key(ALIAS, CreateKeyRequest::default())?;
        Ok(VolumeKeys::new(&kms, ALIAS)?)
    }

    /// Returns the ID of the volume in a folder, which is the name of the folder.
    fn volume_id(folder: &Path) -> ExampleResult<VolumeId> {
        let folder = fs::canonicalize(folder)?;
        let name = folder.file_name().ok_or("the folder has no name")?.to_string_lossy();
        Ok(VolumeId::parse(&name)?)
    }

    /// Creates a volume whose key nobody has seen yet.
    pub(crate) fn create(folder: &Path, mebibytes: u64, sector_size: u64) -> ExampleResult {
        let size = mebibytes.checked_mul(1 << 20).ok_or("the size is too large")?;
        let geometry = VolumeGeometry::new(SectorSize::from_bytes(sector_size)?, size)?;
        let header = volume_keys(folder)?.create(&volume_id(folder)?, geometry)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).open(folder.join("volume"))?.set_len(size)?;
        // The only copy of the wrapped key: durable before the first write.
        Ok(PrivateFile::new(folder.join("volume.header")).lock()?.replace(&header.to_bytes())?)
    }

    /// Attaches the volume, and serves it until the process is ended.
    pub(crate) fn serve(folder: &Path, socket: &Path) -> ExampleResult {
        let export = attach(folder)?;
        let listener = UnixListener::bind(socket)?;
        println!("ready");
        accept_clients(&listener, &export);
        Ok(())
    }

    fn attach(folder: &Path) -> ExampleResult<Arc<Export>> {
        let header = VolumeHeader::parse(&fs::read(folder.join("volume.header"))?)?;
        let key = volume_keys(folder)?.attach(&header, &volume_id(folder)?)?;
        let file = OpenOptions::new().read(true).write(true).open(folder.join("volume"))?;
        let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let volume = Volume::builder(&key, header.geometry()).threads(threads).open(file)?;
        Ok(Arc::new(Export::new(volume)))
    }

    /// Lets `qemu-io` write to a new volume and verify the pattern after another attachment.
    pub(crate) fn demonstrate() -> ExampleResult {
        let folder = tempfile::Builder::new().prefix("vol-").tempdir()?;
        create(folder.path(), 16, 4_096)?;
        println!("1. A volume of 16 MiB, whose key was generated without plaintext.");
        let first = [
            "write -P 0x5a 1M 3M",
            "write -P 0xa5 4094 9000", // not aligned
            "discard 2M 1M",
            "write -z 5M 64k",
            "flush",
        ];
        if !qemu_io(folder.path(), "first.socket", &first)? {
            println!("   qemu-io is not installed, so nothing more can be shown.");
            return Ok(());
        }
        println!("2. qemu-io wrote patterns, and discarded a part of them.");
        let second = [
            "read -P 0x5a 1M 1M",
            "read -P 0 2M 1M",
            "read -P 0x5a 3M 1M",
            "read -P 0xa5 4094 9000",
            "read -P 0 13094 1000000",
            "read -P 0 5M 64k",
        ];
        qemu_io(folder.path(), "second.socket", &second)?;
        println!("3. After another attachment, qemu-io verified all of them.");
        let stored = fs::read(folder.path().join("volume"))?;
        let patterns = stored.windows(16).filter(|window| *window == [0x5a; 16] || *window == [0xa5; 16]).count();
        assert_eq!(patterns, 0);
        println!("4. The file contains none of the patterns.");
        Ok(())
    }

    /// Attaches the volume, and runs commands of `qemu-io` on it. Returns `false` if it is not
    /// installed.
    fn qemu_io(folder: &Path, socket: &str, commands: &[&str]) -> ExampleResult<bool> {
        let (export, socket) = (attach(folder)?, folder.join(socket));
        let listener = UnixListener::bind(&socket)?;
        thread::spawn(move || accept_clients(&listener, &export));
        let mut command = Command::new("qemu-io");
        command.args(["-f", "raw", &format!("nbd+unix:///volume?socket={}", socket.display())]);
        for line in commands {
            command.args(["-c", line]);
        }
        let output = match command.output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            output => output?,
        };
        let printed = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() || printed.contains("failed") {
            return Err(format!("qemu-io: {printed}{}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(true)
    }
}
