//! The example `nbd_volume`, through the clients of QEMU.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;

use super::support::{TestResult, is_installed, must, pattern, run};
use crate::support::external_tools;

/// A folder with a volume.
struct Disk {
    folder: TempDir,
    program: PathBuf,
}

impl Disk {
    /// Creates a volume, or returns `None` if the example or a program is missing.
    fn new(test: &str, mebibytes: &str, sector_size: &str) -> TestResult<Option<Self>> {
        // The example is next to the `deps` directory of this test. `cargo test` builds the
        // examples first.
        let tests = std::env::current_exe()?;
        let program = tests.ancestors().nth(2).ok_or("the folder of the profile")?.join("examples/nbd_volume");
        if !program.exists() {
            external_tools::missing(test, "it is not built: cargo build --features volumes --example nbd_volume");
            return Ok(None);
        }
        if !is_installed(test, "qemu-io") || !is_installed(test, "qemu-img") {
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix("vol-").tempdir()?;
        let path = folder.path().to_str().ok_or("text")?;
        must(folder.path(), &[program.to_str().ok_or("text")?, "create", path, mebibytes, sector_size])?;
        Ok(Some(Self { folder, program }))
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn serve(&self, socket: &str) -> TestResult<Server> {
        self.start(Command::new(&self.program), socket, Stdio::null())
    }

    fn start(&self, mut command: Command, socket: &str, errors: Stdio) -> TestResult<Server> {
        command.arg("serve").arg(self.path()).arg(socket).current_dir(self.path());
        let mut process = command.stdout(Stdio::piped()).stderr(errors).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("a pipe")?).read_line(&mut line)?;
        let server = Server { process, url: format!("nbd+unix:///volume?socket={socket}") };
        assert_eq!(line, "ready\n");
        Ok(server)
    }

    fn qemu_io(&self, server: &Server, commands: &[&str]) -> TestResult {
        let commands = commands.iter().flat_map(|line| ["-c", line]);
        let command: Vec<&str> = ["qemu-io", "-f", "raw", &server.url].into_iter().chain(commands).collect();
        let printed = must(self.path(), &command)?;
        assert!(!printed.contains("failed") && !printed.contains("rror"), "{command:?}: {printed}");
        Ok(())
    }
}

/// A server, which is killed when it is dropped.
struct Server {
    process: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn qemu_io_verifies_its_patterns_after_another_attachment() -> TestResult {
    const TEST: &str = "volumes::nbd::qemu_io_verifies_its_patterns_after_another_attachment";
    for sector_size in ["512", "4096"] {
        let Some(disk) = Disk::new(TEST, "16", sector_size)? else { return Ok(()) };
        let server = disk.serve("first")?;
        let written = [
            "write -P 0x11 0 64k",
            "write -P 0x22 65000 3000", // not aligned, over the end of the first
            "write -P 0x33 1M 4M",
            "write -f -P 0x44 8388607 2",
            "write -z 2M 64k",
            "write -z -u 2621441 100000",
            "discard 3M 1M",
            "write -P 0x55 16773121 4095", // up to the last byte
            "flush",
        ];
        disk.qemu_io(&server, &written)?;
        let verified = [
            "read -P 0x11 0 65000",
            "read -P 0x22 65000 3000",
            "read -P 0 68000 100000",
            "read -P 0x33 1M 1M",
            "read -P 0 2M 64k",
            "read -P 0x33 2162688 458753",
            "read -P 0 2621441 100000",
            "read -P 0x33 2721441 424287",
            "read -P 0 3M 1M",
            "read -P 0x33 4M 1M",
            "read -P 0x44 8388607 2",
            "read -P 0 8388609 8384512",
            "read -P 0x55 16773121 4095",
        ];
        disk.qemu_io(&server, &verified)?;
        drop(server);
        disk.qemu_io(&disk.serve("second")?, &verified)?;
        let stored = fs::read(disk.path().join("volume"))?;
        let visible = stored.windows(16).find(|window| window.iter().all(|byte| *byte == window[0]) && window[0] != 0);
        assert_eq!(visible, None, "a pattern is stored in plaintext");
    }
    Ok(())
}

#[test]
fn qemu_img_converts_compares_and_checks_images() -> TestResult {
    const TEST: &str = "volumes::nbd::qemu_img_converts_compares_and_checks_images";
    let Some(disk) = Disk::new(TEST, "8", "4096")? else { return Ok(()) };
    let server = disk.serve("socket")?;
    let mut image = pattern(8 << 20, 7);
    image[1 << 20..3 << 20].fill(0);
    fs::write(disk.path().join("image"), &image)?;
    let raw = ["-f", "raw", "-O", "raw"];
    must(disk.path(), &[&["qemu-img", "convert", "-n"], &raw[..], &["image", &server.url]].concat())?;
    must(disk.path(), &["qemu-img", "compare", "-f", "raw", "-F", "raw", "image", &server.url])?;
    must(disk.path(), &[&["qemu-img", "convert"], &raw[..], &[&server.url, "back"]].concat())?;
    assert!(fs::read(disk.path().join("back"))? == image);
    must(disk.path(), &["qemu-io", "-f", "raw", &server.url, "-c", "write -P 9 5000000 1"])?;
    let compare = ["qemu-img", "compare", "-f", "raw", "-F", "raw", "image", &server.url];
    let (equal, printed) = run(disk.path(), &compare, &[])?;
    assert!(!equal && printed.contains("Content mismatch at offset"), "{printed}");

    // A format with metadata of its own, which `qemu-img check` verifies.
    must(disk.path(), &["qemu-img", "create", "-f", "qcow2", &server.url, "6M"])?;
    let commands = ["-c", "write -P 0x77 100000 2000000", "-c", "write -z 1M 64k", "-c", "discard 512k 64k"];
    must(disk.path(), &[&["qemu-io", "-f", "qcow2", &server.url], &commands[..]].concat())?;
    let checked = must(disk.path(), &["qemu-img", "check", "-f", "qcow2", &server.url])?;
    assert!(checked.contains("No errors were found"), "{checked}");
    let verified = ["-c", "read -P 0x77 100000 300000", "-c", "read -P 0 1M 64k"];
    let printed = must(disk.path(), &[&["qemu-io", "-f", "qcow2", &server.url], &verified[..]].concat())?;
    assert!(!printed.contains("failed"), "{printed}");
    Ok(())
}

#[test]
fn the_header_is_a_private_file_that_replaced_a_temporary_one() -> TestResult {
    const TEST: &str = "volumes::nbd::the_header_is_a_private_file_that_replaced_a_temporary_one";
    let Some(disk) = Disk::new(TEST, "1", "4096")? else { return Ok(()) };
    let header = disk.path().join("volume.header");
    assert_eq!(fs::metadata(&header)?.permissions().mode() & 0o777, 0o600);
    // A replacement has another inode, so the other name keeps the first header.
    fs::hard_link(&header, disk.path().join("first.header"))?;
    let first = fs::read(&header)?;
    fs::remove_file(disk.path().join("volume"))?;
    let (path, program) = (disk.path().to_str().ok_or("text")?, disk.program.to_str().ok_or("text")?);
    must(disk.path(), &[program, "create", path, "1", "4096"])?;
    assert!(fs::read(&header)? != first, "another volume has another key");
    assert!(fs::read(disk.path().join("first.header"))? == first, "the header was overwritten in place");
    Ok(())
}

#[test]
fn several_clients_share_a_volume() -> TestResult {
    const TEST: &str = "volumes::nbd::several_clients_share_a_volume";
    let Some(disk) = Disk::new(TEST, "8", "4096")? else { return Ok(()) };
    let server = disk.serve("socket")?;
    thread::scope(|scope| {
        let clients: Vec<_> = (1..=4_usize)
            .map(|client| {
                let (disk, server) = (&disk, &server);
                // Neighbours share a sector at each boundary.
                let (offset, length) = (client * 1_000_001, 1_000_001);
                scope.spawn(move || {
                    let write = format!("write -P {client} {offset} {length}");
                    disk.qemu_io(server, &[&write, "flush"]).map_err(|error| error.to_string())
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| client.join().expect("no client panics"))
    })?;
    let reads: Vec<String> =
        (1..=4_usize).map(|client| format!("read -P {client} {} 1000001", client * 1_000_001)).collect();
    disk.qemu_io(&server, &reads.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_server_without_free_file_descriptors_serves_later_clients() -> TestResult {
    const TEST: &str = "volumes::nbd::a_server_without_free_file_descriptors_serves_later_clients";
    let Some(disk) = Disk::new(TEST, "1", "4096")? else { return Ok(()) };
    let mut command = Command::new("sh");
    // Fewer than the server needs for as many clients as it accepts.
    command.args(["-c", "ulimit -n 16 && exec \"$0\" \"$@\""]).arg(&disk.program);
    let mut server = disk.start(command, "socket", Stdio::piped())?;
    let stderr = server.process.stderr.take().ok_or("a pipe")?;
    let connect = |_| UnixStream::connect(disk.path().join("socket"));
    let idle = (0..16).map(connect).collect::<Result<Vec<_>, _>>()?;
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("cannot accept a client")), "the server ended");
    // The server must never wait for the reader of its errors.
    let reader = thread::spawn(move || lines.for_each(drop));
    drop(idle);
    disk.qemu_io(&server, &["write -P 1 0 1M", "read -P 1 0 1M"])?;
    drop(server);
    reader.join().map_err(|_| "the reader panicked")?;
    Ok(())
}

/// Sends bytes after the greeting of the server, and reads until it disconnects.
fn disconnected_after(disk: &Disk, bytes: &[u8]) -> TestResult<Vec<u8>> {
    let mut stream = UnixStream::connect(disk.path().join("socket"))?;
    let mut greeting = [0; 18];
    stream.read_exact(&mut greeting)?;
    assert_eq!(greeting[..16], *b"NBDMAGICIHAVEOPT");
    // The server may have disconnected before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received);
    Ok(received)
}

#[test]
fn clients_that_violate_the_protocol_are_disconnected_alone() -> TestResult {
    const TEST: &str = "volumes::nbd::clients_that_violate_the_protocol_are_disconnected_alone";
    let Some(disk) = Disk::new(TEST, "1", "4096")? else { return Ok(()) };
    let server = disk.serve("socket")?;
    let flags = 3_u32.to_be_bytes();
    let option = |number: u32, length: u32| [&b"IHAVEOPT"[..], &number.to_be_bytes(), &length.to_be_bytes()].concat();
    let export = [&flags[..], &option(1, 6), b"volume"].concat();
    let request = |magic: u32, kind: u16, offset: u64, length: u32| {
        let head = [&magic.to_be_bytes()[..], &[0, 0], &kind.to_be_bytes(), b"a cookie"].concat();
        [&export[..], &head, &offset.to_be_bytes(), &length.to_be_bytes()].concat()
    };
    const MAGIC: u32 = 0x2560_9513;
    let hostile = [
        0x8000_0000_u32.to_be_bytes().to_vec(),                 // unknown flags
        [&flags[..], b"IHAVEOPTIHAVEOPT"].concat(),             // a length of 1.2 GB
        [&flags[..], b"GET / HTTP/1.1\r\n\r\n"].concat(),       // no option
        [&flags[..], &option(7, u32::MAX)].concat(),            // a huge option
        [&flags[..], &option(1, 5), b"other"].concat(),         // an unknown export
        [&flags[..], &option(2, 0).repeat(2)].concat(),         // an abortion
        [&flags[..], &option(99, 0).repeat(100)].concat(),      // too many options
        request(MAGIC, 1, 0, u32::MAX),                         // a write of 4 GiB
        request(MAGIC, 0, 0, 0x1000)[..30].to_vec().repeat(40), // no request
        request(0x1234_5678, 0, 0, 512),                        // another magic
        request(MAGIC, 2, 0, 0),                                // a disconnection
    ];
    for bytes in hostile {
        let received = disconnected_after(&disk, &bytes)?;
        assert!(received.len() < 8_192, "{} bytes", received.len());
    }
    // Requests that are refused, each followed by a disconnection.
    let end = [&MAGIC.to_be_bytes()[..], &[0, 0, 0, 2], &[0; 20]].concat();
    for (kind, offset, length, code) in [
        (0, 1 << 20, 1, 22_u32),
        (0, u64::MAX, 2, 22),
        (0, 0, u32::MAX, 22),
        (4, 1 << 19, u32::MAX, 22),
        (6, u64::MAX - 1, 1, 22),
        (9, 0, 0, 22),
    ] {
        let received = disconnected_after(&disk, &[request(MAGIC, kind, offset, length), end.clone()].concat())?;
        let reply = [&0x6744_6698_u32.to_be_bytes()[..], &code.to_be_bytes(), b"a cookie"].concat();
        assert_eq!(received[10..], reply, "request {kind} at {offset}");
    }
    disk.qemu_io(&server, &["write -P 1 0 1M", "read -P 1 0 1M"])
}
